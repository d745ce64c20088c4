package partition

import (
	"context"
	"fmt"
	"slices"

	"github.com/gobellhop/bellhop"
)

// Act implements [bellhop.Store]. By id it asks all parts; by filter each part acts
// on its share of the jobs that one call may visit. A fence holds in the part where its
// record lives, which acts first; see [Store.askToAct].
func (s *Store) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if !r.Action.Valid() {
		return nil, &bellhop.InvalidError{Index: -1, Field: "action", Reason: r.Action.String() + " is unknown"}
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
	list, err := s.askToAct(ctx, open, r, func(own *bellhop.ActRequest, p *part) { own.After, own.Limit = m[p.name], limits[p] })
	if err != nil {
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

// askToAct sends the request to parts, each in its own form. With a fence the part where its record lives is asked first and alone:
// what the fence stops there is done nowhere, and what it lets pass is done in the others right after. They cannot compare it, so a
// caller who stands still between the two is not stopped there.
func (s *Store) askToAct(
	ctx context.Context, parts []*part, r *bellhop.ActRequest, form func(own *bellhop.ActRequest, p *part),
) ([]answer[*bellhop.ActReply], error) {
	var list []answer[*bellhop.ActReply]
	ask := func(parts []*part, fence *bellhop.Fence) error {
		more, err := gather(ctx, parts, forEver, func(ctx context.Context, p *part) (*bellhop.ActReply, error) {
			own := *r
			own.Fence = fence
			form(&own, p)
			return p.store.Act(ctx, &own)
		})
		if err != nil {
			return err
		}
		list = append(list, more...)
		return someFailed(list, fmt.Sprintf("%s was done", r.Action))
	}
	if r.Fence != nil {
		home := s.parts[s.router.record(r.Fence.Space, r.Fence.Key)]
		others := slices.DeleteFunc(slices.Clone(parts), func(p *part) bool { return p == home })
		var err error
		if len(others) < len(parts) {
			err = ask([]*part{home}, r.Fence)
		} else { // it has no more jobs to act on
			err = s.Put(ctx, r.Fence.Checks())
		}
		if err != nil {
			return nil, err
		}
		parts = others
	}
	if err := ask(parts, nil); err != nil {
		return nil, err
	}
	return list, nil
}

func (s *Store) actByID(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	list, err := s.askToAct(ctx, s.parts, r, func(*bellhop.ActRequest, *part) {})
	if err != nil {
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
