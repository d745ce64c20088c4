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
)

// diary notes when which call was made.
type diary struct {
	mu    sync.Mutex
	calls map[bellhop.Op][]time.Time
}

// keep returns a decorator of s that keeps the diary.
func (d *diary) keep(s bellhop.Store) bellhop.Store {
	d.calls = map[bellhop.Op][]time.Time{}
	return storetest.NewSlow(s, func(op bellhop.Op) time.Duration {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.calls[op] = append(d.calls[op], time.Now())
		return 0
	})
}

// since returns the times of calls from a moment on; of all operations if none is given.
func (d *diary) since(from time.Time, ops ...bellhop.Op) (times []time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for op, list := range d.calls {
		if len(ops) == 0 || slices.Contains(ops, op) {
			for _, t := range list {
				if !t.Before(from) {
					times = append(times, t)
				}
			}
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// densest returns how many of the times lie within the densest window.
func densest(times []time.Time, window time.Duration) (most int) {
	first := 0
	for i, t := range times {
		for t.Sub(times[first]) > window {
			first++
		}
		most = max(most, i+1-first)
	}
	return most
}

// fleet starts workers that share the rig's store, each through a client of its own, all at once.
func (r *rig) fleet(n int, s bellhop.Store, handler func(process int) bellhop.Handler) (fleet []*running) {
	for i := range n {
		fleet = append(fleet, r.runOn(r.newClient(s), Config{Queues: Queues{"default": 5}}, handler(i)))
	}
	return fleet
}

func stopAll(fleet []*running) {
	for _, w := range fleet {
		w.end()
	}
	for _, w := range fleet {
		w.mustStop()
	}
}

func TestFiftyIdleWorkersAreCalm(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var d diary
		fleet := r.fleet(50, d.keep(r.store), func(int) bellhop.Handler { return job.With(ok) })
		pass(time.Minute)
		from := time.Now()
		const window = 5 * time.Minute
		pass(window)
		calls := d.since(from)
		if most := int(2 * window.Seconds() * 50); len(calls) > most || len(calls) < most/2 {
			t.Errorf("%d calls of 50 idle workers in %v, want at most two a second each, and at least one", len(calls), window)
		}
		// They make about one call each 10 ms. That is how calls at random moments
		// bunch; 50 workers in step would make 50 within one.
		if n := densest(calls, 10*time.Millisecond); n > 15 {
			t.Errorf("%d calls within 10 ms, want them spread", n)
		}
		stopAll(fleet)
	})
}

// TestOneByOneForFiftyWorkers gives jobs one by one to 50 idle workers: each
// starts soon, all workers get their share, and a single job does not make all of
// them ask at once.
func TestOneByOneForFiftyWorkers(t *testing.T) {
	laneBubble(t, 1, func(t *testing.T, r *rig) {
		var d diary
		var mu sync.Mutex
		done := map[int]int{}
		var waits []time.Duration
		fleet := r.fleet(50, d.keep(r.store), func(process int) bellhop.Handler {
			return job.With(func(ctx context.Context, _ item) error {
				run := bellhop.FromContext(ctx)
				mu.Lock()
				defer mu.Unlock()
				done[process]++
				waits = append(waits, run.Started().Sub(run.Job().EnqueuedAt))
				return nil
			})
		})
		pass(time.Minute)
		from := time.Now()
		const jobs = 1000
		for range jobs {
			r.enqueue(many(1)...)
			pass(150*time.Millisecond + rand.N(100*time.Millisecond))
		}
		expect(t, "done", r.in(bellhop.StateSucceeded), jobs)
		slices.Sort(waits)
		t.Logf("waits: median %v, 99 %% %v, longest %v", waits[jobs/2], waits[jobs*99/100], waits[jobs-1])
		if p50, p99 := waits[jobs/2], waits[jobs*99/100]; p50 > 3*time.Millisecond || p99 > 15*time.Millisecond {
			t.Errorf("jobs waited %v (median) and %v (99 of 100), want about 1.5 and 9 ms", p50, p99)
		}
		least, most := jobs, 0
		for i := range fleet {
			least, most = min(least, done[i]), max(most, done[i])
		}
		if least < 3 || most > 60 {
			t.Errorf("the workers got from %d to %d jobs of 1000, want about 20 each", least, most)
		}
		asked := d.since(from, bellhop.OpExchange)
		if n := densest(asked, 5*time.Millisecond); n > 15 {
			t.Errorf("%d exchanges within 5 ms, want two or three", n)
		}
		stopAll(fleet)
	})
}

// TestDueJobForFiftyWorkers: all know when the next job is due, and one promotion is enough.
func TestDueJobForFiftyWorkers(t *testing.T) {
	laneBubble(t, 1, func(t *testing.T, r *rig) {
		var d diary
		fleet := r.fleet(50, d.keep(r.store), func(int) bellhop.Handler { return job.With(ok) })
		pass(time.Minute)
		for range 20 {
			from := time.Now()
			id := r.enqueue(job.New(item{}, bellhop.In(5*time.Second)))[0]
			pass(10 * time.Second)
			s := r.get(id)
			if wait := s.History[0].Started.Sub(s.Place.Due); wait > 100*time.Millisecond {
				t.Errorf("the job started %v after it was due", wait)
			}
			promoted := d.since(from, bellhop.OpPromote)
			if n := densest(promoted, 5*time.Millisecond); n > 12 || len(promoted) > 60 {
				t.Errorf("%d promotions, %d of them within 5 ms, want at most one a worker, spread", len(promoted), n)
			}
		}
		stopAll(fleet)
	})
}

// silent is a store that wakes nobody.
type silent struct{ bellhop.Store }

// TestPollingAlone: where nothing wakes a worker that has had jobs lately, the
// next waits half a poll on average, and a little more than one at most.
func TestPollingAlone(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		var waits []time.Duration
		handler := job.With(func(ctx context.Context, _ item) error {
			run := bellhop.FromContext(ctx)
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, run.Started().Sub(run.Job().EnqueuedAt))
			return nil
		})
		w := r.runOn(r.newClient(silent{r.store}), Config{Queues: Queues{"default": 5}}, handler)
		pass(time.Minute)
		const jobs = 5000
		for range jobs {
			r.enqueue(many(1)...)
			pass(600*time.Millisecond + rand.N(600*time.Millisecond))
		}
		expect(t, "done", r.in(bellhop.StateSucceeded), jobs)
		slices.Sort(waits)
		t.Logf("waits: median %v, 99 %% %v", waits[jobs/2], waits[jobs*99/100])
		if p50, p99 := waits[jobs/2], waits[jobs*99/100]; p50 > 275*time.Millisecond || p99 > 565*time.Millisecond {
			t.Errorf("jobs waited %v (median) and %v (99 of 100), want about 260 and 550 ms", p50, p99)
		}
		w.mustStop()
	})
}

// TestTwoCallsASecond counts all calls of a worker that does nothing: in the half
// minute after a job, and long after; on a store whose beats look whether there
// is something to do, on one that wakes nobody, and on one whose beats look at nothing.
func TestTwoCallsASecond(t *testing.T) {
	for name, as := range map[string]func(bellhop.Store) bellhop.Store{
		"looks":            func(s bellhop.Store) bellhop.Store { return s },
		"wakes nobody":     func(s bellhop.Store) bellhop.Store { return silent{s} },
		"looks at nothing": func(s bellhop.Store) bellhop.Store { return sightless{s} },
	} {
		t.Run(name, func(t *testing.T) {
			laneBubble(t, 1, func(t *testing.T, r *rig) {
				var d diary
				w := r.runOn(r.newClient(d.keep(as(r.store))), Config{Queues: Queues{"default": 5}}, job.With(ok))
				pass(time.Minute)
				// Half a dozen calls at once, every ten minutes, merge metrics: later polls pay for them.
				count := func(window time.Duration) (all, steady int) {
					from := time.Now()
					pass(window)
					all = len(d.since(from))
					return all, all - len(d.since(from, bellhop.OpRecords, bellhop.OpPut))
				}
				const rounds, half = 50, 30 * time.Second
				after, later, most := 0, 0, 0
				for i := range rounds {
					r.enqueue(many(1)...)
					r.until("the job is done", func() bool { return r.in(bellhop.StateSucceeded) == i+1 })
					pass(time.Millisecond)
					all, steady := count(half)
					after, most = after+all, max(most, steady)
					all, _ = count(half)
					later += all
				}
				t.Logf("%.2f calls a second within %v of a job, at most %.2f and metrics; later %.2f",
					float64(after)/rounds/half.Seconds(), half, float64(most)/half.Seconds(), float64(later)/rounds/half.Seconds())
				// Of the calls in a half minute, the last few may be owed for still.
				bound := int(2 * half.Seconds())
				if after > rounds*bound || most > bound+2 || later > rounds*bound || later < rounds*bound/2 {
					t.Errorf("%d calls in %d half minutes after a job, at most %d in one and metrics, and %d in as many later: want at most two a second, and at least one",
						after, rounds, most, later)
				}
				w.mustStop()
			})
		})
	}
}

// sightless is a store that does not look with a beat whether there is something to do.
type sightless struct{ bellhop.Store }

func (s sightless) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	reply, err := s.Store.Beat(ctx, b)
	if err == nil {
		reply.Idle = false
	}
	return reply, err
}

func TestRivalsAreThoseWhoClaimTheSame(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		other := bellhop.Define[item]("test.other")
		configs := []struct {
			queues  Queues
			handler bellhop.Handler
		}{
			{Queues{"a": 1, "b": 1}, job.With(ok)},
			{Queues{"b": 1}, job.With(ok)},
			{Queues{"c": 1}, job.With(ok)},
			{Queues{"a": 1}, other.With(ok)},
		}
		var fleet []*running
		for _, c := range configs {
			fleet = append(fleet, r.run(Config{Queues: c.queues}, c.handler))
		}
		pass(time.Minute)
		for i, want := range []int64{1, 1, 0, 0} {
			expect(t, fmt.Sprintf("rivals of worker %d", i), fleet[i].rivals.Load(), want)
		}
		fleet[1].mustStop()
		pass(2 * time.Minute)
		expect(t, "rivals when the other has gone", fleet[0].rivals.Load(), 0)
		stopAll(fleet[:1])
		stopAll(fleet[2:])
	})
}
