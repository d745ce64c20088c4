package worker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/storetest"
)

// drainer runs four jobs and holds sixteen more that have not started.
func drainer(t *testing.T, r *rig, config Config, handler func(context.Context, item) error) (*running, []bellhop.ID) {
	t.Helper()
	config.Queues = Queues{"default": 4}
	w := r.run(config, job.With(handler))
	r.until("it began", func() bool { return w.Ready() == nil })
	w.mu.Lock()
	w.held.queues["default"].rate = 1000 // as if it had earned prefetch
	w.mu.Unlock()
	ids := r.enqueue(many(20)...)
	r.within(200*time.Millisecond, "it holds twenty", func() bool { return r.in(bellhop.StateRunning) == 20 })
	return w, ids
}

func TestDrainWaitsForWhatRuns(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		w, ids := drainer(t, r, Config{}, g.handle)
		began := time.Now()
		w.end()
		r.within(10*time.Millisecond, "what has not started is handed back at once", func() bool {
			return r.in(bellhop.StateReady) == 16 && r.in(bellhop.StateRunning) == 4
		})
		if w.Ready() == nil {
			t.Error("a worker that drains says that it is ready")
		}
		pass(15 * time.Second)
		g.free()
		if err := <-w.done; err != nil {
			t.Errorf("Run returned %v", err)
		}
		expect(t, "took", time.Since(began), 15*time.Second)
		expect(t, "done", r.in(bellhop.StateSucceeded), 4)
		expect(t, "left in the store as running", r.in(bellhop.StateRunning), 0)
		for _, id := range ids {
			if p := r.get(id).Place; p.State == bellhop.StateReady && (p.Attempt != 0 || p.Failures != 0) {
				t.Errorf("a job that was handed back has counted: %+v", p)
			}
		}
		expect(t, "processes", len(r.processes()), 0)
	})
}

func TestDrainCutsShort(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		w, ids := drainer(t, r, Config{}, g.handle)
		began := time.Now()
		w.mustStop()
		expect(t, "took", time.Since(began), DefaultGrace)
		expect(t, "ready again", r.in(bellhop.StateReady), 20)
		cut := 0
		for _, id := range ids {
			s := r.get(id)
			expect(t, "failures", s.Place.Failures, 0)
			if s.Place.Attempt == 1 {
				cut++
				expect(t, "reason", s.Place.Reason, "cut short by a shutdown")
			}
		}
		expect(t, "cut short", cut, 4)
	})
}

func TestDrainLeavesDeafHandlersToTheirLease(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		w, _ := drainer(t, r, Config{}, g.deaf)
		began := time.Now()
		err := w.stop()
		if err == nil || !strings.Contains(err.Error(), "4 handlers did not listen") {
			t.Errorf("Run returned %v", err)
		}
		expect(t, "took", time.Since(began), DefaultShutdown)
		expect(t, "still running in the store", r.in(bellhop.StateRunning), 4)
		expect(t, "handed back", r.in(bellhop.StateReady), 16)
		expect(t, "processes", len(r.processes()), 1)

		other := newGate(t)
		other.free()
		next := r.run(Config{Queues: Queues{"default": 4}}, job.With(other.handle))
		pass(10 * time.Second)
		expect(t, "taken over before the lease was over", r.in(bellhop.StateRunning), 4)
		r.within(20*time.Second, "taken over after it", func() bool { return r.in(bellhop.StateSucceeded) == 20 })
		g.free()
		next.mustStop()
	})
}

func TestHurry(t *testing.T) {
	for _, early := range []bool{true, false} {
		bubble(t, func(t *testing.T, r *rig) {
			g := newGate(t)
			w, _ := drainer(t, r, Config{}, g.handle)
			began := time.Now()
			if early {
				w.Hurry()
				w.end()
			} else {
				w.end()
				pass(3 * time.Second)
				w.Hurry()
			}
			w.Hurry() // again is harmless
			if err := <-w.done; err != nil {
				t.Errorf("Run returned %v", err)
			}
			if took := time.Since(began); took > 3*time.Second || early && took > 0 {
				t.Errorf("took %v", took)
			}
			expect(t, "ready again", r.in(bellhop.StateReady), 20)
		})
	}
}

func TestHurryDoesNotWaitLongForTheDeaf(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		w, _ := drainer(t, r, Config{}, g.deaf)
		began := time.Now()
		w.Hurry()
		if err := w.stop(); err == nil {
			t.Error("Run returned nil with handlers left behind")
		}
		expect(t, "took", time.Since(began), DefaultShutdown-DefaultGrace)
	})
}

// TestDrainIsNoTrouble stops workers in the middle of calls to the store. These
// calls fail, because their loops are stopped; that is nobody's trouble.
func TestDrainIsNoTrouble(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		slow := storetest.NewSlow(r.store, func(bellhop.Op) time.Duration { return 200 * time.Millisecond })
		for i := range 20 {
			w := r.runOn(r.newClient(slow), Config{Queues: Queues{"default": 4}}, job.With(ok))
			r.enqueue(many(10)...)
			pass(time.Second + time.Duration(i)*23*time.Millisecond)
			w.mustStop()
		}
		expect(t, "lines about a store in trouble", r.log.count("does not answer"), 0)
	})
}

func TestDrainWithTheStoreAway(t *testing.T) {
	for _, mode := range []storetest.FaultMode{storetest.Before, storetest.Hang, storetest.SwallowReply} {
		bubble(t, func(t *testing.T, r *rig) {
			g := newGate(t)
			w, _ := drainer(t, r, Config{}, g.handle)
			r.faulty.FailAll(mode, storetest.Always, nil)
			began := time.Now()
			err := w.stop()
			if err == nil || !strings.Contains(err.Error(), "left to the lease") {
				t.Errorf("%v: Run returned %v", mode, err)
			}
			if took := time.Since(began); took > DefaultShutdown+2*time.Second {
				t.Errorf("%v: took %v", mode, took)
			}
		})
		bubble(t, func(t *testing.T, r *rig) { // and with the store back in time
			g := newGate(t)
			w, _ := drainer(t, r, Config{}, g.handle)
			r.faulty.FailAll(mode, storetest.Always, nil)
			w.end()
			pass(10 * time.Second)
			r.faulty.Heal()
			if err := <-w.done; err != nil {
				t.Errorf("%v: Run returned %v", mode, err)
			}
			expect(t, "ready again", r.in(bellhop.StateReady), 20)
		})
	}
}

func TestDrainWhileAnExchangeIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		slow := storetest.NewSlow(r.store, func(op bellhop.Op) time.Duration {
			if op == bellhop.OpExchange {
				return 200 * time.Millisecond
			}
			return 0
		})
		for i := range 40 {
			w := r.runOn(r.newClient(slow), Config{Queues: Queues{"default": 4}}, job.With(ok))
			r.enqueue(many(10)...)
			pass(time.Duration(i) * 23 * time.Millisecond)
			w.mustStop()
			expect(t, "left running", r.in(bellhop.StateRunning), 0)
		}
		expect(t, "kept", r.in(bellhop.StateReady, bellhop.StateSucceeded), 400)
	})
}

func TestRunThatEndsAsItBegins(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		slow := storetest.NewSlow(r.store, func(bellhop.Op) time.Duration { return 100 * time.Millisecond })
		for _, after := range []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond} {
			w := r.runOn(r.newClient(slow), Config{Queues: Queues{"default": 4}}, job.With(ok))
			pass(after)
			w.mustStop()
			expect(t, "processes", len(r.processes()), 0)
		}
	})
}

func TestTwoRunsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 4}}, job.With(ok))
		r.until("it began", func() bool { return w.Ready() == nil })
		if err := w.Run(r.ctx); err == nil {
			t.Error("a second Run was accepted")
		}
		w.mustStop()
	})
}
