package worker

import (
	"context"
	"errors"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// storeTimeout bounds every call to the store.
const storeTimeout = 10 * time.Second

// sent is an outcome on its way to the store.
type sent struct {
	attempt   *attempt // nil for a claim that this process did not know
	outcome   bellhop.Outcome
	completed bool // the handler called Run.Complete
}

// call is an exchange whose reply has not come. It is repeated, the same to the
// last byte, until an answer says what became of it.
type call struct {
	request   bellhop.ExchangeRequest
	sent      []sent
	tries     int
	notBefore time.Time // when to try again
}

// put lays an outcome where the next exchange takes it.
func (w *Worker) put(s sent) {
	w.mu.Lock()
	w.outbox = append(w.outbox, s)
	w.mu.Unlock()
}

// exchangeRound does one exchange, if there is a reason for one, and says when to look again.
func (w *Worker) exchangeRound(ctx context.Context) time.Duration {
	poll := w.untilPoll() == 0
	if poll {
		w.polled.Store(int64(time.Since(w.epoch)))
	}
	c := w.nextCall(poll)
	if c == nil {
		return w.untilPoll()
	}
	if wait := time.Until(c.notBefore); wait > 0 {
		return wait
	}
	c.tries++
	callCtx, cancel := context.WithTimeout(ctx, storeTimeout)
	before := time.Now()
	reply, err := w.store.Exchange(callCtx, &c.request)
	cancel()
	switch {
	case errors.Is(err, bellhop.ErrProcessGone):
		w.gone(c.request.Process)
		return 0
	case err != nil:
		w.trouble.note(w.log, bellhop.OpExchange, err)
		c.notBefore = time.Now().Add(loop.Jitter(min(25*time.Millisecond<<min(c.tries, 7), 2*time.Second), 0.5))
		return 0
	}
	w.polled.Store(int64(time.Since(w.epoch)))
	w.heard(reply.Signals.Now, before, time.Now())
	w.trouble.over(w.log, bellhop.OpExchange)
	w.answered(c, reply)
	return 0 // look at once whether outcomes have gathered meanwhile
}

// nextCall returns the exchange to send: the one without a reply, or a new one,
// or nil if there is nothing to hand in and nothing worth asking for.
func (w *Worker) nextCall(poll bool) *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending != nil || !w.alive {
		return w.pending
	}
	w.held.reckon(time.Now())
	c := &call{request: bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: w.process.ID, Kinds: w.kinds}}
	if !w.draining {
		c.request.Wants, c.request.Limit = w.held.wants(poll || len(w.outbox) > 0)
	}
	if len(w.outbox) == 0 && len(c.request.Wants) == 0 && !(poll && w.held.running > 0) {
		return nil
	}
	n := min(len(w.outbox), maxClaims)
	c.sent, w.outbox = w.outbox[:n:n], w.outbox[n:]
	if len(w.outbox) == 0 {
		w.outbox = nil
	}
	c.request.Outcomes = make([]bellhop.Outcome, n)
	for i, s := range c.sent {
		c.request.Outcomes[i] = s.outcome
	}
	w.pending = c
	return c
}

// answered takes in the reply of an exchange.
func (w *Worker) answered(c *call, reply *bellhop.ExchangeReply) {
	now := time.Now()
	w.mu.Lock()
	w.pending = nil
	sooner := w.nextDue(reply.Signals.NextDue, now)
	w.satisfied(c, reply.Claims)
	stale := w.takeIn(reply.Claims, now)
	w.cancelled(reply.Signals.Cancel, now)
	for _, name := range reply.Signals.Paused {
		w.handBack("its queue was paused", func(a *attempt) bool { return a.queue.name != name })
	}
	if w.draining {
		w.handBack("the worker is shutting down", func(*attempt) bool { return false })
	}
	start := w.held.startable()
	w.mu.Unlock()

	for _, a := range start {
		go w.work(a)
	}
	for _, a := range stale {
		w.stale(a)
	}
	if sooner {
		w.duties.Wake()
	}
	if w.client.Listening() {
		for _, cl := range reply.Claims {
			w.tellClaim(&cl)
		}
	}
	w.report(c, reply.Refused)
}

// nextDue notes when the next scheduled job is due, and reports whether that is
// sooner than the duties loop expects.
func (w *Worker) nextDue(wait time.Duration, now time.Time) (sooner bool) {
	old := w.due
	w.due = time.Time{}
	if wait >= 0 {
		w.due = now.Add(wait)
	}
	// The two clocks are compared a little differently each time.
	const tolerance = 5 * time.Millisecond
	return wait >= 0 && (old.IsZero() || w.due.Before(old.Add(-tolerance)))
}

// satisfied notes which queues had less than was asked for: they are not worth
// asking again before something wakes us.
func (w *Worker) satisfied(c *call, claims []bellhop.Claim) {
	if len(c.request.Wants) == 0 {
		return
	}
	got := map[string]int{}
	for _, cl := range claims {
		got[cl.Job.Queue]++
	}
	full := len(claims) >= c.request.Limit
	for _, want := range c.request.Wants {
		if q := w.held.queues[want.Queue]; q != nil {
			q.short = got[want.Queue] < want.Count && !full
		}
	}
}

// takeIn adds claims to what is held, and returns attempts that they make stale.
func (w *Worker) takeIn(claims []bellhop.Claim, now time.Time) (stale []*attempt) {
	for _, cl := range claims {
		q, handler := w.held.queues[cl.Job.Queue], w.handlers[cl.Job.Kind]
		if old := w.held.attempts[cl.Token.JobID]; old != nil && old.claim.Token == cl.Token {
			continue // told again by a repeated exchange
		}
		if q == nil || handler.Kind() == "" {
			// The store gave what was not asked for: keep it for those who can run it.
			w.outbox = append(w.outbox, sent{outcome: cl.HandBack("claimed by a process without a handler for it")})
			continue
		}
		if old := w.held.add(&attempt{claim: cl, queue: q, handler: handler, taken: now}); old != nil {
			old.stop(bellhop.ErrLeaseLost, now)
			stale = append(stale, old)
		}
	}
	return stale
}

// cancelled ends the contexts of attempts that somebody wants cancelled. Called under w.mu.
func (w *Worker) cancelled(tokens []bellhop.Token, now time.Time) {
	for _, t := range tokens {
		if a := w.held.attempts[t.JobID]; a != nil && a.claim.Token == t {
			a.claim.Place.CancelRequested = true
			a.stop(bellhop.ErrCancelled, now)
		}
	}
}

// handBack gives back what has not started, except what is to be kept. Called under w.mu.
func (w *Worker) handBack(reason string, keep func(*attempt) bool) {
	for _, a := range w.held.takeBuffered(keep) {
		w.outbox = append(w.outbox, sent{attempt: a, outcome: a.claim.HandBack(reason)})
	}
}

// gone begins again as a new process, because the store holds this one dead:
// all its claims are lost, or soon will be.
func (w *Worker) gone(id bellhop.ID) {
	now := time.Now()
	w.mu.Lock()
	if w.process.ID != id {
		w.mu.Unlock()
		return // done already
	}
	if c := w.pending; c != nil {
		// Its outcomes may have been applied: the tokens will tell.
		w.outbox, w.pending = append(c.sent, w.outbox...), nil
	}
	w.held.takeBuffered(func(*attempt) bool { return false })
	for _, a := range w.held.attempts {
		a.stop(bellhop.ErrLeaseLost, now)
	}
	clear(w.held.attempts)
	w.mu.Unlock()
	w.log.Warn("the store holds this process dead: it begins again as a new one", bellhop.AttrProcess, id.String())
	w.newProcess()
	w.heartbeat.Wake()
}

// report tells what became of the outcomes that an exchange handed in.
func (w *Worker) report(c *call, refused []bellhop.Refusal) {
	recorded := make(map[int]bellhop.OutcomeKind, len(refused))
	for _, r := range refused {
		recorded[r.Index] = r.Recorded
	}
	for i, s := range c.sent {
		if s.attempt == nil {
			continue
		}
		o := s.outcome
		if kind, is := recorded[i]; is {
			if !s.completed || kind != bellhop.OutcomeSucceeded {
				w.stale(s.attempt)
				continue
			}
			o.Kind, o.Failure = bellhop.OutcomeSucceeded, nil // the handler's own transaction has recorded it
		}
		w.tellOutcome(&s.attempt.claim, &o)
	}
}

// untilPoll returns how long until the next poll. An idle worker polls for
// jobs; a full one to hear of cancels and pauses.
func (w *Worker) untilPoll() time.Duration {
	w.mu.Lock()
	idle := w.held.running == 0 && w.draining
	w.mu.Unlock()
	if idle {
		return loop.Never
	}
	if w.polled.Load() == 0 {
		return 0
	}
	return max(time.Duration(w.polled.Load())+w.pollWait()-time.Since(w.epoch), 0)
}

// pollWait is the poll interval, up to half as long again. It stays the same
// between two polls, so that asking for it does not change it.
func (w *Worker) pollWait() time.Duration {
	spread := w.polled.Load() % 1009 // of a time in nanoseconds: as good as random
	return w.config.Poll + time.Duration(float64(w.config.Poll)/2*float64(spread)/1009)
}
