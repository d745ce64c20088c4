package memory

import (
	"context"

	"github.com/gobellhop/bellhop"
)

// Enqueue implements [bellhop.Store].
func (s *Store) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.check(r.Puts, now); err != nil {
		return nil, err
	}
	receipts := make([]bellhop.Receipt, len(r.Jobs))
	var taken []*job
	for i, asked := range r.Jobs {
		if old := s.find(asked.ID); old != nil {
			if !old.SameContent(asked) {
				for _, j := range taken {
					s.delete(j)
				}
				s.woken = nil
				return nil, &bellhop.ItemError{Index: i, Err: bellhop.ErrIDTaken}
			}
			receipts[i] = bellhop.Receipt{ID: old.ID, State: old.place.state, Existing: true}
			continue
		}
		if asked.UniqueKey != "" {
			if holder := s.unique[asked.UniqueKey]; holder != nil {
				receipts[i] = bellhop.Receipt{ID: holder.ID, State: holder.place.state, Existing: true}
				continue
			}
		}
		j := s.slab.take()
		j.Job = copyJob(asked)
		j.EnqueuedAt, j.RunAt = now, micro(j.RunAt)
		j.Delay = 0 // kept as the place's Due
		j.place.due, j.place.finishedAt, j.place.expiresAt = momentOf(asked.Due(now)), never, never
		state := bellhop.StateScheduled
		if j.place.due <= momentOf(now) {
			j.place.due = momentOf(now) // nothing becomes ready before it is there
			state = bellhop.StateReady
		}
		s.add(j, state)
		taken = append(taken, j)
		receipts[i] = bellhop.Receipt{ID: j.ID, State: state}
	}
	s.put(r.Puts, now)
	return receipts, nil
}
