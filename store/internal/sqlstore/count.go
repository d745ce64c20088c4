package sqlstore

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
)

// Count implements [bellhop.Store].
func (s *Store) Count(ctx context.Context, q *bellhop.Query) (c *bellhop.Counted, err error) {
	limit := max(q.Limit, 0)
	err = s.read(ctx, bellhop.OpCount, func(ctx context.Context, t *txn) (err error) {
		c, err = t.countFrom(ctx, &q.Filter, q.After, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	if c.Count >= limit {
		c.Count, c.Next = limit, ""
	}
	return c, nil
}

func (t *txn) countFrom(ctx context.Context, f *bellhop.Filter, after string, limit int) (*bellhop.Counted, error) {
	before, err := readMark(after)
	if err != nil {
		return nil, err
	}
	if len(f.IDs) > 0 {
		found, err := t.named(ctx, f, before, shape{})
		return &bellhop.Counted{Count: len(found), Examined: len(f.IDs)}, err
	}
	s, err := t.newSearch(ctx, f, before, limit)
	switch {
	case err != nil:
		return nil, err
	case s.judged():
		return s.countJudged(ctx)
	case after == "" && s.atOnce():
		return s.countAtOnce(ctx)
	default:
		return s.countSome(ctx)
	}
}

// atOnce reports whether indexes alone have the answer, for all places. A filter by
// queues has it if each of them is in one, and by states if a place has no others.
func (s *search) atOnce() bool {
	rest := *s.f
	rest.States, rest.Queues = 0, nil
	return rest.IsZero() && !slices.ContainsFunc(selected(s.f), func(p *place) bool {
		return s.f.States != 0 && s.f.States&p.states != p.states || len(s.f.Queues) > 0 && !p.indexed
	})
}

func (s *search) countAtOnce(ctx context.Context) (*bellhop.Counted, error) {
	n := 0
	for _, p := range selected(s.f) {
		if len(s.f.Queues) == 0 {
			from := p.table
			if p == placeRunning {
				from = "{running}"
			}
			found, err := s.count(ctx, compose("count "+p.name, `select count(*) from (select 1 from `+from+` {limit}) c`), s.limit-n)
			if err != nil {
				return nil, err
			}
			n += int(found)
		}
		for _, queue := range uniqueTexts(names(s.f.Queues)) {
			found, err := s.count(ctx, countQueue[p], queue, s.limit-n)
			if err != nil {
				return nil, err
			}
			n += int(found)
		}
	}
	return &bellhop.Counted{Count: n}, nil
}

// countSome counts in those rows of each place that a window shows of all of them:
// down to where the first window ends.
func (s *search) countSome(ctx context.Context) (*bellhop.Counted, error) {
	floor, whole := s.bottom, true
	for _, p := range selected(s.f) {
		least, rows, err := s.newest(ctx, p, floor)
		if err != nil {
			return nil, err
		}
		s.examined += rows
		if rows == maxExamined {
			floor, whole = least, false
		}
	}
	c := &bellhop.Counted{Examined: s.examined}
	if !whole {
		c.Next = strconv.FormatInt(floor, 10)
	}
	for _, p := range selected(s.f) {
		where, args := conditions(s.f, p)
		from := p.table + ` p`
		if strings.Contains(where, "j.") || strings.Contains(where, "{tag}") {
			from += ` cross join bellhop_jobs j`
			where += ` and j.job = p.job`
		}
		st := compose("count some "+p.name, `select count(*) from (select 1 from `+from+` where p.job < ? and p.job >= ?`+where+` {limit}) c`)
		found, err := s.count(ctx, st, append(append([]any{s.before, floor}, args...), s.limit-c.Count)...)
		if err != nil {
			return nil, err
		}
		c.Count += int(found)
	}
	return c, nil
}

// countJudged counts what is judged here: the jobs of a page that is as long as the rows looked at allow.
func (s *search) countJudged(ctx context.Context) (*bellhop.Counted, error) {
	floor, err := s.everywhere(ctx)
	if err != nil {
		return nil, err
	}
	c := &bellhop.Counted{Count: len(s.found), Examined: s.examined}
	if floor > 0 {
		c.Next = strconv.FormatInt(floor, 10)
	}
	return c, nil
}
