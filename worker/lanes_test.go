package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/storetest"
	"github.com/google/go-cmp/cmp"
)

// far is a store that is some milliseconds away. It watches the exchanges: how
// many were under way at once, and whether each that had no reply came again as it was.
type far struct {
	storetest.Pass
	trip time.Duration
	jams time.Duration // by up to so much longer is the way there, at random

	mu         sync.Mutex
	now, most  int
	all        int
	unanswered map[bellhop.ID]*bellhop.ExchangeRequest
	changed    string
}

func (s *far) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	s.mu.Lock()
	s.now++
	s.all++
	s.most = max(s.most, s.now)
	again := *r
	again.Outcomes = slices.Clone(r.Outcomes) // the memory is used again after the reply
	if first := s.unanswered[r.ID]; first == nil {
		s.unanswered[r.ID] = &again
	} else if diff := cmp.Diff(first, &again); diff != "" {
		s.changed = diff
	}
	s.mu.Unlock()
	time.Sleep(s.trip/2 + rand.N(s.jams+1)) // the bubble's clock: the way there
	reply, err := s.Pass.Exchange(ctx, r)
	time.Sleep(s.trip / 2) // the bubble's clock: the way back
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if err == nil {
		delete(s.unanswered, r.ID)
	}
	return reply, err
}

// all returns how many jobs there are.
func (r *rig) all() int {
	r.t.Helper()
	n, err := storetest.CountAll(r.ctx, r.store, bellhop.Filter{}, 1_000_000)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *rig) far(trip time.Duration) *far {
	return &far{Pass: storetest.Pass{Store: r.faulty}, trip: trip, unanswered: map[bellhop.ID]*bellhop.ExchangeRequest{}}
}

// TestSeveralExchangesUnderWay: a busy worker keeps as many exchanges under way
// as the store says, an idle one or a slow one a single one.
func TestSeveralExchangesUnderWay(t *testing.T) {
	for _, lanes := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(lanes), func(t *testing.T) {
			laneBubble(t, lanes, func(t *testing.T, r *rig) {
				s := r.far(20 * time.Millisecond)
				var l ledger
				w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": 1500}}, job.With(func(ctx context.Context, _ item) error {
					time.Sleep(time.Millisecond) // the bubble's clock: the work that the job stands for
					l.add(ctx)
					return nil
				}))
				pass(5 * time.Second)
				for range 20 {
					r.enqueue(many(10)...)
					pass(100 * time.Millisecond)
				}
				expect(t, "exchanges at once of a worker with little to do", s.most, 1)
				for range 4 {
					r.enqueue(many(10_000)...)
				}
				began := time.Now()
				r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 40_200 })
				expect(t, "exchanges at once of a busy worker", s.most, lanes)
				// One exchange brings 1,000 claims at most and takes 20 ms.
				best := time.Duration(40_000/1000/lanes) * 20 * time.Millisecond
				if took := time.Since(began); took > best*3/2+100*time.Millisecond {
					t.Errorf("40,000 jobs took %v, want about %v", took, best)
				}
				expect(t, "jobs that ran twice", l.twice(), 0)
				w.mustStop()
			})
		})
	}
}

// TestPlacesAreAskedForOnce: what one exchange may bring the others do not ask for.
func TestPlacesAreAskedForOnce(t *testing.T) {
	laneBubble(t, 3, func(t *testing.T, r *rig) {
		s := r.far(20 * time.Millisecond)
		g := newGate(t)
		r.enqueue(many(5000)...)
		r.enqueue(many(5000, bellhop.Queue("else"))...)
		w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": 3000, "else": 1400}, Slots: 4000}, job.With(g.handle))
		r.until("four thousand run", func() bool { return g.inside() == 4000 })
		pass(time.Second)
		expect(t, "claimed in the store", r.in(bellhop.StateRunning), 4000)
		expect(t, "handed back", r.count(func(e bellhop.Event) bool { return e.Type == bellhop.EventHandedBack }), 0)
		if s.most < 2 {
			t.Errorf("%d exchanges at once, want two or three: the test shows nothing", s.most)
		}
		g.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 10_000 })
		w.mustStop()
	})
}

// TestEachExchangeIsRepeatedAsItWas loses replies while several exchanges are
// under way: each one comes again, the same to the last byte, until it is answered.
func TestEachExchangeIsRepeatedAsItWas(t *testing.T) {
	for _, mode := range []storetest.FaultMode{storetest.Before, storetest.After, storetest.Hang, storetest.SwallowReply} {
		t.Run(mode.String(), func(t *testing.T) {
			laneBubble(t, 3, func(t *testing.T, r *rig) {
				r.worth = 1
				s := r.far(2 * time.Millisecond)
				var l ledger
				w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": 50}}, job.With(func(ctx context.Context, v item) error {
					time.Sleep(time.Duration(v.N%5) * time.Millisecond) // the bubble's clock: the work that the job stands for
					l.add(ctx)
					return nil
				}))
				pass(5 * time.Second)
				for round := range 5 {
					r.faulty.Fail(bellhop.OpExchange, mode, 7, nil)
					r.enqueue(many(2000)...)
					r.within(3*time.Minute, "all done", func() bool { return r.in(bellhop.StateSucceeded) == 2000*(round+1) })
				}
				pass(time.Minute)
				if s.changed != "" {
					t.Errorf("an exchange was repeated with changes:\n%s", s.changed)
				}
				expect(t, "exchanges without an answer", len(s.unanswered), 0)
				expect(t, "faults struck", r.faulty.Struck(bellhop.OpExchange), 35)
				expect(t, "jobs that ran twice", l.twice(), 0)
				expect(t, "stale attempts", r.countStale(), 0)
				expect(t, "successes told", r.countType(bellhop.EventSucceeded), 10_000)
				if s.most < 2 {
					t.Errorf("%d exchanges at once: the test shows nothing", s.most)
				}
				w.mustStop()
			})
		})
	}
}

// TestDrainWithSeveralExchangesUnderWay ends a worker in full work: nothing is
// left claimed, and no outcome is lost.
func TestDrainWithSeveralExchangesUnderWay(t *testing.T) {
	laneBubble(t, 3, func(t *testing.T, r *rig) {
		s := r.far(20 * time.Millisecond)
		var l ledger
		for range 20 {
			began := r.in(bellhop.StateSucceeded)
			r.enqueue(many(5000)...)
			w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": 100}}, job.With(func(ctx context.Context, _ item) error {
				time.Sleep(time.Millisecond) // the bubble's clock: the work that the job stands for
				l.add(ctx)
				return nil
			}))
			r.within(5*time.Second, "it is at work", func() bool { return r.in(bellhop.StateSucceeded) > began+700 })
			w.mustStop()
			expect(t, "claims left", r.in(bellhop.StateRunning), 0)
			expect(t, "ready or done", r.in(bellhop.StateReady, bellhop.StateSucceeded), r.all())
			expect(t, "runs recorded", r.in(bellhop.StateSucceeded), len(l.runs))
		}
		expect(t, "jobs that ran twice", l.twice(), 0)
	})
}

// TestDeadProcessWithSeveralExchangesUnderWay: their outcomes go in again under
// the new process, and none of their claims is worked twice.
func TestDeadProcessWithSeveralExchangesUnderWay(t *testing.T) {
	laneBubble(t, 3, func(t *testing.T, r *rig) {
		s := r.far(20 * time.Millisecond)
		var l ledger
		w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": 300}}, job.With(func(ctx context.Context, v item) error {
			time.Sleep(time.Duration(v.N%3) * time.Millisecond) // the bubble's clock: the work that the job stands for
			if ctx.Err() == nil {
				l.add(ctx)
			}
			return context.Cause(ctx)
		}))
		for range 4 {
			r.enqueue(many(5000)...)
		}
		for range 5 {
			pass(60 * time.Millisecond)
			r.sweepAway(w)
		}
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 20_000 })
		pass(time.Minute)
		r.until("no call may bring claims", func() bool { // but for a moment at each poll
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.held.asked == 0 && w.held.queues["default"].asked == 0
		})
		expect(t, "successes told", r.countType(bellhop.EventSucceeded), 20_000)
		if n := l.twice(); n > 5*3*maxClaims {
			t.Errorf("%d jobs ran twice, want at most those of the exchanges that were under way", n)
		}
		w.mustStop()
	})
}

// TestWorkerIsQuicklyUpToSpeed: a worker that has just begun takes in twice as
// much with each exchange, as long as its jobs are quick and its slots starve.
func TestWorkerIsQuicklyUpToSpeed(t *testing.T) {
	for slots, most := range map[int]int{10: 11, 100: 8} { // by the rate alone 14 and 10
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			laneBubble(t, 1, func(t *testing.T, r *rig) {
				s := &recorder{Pass: storetest.Pass{Store: r.far(10 * time.Millisecond)}}
				r.enqueue(many(10_000)...)
				w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": slots}}, job.With(ok))
				r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 10_000 })
				w.mustStop()
				size := slots
				for i, e := range s.seen {
					if e.Limit >= size {
						size *= 2
					}
					if size > maxClaims {
						t.Logf("%d claims after %d exchanges", e.Limit, i+1)
						if i >= most {
							t.Errorf("it took %d exchanges to %d claims, want at most %d", i+1, e.Limit, most)
						}
						return
					}
				}
				t.Errorf("it never asked for %d", size)
			})
		})
	}
}

// TestSlowJobsAreNotTakenInAdvance: where a slot is busy for long, nothing waits behind it.
func TestSlowJobsAreNotTakenInAdvance(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.enqueue(many(300)...)
		most := 0
		w := r.run(Config{Queues: Queues{"default": 3}}, job.With(func(context.Context, item) error {
			time.Sleep(500 * time.Millisecond) // the bubble's clock: the work that the job stands for
			return nil
		}))
		for range 2000 {
			most = max(most, r.in(bellhop.StateRunning))
			pass(10 * time.Millisecond)
		}
		expect(t, "claims at most", most, 3)
		expect(t, "handed back", r.countType(bellhop.EventHandedBack), 0)
		w.mustStop()
	})
}

// lateBeats has the beats on their way for longer than an exchange.
type lateBeats struct{ *far }

func (s lateBeats) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	time.Sleep(2 * s.trip)       // the bubble's clock: the way there
	defer time.Sleep(s.trip / 2) // the bubble's clock: the way back
	return s.Pass.Beat(ctx, b)
}

// TestBeatsBesideSeveralExchanges: a beat that was sent before a claim came
// names the claim as one that the process does not know. If the job is done by then,
// handing it back in another exchange than its success would run it again.
func TestBeatsBesideSeveralExchanges(t *testing.T) {
	laneBubble(t, 3, func(t *testing.T, r *rig) {
		r.worth = 1
		s := lateBeats{r.far(10 * time.Millisecond)}
		s.jams = 50 * time.Millisecond
		var l ledger
		config := Config{Queues: Queues{"default": 50}, Beat: 5 * time.Millisecond, Lease: time.Minute}
		w := r.runOn(r.newClient(s), config, job.With(func(ctx context.Context, v item) error {
			time.Sleep(time.Duration(v.N%7) * time.Millisecond) // the bubble's clock: the work that the job stands for
			l.add(ctx)
			return nil
		}))
		for range 10 {
			r.enqueue(many(1000)...)
			pass(300 * time.Millisecond)
		}
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 10_000 })
		expect(t, "jobs that ran twice", l.twice(), 0)
		expect(t, "stale attempts", r.countStale(), 0)
		if s.most < 2 {
			t.Errorf("%d exchanges at once: the test shows nothing", s.most)
		}
		w.mustStop()
	})
}
