package worker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// TestWhatAttemptsCameToIsKept: ten seconds after the last one, and at the end of a worker at once.
func TestWhatAttemptsCameToIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		handler := job.With(func(_ context.Context, v item) error {
			time.Sleep(200 * time.Millisecond) // that long an attempt runs, by the bubble's clock
			switch v.N % 5 {
			case 1:
				return bellhop.Dead(errors.New("no such user"))
			case 2:
				return bellhop.Discard(errors.New("late"))
			}
			return nil
		})
		total := func() *rollup.Sums {
			t.Helper()
			reader := rollup.NewReader(r.store)
			rng, err := reader.Last(t.Context(), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			chart, err := reader.Chart(t.Context(), rng, rollup.Series{Queue: "default", Kind: job.Kind()})
			if err != nil {
				t.Fatal(err)
			}
			return &chart.Total
		}
		w := r.run(Config{Queues: Queues{"default": 10}, Version: "v1"}, handler)
		pass(30 * time.Second)
		r.enqueue(many(50)...)
		r.until("all have ended", func() bool { return r.in(bellhop.StateReady, bellhop.StateRunning) == 0 })
		pass(10 * time.Second)
		want := rollup.Counts{Enqueued: 50, Succeeded: 30, Dead: 10, Discarded: 10}
		got := total()
		if got.Counts != want {
			t.Errorf("ten seconds later %+v is kept, want %+v", got.Counts, want)
		}
		if p50 := got.Run.Quantile(0.5); p50 < 196*time.Millisecond || p50 > 204*time.Millisecond || got.Wait.Count() != 50 {
			t.Errorf("they ran for %v, and %d waited", p50, got.Wait.Count())
		}
		r.enqueue(many(5)...)
		r.until("all have ended", func() bool { return r.in(bellhop.StateReady, bellhop.StateRunning) == 0 })
		w.mustStop()
		if got := total(); got.Attempts() != 55 {
			t.Errorf("%d attempts are kept after the end, want 55", got.Attempts())
		}
		reader := rollup.NewReader(r.store)
		marks, err := reader.Marks(t.Context(), time.Now().Add(-time.Hour), time.Now())
		if err != nil || !slices.ContainsFunc(marks, func(m rollup.Mark) bool { return m.Version == "v1" }) {
			t.Errorf("the marks are %v, %v", marks, err)
		}
	})
}

// TestWhatDiesIsCountedAsCrashed by the process that takes it back.
func TestWhatDiesIsCountedAsCrashed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.enqueue(many(1)...)
		dead := bellhop.Process{ID: bellhop.NewID(), Name: "dead", Queues: []string{"default"}, Kinds: []string{job.Kind()}, Slots: 1}
		if _, err := r.store.Beat(r.ctx, &bellhop.Beat{Process: dead, Lease: time.Second}); err != nil {
			t.Fatal(err)
		}
		reply, err := r.store.Exchange(r.ctx, &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: dead.ID, Kinds: dead.Kinds, Wants: []bellhop.Want{{Queue: "default", Count: 1}}, Limit: 1,
		})
		if err != nil || len(reply.Claims) != 1 {
			t.Fatalf("%v, %v", reply, err)
		}
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(ok))
		r.until("it has run", func() bool { return r.in(bellhop.StateSucceeded) == 1 })
		w.mustStop()
		reader := rollup.NewReader(r.store)
		rng, err := reader.Last(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		chart, err := reader.Chart(t.Context(), rng, rollup.Series{})
		failed, err2 := reader.Failures(t.Context(), rng, "")
		if err2 == nil {
			err2 = reader.Describe(t.Context(), rng, failed.Groups)
		}
		if err != nil || err2 != nil || chart.Total.Crashed != 1 || chart.Total.Succeeded != 1 || chart.Total.Run.Count() != 1 {
			t.Errorf("%+v, %d runs; %v, %v", chart.Total.Counts, chart.Total.Run.Count(), err, err2)
		}
		if err := reader.Describe(t.Context(), rng, failed.Groups); err != nil || len(failed.Groups) != 1 || failed.Groups[0].Class != "crash" {
			t.Errorf("the failures are %+v; %v", failed.Groups, err)
		}
	})
}
