package sqlstore

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
)

// List implements [bellhop.Store].
func (s *Store) List(ctx context.Context, q *bellhop.Query) (listing *bellhop.Listing, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, maxPage)
	err = s.read(ctx, bellhop.OpList, func(ctx context.Context, t *txn) error {
		p, err := t.page(ctx, &q.Filter, q.After, limit, shape{!q.WithoutArgs, q.WithLast})
		if err != nil {
			return err
		}
		listing = &bellhop.Listing{Next: p.next, Jobs: make([]bellhop.Snapshot, 0, len(p.jobs)), Examined: p.examined}
		for _, j := range p.jobs {
			listing.Jobs = append(listing.Jobs, j.Snapshot)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return listing, nil
}

// shape says what of jobs is read beside what never misses.
type shape struct{ args, last bool }

// page is a page of jobs, the newest first.
type page struct {
	jobs []*numbered
	// next is where to go on: the number of the last job that was looked at.
	next     string
	examined int
}

// readMark reads where a page begins: before the job of a number.
func readMark(after string) (before int64, err error) {
	if after == "" {
		return math.MaxInt64, nil
	}
	if before, err = strconv.ParseInt(after, 10, 64); err != nil {
		return 0, &bellhop.InvalidError{Index: -1, Field: "after", Reason: "it is not a mark that a page before has returned"}
	}
	return before, nil
}

// page returns at most limit jobs that match, the newest first.
func (t *txn) page(ctx context.Context, f *bellhop.Filter, after string, limit int, shape shape) (*page, error) {
	before, err := readMark(after)
	if err != nil {
		return nil, err
	}
	if len(f.IDs) > 0 {
		jobs, err := t.named(ctx, f, before, shape)
		p := &page{jobs: jobs, examined: len(f.IDs)}
		if len(jobs) > limit {
			p.jobs, p.next = jobs[:limit], strconv.FormatInt(jobs[limit-1].number, 10)
		}
		return p, err
	}
	s, err := t.newSearch(ctx, f, before, limit)
	if err != nil {
		return nil, err
	}
	floor, err := s.everywhere(ctx)
	if err != nil {
		return nil, err
	}
	found := s.found
	slices.SortFunc(found, func(a, b spot) int { return cmp.Compare(b.number, a.number) })
	if len(found) > limit {
		found = found[:limit]
		floor = found[limit-1].number
	}
	p := &page{examined: s.examined}
	if floor > 0 {
		p.next = strconv.FormatInt(floor, 10)
	}
	p.jobs, err = t.loadAll(ctx, found, shape)
	return p, err
}

// named returns the jobs among the filter's ids that match and come before a
// number, the newest first.
func (t *txn) named(ctx context.Context, f *bellhop.Filter, before int64, shape shape) (found []*numbered, err error) {
	row := newRow()
	seen := make(map[bellhop.ID]bool, len(f.IDs))
	for _, id := range f.IDs {
		if seen[id] {
			continue
		}
		seen[id] = true
		j, err := t.load(ctx, id, row)
		if err != nil {
			return nil, err
		}
		if j == nil || j.number >= before {
			continue
		}
		if shape.last || f.ByFailure() {
			if j.History, err = t.last(ctx, j); err != nil {
				return nil, err
			}
		}
		if !j.matches(f) {
			continue
		}
		if !shape.args {
			j.Args = nil
		}
		if !shape.last {
			j.History = nil
		}
		found = append(found, j)
	}
	slices.SortFunc(found, func(a, b *numbered) int { return cmp.Compare(b.number, a.number) })
	return found, nil
}

// matches reports whether a job matches; its newest attempt is at hand if the filter asks for it.
func (j *numbered) matches(f *bellhop.Filter) bool {
	var last *bellhop.Attempt
	if n := len(j.History); n > 0 {
		last = &j.History[n-1]
	}
	return f.Matches(&j.Job, &j.Place, last)
}

// loadAll reads jobs from their places, in the order of spots.
func (t *txn) loadAll(ctx context.Context, spots []spot, shape shape) ([]*numbered, error) {
	byPlace := map[*place][]int64{}
	at := make(map[int64]int, len(spots))
	for i, s := range spots {
		byPlace[s.place] = append(byPlace[s.place], s.number)
		at[s.number] = i
	}
	columns := jobColumns
	if !shape.args {
		columns = strings.Replace(columns, "j.args", "null", 1)
	}
	jobs := make([]*numbered, len(spots))
	row, last := newRow(), &lastRow{}
	for _, p := range places {
		columns, join, into := columns+`, `+p.columns, ``, row.all()
		if shape.last {
			columns, join, into = columns+`, `+lastColumns(p), ` left join bellhop_attempts a on `+lastOf(p), append(into, last.all()...)
		}
		for numbers := range slices.Chunk(byPlace[p], biteSize) {
			which, args := some{numbers: numbers}.where()
			st := compose("list "+p.name, `select `+columns+` from `+p.table+` p cross join bellhop_jobs j`+join+`
				where `+which+` and j.job = p.job`)
			err := t.Query(ctx, st, func(r Row) error {
				if err := r.Scan(into...); err != nil {
					return err
				}
				j, err := row.snapshot()
				if err == nil && shape.last {
					j.History, err = last.attempt()
				}
				if err == nil {
					jobs[at[j.number]] = j
				}
				return err
			}, args...)
			if err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(jobs, func(j *numbered) bool { return j == nil }), nil // none, unless the database shows several moments
}
