package rollup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// begin is when the worlds of these tests begin.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ledger is a store that notes what minutes it was given, and that fails when told so.
type ledger struct {
	bellhop.Store
	mu      sync.Mutex
	minutes map[string]page // by key, of the totals
	puts    int
	calls   int
	before  func(writes []bellhop.RecordWrite) error // nil: never fails
	after   func(writes []bellhop.RecordWrite) error
}

func (l *ledger) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.before != nil {
		if err := l.before(writes); err != nil {
			return err
		}
	}
	if err := l.Store.Put(ctx, writes); err != nil {
		return err
	}
	l.puts += len(writes)
	for _, w := range writes {
		if strings.HasPrefix(w.Key, "1m/t/") {
			p := page{}
			if err := p.mergeRaw(w.Value); err != nil {
				return err
			}
			l.minutes[w.Key] = p
		}
	}
	if l.after != nil {
		return l.after(writes)
	}
	return nil
}

// mergeRaw adds a page as a record holds it.
func (p page) mergeRaw(raw []byte) error {
	e, err := open(raw, func(b []byte) string { return string(b) })
	if err != nil {
		return err
	}
	return p.merge(&e)
}

func (l *ledger) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	l.mu.Lock()
	l.calls++
	l.mu.Unlock()
	return l.Store.Records(ctx, q)
}

// truth is what all minutes together hold, from a time on.
func (l *ledger) truth(from time.Time) page {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := page{}
	for key, p := range l.minutes {
		if at, ok := levels[0].windowIn(shardTotals, key); ok && !at.Before(from) {
			for s, sums := range p {
				all.of(s).merge(sums)
				all.of(Series{}).merge(sums)
			}
		}
	}
	return all
}

// failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// world is a store with processes that count on it.
type world struct {
	t     failer
	clock *bellhop.ManualClock
	store *ledger
}

func newWorld(t failer) *world {
	clock := bellhop.NewManualClock(begin)
	return &world{t: t, clock: clock, store: &ledger{Store: memory.New(memory.WithClock(clock)), minutes: map[string]page{}}}
}

// process is one that counts.
type process struct {
	*Recorder
	*Writer
	now func() time.Time
}

// start begins a process whose reckoning of the store's clock is off by skew.
func (w *world) start(skew time.Duration) *process {
	p := &process{Recorder: NewRecorder(), now: func() time.Time { return w.clock.Now().Add(skew) }}
	p.Writer = NewWriter(w.store, p.Recorder, p.now)
	return p
}

// job counts a job that ended now.
func (p *process) job(queue, kind string, kindOf bellhop.OutcomeKind, waited, took time.Duration, failure *bellhop.Failure) {
	now := p.now()
	started := now.Add(-took)
	c := &bellhop.Claim{
		Token: bellhop.Token{JobID: bellhop.NewID(), Number: 1}, Job: &bellhop.Job{Queue: queue, Kind: kind},
		Place: bellhop.Place{Due: started.Add(-waited)},
	}
	p.Outcome(c, &bellhop.Outcome{Token: c.Token, Kind: kindOf, Started: started, Ended: now, Failure: failure}, now)
}

// reader is a reader with an empty cache whose clock is the world's.
func (w *world) reader() *Reader { return NewReader(w.store) }

func (w *world) rangeOf(from, to time.Time, step time.Duration) Range {
	w.t.Helper()
	r, err := newRange(w.clock.Now(), from, to, step)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// compare compares all that a reader tells of a range with the truth.
func (w *world) compare(rng Range, want page) {
	w.t.Helper()
	ctx := context.Background()
	r := w.reader()
	same := func(what string, got, want *Sums) {
		w.t.Helper()
		if got.Counts != want.Counts {
			w.t.Fatalf("%v: %s: %+v, want %+v", rng, what, got.Counts, want.Counts)
		}
		if got.Run.Count() != got.Attempts() || got.Wait.Count() != got.Attempts() {
			w.t.Fatalf("%v: %s: %d runs and %d waits of %d attempts", rng, what, got.Run.Count(), got.Wait.Count(), got.Attempts())
		}
	}
	all, kinds, queues := page{}, page{}, page{}
	for s, sums := range want {
		if s.Queue == "" {
			continue
		}
		all.of(Series{}).merge(sums)
		kinds.of(Series{Kind: s.Kind}).merge(sums)
		queues.of(Series{Queue: s.Queue}).merge(sums)
	}
	series := []Series{{}}
	for _, p := range []page{want, kinds, queues} {
		for s := range p { // one of each sort, whichever comes first
			series = append(series, s)
			break
		}
	}
	for _, s := range series {
		chart, err := r.Chart(ctx, rng, s)
		if err != nil {
			w.t.Fatal(err)
		}
		truth := &Sums{}
		for _, p := range []page{want, kinds, queues, all} {
			if p[s] != nil {
				truth = p[s]
			}
		}
		same(fmt.Sprintf("the chart of %+v", s), &chart.Total, truth)
	}
	counts, err := r.Counts(ctx, rng, CountsQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range counts {
		if c.Total != want[c.Series].Counts {
			w.t.Fatalf("%v: the counts of %+v are %+v, want %+v", rng, c.Series, c.Total, want[c.Series].Counts)
		}
	}
	for by, table := range map[By]page{ByQueue: queues, ByKind: kinds} {
		all, err := r.Table(ctx, rng, TableQuery{By: by})
		if err != nil {
			w.t.Fatal(err)
		}
		if len(all.Rows) != len(table) || all.More != 0 {
			w.t.Fatalf("%v: the table has %d rows and %d more, want %d", rng, len(all.Rows), all.More, len(table))
		}
		for _, row := range all.Rows {
			same(fmt.Sprintf("the row of %+v", row.Series), &row.Sums, table[row.Series])
		}
		// With a limit, it is those that come first, with the same sums.
		for _, order := range []Order{ByName, ByAttempts, ByTime} {
			some, err := r.Table(ctx, rng, TableQuery{By: by, Order: order, Limit: 2})
			if err != nil {
				w.t.Fatal(err)
			}
			if len(some.Rows) != min(len(table), 2) || some.More != max(len(table)-2, 0) {
				w.t.Fatalf("%v: the table of two has %d rows and %d more of %d", rng, len(some.Rows), some.More, len(table))
			}
			rank := func(s *Sums) int64 { return [...]int64{0, s.Attempts(), int64(s.Run.Sum())}[order] }
			least, shown := int64(math.MaxInt64), map[Series]bool{}
			for _, row := range some.Rows {
				same(fmt.Sprintf("the row of %+v of two", row.Series), &row.Sums, table[row.Series])
				least = min(least, rank(table[row.Series]))
				shown[row.Series] = true
			}
			for s, sums := range table {
				if !shown[s] && rank(sums) > least {
					w.t.Fatalf("%v: %+v is missing in the table of two", rng, s)
				}
			}
		}
	}
}

var errBroken = errors.New("the store is away")
