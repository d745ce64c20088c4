package memory

import (
	"context"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// Act implements [bellhop.Store].
func (s *Store) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if !r.Action.Valid() {
		return nil, &bellhop.InvalidError{Index: -1, Field: "action", Reason: r.Action.String() + " is unknown"}
	}
	if err := s.check(r.Fence.Checks(), now); err != nil {
		return nil, err
	}
	reply := &bellhop.ActReply{}
	if len(r.IDs) > 0 {
		seen := make(map[bellhop.ID]bool, len(r.IDs))
		for _, id := range r.IDs {
			if seen[id] {
				continue
			}
			seen[id] = true
			if j := s.find(id); j != nil {
				s.act(j, r, now, reply)
			} else {
				reply.Skipped = append(reply.Skipped, bellhop.Skip{ID: id})
			}
		}
		return reply, nil
	}
	limit := r.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	jobs, next, _, err := s.page(&r.Filter, r.After, limit, maxExamined)
	if err != nil {
		return nil, err
	}
	reply.Next = next
	for _, j := range jobs {
		s.act(j, r, now, reply)
	}
	reply.Skipped = slices.DeleteFunc(reply.Skipped, func(skip bellhop.Skip) bool { return skip.Holder.IsZero() })
	return reply, nil
}

// act does the action to one job, and adds to the reply what came of it.
func (s *Store) act(j *job, r *bellhop.ActRequest, now time.Time, reply *bellhop.ActReply) {
	p, id := &j.place, j.ID
	if !r.Action.From().Has(p.state) {
		reply.Skipped = append(reply.Skipped, bellhop.Skip{ID: j.ID, State: p.state})
		return
	}
	switch r.Action {
	case bellhop.ActDelete:
		s.delete(j)
	case bellhop.ActRetry:
		if holder := s.unique[j.UniqueKey]; j.UniqueKey != "" && holder != nil {
			reply.Skipped = append(reply.Skipped, bellhop.Skip{ID: j.ID, State: p.state, Holder: holder.ID})
			return
		}
		s.leave(j)
		*p = place{due: momentOf(now), finishedAt: never, expiresAt: never, generation: p.generation + 1, claim: p.claim, reason: keepable(r.Reason)}
		s.enter(j, bellhop.StateReady)
	case bellhop.ActRunNow:
		s.leave(j)
		p.due, p.reason, p.cancelRequested = momentOf(now), keepable(r.Reason), false
		s.enter(j, bellhop.StateReady)
	default: // cancel, discard
		p.reason = keepable(r.Reason)
		if p.state == bellhop.StateRunning {
			p.cancelRequested = true
			s.cancels[j] = struct{}{}
			reply.Signalled = append(reply.Signalled, j.ID)
			return
		}
		s.leave(j)
		s.finish(j, r.Action.To(), now, j.Keep(r.Action.To()))
	}
	reply.Changed = append(reply.Changed, id)
}
