package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/redact"
)

const (
	writeTimeout = 5 * time.Second
	window       = time.Minute
	mostDone     = 100 // entries of one sort in a window
	mostRefused  = 10  // the same, of what was refused
	mostSorts    = 200 // sorts of entries in a window
)

// Log writes the entries of one process. It bounds how many they are: of like actions by the same viewer more than a hundred in a
// minute, or ten that are refused, the last entry stands for all further ones, and says how many at least ([Entry].Times). A program that
// cancels jobs in a loop, or a stranger who knocks a thousand times a second, does not flood the store.
type Log struct {
	store bellhop.Store
	log   *slog.Logger
	now   func() time.Time

	mu    sync.Mutex
	since time.Time // when the window began
	sorts map[sort]*tally
}

// sort is what makes entries alike. What strangers choose freely is no part of it.
type sort struct {
	who, via, action, queue string
	refused                 bool
}

// tally is what was written of one sort.
type tally struct {
	entries int
	key     string // of the last entry
	last    Entry
	known   int // how many actions the last entry stands for in the store
}

// NewLog returns a log that writes to a store, and says in logger what it could not write.
func NewLog(store bellhop.Store, logger *slog.Logger) *Log {
	return &Log{store: store, log: logger, now: time.Now}
}

// Write writes an entry. It takes no part in whether the action succeeds: it goes on when ctx has ended, for up to 5 s, and
// what cannot be written is logged as an error.
func (l *Log) Write(ctx context.Context, e Entry) {
	if e.At.IsZero() {
		e.At = l.now()
	}
	key, e, due := l.count(e)
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := put(ctx, l.store, key, e); err != nil {
		l.log.Error("an action could not be written to the audit", "who", e.Who, "via", e.Via, "remote", e.Remote, "action", e.Action,
			bellhop.AttrQueue, e.Queue, "target", e.Target, "filter", e.Filter, "count", e.Count, "reason", e.Reason, "refused", e.Refused, bellhop.AttrError, err)
	}
}

// count decides under which key an entry is to be written, and with which others it is one; due is false if it is not
// worth a write now.
func (l *Log) count(e Entry) (key string, _ Entry, due bool) {
	e.Reason, e.Filter = redact.Text(e.Reason), redact.Text(e.Filter)
	e.clean()
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := e.At.Sub(l.since); since >= window || since < -window || l.sorts == nil {
		l.since, l.sorts = e.At, map[sort]*tally{}
	}
	s, most := sort{e.Who, e.Via, e.Action, e.Queue, false}, mostDone
	if e.Refused != "" {
		s, most = sort{e.Who, e.Via, e.Action, "", true}, mostRefused
	}
	if l.sorts[s] == nil && len(l.sorts) >= mostSorts {
		s = sort{refused: s.refused}
	}
	t := l.sorts[s]
	if t == nil {
		t = &tally{}
		l.sorts[s] = t
	}
	if t.entries < most {
		t.entries++
		t.key, t.last, t.known = newKey(e.At), e, 1
		return t.key, e, true
	}
	times, count := max(t.last.Times, 1)+1, t.last.Count+e.Count
	t.last = e
	t.last.Times, t.last.Count = times, count
	if t.last.Target = ""; e.Refused != "" && times < 2*t.known {
		return "", e, false // it costs the store the less the more there are
	}
	t.known = times
	return t.key, t.last, true
}
