package outbox

import (
	"log/slog"
	"time"

	"github.com/gobellhop/bellhop"
)

// sayEvery is how often a trouble that lasts, or comes again and again, is mentioned.
const sayEvery = time.Minute

// trouble says one line a window about what goes wrong at each try. It belongs to the relay's loop.
type trouble struct {
	log      *slog.Logger
	down, up string // the texts of the lines; up is empty for what has no end

	since time.Time // of the first failure in a row; zero if the last try was well
	times int       // since the last line
	told  bool      // a line was written about these
	said  time.Time // when the last line was written
}

func (t *trouble) note(err error) {
	if t.since.IsZero() {
		t.since = time.Now()
	}
	t.times++
	if time.Since(t.said) < sayEvery {
		return
	}
	t.log.Error(t.down, bellhop.AttrError, err.Error(), "times", t.times)
	t.told, t.said, t.times = true, time.Now(), 0
}

// over says that it works again, if it did not.
func (t *trouble) over() {
	if t.since.IsZero() {
		return
	}
	if t.told && t.up != "" {
		t.log.Info(t.up, "after", time.Since(t.since).Round(time.Millisecond).String())
	}
	t.since, t.times, t.told = time.Time{}, 0, false
}
