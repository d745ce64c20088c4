package partition

import (
	"context"
	"fmt"
	"slices"

	"github.com/gobellhop/bellhop"
)

// Act implements [bellhop.Store]. By id it asks all parts; by filter each part acts
// on its share of the jobs that one call may visit. A fence is compared before any part
// is asked, and holds to the end in the part where its record lives.
func (s *Store) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if !r.Action.Valid() {
		return nil, &bellhop.InvalidError{Index: -1, Field: "action", Reason: r.Action.String() + " is unknown"}
	}
	if r.Fence != nil {
		if err := s.Put(ctx, r.Fence.Checks()); err != nil {
			return nil, err
		}
	}
	if len(r.IDs) > 0 {
		return s.actByID(ctx, r)
	}
	m, err := readMarks(r.After, s.router.names)
	if err != nil {
		return nil, err
	}
	limit := r.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	open := s.unended(m)
	limits := map[*part]int{}
	for i, p := range open {
		limits[p] = portion(limit, len(open)-i)
		limit -= limits[p]
	}
	open = slices.DeleteFunc(open, func(p *part) bool { return limits[p] == 0 }) // the next call will reach it
	list, err := gather(ctx, open, forEver, func(ctx context.Context, p *part) (*bellhop.ActReply, error) {
		own := *r
		own.After, own.Limit, own.Fence = m[p.name], limits[p], s.fenceIn(p, r.Fence)
		return p.store.Act(ctx, &own)
	})
	if err != nil {
		return nil, err
	}
	if err := someFailed(list, fmt.Sprintf("%s was done", r.Action)); err != nil {
		return nil, err
	}
	total := &bellhop.ActReply{}
	for _, a := range list {
		a.part.wake()
		m[a.part.name] = a.value.Next
		total.Changed = append(total.Changed, a.value.Changed...)
		total.Signalled = append(total.Signalled, a.value.Signalled...)
		total.Skipped = append(total.Skipped, a.value.Skipped...)
	}
	total.Next = m.next(s.parts)
	return total, nil
}

// fenceIn returns the fence for a part: none where the record does not live.
func (s *Store) fenceIn(p *part, f *bellhop.Fence) *bellhop.Fence {
	if f == nil || s.router.record(f.Space, f.Key) != p.index {
		return nil
	}
	return f
}

func (s *Store) actByID(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	list, err := gather(ctx, s.parts, forEver, func(ctx context.Context, p *part) (*bellhop.ActReply, error) {
		own := *r
		own.Fence = s.fenceIn(p, r.Fence)
		return p.store.Act(ctx, &own)
	})
	if err != nil {
		return nil, err
	}
	if err := someFailed(list, fmt.Sprintf("%s was done", r.Action)); err != nil {
		return nil, err
	}
	total := &bellhop.ActReply{}
	skipped := map[bellhop.ID]bellhop.Skip{}
	missing := map[bellhop.ID]int{} // in how many parts
	for _, a := range list {
		a.part.wake()
		total.Changed = append(total.Changed, a.value.Changed...)
		total.Signalled = append(total.Signalled, a.value.Signalled...)
		for _, skip := range a.value.Skipped {
			if skip.State == 0 {
				missing[skip.ID]++
				continue
			}
			skipped[skip.ID] = skip
		}
	}
	order := make(map[bellhop.ID]int, len(r.IDs))
	for i, id := range slices.Backward(r.IDs) {
		order[id] = i
	}
	inOrder := func(a, b bellhop.ID) int { return order[a] - order[b] }
	slices.SortStableFunc(total.Changed, inOrder)
	slices.SortStableFunc(total.Signalled, inOrder)
	for i, id := range r.IDs {
		if order[id] != i {
			continue // named twice
		}
		if skip, ok := skipped[id]; ok {
			total.Skipped = append(total.Skipped, skip)
		} else if missing[id] == len(s.parts) {
			total.Skipped = append(total.Skipped, bellhop.Skip{ID: id})
		}
	}
	return total, nil
}
