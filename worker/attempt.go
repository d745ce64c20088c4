package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/gobellhop/bellhop"
)

// ending is the outcome of an attempt, to be handed in; its kind is 0 if the
// claim was lost and there is nothing to say.
type ending struct {
	bellhop.Outcome
	completed bool      // the handler called Run.Complete
	at        time.Time // when the handler returned, by the local clock; zero if it did not start
	took      time.Duration
}

// work runs attempts of one slot until there is none to start. A handler that
// ends its goroutine takes this one with it, and another carries on.
func (w *Worker) work(a *attempt) {
	var e ending
	defer func() {
		if a == nil {
			return
		}
		if next := w.ended(a, &e); next != nil {
			go w.work(next)
		}
	}()
	for a != nil {
		now := e.at // one begins when the other has ended: the clock is read once for both
		if now.IsZero() {
			now = time.Now()
		}
		e = ending{}
		w.attempt(a, now, &e)
		a = w.ended(a, &e)
	}
}

// ended lays the outcome where the next exchange takes it, frees the slot,
// starts what can start for it elsewhere, and returns what this goroutine goes
// on with. Outcome and slot go together: else the job, if it comes back at
// once, would find its own last attempt still held, and call it stale.
func (w *Worker) ended(a *attempt, e *ending) (next *attempt) {
	w.mu.Lock()
	if e.Kind != 0 {
		w.outbox.add(sender{a, e.completed}, e.Outcome)
	}
	next, more := w.held.release(a, e.took)
	if w.draining && w.held.running == 0 {
		w.setQuiet()
	}
	l := w.laneFor()
	w.mu.Unlock()
	for _, other := range more {
		go w.work(other)
	}
	if l != nil {
		l.loop.Wake()
	}
	return next
}

// attempt is one attempt from start to record. Each step leaves the way it
// came if it fails; the record is made however the handler ends.
func (w *Worker) attempt(a *attempt, now time.Time, e *ending) {
	if a.claim.Place.Suspect {
		if !w.recordStart(a, e) {
			return
		}
		now = time.Now()
	}
	run := w.start(a, now, e)
	if run == nil {
		return
	}
	r := bellhop.Return{Started: run.Started()}
	returned := false
	defer func() {
		if !returned {
			v := recover()
			r.Err = &bellhop.PanicError{Value: v, Goexit: v == nil, Stack: debug.Stack()}
		}
		e.at = time.Now()
		e.took = e.at.Sub(now)
		r.Ended, r.Cause, r.Result = w.storeTime(e.at), a.ctx.end(), run.Result()
		w.record(a, run, r, e)
		run.TakeLog(&e.Outcome)
	}()
	r.Err = w.invoke(run.Attach(&a.ctx), a, run)
	returned = true
}

// recordStart writes the start of a suspect down before it runs, so that it is
// known by whom the process died. It reports whether the attempt may go on.
func (w *Worker) recordStart(a *attempt, e *ending) bool {
	ctx, cancel := context.WithTimeout(w.base, storeTimeout)
	defer cancel()
	refused, err := w.store.Report(ctx, []bellhop.Report{{Token: a.claim.Token, Started: true}})
	if err != nil {
		w.trouble.note(ctx, w.log, bellhop.OpReport, err)
		e.Outcome = a.claim.HandBack("its start could not be recorded")
		return false
	}
	w.trouble.over(bellhop.OpReport)
	if len(refused) > 0 {
		w.stale(a)
		return false
	}
	return true
}

// start makes the handler's run. It is nil if the attempt must not start any
// more, because its claim has been lost, or a cancel or the end of a drain has
// come since it was taken, and then what becomes of it is settled.
func (w *Worker) start(a *attempt, now time.Time, e *ending) *bellhop.Run {
	cause := errOutOfTouch
	if !w.leaseOver(now) {
		cause = a.ctx.begin(w.base, now, a.claim.Job.Timeout)
	}
	if cause != nil {
		w.endUnstarted(a, cause, e)
		return nil
	}
	run := bellhop.NewRun(w.client, &a.claim, w.storeTime(now), w.clock)
	run.LogFrom(w.config.LogFrom)
	if w.config.KeepLogs {
		run.KeepLog()
	}
	a.run.Store(run)
	return run
}

// errOutOfTouch keeps an attempt from starting: the process stood still, or the
// store was away, for longer than the lease, and the job may be another's by now.
var errOutOfTouch = errors.New("its process was out of touch with the store for longer than its lease")

// endUnstarted ends an attempt that has a slot and must not start any more.
func (w *Worker) endUnstarted(a *attempt, cause error, e *ending) {
	switch cause {
	case bellhop.ErrLeaseLost:
		w.stale(a)
	case bellhop.ErrCancelled:
		e.Outcome = cancelledUnstarted(&a.claim)
	case bellhop.ErrShutdown:
		e.Outcome = a.claim.HandBack("the worker is shutting down")
	case errOutOfTouch:
		e.Outcome = a.claim.HandBack(cause.Error())
		w.heartbeat.Wake() // to hear whether it still lives
	}
}

// invoke calls the handler under the middleware.
func (w *Worker) invoke(ctx context.Context, a *attempt, run *bellhop.Run) error {
	if len(w.config.Middleware) == 0 {
		return a.handler.Run(ctx, a.claim.Job.Args)
	}
	call := func(ctx context.Context) error { return a.handler.Run(ctx, a.claim.Job.Args) }
	for i := len(w.config.Middleware) - 1; i >= 0; i-- {
		m, inner := w.config.Middleware[i], call
		call = func(ctx context.Context) error { return m(ctx, run, inner) }
	}
	return call(ctx)
}

// record turns what came back into an outcome.
func (w *Worker) record(a *attempt, run *bellhop.Run, r bellhop.Return, e *ending) {
	e.completed = run.Completed()
	switch {
	case !e.completed && r.Err == nil:
		e.Outcome = a.claim.Settle(bellhop.Policy{}, r) // a success has no use for rules
		return
	case e.completed && r.Err == nil:
		r.Err = bellhop.ErrNotCommitted // unless the store says otherwise
	case !e.completed && r.Err != nil && r.Cause == bellhop.ErrLeaseLost:
		w.stale(a)
		return
	}
	settled := false
	defer func() {
		if settled {
			return
		}
		// The error's own methods, or a rule's predicate, have panicked or ended the goroutine.
		v := recover()
		p := &bellhop.PanicError{Value: v, Goexit: v == nil}
		r.Err = fmt.Errorf("the handler's error, a %T, cannot be examined: %s", r.Err, p.Error())
		e.Outcome = a.claim.Settle(bellhop.Policy{}, r)
	}()
	r.Random = rand.Float64()
	e.Outcome = a.claim.Settle(a.handler.Policy(), r)
	settled = true
}

// cancelledUnstarted ends a claim that was cancelled before its handler began.
func cancelledUnstarted(c *bellhop.Claim) bellhop.Outcome {
	o := c.HandBack(c.Place.Reason) // if there is none, that of the request stays
	o.Kind = bellhop.OutcomeCancelled
	o.Keep = c.Job.Keep(bellhop.StateCancelled)
	return o
}

// stale tells, once, of an attempt whose claim is no longer the job's.
func (w *Worker) stale(a *attempt) {
	w.mu.Lock()
	w.held.drop(a)
	told := a.told
	a.told = true
	w.mu.Unlock()
	if !told {
		w.tellStale(&a.claim)
	}
}
