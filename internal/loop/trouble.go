package loop

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// sayEvery is how often a trouble that lasts, or comes and goes, is mentioned.
const sayEvery = time.Minute

// Trouble is what a loop says of one thing that fails, perhaps at each try: one line a minute at most, and one when it is over. Make it
// with [NewTrouble]. Its methods may be called from any goroutine.
type Trouble struct {
	log      *slog.Logger
	down, up string
	attrs    []any

	mu    sync.Mutex
	since time.Time // of the first failure in a row; zero if the last try was well
	times int       // that failed since the last line
	told  bool      // a line was written about these
	said  time.Time // when the last line was written
}

// NewTrouble returns what says down, at error level, while something fails, and up, at info level, when it no longer does; up is
// empty for what has no end. attrs, as of [slog.Logger.Error], stand in each line.
func NewTrouble(log *slog.Logger, down, up string, attrs ...any) *Trouble {
	return &Trouble{log: log, down: down, up: up, attrs: attrs}
}

// Note says that a try failed. One that was cancelled, as ctx tells, is no failure: its loop was stopped. One whose time was over is.
func (t *Trouble) Note(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since = time.Now()
	}
	t.times++
	if time.Since(t.said) < sayEvery {
		return
	}
	t.log.Error(t.down, t.with("error", err.Error(), "times", t.times)...)
	t.told, t.said, t.times = true, time.Now(), 0
}

// Over says that it works, which is worth a line only if one said that it did not.
func (t *Trouble) Over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		return
	}
	if t.told && t.up != "" {
		t.log.Info(t.up, t.with("after", time.Since(t.since).Round(time.Millisecond).String())...)
	}
	t.since, t.times, t.told = time.Time{}, 0, false
}

func (t *Trouble) with(attrs ...any) []any {
	return append(t.attrs[:len(t.attrs):len(t.attrs)], attrs...)
}
