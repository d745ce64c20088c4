package rollup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// Reader reads rollups. It keeps what it has read of windows that are over, so one of it should live as long as its
// store. It is safe for any number of goroutines.
type Reader struct {
	store bellhop.Store
	cache cache

	mu      sync.Mutex
	offset  time.Duration // of the store's clock from the local one
	checked time.Time     // when it was last compared
}

// NewReader returns a reader of a store's rollups.
func NewReader(store bellhop.Store) *Reader { return &Reader{store: store} }

// Now returns the store's clock. It is compared with the local one once a minute.
func (r *Reader) Now(ctx context.Context) (time.Time, error) {
	r.mu.Lock()
	offset, checked := r.offset, r.checked
	r.mu.Unlock()
	if before := time.Now(); checked.IsZero() || before.Sub(checked) > time.Minute {
		now, err := r.store.Ping(ctx)
		if err != nil {
			return time.Time{}, fmt.Errorf("read metrics: %w", err)
		}
		after := time.Now()
		offset = now.Sub(before.Add(after.Sub(before) / 2))
		r.mu.Lock()
		r.offset, r.checked = offset, after
		r.mu.Unlock()
	}
	return time.Now().Add(offset).UTC(), nil
}

// Chart is the course of one series.
type Chart struct {
	Range
	Series Series
	// Points has one point for each step.
	Points []Point
	// Total is all points together.
	Total Sums
}

// Chart reads the course of a series: of a kind within a queue, of a queue, of a kind, or of all.
func (r *Reader) Chart(ctx context.Context, rng Range, s Series) (*Chart, error) {
	c := &Chart{Range: rng, Series: s, Points: make([]Point, rng.Points())}
	for i := range c.Points {
		c.Points[i].At, c.Points[i].Covers = rng.At(i), rng.Covers(i)
	}
	wanted := func(have Series) bool {
		return have.Queue == s.Queue && (have.Kind == s.Kind || s.Kind == "" && s.Queue != "")
	}
	err := r.each(ctx, rng, rng.Step, shardOf(s), func(i int, p *encodedPage) error {
		return p.each(func(have Series, sums encodedSums) error {
			if !wanted(have) {
				return nil
			}
			return sums.mergeInto(&c.Points[i].Sums)
		})
	})
	for i := range c.Points {
		c.Total.merge(&c.Points[i].Sums)
	}
	return c, err
}

// shardOf returns how a series' shard is named on each level.
func shardOf(s Series) func(*level) string {
	switch {
	case s == Series{}:
		return func(*level) string { return shardAll }
	case s.Queue != "":
		return func(l *level) string { return l.shard(s.Queue) }
	}
	return func(l *level) string { return l.shard(s.Kind) }
}

// CountsChart is the course of the counts of one kind within a queue.
type CountsChart struct {
	Series Series
	// Points has the counts of each step.
	Points []Counts
	Total  Counts
}

// Counts reads the course of the counts of every kind within every queue, in the order of their names. It is the cheap way to many
// small charts at once; times come with [Reader.Chart] and [Reader.Table].
func (r *Reader) Counts(ctx context.Context, rng Range) ([]CountsChart, error) {
	found := map[Series]*CountsChart{}
	of := func(s Series) *CountsChart {
		if found[s] == nil {
			found[s] = &CountsChart{Series: s, Points: make([]Counts, rng.Points())}
		}
		return found[s]
	}
	var like []*CountsChart // the charts of the page before, in its order: the next is mostly the same
	err := r.each(ctx, rng, rng.Step, func(*level) string { return shardTotals }, func(i int, p *encodedPage) error {
		n := 0
		return p.each(func(s Series, sums encodedSums) error {
			if s.Queue == "" {
				return nil
			}
			if n == len(like) {
				like = append(like, of(s))
			} else if like[n].Series != s {
				like[n] = of(s)
			}
			n++
			return sums.addTo(&like[n-1].Points[i])
		})
	})
	list := make([]CountsChart, 0, len(found))
	for _, c := range found {
		for i := range c.Points {
			c.Total.Add(&c.Points[i])
		}
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b CountsChart) int { return a.Series.compare(b.Series) })
	return list, err
}

// Row is one line of a table: the sums of a series over a range.
type Row struct {
	Series
	Sums
}

// By says what a table has a line for.
type By uint8

// The tables.
const (
	ByQueueAndKind By = iota
	ByQueue
	ByKind
)

// Table reads the sums of all series over a range, in the order of their names; a series with a queue or a kind narrows it
// to them. Of one queue, and of one kind by kind, it is cheap; else it reads everything there is about the range.
func (r *Reader) Table(ctx context.Context, rng Range, by By, only Series) ([]Row, error) {
	found := page{}
	wanted := func(have Series) bool {
		if only.Kind != "" && have.Kind != only.Kind {
			return false
		}
		if by == ByKind && only.Queue == "" {
			return have.Queue == "" // kinds are there by themselves
		}
		return have.Queue != "" && (only.Queue == "" || have.Queue == only.Queue)
	}
	take := func(_ int, p *encodedPage) error {
		return p.each(func(s Series, sums encodedSums) error {
			if !wanted(s) {
				return nil
			}
			switch by {
			case ByQueue:
				s.Kind = ""
			case ByKind:
				s.Queue = ""
			}
			return sums.mergeInto(found.of(s))
		})
	}
	var err error
	switch top := longest(); {
	case only.Queue != "":
		err = r.each(ctx, rng, top, shardOf(Series{Queue: only.Queue}), take)
	case by == ByKind && only.Kind != "":
		err = r.each(ctx, rng, top, shardOf(Series{Kind: only.Kind}), take)
	default:
		err = r.everything(ctx, rng, take)
	}
	rows := make([]Row, 0, len(found))
	for _, s := range slices.SortedFunc(maps.Keys(found), Series.compare) {
		rows = append(rows, Row{s, *found[s]})
	}
	return rows, err
}

func longest() time.Duration { return levels[len(levels)-1].size }
