package rollup

import (
	"context"
	"fmt"
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
	_, err := r.each(ctx, rng, rng.Step, withEnqueued(of(s)), func(in frame, p *encodedPage) error {
		return p.each(func(have Series, sums encodedSums) error {
			if have.Queue != s.Queue || have.Kind != s.Kind && (s.Kind != "" || s.Queue == "") {
				return nil
			}
			return sums.mergeInto(&c.Points[in.step].Sums)
		})
	})
	for i := range c.Points {
		c.Total.merge(&c.Points[i].Sums)
	}
	return c, err
}

// By says what a table has a line for.
type By uint8

// The tables.
const (
	ByQueueAndKind By = iota
	ByQueue
	ByKind
)

// line returns in which line of a table a kind within a queue is counted.
func (by By) line(s Series) Series {
	switch by {
	case ByQueue:
		s.Kind = ""
	case ByKind:
		s.Queue = ""
	}
	return s
}

// CountsChart is the course of the counts of one line.
type CountsChart struct {
	Series Series
	// Points has the counts of each step.
	Points []Counts
	Total  Counts
}

// CountsQuery says of which lines counts are wanted.
type CountsQuery struct {
	By By
	// Only narrows them to a queue, to a kind, or to a kind within a queue.
	Only Series
	// Wanted tells whether a line is wanted; nil wants all.
	Wanted func(line Series) bool
}

// Counts reads the course of how attempts ended in lines, in the order of their names. It is the cheap way to many small charts at once:
// Enqueued, which comes from elsewhere, is 0, and lines without attempts are left out. What was enqueued, and times, come with [Reader.Chart] and [Reader.Table].
func (r *Reader) Counts(ctx context.Context, rng Range, q CountsQuery) ([]CountsChart, error) {
	found := map[Series]*CountsChart{}
	type known struct {
		Series
		chart *CountsChart // nil: not wanted
	}
	find := func(s Series) known {
		line := q.By.line(s)
		if q.Only.Queue != "" && s.Queue != q.Only.Queue || q.Only.Kind != "" && s.Kind != q.Only.Kind {
			return known{s, nil}
		}
		if found[line] == nil && (q.Wanted == nil || q.Wanted(line)) {
			found[line] = &CountsChart{Series: line, Points: make([]Counts, rng.Points())}
		}
		return known{s, found[line]}
	}
	var like []known // what the page before had, in its order: the next is mostly the same
	_, err := r.each(ctx, rng, rng.Step, just(shardTotals), func(in frame, p *encodedPage) error {
		n := 0
		return p.each(func(s Series, sums encodedSums) error {
			if n == len(like) {
				like = append(like, find(s))
			} else if like[n].Series != s {
				like[n] = find(s)
			}
			chart := like[n].chart
			if n++; chart == nil {
				return nil
			}
			_, err := sums.addTo(&chart.Points[in.step])
			return err
		})
	})
	list := make([]CountsChart, 0, len(found))
	for _, c := range found {
		for i := range c.Points {
			c.Points[i].Enqueued = 0 // only windows that were merged have it
			c.Total.Add(&c.Points[i])
		}
		if !c.Total.IsZero() {
			list = append(list, *c)
		}
	}
	slices.SortFunc(list, func(a, b CountsChart) int { return a.Series.compare(b.Series) })
	return list, err
}

func longest() time.Duration { return levels[len(levels)-1].size }
