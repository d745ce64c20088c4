package worker

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/storetest"
)

func TestJobStartsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 2}}, job.With(ok))
		pass(10 * time.Second)
		for range 20 {
			id := r.enqueue(many(1)...)[0]
			r.within(10*time.Millisecond, "the job is done without a poll", func() bool {
				return r.get(id).Place.State == bellhop.StateSucceeded
			})
			pass(50 * time.Millisecond)
		}
		w.mustStop()
	})
}

// between enqueues a job after the store has answered an exchange and before
// the worker hears the answer.
type between struct {
	storetest.Pass
	do atomic.Pointer[func()]
}

func (b *between) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	reply, err := b.Pass.Exchange(ctx, r)
	if do := b.do.Swap(nil); do != nil {
		(*do)()
	}
	return reply, err
}

func TestWakeUpDuringAnExchangeIsNotLost(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		b := &between{Pass: storetest.Pass{Store: r.store}}
		w := r.runOn(r.newClient(b), Config{Queues: Queues{"default": 2}}, job.With(ok))
		pass(10 * time.Second)
		for range 20 {
			var id bellhop.ID
			var at time.Time
			enqueue := func() { id, at = r.enqueue(many(1)...)[0], time.Now() }
			b.do.Store(&enqueue) // at the next poll, which finds nothing
			r.within(2*time.Second, "the poll", func() bool { return b.do.Load() == nil })
			r.within(20*time.Millisecond, "the job is done without a poll", func() bool {
				return r.get(id).Place.State == bellhop.StateSucceeded
			})
			if took := r.get(id).Place.FinishedAt.Sub(at); took > 10*time.Millisecond {
				t.Fatalf("the job waited %v", took)
			}
		}
		w.mustStop()
	})
}

func TestIdleWorkerAsksSeldom(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"a": 5, "b": 5}}, job.With(ok))
		pass(10 * time.Second)
		calls := func() (n int) {
			for _, op := range bellhop.Ops {
				n += r.faulty.Calls(op)
			}
			return n
		}
		const window = 10 * time.Minute
		before := calls()
		pass(window)
		n := calls() - before
		if most := int(2 * window.Seconds()); n > most || n < most/2 {
			t.Errorf("%d calls in %v, want at most two a second, and at least one", n, window)
		}
		w.mustStop()
	})
}

func TestForeignWakeUpsCostLittle(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 5}}, job.With(ok))
		pass(10 * time.Second)
		before := r.faulty.Calls(bellhop.OpExchange)
		for range 10_000 { // of a kind that this worker does not know, for a second
			r.enqueue(bellhop.RawJob("test.foreign", []byte("{}")))
			pass(100 * time.Microsecond)
		}
		if n := r.faulty.Calls(bellhop.OpExchange) - before; n > 250 {
			t.Errorf("%d exchanges for 10,000 wake-ups of others within a second, want at most one each 5 ms", n)
		}
		w.mustStop()
	})
}

func TestScheduledJobStartsInTime(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 5}}, job.With(ok))
		pass(10 * time.Second)
		for _, wait := range []time.Duration{100 * time.Millisecond, 3 * time.Second, 2 * time.Minute} {
			due := time.Now().Add(wait)
			id := r.enqueue(job.New(item{}, bellhop.In(wait)))[0]
			pass(wait - time.Millisecond)
			expect(t, "state before it is due", r.get(id).Place.State, bellhop.StateScheduled)
			r.within(time.Second, "it starts within a second", func() bool { return r.get(id).Place.State == bellhop.StateSucceeded })
			if h := r.get(id).History; len(h) != 1 || h[0].Started.Before(due) {
				t.Errorf("history of a job due at %v: %+v", due, h)
			}
		}
		w.mustStop()
	})
}

func TestManyScheduledJobsArePromotedTogether(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 50}}, job.With(ok))
		pass(10 * time.Second)
		for i := range 2000 {
			r.enqueue(job.New(item{}, bellhop.In(5*time.Second+time.Duration(i)*500*time.Microsecond)))
		}
		before := r.faulty.Calls(bellhop.OpPromote)
		pass(7 * time.Second)
		expect(t, "done", r.in(bellhop.StateSucceeded), 2000)
		if n := r.faulty.Calls(bellhop.OpPromote) - before; n > 60 {
			t.Errorf("%d promotions of jobs that were due within a second, want about fifty", n)
		}
		w.mustStop()
	})
}

func TestSwallowedReply(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var runs atomic.Int64
		w := r.run(Config{Queues: Queues{"default": 20}}, job.With(func(context.Context, item) error {
			runs.Add(1)
			return nil
		}))
		pass(10 * time.Second)
		for _, mode := range []storetest.FaultMode{storetest.SwallowReply, storetest.After, storetest.Before, storetest.Hang} {
			runs.Store(0)
			before := r.in(bellhop.StateSucceeded)
			r.faulty.Fail(bellhop.OpExchange, mode, 2, nil)
			r.enqueue(many(100)...)
			r.within(20*time.Second, "all done", func() bool { return r.in(bellhop.StateSucceeded) == before+100 })
			expect(t, "runs with a reply lost: "+mode.String(), runs.Load(), 100)
			expect(t, "faults struck", r.faulty.Struck(bellhop.OpExchange) > 0, true)
		}
		pass(time.Minute)
		expect(t, "stale attempts", r.countStale(), 0)
		expect(t, "successes told", r.countType(bellhop.EventSucceeded), 400)
		w.mustStop()
	})
}

// recorder keeps the exchanges that were asked for.
type recorder struct {
	storetest.Pass
	seen []bellhop.ExchangeRequest
	at   []time.Time
}

func (s *recorder) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	s.seen, s.at = append(s.seen, *r), append(s.at, time.Now())
	return s.Pass.Exchange(ctx, r)
}

func TestFailedExchangeIsRepeatedAsItWas(t *testing.T) {
	laneBubble(t, 1, func(t *testing.T, r *rig) {
		s := &recorder{Pass: storetest.Pass{Store: r.faulty}}
		g := newGate(t)
		w := r.runOn(r.newClient(s), Config{Queues: Queues{"default": 10}}, job.With(g.handle))
		r.enqueue(many(9)...)
		r.until("nine run", func() bool { return g.inside() == 9 })
		pass(2 * emptyPause) // after an exchange that brought nothing the next would wait, and take the outcomes along
		r.faulty.Fail(bellhop.OpExchange, storetest.After, 8, nil)
		from := len(s.seen)
		r.enqueue(many(1)...) // its claim is made, and its reply lost
		synctest.Wait()
		g.free() // nine outcomes gather behind it
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 10 })
		first := s.seen[from]
		for i, again := range s.seen[from : from+9] {
			if again.ID != first.ID || len(again.Outcomes) != len(first.Outcomes) || len(again.Wants) != len(first.Wants) {
				t.Fatalf("try %d was another exchange: %+v, first %+v", i, again, first)
			}
			if i > 0 {
				gap, least := s.at[from+i].Sub(s.at[from+i-1]), min(25*time.Millisecond<<i, time.Second)
				if gap < least || gap > least*3/2+time.Millisecond {
					t.Errorf("try %d came after %v, want %v to half as long again", i, gap, least)
				}
			}
		}
		if next := s.seen[from+9]; next.ID == first.ID || len(next.Outcomes) < 9 {
			t.Errorf("after it came exchange %v with %d outcomes, want another with all nine", next.ID, len(next.Outcomes))
		}
		_, _, all := g.read()
		expect(t, "runs", all, 10)
		w.mustStop()
	})
}

func TestPrefetchIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		r.enqueue(many(1000)...)
		// Quick jobs earn prefetch; then jobs come that take for ever.
		w := r.run(Config{Queues: Queues{"default": 4}}, job.With(func(ctx context.Context, v item) error {
			if v.N < 700 {
				time.Sleep(2 * time.Millisecond) // the bubble's clock: the work that the job stands for
				return nil
			}
			return g.handle(ctx, v)
		}))
		most := 0
		r.until("the slow ones hold all slots", func() bool {
			most = max(most, r.in(bellhop.StateRunning))
			return g.inside() == 4
		})
		if most < 20 || most > 4+300 {
			t.Errorf("at most %d claims were held at 2,000 jobs a second, want about 4 and 200", most)
		}
		r.within(time.Second, "what cannot start is given back", func() bool { return r.in(bellhop.StateRunning) == 4 })
		pass(5 * time.Second)
		expect(t, "claims held", r.in(bellhop.StateRunning), 4)
		g.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 1000 })
		w.mustStop()
	})
}

func TestPauseReachesPrefetchedJobs(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		other, err := bellhop.NewClient(r.store)
		if err != nil {
			t.Fatal(err)
		}
		starts := &turns{}
		r.enqueue(many(3000)...)
		w := r.run(Config{Queues: Queues{"default": 4, "else": 4}}, job.With(func(context.Context, item) error {
			starts.take("")
			time.Sleep(20 * time.Millisecond) // the bubble's clock: the work that the job stands for
			return nil
		}))
		pass(3 * time.Second)
		if err := other.Pause(r.ctx, "default"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		expect(t, "held a second after the pause", r.in(bellhop.StateRunning), 0)
		n := len(starts.seq)
		pass(time.Minute)
		expect(t, "starts while paused", len(starts.seq), n)
		if err := other.Resume(r.ctx, "default"); err != nil {
			t.Fatal(err)
		}
		r.within(time.Second, "it goes on", func() bool { return len(starts.seq) > n })
		w.mustStop()
	})
}

func TestUnknownKindWaits(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 4}}, job.With(ok))
		ids := r.enqueue(bellhop.RawJob("test.foreign", []byte(`{"a":1}`)), job.New(item{}))
		r.until("the known one is done", func() bool { return r.get(ids[1]).Place.State == bellhop.StateSucceeded })
		pass(time.Hour)
		s := r.get(ids[0])
		if s.Place.State != bellhop.StateReady || s.Place.Claim != 0 || string(s.Args) != `{"a":1}` {
			t.Errorf("a job of an unknown kind is %+v", s)
		}
		w.mustStop()
	})
}

// Mistakes in the program are panics of one line that names the mistake.
func TestMistakesInTheProgram(t *testing.T) {
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Queues: Queues{"default": 1}}
	begun := New(client, config)
	begun.started.Store(true)
	for want, fn := range map[string]func(){
		"the client is nil":                        func() { New(nil, config) },
		"test.job has a handler already":           func() { New(client, config).Handle(job.With(ok), job.With(ok)) },
		"an empty Handler{}":                       func() { New(client, config).Handle(bellhop.Handler{}) },
		"test.job comes too late: the worker runs": func() { begun.Handle(job.With(ok)) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, want) || strings.Contains(text, "\n") {
					t.Errorf("panic %q, want %q", text, want)
				}
			}()
			fn()
		}()
	}
}

// What is left out follows what is given: no shutdown is so short that its grace would be refused.
func TestGraceFollowsShutdown(t *testing.T) {
	for shutdown, want := range map[time.Duration]time.Duration{
		0: DefaultGrace, time.Minute: 48 * time.Second, time.Millisecond: 800 * time.Microsecond, math.MaxInt64: math.MaxInt64 / 5 * 4,
	} {
		c, err := Config{Queues: Queues{"a": 1}, Shutdown: shutdown}.withDefaults()
		if err != nil || c.Grace != want {
			t.Errorf("of %v: %v, %v; want %v", shutdown, c.Grace, err, want)
		}
	}
}

// TestRunBeginsOnASlowStore: the first beat may take longer than later ones, for which a lease runs; a store that never answers ends Run.
func TestRunBeginsOnASlowStore(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var delay atomic.Int64
		delay.Store(int64(storeTimeout - time.Second))
		slow := storetest.NewSlow(r.store, func(bellhop.Op) time.Duration { return time.Duration(delay.Load()) })
		w := r.runOn(r.newClient(slow), Config{Queues: Queues{"default": 1}}, job.With(ok))
		r.until("it began", func() bool { return w.Ready() == nil })
		delay.Store(0)
		w.mustStop()
	})
	bubble(t, func(t *testing.T, r *rig) {
		r.faulty.FailAll(storetest.Hang, storetest.Always, nil)
		began := time.Now()
		err := <-r.run(Config{Queues: Queues{"default": 1}}, job.With(ok)).done
		if err == nil || !strings.Contains(err.Error(), "cannot begin") || time.Since(began) != storeTimeout {
			t.Errorf("Run returned %v after %v", err, time.Since(began))
		}
	})
}

func TestRunRefusesWhatIsWrong(t *testing.T) {
	closed := memory.New()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	fine := Config{Queues: Queues{"default": 1}}
	tests := []struct {
		name     string
		store    bellhop.Store
		config   Config
		handlers []bellhop.Handler
		want     string
	}{
		{"no queues", memory.New(), Config{}, []bellhop.Handler{job.With(ok)}, "Queues is empty"},
		{"a bad queue", memory.New(), Config{Queues: Queues{"a b": 1}}, []bellhop.Handler{job.With(ok)}, "Config.Queues"},
		{"no concurrency", memory.New(), Config{Queues: Queues{"a": 0}}, []bellhop.Handler{job.With(ok)}, "want 1 to 100000"},
		{"an unknown strict queue", memory.New(), Config{Queues: Queues{"a": 1}, Strict: []string{"b"}}, []bellhop.Handler{job.With(ok)}, "Strict"},
		{"an unknown weight", memory.New(), Config{Queues: Queues{"a": 1}, Weights: map[string]int{"b": 2}}, []bellhop.Handler{job.With(ok)}, "Weights"},
		{"a short lease", memory.New(), Config{Queues: Queues{"a": 1}, Lease: 10 * time.Second}, []bellhop.Handler{job.With(ok)}, "three beats"},
		{"a long grace", memory.New(), Config{Queues: Queues{"a": 1}, Grace: time.Minute}, []bellhop.Handler{job.With(ok)}, "Grace"},
		{"a negative poll", memory.New(), Config{Queues: Queues{"a": 1}, Poll: -1}, []bellhop.Handler{job.With(ok)}, "Poll"},
		{"a beat beyond measure", memory.New(), Config{Queues: Queues{"a": 1}, Beat: math.MaxInt64 / 2}, []bellhop.Handler{job.With(ok)}, "three beats"},
		{"a nil middleware", memory.New(), Config{Queues: Queues{"a": 1}, Middleware: []Middleware{nil}}, []bellhop.Handler{job.With(ok)}, "Middleware"},
		{"no handler", memory.New(), fine, nil, "no handler"},
		{"a closed store", closed, fine, []bellhop.Handler{job.With(ok)}, "cannot begin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, err := bellhop.NewClient(tt.store)
			if err != nil {
				t.Fatal(err)
			}
			w := New(client, tt.config)
			w.Handle(tt.handlers...)
			if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run returned %v, want one line with %q", err, tt.want)
			}
		})
	}
}
