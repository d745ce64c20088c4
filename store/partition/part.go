package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// A part that is out of reach is asked again after firstPause, and after
	// twice as long each time up to lastPause.
	firstPause = 25 * time.Millisecond
	lastPause  = time.Second
	// beatsToSweep is how many beats in a row must have reached a part, after one
	// that did not, before its silent processes are swept: they were cut off as well.
	beatsToSweep = 2
)

// part is one of the stores, and what is known of it.
type part struct {
	index int
	name  string
	store bellhop.Store
	log   *slog.Logger

	mu sync.Mutex
	// How it is: since when it is out of reach (zero if it is not), and when to try again.
	outSince time.Time
	pause    time.Duration
	retryAt  time.Time
	// beatsMissing is how many beats must still get through before a sweep.
	beatsMissing int
	// missed are processes of which the part has not heard the newest beat; it
	// may not know them.
	missed map[bellhop.ID]bool

	// How much there is to do: see ask.go.
	router  *router
	busy    bool            // its last exchange gave something
	woken   bool            // something has become ready since it was last asked
	askedAt time.Time       // when it was last asked for claims
	strays  map[string]bool // queues of other parts of which jobs wait here: see Sweep
	lookAt  time.Time       // when to look for such queues again
	nextDue time.Time       // of its next scheduled job, by the local clock; zero if none
	// straying are the exchanges, by process, that were not waited for: see stray.go.
	straying map[bellhop.ID]*straying
	owed     int // exchanges that stray
}

// partError says in which part an error arose.
type partError struct {
	part string
	err  error
}

func (e *partError) Error() string { return fmt.Sprintf("part %s: %v", e.part, e.err) }
func (e *partError) Unwrap() error { return e.err }

// heard notes what came of a call: whether the part is in reach. ctx is the
// caller's; what its end has cut short says nothing about the part.
func (p *part) heard(ctx context.Context, err error) {
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, bellhop.ErrClosed):
		return
	case !isOut(err):
		err = nil // an answer, though not the one that was hoped for
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if err == nil {
		if !p.outSince.IsZero() {
			p.log.Info("a part of the store is back", "part", p.name, "after", now.Sub(p.outSince).Round(time.Millisecond).String())
		}
		p.outSince, p.pause = time.Time{}, 0
		return
	}
	if p.outSince.IsZero() {
		p.outSince = now
		p.log.Warn("a part of the store is out of reach; the others go on", "part", p.name, bellhop.AttrError, err.Error())
	}
	p.pause = min(max(2*p.pause, firstPause), lastPause)
	p.retryAt = now.Add(p.pause)
}

// open reports whether the part may be asked: it is in reach as far as is known, or
// it is time to try it again.
func (p *part) open(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mayTry(now)
}

// mayTry is open, under p.mu.
func (p *part) mayTry(now time.Time) bool {
	return p.owed == 0 && (p.outSince.IsZero() || !now.Before(p.retryAt))
}

// patience is how long a call waits for a part if others have answered.
type patience struct {
	exchange time.Duration // what the part brings later comes with a later exchange
	out      time.Duration // the same with a part that was out of reach before
	duty     time.Duration // once one part has answered well: what the others miss comes with the next
	beat     time.Duration // the same; longer, because a part that is slow at each beat must hear one before the lease there is over
}

var usual = patience{exchange: time.Second, out: 100 * time.Millisecond, duty: time.Second, beat: 2 * time.Second}

// with is how long an exchange waits for the part.
func (w patience) with(p *part) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outSince.IsZero() {
		return w.exchange
	}
	return w.out
}

// answers are errors by which a store that is in reach refuses a call.
var answers = []error{
	bellhop.ErrInvalid, bellhop.ErrIDTaken, bellhop.ErrConflict, bellhop.ErrProcessGone, bellhop.ErrStale,
	bellhop.ErrNotFound, bellhop.ErrUnsupported, bellhop.ErrClosed,
}

// isOut reports whether an error means that the part cannot work just now.
func isOut(err error) bool {
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
}

// wake notes that something may have become ready.
func (p *part) wake() {
	p.mu.Lock()
	p.woken = true
	p.mu.Unlock()
}

// due notes how long until the next scheduled job is due: negative if none is.
func (p *part) due(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nextDue = time.Time{}
	if wait >= 0 {
		p.nextDue = time.Now().Add(wait)
	}
}
