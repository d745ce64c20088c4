package memory

import (
	"cmp"
	stdheap "container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// Exchange implements [bellhop.Store].
func (s *Store) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	for i := range r.Outcomes {
		if !r.Outcomes[i].Kind.Valid() {
			return nil, &bellhop.InvalidError{Index: i, Field: "outcome", Reason: r.Outcomes[i].Kind.String() + " is unknown"}
		}
	}
	if err := s.check(r.Puts, now); err != nil {
		return nil, err
	}
	reply := &bellhop.ExchangeReply{}
	for i := range r.Outcomes {
		if recorded, ok := s.apply(&r.Outcomes[i], now); !ok {
			reply.Refused = append(reply.Refused, bellhop.Refusal{Index: i, Err: bellhop.ErrStale, Recorded: recorded})
		}
	}
	s.put(r.Puts, now)
	switch {
	case r.Process.IsZero():
	case s.processes[r.Process] == nil:
		err = fmt.Errorf("memory store: process %v: %w", r.Process, bellhop.ErrProcessGone)
	case s.exchanges[claimer{r.ID, r.Process}] != nil:
		reply.Claims = s.repeat(r)
	}
	if err == nil && !r.Process.IsZero() && len(reply.Claims) == 0 {
		reply.Claims = s.claim(r, now)
	}
	reply.Signals = s.signals(r, now)
	return reply, err
}

// apply ends a claim. If the token does not fit it changes nothing and tells
// what is recorded for the claim; ok is true also if that is the same outcome.
func (s *Store) apply(o *bellhop.Outcome, now time.Time) (recorded bellhop.OutcomeKind, ok bool) {
	j := s.claimed(o.Token)
	if j == nil {
		recorded = s.recorded(o.Token)
		return recorded, recorded == o.Kind
	}
	p := &j.place
	j.record(o)
	s.leave(j)
	p.attempt, p.failures, p.crashes, p.suspect = int32(o.Attempt), int32(o.Failures), int32(o.Crashes), o.Suspect
	if o.Reason != "" || o.Kind != bellhop.OutcomeCancelled {
		p.reason = keepable(o.Reason) // else the reason of the request stays
	}
	switch to := o.Kind.To(); {
	case to.Final():
		p.result = copyBytes(o.Result)
		s.finish(j, to, now, o.Keep)
	case to == bellhop.StateScheduled:
		p.due = momentOf(now.Add(o.Wait))
		s.enter(j, to)
	default:
		s.enter(j, to)
	}
	return o.Kind, true
}

// claimed returns the job that is running under the token, or nil.
func (s *Store) claimed(t bellhop.Token) *job {
	if j := s.running[t.JobID]; j != nil && j.token() == t {
		return j
	}
	return nil
}

// recorded returns what is recorded for a claim that has ended, or 0.
func (s *Store) recorded(t bellhop.Token) bellhop.OutcomeKind {
	if j := s.find(t.JobID); j != nil {
		for a := range j.attempts {
			if a.claim == t.Number && a.exchange.id == t.Exchange {
				return a.outcome
			}
		}
	}
	return 0
}

// repeat returns what an exchange has claimed and what is still held, in the order of its reply.
func (s *Store) repeat(r *bellhop.ExchangeRequest) []bellhop.Claim {
	var jobs []*job
	if h := s.held[r.Process]; h != nil {
		for _, j := range h.jobs {
			if j.exchange.id == r.ID {
				jobs = append(jobs, j)
			}
		}
	}
	slices.SortFunc(jobs, func(a, b *job) int { return cmp.Compare(a.turn, b.turn) })
	return claims(jobs)
}

func claims(jobs []*job) []bellhop.Claim {
	if len(jobs) == 0 {
		return nil
	}
	list := make([]bellhop.Claim, len(jobs))
	for i, j := range jobs {
		list[i] = j.claim()
	}
	return list
}

// claim takes jobs for each want in turn.
func (s *Store) claim(r *bellhop.ExchangeRequest, now time.Time) []bellhop.Claim {
	var list []bellhop.Claim
	by := &exchange{claimer: claimer{r.ID, r.Process}, claimedAt: momentOf(now)}
	for _, want := range r.Wants {
		q := s.queues[want.Queue]
		if q == nil || q.paused {
			continue
		}
		n := min(want.Count, r.Limit-len(list))
		for p := 0; p < priorities && n > 0 && q.counts[bellhop.StateReady] > 0; p++ {
			lanes := q.lanes(p, r.Kinds)
			for ; n > 0 && len(lanes) > 0; n-- {
				j := lanes[0].first()
				s.leave(j)
				switch {
				case lanes[0].len() == 0:
					stdheap.Pop(&lanes) // the empty heap is not compared: Pop first swaps it to the end
				case len(lanes) > 1:
					stdheap.Fix(&lanes, 0)
				}
				j.exchange, j.turn = by, int32(len(list))
				j.place.claim++
				j.place.reason, j.place.progress = "", nil
				s.enter(j, bellhop.StateRunning)
				if list == nil {
					list = make([]bellhop.Claim, 0, min(r.Limit, q.counts[bellhop.StateReady]+1))
				}
				list = append(list, j.claim())
			}
		}
	}
	return list
}

// lanes returns the lanes of one priority that hold jobs of the given kinds.
func (q *queue) lanes(priority int, kinds []string) lanes {
	var list lanes
	all := q.ready[priority]
	if len(kinds) < len(all) {
		for _, kind := range slices.Compact(slices.Clone(kinds)) {
			if h := all[kind]; h != nil && h.len() > 0 {
				list = append(list, h)
			}
		}
	} else {
		for kind, h := range all {
			if h.len() > 0 && slices.Contains(kinds, kind) {
				list = append(list, h)
			}
		}
	}
	stdheap.Init(&list)
	return list
}

func (s *Store) signals(r *bellhop.ExchangeRequest, now time.Time) bellhop.Signals {
	sig := bellhop.Signals{Now: now, NextDue: s.nextDue(now)}
	if !r.Process.IsZero() {
		sig.Cancel = s.cancelled(r.Process)
	}
	for _, want := range r.Wants {
		if q := s.queues[want.Queue]; q != nil && q.paused && !slices.Contains(sig.Paused, want.Queue) {
			sig.Paused = append(sig.Paused, want.Queue)
		}
	}
	return sig
}

// cancelled returns the process's claims that are to be cancelled.
func (s *Store) cancelled(process bellhop.ID) []bellhop.Token {
	var tokens []bellhop.Token
	for j := range s.cancels {
		if j.exchange.process == process {
			tokens = append(tokens, j.token())
		}
	}
	slices.SortFunc(tokens, func(a, b bellhop.Token) int { return a.JobID.Compare(b.JobID) })
	return tokens
}
