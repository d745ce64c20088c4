package rollup

import (
	"cmp"
	"context"
	"maps"
	"slices"
)

// Order says which lines of a table come first.
type Order uint8

// The orders. Lines that are equal come in the order of their names.
const (
	ByName     Order = iota
	ByAttempts       // most attempts first
	ByTime           // those first whose attempts ran longest in all
)

// TableQuery says which table is wanted.
type TableQuery struct {
	By By
	// Only narrows the table to a queue, to a kind, or to a kind within a queue.
	Only Series
	// Order is that of the lines, and Limit the most there are; 0 means all. A limit makes a table of many queues cheap: which lines come
	// first is known from their counts, and sketches are read of these alone.
	Order Order
	Limit int
}

// Row is one line of a table: the sums of a series over a range.
type Row struct {
	Series
	Sums
}

// Table are the sums of all series over a range.
type Table struct {
	Rows []Row
	// More is how many lines there are beyond the limit.
	More int
}

// Table reads the sums of series over a range.
func (r *Reader) Table(ctx context.Context, rng Range, q TableQuery) (*Table, error) {
	var chosen map[Series]*total // nil: all that come
	lines := page{}
	add := func(_ frame, p *encodedPage) error {
		return p.each(func(s Series, sums encodedSums) error {
			line, wanted := q.line(s)
			if !wanted || chosen != nil && chosen[line] == nil {
				return nil
			}
			return sums.mergeInto(lines.of(line))
		})
	}
	t := &Table{}
	var err error
	if shard := q.shard(); shard != nil {
		_, err = r.each(ctx, rng, longest(), withEnqueued(shard), add)
	} else {
		var have windows
		if chosen, have, err = r.totals(ctx, rng, q); err != nil {
			return nil, err
		}
		if order := q.sorted(chosen); q.Limit > 0 && len(order) > q.Limit {
			t.More = len(order) - q.Limit
			for _, s := range order[q.Limit:] {
				delete(chosen, s)
			}
		}
		err = r.in(ctx, rng.Now, have, withEnqueued(q.shards(chosen)), add)
	}
	if err != nil {
		return nil, err
	}
	there := make(map[Series]*total, len(lines))
	for s, sums := range lines {
		there[s] = &total{sums.Counts, sums.Run.sum}
	}
	for i, s := range q.sorted(there) {
		if q.Limit > 0 && i >= q.Limit {
			t.More++
			continue
		}
		t.Rows = append(t.Rows, Row{s, *lines[s]})
	}
	return t, nil
}

// total is what the shard of totals says of a line.
type total struct {
	Counts
	ran uint64 // in microseconds
}

func (t *total) add(sums encodedSums) error {
	ran, err := sums.addTo(&t.Counts)
	t.ran += ran
	return err
}

// totals reads the totals of all lines, and tells in which windows something happened.
func (r *Reader) totals(ctx context.Context, rng Range, q TableQuery) (map[Series]*total, windows, error) {
	found := map[Series]*total{}
	have, err := r.each(ctx, rng, longest(), totalsAndEnqueued, func(_ frame, p *encodedPage) error {
		return p.each(func(s Series, sums encodedSums) error {
			if q.Only.Kind != "" && s.Kind != q.Only.Kind || q.By == ByKind && s.Kind == "" {
				return nil
			}
			line := q.By.line(s)
			t := found[line]
			if t == nil {
				t = &total{}
				found[line] = t
			}
			return t.add(sums)
		})
	})
	return found, have, err
}

// shard returns the one shard that a table is made of, if there is one.
func (q *TableQuery) shard() shards {
	switch {
	case q.Only.Queue != "":
		return of(Series{Queue: q.Only.Queue})
	case q.By == ByKind && q.Only.Kind != "":
		return of(Series{Kind: q.Only.Kind})
	}
	return nil
}

// shards returns those in which the sketches of lines are.
func (q *TableQuery) shards(lines map[Series]*total) shards {
	return func(l *level) []string {
		if q.Limit == 0 && q.By == ByKind {
			return l.kindShards()
		} else if q.Limit == 0 {
			return l.queueShards()
		}
		list := map[string]bool{}
		for s := range lines {
			if q.By != ByKind {
				s.Kind = ""
			}
			list[l.shard(s)] = true
		}
		return slices.Sorted(maps.Keys(list))
	}
}

// line returns in which line the table has a series of one of its shards, if it does.
func (q *TableQuery) line(s Series) (line Series, wanted bool) {
	if q.Only.Kind != "" && s.Kind != q.Only.Kind {
		return s, false
	}
	if q.By == ByKind && q.Only.Queue == "" {
		return s, s.Queue == "" && s.Kind != "" // kinds are there by themselves
	}
	return q.By.line(s), s.Queue != "" && (q.Only.Queue == "" || s.Queue == q.Only.Queue)
}

// sorted returns the lines in the table's order.
func (q *TableQuery) sorted(lines map[Series]*total) []Series {
	return slices.SortedFunc(maps.Keys(lines), func(a, b Series) int {
		first := 0
		switch x, y := lines[a], lines[b]; q.Order {
		case ByAttempts:
			first = cmp.Compare(y.Attempts(), x.Attempts())
		case ByTime:
			first = cmp.Compare(y.ran, x.ran)
		}
		return cmp.Or(first, a.compare(b))
	})
}
