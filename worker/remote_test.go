package worker

import (
	"context"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/control"
)

// A drained process takes no more jobs, lets run what runs and stays; when the
// drain is taken back it goes on.
func TestDrainedFromElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		r.enqueue(many(2)...)
		w := r.run(Config{Queues: Queues{"default": 5}}, job.With(g.handle))
		r.until("two run", func() bool { return g.inside() == 2 })
		alive, err := r.client.Processes(r.ctx)
		if err != nil || len(alive) != 1 {
			t.Fatalf("%d processes, %v", len(alive), err)
		}
		id := alive[0].ID
		if err := control.Drain(r.ctx, r.client.Store(), id, "anna"); err != nil {
			t.Fatal(err)
		}
		pass(20 * time.Second)
		r.enqueue(many(3)...)
		pass(time.Minute)
		expect(t, "run", g.total(), 2)
		expect(t, "wait", r.in(bellhop.StateReady), 3)
		g.free()
		r.until("what ran is done", func() bool { return r.in(bellhop.StateSucceeded) == 2 })
		pass(time.Minute)
		alive, _ = r.client.Processes(r.ctx)
		expect(t, "alive", len(alive), 1)
		if state, err := control.Read(r.ctx, r.client.Store()); err != nil || !state.Drains(id) || state.Drained[id].By != "anna" {
			t.Errorf("in force is %+v, %v", state, err)
		}
		if err := control.Undrain(r.ctx, r.client.Store(), id); err != nil {
			t.Fatal(err)
		}
		r.within(20*time.Second, "the others are done", func() bool { return r.in(bellhop.StateSucceeded) == 5 })
		w.mustStop()
	})
}

// The concurrency that was set from elsewhere holds against the program's own,
// which is back when it is taken away.
func TestConcurrencyFromElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		r.enqueue(many(50)...)
		w := r.run(Config{Queues: Queues{"default": 2, "other": 1}}, job.With(g.handle))
		r.until("two run", func() bool { return g.inside() == 2 })
		set := func(n int) {
			t.Helper()
			if err := control.SetConcurrency(r.ctx, r.client.Store(), "default", n, "anna"); err != nil {
				t.Fatal(err)
			}
		}
		set(5)
		r.within(20*time.Second, "five run", func() bool { return g.inside() == 5 })
		if err := w.SetConcurrency("default", 8); err != nil {
			t.Fatal(err)
		}
		pass(20 * time.Second)
		expect(t, "still run", g.inside(), 5)
		set(0)
		r.within(20*time.Second, "eight run", func() bool { return g.inside() == 8 })
		g.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 50 })
		w.mustStop()
	})
}

// What became of a dead process's jobs is kept for people.
func TestGoneIsNoted(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.enqueue(many(3)...)
		dead := bellhop.Process{ID: bellhop.NewID(), Name: "dead", Host: "h", StartedAt: time.Now(), Queues: []string{"default"}}
		if _, err := r.store.Beat(r.ctx, &bellhop.Beat{Process: dead, Lease: 5 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		reply, err := r.store.Exchange(r.ctx, &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: dead.ID, Limit: 2, Kinds: []string{"test.job"}, Wants: []bellhop.Want{{Queue: "default", Count: 2}},
		})
		if err != nil || len(reply.Claims) != 2 {
			t.Fatalf("claimed %d, %v", len(reply.Claims), err)
		}
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(context.Context, item) error { return nil }))
		r.within(10*time.Minute, "all done", func() bool { return r.in(bellhop.StateSucceeded) == 3 })
		list, next, err := control.ListGone(r.ctx, r.client.Store(), "", 10)
		if err != nil || len(list) != 1 || next != "" {
			t.Fatalf("%d records, next %q, %v", len(list), next, err)
		}
		if g := list[0]; g.Process != dead.ID || g.Name != "dead" || len(g.Jobs) != 2 || g.Retried != 2 || g.Dead != 0 || g.LastBeat.IsZero() || g.SweptAt.IsZero() {
			t.Errorf("the record is %+v", g)
		}
		w.mustStop()
	})
}
