package sqlstore

import (
	"context"
	"math"
	"strings"

	"github.com/gobellhop/bellhop"
)

// maxCounted is how many rows of each place are looked at for one count, if no
// index has the answer.
const maxCounted = 10_000

// Count implements [bellhop.Store].
func (s *Store) Count(ctx context.Context, f *bellhop.Filter, limit int) (n int, err error) {
	var bound *bellhop.BoundError
	err = s.read(ctx, bellhop.OpCount, func(ctx context.Context, t *txn) (err error) {
		n, bound, err = t.countAll(ctx, f, max(limit, 0))
		return err
	})
	if err == nil && bound != nil {
		return n, bound
	}
	return n, err
}

func (t *txn) countAll(ctx context.Context, f *bellhop.Filter, limit int) (n int, bound *bellhop.BoundError, err error) {
	if len(f.IDs) > 0 {
		found, err := t.named(ctx, f, math.MaxInt64, shape{})
		return min(len(found), limit), nil, err
	}
	s, err := t.newSearch(ctx, f, math.MaxInt64, limit)
	if err != nil {
		return 0, nil, err
	}
	if !s.judged() {
		s.window = maxCounted
	}
	bounded := false
	for _, p := range selected(f) {
		if n >= limit {
			return n, nil, nil
		}
		found, whole, err := s.countPlace(ctx, p, limit-n)
		if err != nil {
			return 0, nil, err
		}
		n += found
		bounded = bounded || !whole
	}
	if bounded && n < limit {
		return n, &bellhop.BoundError{Examined: s.examined}, nil
	}
	return n, nil, nil
}

// countPlace counts in one place, and reports whether it has looked at the whole of it.
func (s *search) countPlace(ctx context.Context, p *place, limit int) (n int, whole bool, err error) {
	where, args := conditions(s.f, p)
	switch {
	case s.judged():
		s.limit, s.found, s.bytes = limit, nil, 0
		err = s.place(ctx, p, 0)
		return len(s.found), s.floor == 0, err
	case where == "":
		n, err := s.count(ctx, compose("count "+p.name, `select count(*) from (select 1 from `+p.table+` {limit}) c`), limit)
		return int(n), true, err
	case p.indexed && s.onlyQueues():
		for _, queue := range uniqueTexts(s.f.Queues) {
			found, err := s.count(ctx, countQueue[p], queue, limit-n)
			if err != nil {
				return 0, false, err
			}
			n += int(found)
		}
		return n, true, nil
	}
	least, rows, err := s.newest(ctx, p, s.bottom)
	if err != nil || rows == 0 {
		return 0, true, err
	}
	s.examined += rows
	from := p.table + ` p`
	if strings.Contains(where, "j.") || strings.Contains(where, "{tag}") {
		from += ` cross join bellhop_jobs j`
		where += ` and j.job = p.job`
	}
	st := compose("count some "+p.name, `select count(*) from (select 1 from `+from+` where p.job < ? and p.job >= ?`+where+` {limit}) c`)
	found, err := s.count(ctx, st, append(append([]any{s.before, least}, args...), limit)...)
	return int(found), rows < s.window, err
}

// onlyQueues reports whether the filter has no conditions but states and queues.
func (s *search) onlyQueues() bool {
	rest := *s.f
	rest.States, rest.Queues = 0, nil
	return len(s.f.Queues) > 0 && rest.IsZero()
}
