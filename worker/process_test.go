package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/storetest"
)

// ledger counts what handlers did: runs that came to their end, by job.
type ledger struct {
	mu   sync.Mutex
	runs map[bellhop.ID]int
}

func (l *ledger) add(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = map[bellhop.ID]int{}
	}
	l.runs[bellhop.FromContext(ctx).Job().ID]++
}

// twice returns how many jobs came to their end more than once.
func (l *ledger) twice() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, runs := range l.runs {
		if runs > 1 {
			n++
		}
	}
	return n
}

// sweepAway makes the store believe that the worker's process is gone, without
// touching its claims.
func (r *rig) sweepAway(w *running) bellhop.ID {
	r.t.Helper()
	w.mu.Lock()
	id := w.process.ID
	w.mu.Unlock()
	if _, err := r.store.Beat(r.ctx, &bellhop.Beat{Process: bellhop.Process{ID: id}, Leave: true}); err != nil {
		r.t.Fatal(err)
	}
	return id
}

func TestProcessThatIsHeldDeadBeginsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var l ledger
		w := r.run(Config{Queues: Queues{"default": 10}}, job.With(func(ctx context.Context, v item) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Duration(v.N%7) * 100 * time.Millisecond): // the work that the job stands for
			}
			l.add(ctx)
			return nil
		}))
		r.enqueue(many(300)...)
		for range 5 {
			pass(777 * time.Millisecond)
			old := r.sweepAway(w)
			r.within(time.Second, "a new incarnation", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.process.ID != old && w.alive
			})
		}
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 300 })
		expect(t, "successes told", r.countType(bellhop.EventSucceeded), 300)
		expect(t, "lines about it", r.log.count("begins again"), 5)
		expect(t, "alive processes", len(r.processes()), 1)
		// An attempt that ended as it was cut off counts if its token still fits.
		if n := l.twice(); n > r.countStale() {
			t.Errorf("%d jobs came to their end twice, with %d stale attempts", n, r.countStale())
		}
		w.mustStop()
		expect(t, "alive processes after it left", len(r.processes()), 0)
	})
}

func (r *rig) processes() []bellhop.ProcessStatus {
	r.t.Helper()
	list, err := r.store.Processes(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func TestOutcomesOutliveTheirProcess(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		w := r.run(Config{Queues: Queues{"default": 10}}, job.With(g.handle))
		ids := r.enqueue(many(10)...)
		r.until("ten run", func() bool { return g.inside() == 10 })
		// The exchange that carries the outcomes fails until the process is held dead.
		r.faulty.Fail(bellhop.OpExchange, storetest.Before, storetest.Always, nil)
		g.free()
		pass(time.Second)
		r.sweepAway(w)
		r.faulty.Heal()
		r.within(3*time.Second, "the outcomes count", func() bool { return r.in(bellhop.StateSucceeded) == 10 })
		expect(t, "runs", g.total(), 10)
		for _, id := range ids {
			expect(t, "failures", r.get(id).Place.Failures, 0)
		}
		w.mustStop()
	})
}

// TestFrozenProcess cuts one of two workers off beyond its lease; what it says
// when it is back must not be believed, and nothing may be lost.
func TestFrozenProcess(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		frozenRuns, otherRuns := newGate(t), newGate(t)
		frozen := r.run(Config{Queues: Queues{"default": 5}}, job.With(frozenRuns.deaf))
		ids := r.enqueue(many(5)...)
		r.until("five run", func() bool { return frozenRuns.inside() == 5 })

		r.faulty.FailAll(storetest.Hang, storetest.Always, nil)
		cutOff := time.Now()
		other := r.runOn(r.newClient(r.store), Config{Queues: Queues{"default": 5}}, job.With(otherRuns.handle))
		r.within(30*time.Second, "the other works on the first of them", func() bool { return otherRuns.inside() >= 1 })
		if took := time.Since(cutOff); took < 15*time.Second {
			t.Errorf("taken over after %v, before the lease was over", took)
		}
		expect(t, "suspects at once", otherRuns.inside(), 1)

		r.faulty.Heal()
		frozenRuns.free() // its handlers succeed, too late
		pass(20 * time.Second)
		expect(t, "stale outcomes believed", r.in(bellhop.StateSucceeded), 0)
		expect(t, "stale outcomes told", r.countStale(), 5)
		otherRuns.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 5 })
		for _, id := range ids {
			s := r.get(id)
			if s.Place.Failures != 1 || s.Place.Crashes != 0 || s.Place.Suspect {
				t.Errorf("after a sweep and a success: %+v", s.Place)
			}
		}
		frozen.mustStop()
		other.mustStop()
	})
}

func TestSuspectsRunOneAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		suspects := r.enqueue(many(30)...)
		r.leaveRunning(suspects)
		others := r.enqueue(many(200)...)
		isSuspect := map[bellhop.ID]bool{}
		for _, id := range suspects {
			isSuspect[id] = true
		}
		var mu sync.Mutex
		now, most, done, beside := 0, 0, 0, 0
		w := r.run(Config{Queues: Queues{"default": 10}}, job.With(func(ctx context.Context, _ item) error {
			if !isSuspect[bellhop.FromContext(ctx).Job().ID] {
				mu.Lock()
				beside += now
				mu.Unlock()
				time.Sleep(100 * time.Millisecond) // the bubble's clock: the work that the job stands for
				return nil
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(100 * time.Millisecond) // the bubble's clock: the work that the job stands for
			mu.Lock()
			now--
			done++
			mu.Unlock()
			return nil
		}))
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 230 })
		if most != 1 || done != 30 || beside == 0 {
			t.Errorf("%d suspects at once, %d runs of suspects, beside others %d times; want 1, 30, and some", most, done, beside)
		}
		for _, id := range others {
			if p := r.get(id).Place; p.Failures != 0 {
				t.Fatalf("a job beside the suspects is blamed: %+v", p)
			}
		}
		w.mustStop()
	})
}

// leaveRunning claims jobs for a process that dies at once.
func (r *rig) leaveRunning(ids []bellhop.ID) {
	r.t.Helper()
	p := bellhop.Process{ID: bellhop.NewID(), StartedAt: time.Now()}
	if _, err := r.store.Beat(r.ctx, &bellhop.Beat{Process: p, Lease: time.Second}); err != nil {
		r.t.Fatal(err)
	}
	reply, err := r.store.Exchange(r.ctx, &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: p.ID, Kinds: []string{job.Kind()},
		Wants: []bellhop.Want{{Queue: "default", Count: len(ids)}}, Limit: len(ids),
	})
	if err != nil || len(reply.Claims) != len(ids) {
		r.t.Fatalf("claimed %d of %d: %v", len(reply.Claims), len(ids), err)
	}
	pass(2 * time.Second)
}

// TestPoisonJob lets one of many jobs kill each process that runs it. A process
// dies here by being cut off for ever with all that it holds.
func TestPoisonJob(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		const poison = 500
		ids := r.enqueue(many(1001)...)
		for life := 1; r.get(ids[poison]).Place.State != bellhop.StateDead; life++ {
			if life > 1+bellhop.MaxCrashes+1 { // one death makes it a suspect, three count, and one life finds it dead
				t.Fatalf("life %d, and the poison job is still %+v", life, r.get(ids[poison]).Place)
			}
			faulty := storetest.NewFaulty(r.store)
			died := make(chan struct{})
			w := r.runOn(r.newClient(faulty), Config{Queues: Queues{"default": 10}, Shutdown: 10 * time.Second}, job.With(func(ctx context.Context, v item) error {
				if v.N == poison {
					faulty.FailAll(storetest.Before, storetest.Always, nil)
					close(died)
				}
				select {
				case <-died:
					return errors.New("a dead process says nothing")
				case <-time.After(10 * time.Millisecond): // the work that the job stands for
					return nil
				}
			}))
			r.until("it dies, or finds the poison", func() bool {
				select {
				case <-died:
					return true
				default:
					return r.get(ids[poison]).Place.State == bellhop.StateDead
				}
			})
			_ = w.stop()
			pass(30 * time.Second)
		}
		w := r.run(Config{Queues: Queues{"default": 10}}, job.With(ok))
		r.until("all others are done", func() bool { return r.in(bellhop.StateSucceeded) == 1000 })
		w.mustStop()
		p := r.get(ids[poison]).Place
		if p.Crashes != 3 || p.State != bellhop.StateDead {
			t.Errorf("the poison job: %+v", p)
		}
		for i, id := range ids {
			if p := r.get(id).Place; i != poison && (p.Crashes != 0 || p.State != bellhop.StateSucceeded) {
				t.Errorf("job %d is blamed: %+v", i, p)
			}
		}
	})
}

func TestStartOfASuspectThatCannotBeRecorded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		ids := r.enqueue(many(3)...)
		r.leaveRunning(ids)
		g := newGate(t)
		g.free()
		for _, mode := range []storetest.FaultMode{storetest.Before, storetest.After} {
			r.faulty.Fail(bellhop.OpReport, mode, 2, nil)
			w := r.run(Config{Queues: Queues{"default": 2}}, job.With(g.handle))
			r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 3 })
			w.mustStop()
			expect(t, "faults "+fmt.Sprint(mode), r.faulty.Struck(bellhop.OpReport) >= 2, true)
		}
		expect(t, "runs", g.total(), 3)
		for _, id := range ids {
			expect(t, "failures", r.get(id).Place.Failures, 1)
		}
	})
}

func TestClaimsThatNobodyKnowsAreHandedBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 2}}, job.With(ok))
		r.until("it began", func() bool { return w.Ready() == nil })
		if err := r.client.Pause(r.ctx, "default"); err != nil {
			t.Fatal(err)
		}
		ids := r.enqueue(many(5)...)
		// A claim in the worker's name of which it has never heard.
		if err := r.client.Resume(r.ctx, "default"); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		process := w.process.ID
		w.mu.Unlock()
		if _, err := r.store.Exchange(r.ctx, &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: process, Kinds: []string{job.Kind()}, Wants: []bellhop.Want{{Queue: "default", Count: 3}}, Limit: 3,
		}); err != nil {
			t.Fatal(err)
		}
		r.within(7*time.Second, "all done", func() bool { return r.in(bellhop.StateSucceeded) == 5 })
		for _, id := range ids {
			expect(t, "failures", r.get(id).Place.Failures, 0)
		}
		w.mustStop()
	})
}

// TestCutOffProcessDoesNotJudge has the store away for longer than all leases.
// When it is back, nobody may be swept who is alive.
func TestCutOffProcessDoesNotJudge(t *testing.T) {
	for _, mode := range []storetest.FaultMode{storetest.Before, storetest.Hang} {
		bubble(t, func(t *testing.T, r *rig) {
			g := newGate(t)
			var workers []*running
			for range 4 {
				workers = append(workers, r.run(Config{Queues: Queues{"default": 5}}, job.With(g.handle)))
				pass(1300 * time.Millisecond)
			}
			r.enqueue(many(20)...)
			r.until("all run", func() bool { return g.inside() == 20 })
			r.faulty.FailAll(mode, storetest.Always, nil)
			pass(2 * time.Minute)
			r.faulty.Heal()
			pass(time.Minute)
			expect(t, "runs in all: "+mode.String(), g.total(), 20)
			g.free()
			r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 20 })
			expect(t, "stale attempts", r.countStale(), 0)
			for _, w := range workers {
				w.mustStop()
			}
		})
	}
}

// TestThawedProcessStartsNothing holds back the reply of an exchange, and all
// beats, for longer than the lease, as for a process that stood still. What it
// has claimed is another's by then, and it must not start it.
func TestThawedProcessStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		const still = 40 * time.Second
		b := &between{Pass: storetest.Pass{Store: r.faulty}}
		frozenRuns, otherRuns := newGate(t), newGate(t)
		frozenRuns.free()
		otherRuns.free()
		frozen := r.runOn(r.newClient(b), Config{Queues: Queues{"default": 5}}, job.With(frozenRuns.handle))
		r.until("it began", func() bool { return frozen.Ready() == nil })
		freeze := func() {
			r.faulty.Fail(bellhop.OpBeat, storetest.Hang, storetest.Always, nil)
			time.Sleep(still) // the bubble's clock: the process stands still
			r.faulty.Heal()
		}
		b.do.Store(&freeze)
		r.enqueue(many(5)...)
		pass(time.Second)
		expect(t, "claimed and not started", r.in(bellhop.StateRunning), 5)
		other := r.runOn(r.newClient(r.store), Config{Queues: Queues{"default": 5}}, job.With(otherRuns.handle))
		pass(still + 10*time.Second)
		expect(t, "done", r.in(bellhop.StateSucceeded), 5)
		expect(t, "runs of the others", otherRuns.total(), 5)
		expect(t, "runs after the thaw", frozenRuns.total(), 0)

		r.enqueue(many(20)...)
		r.until("it works again", func() bool { return r.in(bellhop.StateSucceeded) == 25 })
		frozen.mustStop()
		other.mustStop()
	})
}

// TestThawedProcessDoesNotJudge: a process that stood still for longer than its
// lease may have stood still with others that live. It sweeps only after two beats.
func TestThawedProcessDoesNotJudge(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.runOn(r.newClient(sightless{r.faulty}), Config{Queues: Queues{"default": 5}}, job.With(ok))
		pass(21 * time.Second)
		beats, sweeps := r.faulty.Calls(bellhop.OpBeat), r.faulty.Calls(bellhop.OpSweep)
		over := time.Now().Add(-time.Second) // as for one that has just thawed
		w.leaseUntil.Store(&over)
		w.heartbeat.Wake()
		if _, err := w.sweep(r.ctx); err != nil {
			t.Error(err)
		}
		r.until("it sweeps", func() bool { return r.faulty.Calls(bellhop.OpSweep) > sweeps })
		if n := r.faulty.Calls(bellhop.OpBeat) - beats; n != 2 {
			t.Errorf("it swept after %d beats, want 2", n)
		}
		w.mustStop()
	})
}

// TestReplyToADeadIncarnation lets the reply of an exchange come when the
// process has begun again under a new id, and its old claims are swept.
func TestReplyToADeadIncarnation(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		b := &between{Pass: storetest.Pass{Store: r.store}}
		g := newGate(t)
		g.free()
		w := r.runOn(r.newClient(b), Config{Queues: Queues{"default": 5}}, job.With(g.handle))
		r.until("it began", func() bool { return w.Ready() == nil })
		pass(100 * time.Millisecond)
		late := func() {
			r.sweepAway(w)
			time.Sleep(15 * time.Second) // the bubble's clock: a beat, and a sweep
		}
		b.do.Store(&late)
		r.enqueue(many(5)...)
		pass(14 * time.Second)
		expect(t, "taken back", r.in(bellhop.StateReady), 5)
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 5 })
		expect(t, "runs", g.total(), 5)
		expect(t, "successes told", r.countType(bellhop.EventSucceeded), 5)
		w.mustStop()
	})
}

// TestLostBeforeItStarted: a slot may become free for an attempt whose claim is lost
// before it is told of. Its handler does not run.
func TestLostBeforeItStarted(t *testing.T) {
	w := New(newRig(t, 1).client, Config{Queues: Queues{"default": 1}})
	token := bellhop.Token{JobID: bellhop.NewID(), Number: 1, Exchange: bellhop.NewID()}
	a := &attempt{claim: bellhop.Claim{Token: token, Job: &bellhop.Job{ID: token.JobID}}, queue: w.held.queues["default"]}
	w.held.add(a)
	expect(t, "lost before they started", len(w.lost([]bellhop.Token{token}, time.Now())), 1)
	expect(t, "given a slot all the same", len(w.held.startable()), 1)
	if err := a.ctx.begin(t.Context(), time.Now(), 0); err != bellhop.ErrLeaseLost {
		t.Errorf("the handler may begin: begin returned %v", err)
	}
}
