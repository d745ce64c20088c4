package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/storetest"
)

// TestStoreAwayAtThePeak takes the store away for 20 s under load. Nothing may
// be lost, no finished job run again, nobody give up, and work must go on
// within 10 s of its return.
func TestStoreAwayAtThePeak(t *testing.T) {
	for _, mode := range []storetest.FaultMode{storetest.Before, storetest.After, storetest.Hang, storetest.SwallowReply} {
		t.Run(mode.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				var l ledger
				handler := job.With(func(ctx context.Context, v item) error {
					time.Sleep(time.Duration(v.N%50) * time.Millisecond) // the bubble's clock: the work that the job stands for
					l.add(ctx)
					return nil
				})
				config := Config{Queues: Queues{"default": 20}}
				a, b := r.run(config, handler), r.run(config, handler)
				r.enqueue(many(9000)...)
				pass(2 * time.Second)
				before := r.in(bellhop.StateSucceeded)
				r.faulty.FailAll(mode, storetest.Always, nil)
				pass(20 * time.Second)
				if mode == storetest.Before || mode == storetest.Hang {
					expect(t, "done while it was away", r.in(bellhop.StateSucceeded), before)
				}
				r.faulty.Heal()
				back := r.in(bellhop.StateSucceeded)
				r.within(10*time.Second, "work goes on", func() bool { return r.in(bellhop.StateSucceeded) > back+100 })
				r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 9000 })
				expect(t, "jobs that ran twice", l.twice(), 0)
				expect(t, "stale attempts", r.countStale(), 0)
				if n := r.log.count("level=ERROR"); n == 0 || n > 2*len(bellhop.Ops) {
					t.Errorf("%d lines about the trouble, want one for each operation and worker", n)
				}
				a.mustStop()
				b.mustStop()
			})
		})
	}
}

// TestErrorsOneByOne lets each operation fail in each way, now and then, all
// the time.
func TestErrorsOneByOne(t *testing.T) {
	modes := []storetest.FaultMode{storetest.Before, storetest.After, storetest.Hang, storetest.SwallowReply}
	ops := []bellhop.Op{
		bellhop.OpExchange, bellhop.OpReport, bellhop.OpBeat, bellhop.OpSweep, bellhop.OpPromote,
		bellhop.OpPrune, bellhop.OpPut,
	}
	for _, mode := range modes {
		for _, op := range ops {
			t.Run(fmt.Sprintf("%s %s", op, mode), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					var runs atomic.Int64
					w := r.run(Config{Queues: Queues{"default": 5}}, job.With(func(ctx context.Context, v item) error {
						runs.Add(1)
						bellhop.FromContext(ctx).SetProgress(1, 2, "")
						time.Sleep(300 * time.Millisecond) // the bubble's clock: the work that the job stands for
						if v.N%3 == 0 && bellhop.FromContext(ctx).Attempt() == 1 {
							return errors.New("again")
						}
						return nil
					}))
					r.until("it began", func() bool { return w.Ready() == nil })
					r.enqueue(many(30)...)
					r.enqueue(many(30, bellhop.In(20*time.Second))...)
					for range 40 {
						r.faulty.Fail(op, mode, 1, nil)
						pass(2 * time.Second)
					}
					r.faulty.Heal()
					r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 60 })
					expect(t, "runs", runs.Load(), 80)
					expect(t, "stale attempts", r.countStale(), 0)
					w.mustStop()
				})
			})
		}
	}
}

// TestTroubleThatComesAndGoes has one call in two fail for ten minutes: it is
// said once a minute, and not each time.
func TestTroubleThatComesAndGoes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 5}}, job.With(ok))
		r.until("it began", func() bool { return w.Ready() == nil })
		for range 300 {
			r.faulty.Fail(bellhop.OpExchange, storetest.Before, 1, nil)
			pass(2 * time.Second)
		}
		if n := r.log.count("does not answer"); n < 9 || n > 11 {
			t.Errorf("%d lines about the trouble in ten minutes, want one a minute", n)
		}
		expect(t, "lines about its end", r.log.count("answers again"), r.log.count("does not answer"))
		w.mustStop()
	})
}

// TestSlowStoreHoldsUpClaims: where the store is much slower than the handlers, outcomes do not pile up: as long as they have not been
// handed in, hardly anything more is claimed.
func TestSlowStoreHoldsUpClaims(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		slow := storetest.NewSlow(r.store, func(op bellhop.Op) time.Duration {
			if op == bellhop.OpExchange {
				return 2 * time.Second
			}
			return 0
		})
		r.enqueue(many(10_000)...)
		r.enqueue(many(10_000)...)
		w := r.runOn(r.newClient(slow), Config{Queues: Queues{"default": 10}}, job.With(ok))
		most := 0
		r.within(10*time.Minute, "all done", func() bool {
			most = max(most, r.in(bellhop.StateRunning))
			return r.in(bellhop.StateSucceeded) == 20_000
		})
		if bound := (r.lanes + 1) * maxClaims; most > bound || most <= 10 {
			t.Errorf("%d jobs were claimed and not settled at once, want more than the slots and at most %d", most, bound)
		}
		expect(t, "stale attempts", r.countStale(), 0)
		w.mustStop()
	})
}

// beating is a store that counts beats.
type beating struct {
	storetest.Pass
	beats atomic.Int64
}

func (s *beating) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	s.beats.Add(1)
	return s.Pass.Beat(ctx, b)
}

// TestBusyHandlersDoNotStarveBeats has handlers that compute without a pause on one processor, each until ten more beats have come: had
// beats to wait for them, they would never end. How late a beat may come is not asked: that depends on the machine.
func TestBusyHandlersDoNotStarveBeats(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := newRig(t, 1)
	s := &beating{Pass: storetest.Pass{Store: r.store}}
	var starved atomic.Int64
	busy := job.With(func(context.Context, item) error {
		want := s.beats.Load() + 10
		for give := time.Now().Add(time.Minute); s.beats.Load() < want; { // it computes
			if time.Now().After(give) {
				starved.Add(1)
				return errors.New("no beat comes")
			}
		}
		return nil
	})
	r.enqueue(many(8)...)
	w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": 8}, Beat: 100 * time.Millisecond, Lease: 5 * time.Minute}, busy)
	for end := time.Now().Add(2 * time.Minute); r.in(bellhop.StateSucceeded) < 8 && starved.Load() == 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond) // nothing tells when all have ended
	}
	expect(t, "succeeded", r.in(bellhop.StateSucceeded), 8)
	expect(t, "handlers without a beat in a minute", starved.Load(), 0)
	w.mustStop()
}

// TestErrorsThatAreNotOfTheNetwork: a store that refuses for no known reason is borne as well.
func TestErrorsThatAreNotOfTheNetwork(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 5}}, job.With(ok))
		r.until("it began", func() bool { return w.Ready() == nil })
		r.enqueue(many(10)...)
		r.faulty.FailAll(storetest.Before, 5, errors.New("a mystery"))
		r.faulty.Heal(bellhop.OpEnqueue)
		r.enqueue(many(1)...)
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 11 })
		w.mustStop()
	})
}

// TestCutOffProcessIsGoneAndReturns hangs every call of one worker for longer
// than its lease, while another sweeps: the black hole must not hang it for
// ever, and it works on as a new process.
func TestCutOffProcessIsGoneAndReturns(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var l ledger
		handler := job.With(func(ctx context.Context, _ item) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Second): // the work that the job stands for
			}
			l.add(ctx)
			return nil
		})
		config := Config{Queues: Queues{"default": 5}}
		cut, other := r.run(config, handler), r.runOn(r.newClient(r.store), config, handler)
		r.enqueue(many(400)...)
		pass(3 * time.Second)
		r.faulty.FailAll(storetest.Hang, storetest.Always, nil)
		pass(45 * time.Second)
		r.faulty.Heal()
		before := r.countType(bellhop.EventClaimed)
		r.within(10*time.Second, "it begins again", func() bool { return r.log.count("begins again") == 1 })
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 400 })
		if r.countType(bellhop.EventClaimed) == before {
			t.Error("nothing was claimed after it")
		}
		if n := l.twice(); n > 5 {
			t.Errorf("%d jobs ran twice, want at most the five that were cut off", n)
		}
		cut.mustStop()
		other.mustStop()
	})
}
