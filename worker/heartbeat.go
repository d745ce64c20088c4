package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// beatRound says that the process is alive. After a beat that failed the next
// comes sooner.
func (w *Worker) beatRound(ctx context.Context) time.Duration {
	err := w.beat(ctx, false, w.beatTimeout())
	switch {
	case errors.Is(err, bellhop.ErrProcessGone):
		return w.config.Beat / 100 // begin again, practically at once
	case err != nil:
		w.trouble.note(ctx, w.log, bellhop.OpBeat, err)
		// Whoever was cut off from the store may not judge others by their
		// silence: they get two beats after its return.
		w.mu.Lock()
		w.beats = 0
		w.mu.Unlock()
		return w.config.Beat / 10
	}
	w.trouble.over(bellhop.OpBeat)
	return w.config.Beat
}

// beatTimeout bounds a beat of a process that may have claims: one that hangs must leave time for others before the lease is over.
func (w *Worker) beatTimeout() time.Duration {
	return min(max(w.config.Lease/5, time.Second), storeTimeout)
}

// beat sends one heartbeat and takes in the answer.
func (w *Worker) beat(ctx context.Context, leave bool, limit time.Duration) error {
	w.mu.Lock()
	b := &bellhop.Beat{Process: w.process, Lease: w.config.Lease, Held: w.held.tokens(), Leave: leave}
	b.Process.Busy, b.Process.Slots = w.held.running, w.held.slots
	for _, l := range w.lanes {
		if l.pending != nil {
			b.Held = appendTokens(b.Held, l.pending.request.Outcomes)
		}
	}
	for outcomes := range w.outbox.all {
		b.Held = appendTokens(b.Held, outcomes)
	}
	before := time.Now()
	standIn := w.polls.standIn
	w.polls.beat, w.polls.standIn = before, false
	if !standIn {
		w.polls.owe()
	}
	w.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := w.store.Beat(ctx, b)
	now := time.Now()
	w.mu.Lock()
	w.beaten(reply, standIn, before, now)
	w.mu.Unlock()
	if errors.Is(err, bellhop.ErrProcessGone) {
		w.gone(b.Process.ID)
		return err
	}
	if err != nil || leave {
		return err
	}
	w.heard(reply.Now, before, now)

	w.mu.Lock()
	if w.process.ID != b.Process.ID { // the exchange loop has begun a new one meanwhile
		w.mu.Unlock()
		return nil
	}
	first := !w.alive
	if w.alive && w.leaseOver(now) {
		first, w.beats = true, 0 // it stood still: see Worker.sweep
	}
	w.alive = true
	until := before.Add(b.Lease)
	w.leaseUntil.Store(&until)
	w.beats++
	w.samples = append(w.samples, sample{At: w.now(), Busy: b.Process.Busy, Slots: b.Process.Slots})
	lost := w.lost(reply.Lost, now)
	w.cancelled(reply.Cancel, now)
	handedBack := w.unknown(reply.Extra)
	w.mu.Unlock()
	for _, a := range lost {
		w.stale(a)
	}
	if first || handedBack {
		w.wakeExchange()
	}
	return nil
}

// leaseOver reports whether the process has been out of touch with the store for
// longer than its lease: because the store was away, or because the process itself
// stood still. The wall clock is asked too, since the other one may stand still
// while the machine sleeps.
func (w *Worker) leaseOver(now time.Time) bool {
	until := w.leaseUntil.Load()
	return until == nil || now.After(*until) || now.Round(0).After(until.Round(0))
}

func appendTokens(list []bellhop.Token, outcomes []bellhop.Outcome) []bellhop.Token {
	for i := range outcomes {
		list = append(list, outcomes[i].Token)
	}
	return list
}

// lost ends attempts whose claims the store no longer has, and returns those
// that have no slot yet. Claims that ended meanwhile by themselves are no longer held.
func (w *Worker) lost(tokens []bellhop.Token, now time.Time) (unstarted []*attempt) {
	for _, t := range tokens {
		a := w.held.attempts[t.JobID]
		if a == nil || a.claim.Token != t {
			continue
		}
		if !a.slot {
			a.ctx.stop(bellhop.ErrLeaseLost, now) // it may be given a slot before it is told of
			unstarted = append(unstarted, a)
			continue
		}
		if !a.completed() { // its own transaction may have ended the claim
			a.ctx.stop(bellhop.ErrLeaseLost, now)
		}
	}
	return unstarted
}

// unknown hands back claims that the store has for this process and that the
// process knows nothing of, as after a reply that was lost for good. What an
// exchange under way may have claimed is left alone, and so is what has come to
// something since the beat was sent: of two exchanges the one with the hand-back
// could be the faster one.
func (w *Worker) unknown(extra []bellhop.Claim) (any bool) {
	if len(extra) == 0 {
		return false
	}
	settled := map[bellhop.Token]bool{}
	note := func(outcomes []bellhop.Outcome) {
		for i := range outcomes {
			settled[outcomes[i].Token] = true
		}
	}
	for outcomes := range w.outbox.all {
		note(outcomes)
	}
	for _, l := range w.lanes {
		if l.pending != nil {
			note(l.pending.request.Outcomes)
		}
	}
	for _, c := range extra {
		if settled[c.Token] {
			continue
		}
		if slices.ContainsFunc(w.lanes, func(l *lane) bool { return l.pending != nil && l.pending.request.ID == c.Token.Exchange }) {
			continue
		}
		if a := w.held.attempts[c.Token.JobID]; a != nil && a.claim.Token == c.Token {
			continue // claimed between the beat's sending and its answer
		}
		// If it has ended between the two, the token will tell.
		w.outbox.add(sender{}, c.HandBack("its process did not know of the claim"))
		any = true
	}
	return any
}
