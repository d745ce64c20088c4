package worker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

func TestQueueLimitsHold(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		r.enqueue(many(50, bellhop.Queue("a"))...)
		r.enqueue(many(50, bellhop.Queue("b"))...)
		w := r.run(Config{Queues: Queues{"a": 3, "b": 4}}, job.With(g.handle))
		r.until("seven run", func() bool { return g.inside() == 7 })
		pass(5 * time.Second)
		expect(t, "running at once", g.inside(), 7)
		expect(t, "claimed in the store", r.in(bellhop.StateRunning), 7)
		g.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 100 })
		if _, most, all := g.read(); most != 7 || all != 100 {
			t.Errorf("%d at once and %d runs in all, want 7 and 100", most, all)
		}
		w.mustStop()
	})
}

func TestSlotsFewerThanTheSum(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		r.enqueue(many(30, bellhop.Queue("a"))...)
		r.enqueue(many(30, bellhop.Queue("b"))...)
		w := r.run(Config{Queues: Queues{"a": 5, "b": 5}, Slots: 6}, job.With(g.handle))
		r.until("six run", func() bool { return g.inside() == 6 })
		pass(3 * time.Second)
		expect(t, "running at once", g.inside(), 6)
		expect(t, "claimed in the store", r.in(bellhop.StateRunning), 6)
		g.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 60 })
		if _, most, _ := g.read(); most != 6 {
			t.Errorf("%d ran at once, want 6", most)
		}
		w.mustStop()
	})
}

// turns records in which order jobs of which queue started.
type turns struct {
	mu  sync.Mutex
	seq []string
}

func (s *turns) take(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq = append(s.seq, queue)
}

func TestStrictOrder(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var s turns
		r.enqueue(many(200, bellhop.Queue("low"))...)
		r.enqueue(many(200, bellhop.Queue("high"))...)
		w := r.run(Config{Queues: Queues{"high": 2, "low": 2}, Slots: 2, Strict: []string{"high"}},
			job.With(func(ctx context.Context, _ item) error {
				s.take(bellhop.FromContext(ctx).Job().Queue)
				time.Sleep(10 * time.Millisecond) // the bubble's clock: the work that the job stands for
				return nil
			}))
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 400 })
		for i, queue := range s.seq {
			if want := map[bool]string{true: "high", false: "low"}[i < 200]; queue != want {
				t.Fatalf("start %d was of queue %s, want %s", i, queue, want)
			}
		}
		w.mustStop()
	})
}

func TestWeightsShareSlots(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var s turns
		r.enqueue(many(4000, bellhop.Queue("heavy"))...)
		r.enqueue(many(4000, bellhop.Queue("light"))...)
		w := r.run(Config{Queues: Queues{"heavy": 4, "light": 4}, Slots: 4, Weights: map[string]int{"heavy": 3}},
			job.With(func(ctx context.Context, _ item) error {
				s.take(bellhop.FromContext(ctx).Job().Queue)
				time.Sleep(10 * time.Millisecond) // the bubble's clock: the work that the job stands for
				return nil
			}))
		r.until("four thousand done", func() bool { return r.in(bellhop.StateSucceeded) >= 4000 })
		heavy := strings.Count(strings.Join(s.seq[:4000], " "), "heavy")
		if share := float64(heavy) / 4000; share < 0.65 || share > 0.85 {
			t.Errorf("the queue of weight 3 got %.2f of the slots, want about 0.75", share)
		}
		w.mustStop()
	})
}

func TestSharedSlotsStarveNobody(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.enqueue(many(9000, bellhop.Queue("busy"))...)
		rare := r.enqueue(many(20, bellhop.Queue("rare"))...)
		w := r.run(Config{Queues: Queues{"busy": 10, "rare": 10}, Slots: 10}, job.With(func(context.Context, item) error {
			time.Sleep(20 * time.Millisecond) // the bubble's clock: the work that the job stands for
			return nil
		}))
		r.within(5*time.Second, "the rare ones done", func() bool {
			return !slices.ContainsFunc(rare, func(id bellhop.ID) bool { return r.get(id).Place.State != bellhop.StateSucceeded })
		})
		if r.in(bellhop.StateReady) == 0 {
			t.Error("the busy queue was empty before the rare one was done: the test shows nothing")
		}
		w.mustStop()
	})
}

func TestSetConcurrency(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		r.enqueue(many(50)...)
		w := r.run(Config{Queues: Queues{"default": 2}}, job.With(g.handle))
		r.until("two run", func() bool { return g.inside() == 2 })
		if err := w.SetConcurrency("default", 7); err != nil {
			t.Fatal(err)
		}
		r.within(time.Second, "seven run", func() bool { return g.inside() == 7 })
		if err := w.SetConcurrency("default", 1); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		expect(t, "left alone", g.inside(), 7)
		for _, bad := range []error{w.SetConcurrency("none", 3), w.SetConcurrency("default", 0), w.SetConcurrency("default", 100_001)} {
			if bad == nil {
				t.Error("a bad concurrency was accepted")
			}
		}
		g.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 50 })
		w.mustStop()
	})
}

// TestWants looks at the arithmetic of what is asked for.
func TestWants(t *testing.T) {
	type q struct{ limit, running, buffer, suspects, rate int }
	tests := []struct {
		name  string
		slots int
		qs    map[string]q
		short string
		all   bool
		want  string // queue:count …, then the limit
	}{
		{"empty", 0, map[string]q{"a": {limit: 5}, "b": {limit: 3}}, "", false, "a:5 b:3 limit 8"},
		{"full", 0, map[string]q{"a": {limit: 5, running: 5}}, "", true, "limit 0"},
		{"full, with a buffer, hears of pauses", 0, map[string]q{"a": {limit: 5, running: 5, buffer: 2}}, "", true, "a:0 limit 0"},
		{"full, asked by a wake-up", 0, map[string]q{"a": {limit: 5, running: 5, buffer: 2}}, "", false, "limit 0"},
		{"short queues wait", 0, map[string]q{"a": {limit: 5}, "b": {limit: 3}}, "a", false, "b:3 limit 8"},
		{"short queues at the poll", 0, map[string]q{"a": {limit: 5}, "b": {limit: 3}}, "a", true, "a:5 b:3 limit 8"},
		{"prefetch", 0, map[string]q{"a": {limit: 5, running: 5, rate: 1000}}, "", false, "a:100 limit 100"},
		{"prefetch that is there", 0, map[string]q{"a": {limit: 5, running: 5, buffer: 60, rate: 1000}}, "", false, "a:40 limit 40"},
		{"a full buffer takes nothing from others", 0, map[string]q{"a": {limit: 5, running: 5, buffer: 60}, "b": {limit: 3}}, "", false, "b:3 limit 3"},
		{"suspects take nothing from others", 0, map[string]q{"a": {limit: 5, running: 1, suspects: 90}, "b": {limit: 3}}, "", false, "a:4 b:3 limit 7"},
		{"fewer slots", 4, map[string]q{"a": {limit: 5}, "b": {limit: 3}}, "", false, "a:5 b:3 limit 4"},
		{"fewer slots, some taken", 4, map[string]q{"a": {limit: 5, running: 3}, "b": {limit: 3}}, "", false, "a:2 b:3 limit 1"},
		{"fewer slots, all taken", 4, map[string]q{"a": {limit: 5, running: 4}, "b": {limit: 3}}, "", false, "limit 0"},
		{"fewer slots, the rest promised", 4, map[string]q{"a": {limit: 5, running: 2, buffer: 2}, "b": {limit: 3}}, "", false, "limit 0"},
		{"fewer slots with prefetch", 4, map[string]q{"a": {limit: 5, running: 4, rate: 100}, "b": {limit: 3}}, "", false, "a:11 b:3 limit 10"},
		{"shrunk", 0, map[string]q{"a": {limit: 2, running: 5}, "b": {limit: 3}}, "", false, "b:3 limit 0"},
		{"a bound on one call", 0, map[string]q{"a": {limit: 5000}}, "", false, "a:1000 limit 1000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := Config{Queues: Queues{}, Slots: tt.slots}
			for name, q := range tt.qs {
				config.Queues[name] = q.limit
			}
			h := newHeld(config, time.Now())
			for name, q := range tt.qs {
				hq := h.queues[name]
				hq.running, hq.rate, hq.short = q.running, float64(q.rate), name == tt.short
				hq.buffer, hq.suspects = make([]*attempt, q.buffer), make([]*attempt, q.suspects)
				h.running += q.running
			}
			wants, limit := h.wants(tt.all)
			slices.SortFunc(wants, func(a, b bellhop.Want) int { return strings.Compare(a.Queue, b.Queue) })
			got := ""
			for _, want := range wants {
				got += fmt.Sprintf("%s:%d ", want.Queue, want.Count)
			}
			if got += fmt.Sprintf("limit %d", limit); limit == 0 && !tt.all {
				got = "limit 0"
				tt.want = tt.want[strings.Index(tt.want, "limit"):]
			}
			expect(t, "wants", got, tt.want)
		})
	}
}

func TestRateDecays(t *testing.T) {
	now := time.Now()
	h := newHeld(Config{Queues: Queues{"a": 1}}, now)
	q := h.queues["a"]
	for range 100 {
		now = now.Add(10 * time.Millisecond)
		q.done = 10
		h.reckon(now)
	}
	if math.Abs(q.rate-1000) > 10 {
		t.Errorf("after a second of 1,000 a second the rate is %.0f", q.rate)
	}
	h.reckon(now.Add(time.Second))
	if q.rate > 10 {
		t.Errorf("after an idle second the rate is %.0f, want almost nothing", q.rate)
	}
}
