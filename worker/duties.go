package worker

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

const (
	promoteBite = 1000
	sweepBite   = 500
	pruneBite   = 1000
	// promotePause lets jobs that are due within a short time become ready together.
	promotePause = 20 * time.Millisecond
	// biteAgain is the pause after a bite that was full.
	biteAgain = time.Millisecond
	// beatsToSweep is how many beats in a row must have reached the store before
	// this process judges others by their silence.
	beatsToSweep = 2
	// sampleEvery is how often the samples of busy slots are written down, and
	// sampleTTL how long they are kept.
	sampleEvery = 5 * time.Minute
	sampleTTL   = 14 * 24 * time.Hour
)

// SampleSpace is the space of the records that hold samples of busy slots, one
// a process and five minutes: key "<process id>/<time>", value a JSON array of
// {"at","busy","slots"}.
const SampleSpace = "busy-slots"

type sample struct {
	At    time.Time `json:"at"`
	Busy  int       `json:"busy"`
	Slots int       `json:"slots"`
}

// chore is one duty with the time of its next turn. Any process may do any
// duty at any time; the stores see to it that nothing is done twice.
type chore struct {
	every time.Duration
	next  time.Time
	do    func(context.Context) (next time.Duration, err error) // 0 for the usual time
	op    bellhop.Op
}

// dutiesRound does the chores that are due, and returns when the next one is.
func (w *Worker) dutiesRound(ctx context.Context) time.Duration {
	now := time.Now()
	if w.chores == nil {
		w.chores = []*chore{
			{every: w.config.Sweep, do: w.sweep, op: bellhop.OpSweep, next: now.Add(rand.N(w.config.Sweep / 5))},
			{every: w.config.Prune, do: w.prune, op: bellhop.OpPrune, next: now.Add(loop.Jitter(w.config.Prune/2, 1))},
			{every: sampleEvery, do: w.writeSamples, op: bellhop.OpPut, next: now.Add(loop.Jitter(sampleEvery, 0.5))},
			{every: obeyBeats * w.config.Beat, do: w.obeyRound, op: bellhop.OpRecords, next: now.Add(rand.N(w.config.Beat))},
			{every: lookRound, do: w.lookRound, op: bellhop.OpProcesses, next: now.Add(loop.Jitter(w.config.Beat, 1))},
		}
	}
	wait := w.promoteDue(ctx)
	for _, c := range w.chores {
		if left := time.Until(c.next); left > 0 {
			wait = min(wait, left)
			continue
		}
		next, err := c.do(ctx)
		switch {
		case err != nil:
			w.trouble.note(ctx, w.log, c.op, err)
		default:
			w.trouble.over(c.op)
		}
		if next == 0 {
			next = loop.Jitter(c.every, 0.2)
		}
		c.next = time.Now().Add(next)
		wait = min(wait, next)
	}
	return wait
}

// promoteDue promotes jobs whose time has come, as far as the last exchange or
// promotion told, and returns how long until there is more to promote.
func (w *Worker) promoteDue(ctx context.Context) time.Duration {
	w.mu.Lock()
	due := w.due
	w.mu.Unlock()
	left := time.Until(due)
	switch {
	case due.IsZero():
		w.promoteAt = time.Time{}
		return time.Minute // the exchange loop wakes us when there is something
	case left > 0:
		w.promoteAt = time.Time{}
		return left
	case w.promoteAt.IsZero(): // the others have waited for the same moment
		w.promoteAt = time.Now().Add(w.spread())
	}
	if left := time.Until(w.promoteAt); left > 0 {
		return left
	}
	w.promoteAt = time.Time{}
	w.owe()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	n, next, err := w.store.Promote(ctx, promoteBite)
	if err != nil {
		w.trouble.note(ctx, w.log, bellhop.OpPromote, err)
		return time.Second
	}
	w.trouble.over(bellhop.OpPromote)
	w.mu.Lock()
	w.due = time.Time{}
	if next >= 0 {
		w.due = time.Now().Add(next)
	}
	w.mu.Unlock()
	if n > 0 {
		w.wake("")
	}
	switch {
	case n == promoteBite:
		return 0
	case next < 0:
		return time.Minute
	}
	return max(next, promotePause)
}

// sweep takes back the claims of dead processes: Go decides about each, and the
// outcomes go in under the dead claims' tokens.
func (w *Worker) sweep(ctx context.Context) (next time.Duration, err error) {
	w.mu.Lock()
	if w.leaseOver(time.Now()) {
		w.beats = 0 // it stood still, as others may have that live: they get their beats first
	}
	cutOff := w.beats < beatsToSweep
	looked := time.Until(w.polls.looked.Add(w.config.Sweep))
	w.mu.Unlock()
	if cutOff {
		return min(w.config.Beat, w.config.Sweep) / 10, nil // at once when it no longer is
	}
	if looked > 0 {
		return loop.Jitter(looked, 0.2), nil // a beat has found nothing to sweep
	}
	w.owe()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	claims, err := w.store.Sweep(ctx, sweepBite)
	if err != nil || len(claims) == 0 {
		return 0, err
	}
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID()}
	for i := range claims {
		r.Outcomes = append(r.Outcomes, claims[i].Sweep(w.now()))
	}
	reply, err := w.store.Exchange(ctx, r)
	if err != nil {
		return 0, err
	}
	stays := map[int]bool{} // with the other sweeper, or for the next sweep
	for _, f := range reply.Refused {
		stays[f.Index] = true
	}
	for _, i := range reply.Unsettled {
		stays[i] = true
	}
	for i := range claims {
		if !stays[i] {
			w.tellOutcome(&claims[i], &r.Outcomes[i])
		}
	}
	w.noteGone(ctx, claims, r.Outcomes, stays)
	w.wake("")
	if len(claims) == sweepBite {
		return biteAgain, nil
	}
	return 0, nil
}

func (w *Worker) prune(ctx context.Context) (next time.Duration, err error) {
	w.owe()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	n, err := w.store.Prune(ctx, pruneBite)
	if n >= pruneBite {
		next = biteAgain
	}
	return next, err
}

// writeSamples keeps how many slots were busy: what advice on the number of
// workers is computed from.
func (w *Worker) writeSamples(ctx context.Context) (next time.Duration, err error) {
	w.mu.Lock()
	samples := w.samples
	w.samples = nil
	id := w.process.ID
	w.mu.Unlock()
	if len(samples) == 0 {
		return 0, nil
	}
	value, err := json.Marshal(samples)
	if err != nil {
		return 0, err
	}
	w.owe()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err = w.store.Put(ctx, []bellhop.RecordWrite{{
		Space: SampleSpace, Key: id.String() + "/" + samples[0].At.Format(time.RFC3339),
		Value: value, Expect: bellhop.ExpectAny, TTL: sampleTTL,
	}})
	if errors.Is(err, bellhop.ErrUnsupported) {
		err = nil
	}
	return 0, err
}
