package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/gobellhop/bellhop"
)

// work runs attempts of one slot until there is none to start. A handler that
// ends its goroutine takes this one with it, and another carries on.
func (w *Worker) work(a *attempt) {
	defer func() {
		if a == nil {
			return
		}
		if next := w.ended(a); next != nil {
			go w.work(next)
		}
	}()
	for a != nil {
		w.attempt(a)
		a = w.ended(a)
	}
}

// ended frees the slot, and takes what can start in its place.
func (w *Worker) ended(a *attempt) (next *attempt) {
	w.mu.Lock()
	suspect := w.held.suspect == a
	w.held.release(a)
	if next = w.held.next(a.queue); next == nil || suspect {
		// Slots that are shared, or the turn of the next suspect, may let another queue go on.
		for _, other := range w.held.startable() {
			if next == nil {
				next = other
			} else {
				go w.work(other)
			}
		}
	}
	if w.draining && w.held.running == 0 {
		w.setQuiet()
	}
	w.mu.Unlock()
	w.exchange.Wake()
	return next
}

// attempt is one attempt from start to record. Each step leaves the way it
// came if it fails; the record is made however the handler ends.
func (w *Worker) attempt(a *attempt) {
	if !w.recordStart(a) {
		return
	}
	ctx, done := w.begin(a)
	defer done()
	r := bellhop.Return{Started: a.run.Started(), Random: rand.Float64()}
	returned := false
	defer func() {
		if v := recover(); v != nil || !returned {
			r.Err = &bellhop.PanicError{Value: v, Goexit: v == nil, Stack: debug.Stack()}
		}
		r.Ended = w.now()
		r.Cause = context.Cause(ctx)
		r.Result = a.run.Result()
		w.record(a, r)
	}()
	r.Err = w.invoke(ctx, a)
	returned = true
}

// recordStart writes the start of a suspect down before it runs, so that it is
// known by whom the process died. It reports whether the attempt may go on.
func (w *Worker) recordStart(a *attempt) bool {
	if !a.claim.Place.Suspect {
		return true
	}
	ctx, cancel := context.WithTimeout(w.base, storeTimeout)
	defer cancel()
	refused, err := w.store.Report(ctx, []bellhop.Report{{Token: a.claim.Token, Started: true}})
	if err != nil {
		w.trouble.note(w.log, bellhop.OpReport, err)
		w.put(sent{attempt: a, outcome: a.claim.HandBack("its start could not be recorded")})
		return false
	}
	if len(refused) > 0 {
		w.stale(a)
		return false
	}
	a.claim.Started = true
	return true
}

// begin makes the handler's context and run.
func (w *Worker) begin(a *attempt) (ctx context.Context, done func()) {
	run := bellhop.NewRun(w.client, &a.claim, w.now)
	ctx, cancel := context.WithCancelCause(run.Attach(w.base))
	w.mu.Lock()
	a.run, a.cancel = run, cancel
	cause := w.held.startCause(a)
	w.mu.Unlock()
	if cause != nil {
		cancel(cause)
	}
	if a.claim.Job.Timeout <= 0 {
		return ctx, func() { cancel(nil) }
	}
	ctx, stop := context.WithTimeoutCause(ctx, a.claim.Job.Timeout, bellhop.ErrTimeout)
	return ctx, func() { stop(); cancel(nil) }
}

// invoke calls the handler under the middleware.
func (w *Worker) invoke(ctx context.Context, a *attempt) error {
	if err := context.Cause(ctx); err != nil {
		return err // cancelled before it began
	}
	call := func(ctx context.Context) error { return a.handler.Run(ctx, a.claim.Job.Args) }
	for i := len(w.config.Middleware) - 1; i >= 0; i-- {
		m, inner := w.config.Middleware[i], call
		call = func(ctx context.Context) error { return m(ctx, a.run, inner) }
	}
	return call(ctx)
}

// record turns what came back into an outcome and lays it where the next exchange takes it.
func (w *Worker) record(a *attempt, r bellhop.Return) {
	completed := a.run.Completed()
	if completed && r.Err == nil {
		r.Err = bellhop.ErrNotCommitted // unless the store says otherwise
	}
	if errors.Is(r.Cause, bellhop.ErrLeaseLost) && r.Err != nil {
		w.stale(a)
		return
	}
	o := a.claim.Settle(a.handler.Policy(), r)
	w.put(sent{attempt: a, outcome: o, completed: completed})
}

// stale tells of an attempt whose claim is no longer the job's.
func (w *Worker) stale(a *attempt) {
	w.mu.Lock()
	w.held.drop(a)
	w.mu.Unlock()
	w.tellStale(&a.claim)
}

// stop cancels the context of a running attempt. Called under w.mu.
func (a *attempt) stop(cause error, now time.Time) {
	if a.cancel != nil && a.stopped.IsZero() {
		a.stopped = now
		a.cancel(cause)
	}
}
