package partition

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// Get implements [bellhop.Store]: it asks all parts.
func (s *Store) Get(ctx context.Context, ids []bellhop.ID) ([]bellhop.Snapshot, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	lists, err := all(ctx, s, func(ctx context.Context, p *part) ([]bellhop.Snapshot, error) { return p.store.Get(ctx, ids) })
	if err != nil {
		return nil, err
	}
	found := make(map[bellhop.ID]*bellhop.Snapshot, len(ids))
	for _, list := range lists {
		for i := range list {
			if found[list[i].ID] == nil {
				found[list[i].ID] = &list[i]
			}
		}
	}
	jobs := make([]bellhop.Snapshot, 0, len(found))
	for _, id := range ids {
		if j := found[id]; j != nil {
			jobs = append(jobs, *j)
		}
	}
	return jobs, nil
}

// Count implements [bellhop.Store]. It is bounded if the count of any part is, and
// the others do not reach the limit.
func (s *Store) Count(ctx context.Context, f *bellhop.Filter, limit int) (int, error) {
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	type counted struct {
		n     int
		bound *bellhop.BoundError
	}
	counts, err := all(ctx, s, func(ctx context.Context, p *part) (c counted, err error) {
		if c.n, err = p.store.Count(ctx, f, limit); errors.As(err, &c.bound) {
			err = nil
		}
		return c, err
	})
	if err != nil {
		return 0, err
	}
	sum, examined := 0, 0
	for _, c := range counts {
		sum += c.n
		if c.bound != nil {
			examined += c.bound.Examined
		}
	}
	if sum < limit && examined > 0 {
		return sum, &bellhop.BoundError{Examined: examined}
	}
	return min(sum, limit), nil
}

// Stats implements [bellhop.Store]. A queue that is paused in any part is paused;
// Diagnose tells if it is not in all.
func (s *Store) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	lists, err := all(ctx, s, func(ctx context.Context, p *part) ([]bellhop.QueueStats, error) { return p.store.Stats(ctx, limit) })
	if err != nil {
		return nil, err
	}
	merged := []bellhop.QueueStats{}
	at := map[string]int{}
	for _, list := range lists {
		for _, q := range list {
			i, known := at[q.Queue]
			if !known {
				at[q.Queue] = len(merged)
				merged = append(merged, q)
				continue
			}
			m := &merged[i]
			m.Paused = m.Paused || q.Paused
			m.Scheduled = min(m.Scheduled+q.Scheduled, limit)
			m.Blocked = min(m.Blocked+q.Blocked, limit)
			m.Ready = min(m.Ready+q.Ready, limit)
			m.Running = min(m.Running+q.Running, limit)
			m.Dead = min(m.Dead+q.Dead, limit)
			m.OldestReady = earlier(m.OldestReady, q.OldestReady)
			m.NextDue = earlier(m.NextDue, q.NextDue)
		}
	}
	slices.SortFunc(merged, func(a, b bellhop.QueueStats) int { return strings.Compare(a.Queue, b.Queue) })
	return merged, nil
}

// earlier returns the earlier of two times of which each may be none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
