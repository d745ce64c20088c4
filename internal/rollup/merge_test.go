package rollup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"pgregory.net/rapid"
)

// TestNothingIsCountedTwiceOrLost lets processes count, write, merge, die and be cut off in any order, with clocks that differ, and
// compares what readers see at any time, over any range, with what was written.
func TestNothingIsCountedTwiceOrLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		ctx := context.Background()
		var alive []*process
		skew := func() time.Duration { return time.Duration(rapid.IntRange(-25, 25).Draw(t, "skew")) * time.Second }
		pick := func() *process { return alive[rapid.IntRange(0, len(alive)-1).Draw(t, "process")] }
		alive = append(alive, w.start(skew()))
		faults := false
		// A call fails before or after its effect, and what it belongs to is over with it.
		fail := func() func() {
			left, late := rapid.IntRange(0, 12).Draw(t, "calls until the fault"), rapid.Bool().Draw(t, "after its effect")
			broken := func([]bellhop.RecordWrite) error {
				if left--; left < 0 {
					return errBroken
				}
				return nil
			}
			if late {
				w.store.after = broken
			} else {
				w.store.before = broken
			}
			return func() { w.store.before, w.store.after = nil, nil }
		}
		most := 60
		if testing.Short() {
			most = 20
		}
		steps := rapid.IntRange(5, most).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				p := pick()
				for range rapid.IntRange(1, 5).Draw(t, "jobs") {
					kind := bellhop.OutcomeKind(rapid.IntRange(1, 3).Draw(t, "outcome"))
					p.job(fmt.Sprintf("q%d", rapid.IntRange(0, 4).Draw(t, "queue")), fmt.Sprintf("k%d", rapid.IntRange(0, 2).Draw(t, "kind")),
						kind, time.Second, time.Millisecond, nil)
				}
			case 3, 4:
				if err := pick().Write(ctx); err != nil {
					t.Fatal(err)
				}
			case 5:
				if err := pick().Merge(ctx); err != nil {
					t.Fatal(err)
				}
			case 6: // cut off, or dead
				i := rapid.IntRange(0, len(alive)-1).Draw(t, "victim")
				mend := fail()
				faults = true
				if rapid.Bool().Draw(t, "while it merges") {
					_ = alive[i].Merge(ctx)
				} else {
					_ = alive[i].Write(ctx)
				}
				mend()
				if rapid.Bool().Draw(t, "dead") {
					alive[i] = w.start(skew())
				}
			case 7:
				if len(alive) < 4 {
					alive = append(alive, w.start(skew()))
				}
			case 8, 9:
				w.clock.Advance(time.Duration(rapid.SampledFrom([]int{5, 20, 60, 300, 1500}).Draw(t, "seconds")) * time.Second)
			}
		}
		// All write what they have, and some time later all has been merged. Meanwhile it looks the same, unless somebody died who
		// was to merge something again.
		for _, p := range alive {
			if err := p.Write(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for range 6 {
			if faults {
				faults = false
				w.clock.Advance(mergeSpread)
				for range 20 {
					for _, p := range alive {
						if err := p.Merge(ctx); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			now := w.clock.Now()
			for _, ago := range []time.Duration{3 * time.Hour, 26 * time.Hour, Longest} {
				rng := w.rangeOf(now.Add(-ago), now.Add(2*time.Minute), 0) // clocks that go fast have written ahead
				rng.Now = now.Add(2 * time.Minute)
				if ago > 26*time.Hour || w.clock.Now().Sub(begin) < 150*time.Minute {
					w.compare(rng, w.store.truth(rng.From))
				}
			}
			w.clock.Advance(13 * time.Minute)
			for range 4 {
				for _, p := range alive {
					if err := p.Merge(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// TestMergesRace lets several processes merge the same windows at once while others write late.
func TestMergesRace(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	var list []*process
	for range 4 {
		list = append(list, w.start(0))
	}
	for minute := range 25 {
		for i, p := range list {
			for range 1 + rand.IntN(20) {
				p.job(fmt.Sprintf("q%d", rand.IntN(8)), fmt.Sprintf("k%d", rand.IntN(2)), bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
			}
			if i == 3 && minute > 3 {
				continue // it is cut off, and writes late
			}
			if err := p.Write(ctx); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.Advance(time.Minute)
	}
	w.clock.Advance(10 * time.Minute)
	var wg sync.WaitGroup
	for i, p := range list {
		wg.Go(func() {
			if i == 3 {
				if err := p.Write(ctx); err != nil {
					t.Error(err)
				}
			}
			for range 20 {
				if err := p.Merge(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	now := w.clock.Now()
	w.compare(w.rangeOf(now.Add(-time.Hour), now, 0), w.store.truth(begin))
	w.compare(w.rangeOf(now.Add(-20*time.Hour), now, 0), w.store.truth(begin))
	if records, err := w.store.Records(ctx, &bellhop.RecordQuery{Space: Space, Prefix: "10m/t/"}); err != nil || len(records) != 3 {
		t.Errorf("%d merged windows, %v; want 3", len(records), err)
	}
}
