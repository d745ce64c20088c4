package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

const (
	// storeTimeout bounds every call to the store. Together with the longest
	// back-off it is less than ten seconds: so soon after the store's return
	// every loop has got through to it.
	storeTimeout = 8 * time.Second
	// lastBackoff is the longest wait before an exchange is repeated.
	lastBackoff = time.Second
	// emptyPause is how long a wake-up waits after an exchange that brought
	// nothing: wake-ups that are meant for others must not keep us busy.
	emptyPause = 5 * time.Millisecond
	// worthAnother is how many outcomes or claims make a second exchange worth
	// it: fewer wait for the one that is under way, and go together with the next.
	worthAnother = 200
	// worthMore is the same for a third and more, which only a store that is far
	// away has a use for: where it is near, they cost it more than they bring.
	worthMore = 1000
)

// call is an exchange whose reply has not come. It is repeated, the same to the
// last byte, until an answer says what became of it.
type call struct {
	request   bellhop.ExchangeRequest
	wants     []bellhop.Want // of the request, and limit its bound
	limit     int
	senders   []sender // of the request's outcomes
	wakes     uint64   // the wake-ups that had come when it was made
	tries     int
	sent      time.Time // the last try
	joined    bool      // the store makes it within an enqueue, and says when that has ended: see Worker.offer
	notBefore time.Time // when to try again
}

// lane makes exchanges, one after the other. As many lanes as the store says
// are worth it work beside each other: the first one does whatever there is to
// do, the others join in when there is enough for an exchange of their own.
type lane struct {
	loop    *loop.Loop
	first   bool
	worth   int   // how many outcomes or claims are worth an exchange of this lane
	pending *call // the exchange whose reply has not come; guarded by Worker.mu
}

func (w *Worker) newLane(i int) *lane {
	l := &lane{first: i == 0, worth: worthAnother}
	if i > 1 {
		l.worth = worthMore
	}
	l.loop = loop.New("exchange", func(ctx context.Context) time.Duration { return w.exchangeRound(ctx, l) }, loop.Options{OnPanic: w.onPanic})
	return l
}

// wakeExchange makes the first lane look what there is to do.
func (w *Worker) wakeExchange() { w.lanes[0].loop.Wake() }

// laneFor returns the lane to wake for an outcome that has just come, or nil
// if a lane that is at work will see to it. Called under w.mu.
func (w *Worker) laneFor() *lane {
	if w.lanes[0].pending == nil {
		return w.lanes[0]
	}
	if l := w.freeLane(); l != nil && w.outbox.len() >= l.worth {
		return l
	}
	return nil
}

// worthALane reports whether enough has gathered for an exchange of a further lane: of
// outcomes, or of claims to be asked for where the last reply brought all that it could. Called under w.mu.
func (w *Worker) worthALane(l *lane, limit int) bool {
	return w.outbox.len() >= l.worth || w.plenty && limit >= l.worth
}

// freeLane returns a further lane that has nothing under way, or nil. Called under w.mu.
func (w *Worker) freeLane() *lane {
	for _, l := range w.lanes[1:] {
		if l.pending == nil {
			return l
		}
	}
	return nil
}

// exchangeRound does one exchange, if there is a reason for one, and says when to look again.
func (w *Worker) exchangeRound(ctx context.Context, l *lane) time.Duration {
	poll := l.first && w.untilPoll() == 0 && !w.beatInstead()
	c, wait := w.nextCall(l, poll)
	switch {
	case c == nil && !l.first:
		return loop.Never
	case c == nil:
		return min(w.untilPoll(), wait)
	}
	if wait := time.Until(c.notBefore); wait > 0 {
		return wait
	}
	reply, err := w.send(ctx, c)
	switch {
	case errors.Is(err, bellhop.ErrProcessGone):
		w.gone(c.request.Process)
		return 0
	case err != nil:
		w.trouble.note(ctx, w.log, bellhop.OpExchange, err)
		c.notBefore = time.Now().Add(loop.Jitter(min(25*time.Millisecond<<min(c.tries, 7), lastBackoff), 0.5))
		return 0
	}
	w.heard(reply.Signals.Now, c.sent, time.Now())
	w.trouble.over(bellhop.OpExchange)
	w.answered(l, c, reply)
	return 0 // look at once whether outcomes have gathered meanwhile
}

// send makes one try of an exchange.
func (w *Worker) send(ctx context.Context, c *call) (*bellhop.ExchangeReply, error) {
	c.tries++
	c.sent = time.Now()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return w.store.Exchange(ctx, &c.request)
}

// nextCall returns the exchange to send: the one without a reply, or a new one,
// or nil if there is nothing to hand in and nothing worth asking for; wait is
// then when that may change by itself.
func (w *Worker) nextCall(l *lane, poll bool) (c *call, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if poll {
		w.polls.made(now)
	}
	if l.pending != nil && l.pending.joined {
		return nil, loop.Never
	}
	if l.pending != nil || !w.alive || !l.first && w.lanes[0].pending == nil {
		return l.pending, loop.Never
	}
	w.held.reckon(now)
	w.outbox.resume(now)
	if left := max(w.emptyUntil.Sub(now), w.askAt.Sub(now)); left > 0 && !poll && w.outbox.len() == 0 {
		return nil, left
	}
	var wants []bellhop.Want
	limit := 0
	if !w.draining && !w.remote.drained && !w.leaseOver(now) {
		wants, limit = w.held.wants(poll || w.outbox.len() > 0)
	}
	if w.outbox.len() == 0 && len(wants) == 0 && !(poll && w.held.running > 0) || !l.first && !w.worthALane(l, limit) {
		if l.first && len(w.outbox.later.outcomes) > 0 {
			return nil, w.outbox.laterAt.Sub(now)
		}
		return nil, loop.Never
	}
	c = w.newCall(wants, limit)
	w.outbox.fill(c)
	l.pending = c
	if next := w.freeLane(); next != nil {
		if _, more := w.held.wants(false); w.worthALane(next, more) {
			next.loop.Wake()
		}
	}
	return c, 0
}

// newCall returns a call that asks for jobs and hands in nothing yet. It serves the wake-ups that have
// come. Called under w.mu.
func (w *Worker) newCall(wants []bellhop.Want, limit int) *call {
	w.askAt = time.Time{}
	w.held.ask(wants, limit, 1)
	return &call{wakes: w.wakes, wants: wants, limit: limit, request: bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: w.process.ID, Kinds: w.kinds, Wants: wants, Limit: limit,
	}}
}

// answered takes in the reply of an exchange.
func (w *Worker) answered(l *lane, c *call, reply *bellhop.ExchangeReply) {
	now := time.Now()
	w.mu.Lock()
	w.polls.made(now)
	if l.pending != c {
		// The process was found dead while the call was under way: its outcomes
		// are handed in again, and what it has claimed is for the sweep.
		w.mu.Unlock()
		return
	}
	l.pending = nil
	w.held.ask(c.wants, c.limit, -1)
	w.held.took(now.Sub(c.sent))
	unsettled := w.outbox.postpone(c, reply.Unsettled, now)
	for i, s := range c.senders {
		if a := s.attempt; a != nil && a == w.held.suspect && !unsettled[i] {
			w.held.suspect = nil // the next may start
		}
	}
	sooner := w.nextDue(reply.Signals.NextDue, now)
	w.satisfied(c, reply.Claims, now)
	stale := w.takeIn(reply.Claims, now)
	if len(reply.Claims) > 0 {
		w.polls.claimed, w.polls.owed = now, 0
	}
	w.cancelled(reply.Signals.Cancel, now)
	for _, name := range reply.Signals.Paused {
		if q := w.held.queues[name]; q != nil {
			w.handBack(q, "its queue was paused", nil)
		}
	}
	switch {
	case w.draining:
		w.handBackAll()
	case w.remote.drained:
		w.handBackDrained()
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
		for i := range reply.Claims {
			w.tellClaim(&reply.Claims[i])
		}
	}
	w.report(c, reply.Refused, unsettled)
	w.mu.Lock()
	w.outbox.recycle(c)
	w.mu.Unlock()
}

// nextDue notes when the next scheduled job is due, and reports whether that is
// sooner than the duties loop expects. Called under w.mu.
func (w *Worker) nextDue(wait time.Duration, now time.Time) (sooner bool) {
	if wait < 0 {
		w.due = time.Time{}
		return false
	}
	// The two clocks are compared a little differently each time. What is sooner
	// by less is no news; it is not noted either, or many small steps would add
	// up to a long one of which the duties loop has not heard.
	const tolerance = 5 * time.Millisecond
	old, due := w.due, now.Add(wait)
	if due.Before(old) && !due.Before(old.Add(-tolerance)) {
		return false
	}
	w.due = due
	return old.IsZero() || due.Before(old)
}

// satisfied notes which queues had less than was asked for: they are not worth
// asking again before something wakes us. A wake-up that came while the call
// was under way may be of a job that the call did not see. Called under w.mu.
func (w *Worker) satisfied(c *call, claims []bellhop.Claim, now time.Time) {
	if c.request.Limit == 0 {
		return
	}
	full := len(claims) >= c.request.Limit
	w.plenty = full
	for _, want := range c.request.Wants {
		if q := w.held.queues[want.Queue]; q != nil {
			got := 0
			for i := range claims {
				if claims[i].Job.Queue == want.Queue {
					got++
				}
			}
			q.short = got < want.Count && !full && q.woken <= c.wakes
		}
	}
	w.emptyUntil = time.Time{}
	if len(claims) == 0 && len(c.senders) == 0 {
		w.emptyUntil = now.Add(emptyPause)
	}
}

// takeIn adds claims to what is held, and returns attempts that they make stale. Called under w.mu.
func (w *Worker) takeIn(claims []bellhop.Claim, now time.Time) (stale []*attempt) {
	for i := range claims {
		cl := &claims[i]
		q, handler := w.held.queues[cl.Job.Queue], w.handlers[cl.Job.Kind]
		if q == nil || handler == nil {
			// The store gave what was not asked for: keep it for those who can run it.
			w.outbox.add(sender{}, cl.HandBack("claimed by a process without a handler for it"))
			continue
		}
		if cl.Place.CancelRequested && cl.Place.Reason == "" { // the request is of an earlier claim, and its reason went with that one
			cl.Place.Reason = "cancelled while an earlier attempt ran"
		}
		if old := w.held.add(&attempt{claim: *cl, queue: q, handler: handler, taken: now}); old != nil {
			old.ctx.stop(bellhop.ErrLeaseLost, now)
			stale = append(stale, old)
		}
	}
	return stale
}

// cancelled ends what somebody wants cancelled: the contexts of running
// attempts, and at once what has not started. Called under w.mu.
func (w *Worker) cancelled(tokens []bellhop.Token, now time.Time) {
	for _, t := range tokens {
		a := w.held.attempts[t.JobID]
		if a == nil || a.claim.Token != t {
			continue
		}
		a.claim.Place.CancelRequested = true
		if !a.slot {
			w.held.drop(a)
			w.outbox.add(sender{attempt: a}, cancelledUnstarted(&a.claim))
			continue
		}
		a.ctx.stop(bellhop.ErrCancelled, now)
	}
}

// handBack gives back what q holds and has not started, except what is to be
// kept, and reports whether there was any. Called under w.mu.
func (w *Worker) handBack(q *queue, reason string, keep func(*attempt) bool) (any bool) {
	for _, a := range w.held.takeUnstarted(q, keep) {
		w.outbox.add(sender{attempt: a}, a.claim.HandBack(reason))
		any = true
	}
	return any
}

// handBackAll gives back all that has not started. Called under w.mu.
func (w *Worker) handBackAll() {
	for _, q := range w.held.order {
		w.handBack(q, "the worker is shutting down", nil)
	}
}

// gone begins again as a new process, because the store holds this one dead:
// all its claims are lost, or soon will be. Outcomes are kept, and handed in by
// the new process: only their tokens decide whether they still count.
func (w *Worker) gone(id bellhop.ID) {
	now := time.Now()
	w.mu.Lock()
	if w.process.ID != id {
		w.mu.Unlock()
		return // done already
	}
	for _, l := range slices.Backward(w.lanes) {
		if c := l.pending; c != nil {
			// Its outcomes may have been applied: the tokens will tell.
			w.outbox.unfill(c)
			w.held.ask(c.wants, c.limit, -1)
			l.pending = nil
		}
	}
	for _, q := range w.held.order {
		w.held.takeUnstarted(q, nil)
	}
	for _, a := range w.held.attempts {
		a.ctx.stop(bellhop.ErrLeaseLost, now)
		w.held.forget(a)
	}
	w.begin()
	w.mu.Unlock()
	w.log.Warn("the store holds this process dead: it begins again as a new one", bellhop.AttrProcess, id.String())
	w.heartbeat.Wake()
}

// report tells what became of the outcomes that an exchange handed in; of those
// that are unsettled the exchange tells that settles them.
func (w *Worker) report(c *call, refused []bellhop.Refusal, unsettled map[int]bool) {
	var recorded map[int]bellhop.OutcomeKind
	if len(refused) > 0 {
		recorded = make(map[int]bellhop.OutcomeKind, len(refused))
	}
	for _, r := range refused {
		recorded[r.Index] = r.Recorded
	}
	for i, s := range c.senders {
		if s.attempt == nil || unsettled[i] {
			continue
		}
		o := &c.request.Outcomes[i]
		if kind, is := recorded[i]; is {
			if !s.completed || kind != bellhop.OutcomeSucceeded {
				w.stale(s.attempt)
				continue
			}
			own := *o
			own.Kind, own.Failure = bellhop.OutcomeSucceeded, nil // the handler's own transaction has recorded it
			own.Failures, own.Wait, own.Reason = s.attempt.claim.Place.Failures, 0, ""
			o = &own
		}
		w.tellOutcome(&s.attempt.claim, o)
	}
}
