package rollup

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// minutely is a store that counts the records of minutes that it hands over: of totals, and of what clients have enqueued in queues.
type minutely struct {
	bellhop.Store
	totals, enqueued atomic.Int64 // several calls read at once
}

func (m *minutely) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	list, err := m.Store.Records(ctx, q)
	for _, r := range list {
		switch {
		case strings.HasPrefix(r.Key, "1m/"+shardTotals):
			m.totals.Add(1)
		case strings.HasPrefix(r.Key, enqueuedInQueues):
			m.enqueued.Add(1)
		}
	}
	return list, err
}

// Minutes are read from the courses of windows that have been merged, of all processes at once, and those are what all processes have written.
func TestMinutesComeFromCourses(t *testing.T) {
	const minutes, processes = 57, 4
	w := newWorld(t)
	var all []*process
	for range processes {
		all = append(all, w.start(0))
	}
	ended := func(minute int) int64 { return int64(processes * (minute % 7)) } // none in some
	enqueued := func(minute int) int64 { return int64(processes * (minute % 5)) }
	for minute := range minutes {
		for i, p := range all {
			for range minute % 7 {
				p.job("mail", fmt.Sprintf("kind-%d", i%2), bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
			}
			if minute%5 > 0 {
				key := "/" + w.clock.Now().UTC().Format(windowForm) + fmt.Sprintf("/client-%d", i)
				err := w.store.Put(t.Context(), []bellhop.RecordWrite{
					{Space: bellhop.EnqueuedSpace, Key: "all" + key, Value: fmt.Appendf(nil, " a=%d\n", minute%5), Expect: bellhop.ExpectAny},
					{Space: bellhop.EnqueuedSpace, Key: "queues" + key, Value: fmt.Appendf(nil, "mail a=%d\nother a=1\n", minute%5), Expect: bellhop.ExpectAny},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Write(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.Merge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.Advance(time.Minute)
	}
	for _, way := range []string{"with courses", "without"} {
		store := &minutely{Store: w.store}
		r, rng := NewReader(store), w.rangeOf(begin, begin.Add(minutes*time.Minute), time.Minute)
		counts, err := r.Counts(t.Context(), rng, CountsQuery{By: ByQueue})
		if err != nil || len(counts) != 1 {
			t.Fatalf("%s: %d courses, %v; want one", way, len(counts), err)
		}
		chart, err := r.Chart(t.Context(), rng, Series{Queue: "mail"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range minutes {
			if got := counts[0].Points[i]; got != (Counts{Succeeded: ended(i)}) {
				t.Errorf("%s: minute %d has the counts %+v, want %d", way, i, got, ended(i))
			}
			if got := chart.Points[i]; got.Succeeded != ended(i) || got.Enqueued != enqueued(i) || got.Run.Count() != ended(i) {
				t.Errorf("%s: minute %d of the chart has %+v, want %d and %d enqueued", way, i, got.Counts, ended(i), enqueued(i))
			}
		}
		// The minutes of five windows come from two records each; of the last seven those are read that have something.
		totals, enqueued := store.totals.Load(), store.enqueued.Load()
		if way == "with courses" && (totals != 6*processes || enqueued != 5*processes) {
			t.Errorf("%d records of totals and %d of what was enqueued were read, want %d and %d", totals, enqueued, 6*processes, 5*processes)
		} else if way == "without" && totals <= 40*processes {
			t.Errorf("without courses %d records of totals were read", totals)
		}
		var gone []bellhop.RecordWrite
		for at := begin; at.Before(w.clock.Now()); at = at.Add(levels[tens].size) {
			for _, shard := range []string{shardCourse, shardEnqueued} {
				gone = append(gone, bellhop.RecordWrite{Space: Space, Key: levels[tens].key(shard, at), Expect: bellhop.ExpectAny, Delete: true})
			}
		}
		if err := w.store.Put(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
}

// A course that is cut off anywhere is an error, or holds what came before; it is never read as something else, and nothing panics.
func TestDamagedCourse(t *testing.T) {
	var c course
	for i := range 3 {
		c.of(begin, begin.Add(time.Duration(2*i)*time.Minute), Series{"q", "k"}).Succeeded = int64(i + 1)
	}
	raw := c.encode()
	name := func(b []byte) string { return string(b) }
	for cut := range raw {
		p, err := open(raw[:cut], name)
		if err != nil {
			continue
		}
		for i := range 10 {
			page, any, err := p.minute(i)
			if err != nil || !any {
				continue
			}
			if _, err := page.ofShard(0); err != nil {
				t.Errorf("cut at %d: minute %d: %v", cut, i, err)
			}
			sums := Counts{}
			err = page.each(func(_ Series, e encodedSums) error { _, err := e.addTo(&sums); return err })
			if want := int64(i/2 + 1); err != nil || sums.Succeeded != want {
				t.Errorf("cut at %d: minute %d has %d, %v; want %d", cut, i, sums.Succeeded, err, want)
			}
		}
	}
}
