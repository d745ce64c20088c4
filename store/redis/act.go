package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// Act implements [bellhop.Store].
func (s *Store) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	if !r.Action.Valid() {
		return nil, &bellhop.InvalidError{Index: -1, Field: "action", Reason: r.Action.String() + " is unknown"}
	}
	reply := &bellhop.ActReply{}
	err := s.verb(ctx, bellhop.OpAct, func() error {
		if len(r.IDs) == 0 && judged(&r.Filter) {
			return s.actOnJudged(ctx, r, reply)
		}
		_, err := s.act(ctx, r, nil, reply)
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// act runs the script, and adds to the reply what came of it. If seen is not nil,
// the request's jobs are acted on only where they were seen; those that have moved
// are returned.
func (s *Store) act(ctx context.Context, r *bellhop.ActRequest, seen []*entry, reply *bellhop.ActReply) (moved []bellhop.ID, err error) {
	in, err := actItems(r, seen)
	if err != nil {
		return nil, err
	}
	answer, err := s.run(ctx, bellhop.OpAct, scriptAct, in)
	if err != nil {
		return nil, err
	}
	if l := list(answer); len(l) == 2 && text(l[0]) == "conflict" {
		return nil, misfit(r.Fence.Checks(), integer(l[1]))
	}
	l, err := row(answer, 5)
	if err != nil {
		return nil, err
	}
	reply.Changed, reply.Signalled = append(reply.Changed, readIDs(l[0])...), append(reply.Signalled, readIDs(l[1])...)
	for three := range slices.Chunk(list(l[2]), 3) {
		skip := bellhop.Skip{State: bellhop.State(integer(three[1]))}
		copy(skip.ID[:], text(three[0]))
		copy(skip.Holder[:], text(three[2]))
		if len(r.IDs) > 0 && seen == nil || !skip.Holder.IsZero() {
			reply.Skipped = append(reply.Skipped, skip)
		}
	}
	reply.Next = text(l[3])
	return readIDs(l[4]), nil
}

// actOnJudged acts by a filter that the script cannot judge: on jobs that have been
// read and judged, where they were then. What has moved meanwhile is judged again.
func (s *Store) actOnJudged(ctx context.Context, r *bellhop.ActRequest, reply *bellhop.ActReply) error {
	limit := r.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	q := &bellhop.Query{Filter: r.Filter, After: r.After}
	if q.Filter.States == 0 {
		q.Filter.States = bellhop.AllStates
	}
	p := &page{}
	if q.Filter.States &= r.Action.From(); q.Filter.States != 0 {
		var err error
		if p, err = s.search(ctx, bellhop.OpAct, q, limit); err != nil {
			return err
		}
	}
	seen := p.jobs
	if len(seen) == 0 && r.Fence != nil { // no script of an action compares it
		if err := s.put(ctx, bellhop.OpAct, r.Fence.Checks()); err != nil {
			return err
		}
	}
	for round := 0; len(seen) > 0; round++ {
		own := *r
		own.After, own.IDs = "", nil
		for _, e := range seen {
			own.IDs = append(own.IDs, e.ID)
		}
		moved, err := s.act(ctx, &own, seen, reply)
		if round > 0 && errors.Is(err, bellhop.ErrConflict) {
			err = nil // the fence held for what was done; those that had moved stay as they are
		}
		if err != nil || len(moved) == 0 {
			reply.Next = p.next
			return err
		}
		q := &bellhop.Query{Filter: q.Filter}
		q.Filter.IDs = moved
		again, err := s.search(ctx, bellhop.OpAct, q, maxPage)
		if err != nil {
			return err
		}
		seen = again.jobs
	}
	reply.Next = p.next
	return nil
}

// actItems is what the script act takes.
func actItems(r *bellhop.ActRequest, seen []*entry) (items, error) {
	in := items{}
	var f bellhop.Filter
	if len(r.IDs) == 0 {
		f = r.Filter
	}
	appendFilter(&in, &f)
	in.text(r.Action.String())
	in.text(digits(r.Action.From()))
	in.text(digits(bellhop.States(r.Action.To())))
	in.number(int64((&bellhop.Job{}).Keep(r.Action.To()) / time.Microsecond))
	in.text(keepable(r.Reason))
	limit := r.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	if err := appendPage(&in, r.After, limit); err != nil {
		return in, err
	}
	if err := appendPuts(&in, r.Fence.Checks()); err != nil {
		return in, err
	}
	for i := range r.IDs {
		item := r.IDs[i][:]
		if seen != nil {
			item = append(item[:len(item):len(item)], seen[i].head...)
		}
		in.raw(item)
	}
	return in, nil
}

// digits returns the states of a set as the scripts know them: "134".
func digits(set bellhop.StateSet) string {
	var b strings.Builder
	for _, state := range set.List() {
		b.WriteByte('0' + byte(state))
	}
	return b.String()
}

func readIDs(v any) (ids []bellhop.ID) {
	for _, id := range list(v) {
		ids = append(ids, bellhop.ID{})
		copy(ids[len(ids)-1][:], text(id))
	}
	return ids
}
