package partition

import (
	"context"
	"fmt"
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

// Count implements [bellhop.Store]: it sums what the parts count that have not come to their end.
func (s *Store) Count(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	m, err := readMarks(q.After, s.router.names)
	if err != nil {
		return nil, err
	}
	counts, err := gather(ctx, s.unended(m), forEver, func(ctx context.Context, p *part) (*bellhop.Counted, error) {
		own := *q
		own.After = m[p.name]
		return p.store.Count(ctx, &own)
	})
	if err != nil {
		return nil, err
	}
	sum := &bellhop.Counted{}
	for _, c := range counts {
		if c.err != nil {
			return nil, fmt.Errorf("partition store: %w", c.err)
		}
		sum.Count += c.value.Count
		sum.Examined += c.value.Examined
		m[c.part.name] = c.value.Next
	}
	if sum.Count >= q.Limit {
		sum.Count = max(q.Limit, 0)
	} else {
		sum.Next = m.next(s.parts)
	}
	return sum, nil
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
			m.Paused, m.Limit = m.Paused || q.Paused, min(m.Limit, q.Limit)
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
