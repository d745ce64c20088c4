package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// nasty is an error whose methods can be made to misbehave.
type nasty struct {
	is, text func()
}

func (e *nasty) Error() string {
	if e.text != nil {
		e.text()
	}
	return "nasty"
}

func (e *nasty) Is(error) bool {
	if e.is != nil {
		e.is()
	}
	return false
}

type badCodec struct{ do func() }

func (c badCodec) Encode(any) ([]byte, error) { return []byte("{}"), nil }
func (c badCodec) Decode([]byte, any) error   { c.do(); return nil }

// TestMisbehavingCode lets every place that runs the user's code panic, panic
// with nil, and end its goroutine. The job must be recorded as failed, the slot
// must be free again, and the worker must go on.
func TestMisbehavingCode(t *testing.T) {
	blows := map[string]func(){
		"panic":     func() { panic("boom") },
		"panic nil": func() { panic(nil) }, //nolint:govet // the point of the test
		"panic err": func() { panic(&nasty{is: func() { panic("again") }}) },
		"goexit":    runtime.Goexit,
	}
	plain := errors.New("plain")
	fails := func(err error) func(context.Context, item) error {
		return func(context.Context, item) error { return err }
	}
	places := map[string]func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error){
		"handler": func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error) {
			return Config{}, bellhop.Define[item]("test.bad"), func(context.Context, item) error { blow(); return nil }
		},
		"middleware": func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error) {
			m := func(ctx context.Context, run *bellhop.Run, next func(context.Context) error) error {
				if run.Job().Kind == "test.bad" {
					blow()
				}
				return next(ctx)
			}
			return Config{Middleware: []Middleware{m}}, bellhop.Define[item]("test.bad"), ok
		},
		"predicate": func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error) {
			return Config{}, bellhop.Define[item]("test.bad", bellhop.DiscardOn(func(error) bool { blow(); return true })), fails(plain)
		},
		"codec": func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error) {
			return Config{}, bellhop.Define[item]("test.bad", bellhop.WithCodec(badCodec{blow})), ok
		},
		"backoff": func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error) {
			custom := bellhop.Custom("bad", func(int) time.Duration { blow(); return time.Second })
			return Config{}, bellhop.Define[item]("test.bad", bellhop.RetryBackoff(custom)), fails(plain)
		},
		"error text": func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error) {
			return Config{}, bellhop.Define[item]("test.bad"), fails(&nasty{text: blow})
		},
		"error is": func(blow func()) (Config, *bellhop.Definition[item], func(context.Context, item) error) {
			return Config{}, bellhop.Define[item]("test.bad", bellhop.RetryOn(plain, bellhop.Fixed(time.Second))), fails(&nasty{is: blow})
		},
	}
	for place, make := range places {
		for how, blow := range blows {
			t.Run(place+", "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					config, bad, handler := make(blow)
					config.Queues = Queues{"default": 1}
					w := r.run(config, bad.With(handler), job.With(ok))
					id := r.enqueue(bad.New(item{}))[0]
					r.within(2*time.Second, "the failure is recorded", func() bool { return r.get(id).Place.State == bellhop.StateScheduled })
					s := r.get(id)
					if s.Place.Failures != 1 || s.Place.Attempt != 1 || len(s.History) != 1 || s.History[0].Failure == nil {
						t.Errorf("after it: %+v, history %+v", s.Place, s.History)
					}
					good := r.enqueue(job.New(item{}))[0]
					r.within(2*time.Second, "the slot is free", func() bool { return r.get(good).Place.State == bellhop.StateSucceeded })
					w.mustStop()
				})
			})
		}
	}
}

func TestMisbehavingListener(t *testing.T) {
	for how, blow := range map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				quiet := r.newClient(r.store)
				client, err := bellhop.NewClient(r.store, bellhop.Logger(quiet.Logger()), bellhop.OnEvent(func(bellhop.Event) { blow() }))
				if err != nil {
					t.Fatal(err)
				}
				w := r.runOn(client, Config{Queues: Queues{"default": 2}}, job.With(ok))
				r.enqueue(many(5)...)
				r.within(20*time.Second, "all done", func() bool { return r.in(bellhop.StateSucceeded) == 5 })
				w.mustStop()
			})
		})
	}
}

func TestPanicIsKeptWithItsStack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(context.Context, item) error { panic("boom \x00 \xff") }))
		id := r.enqueue(many(1)...)[0]
		r.until("it failed", func() bool { return r.get(id).Place.Failures == 1 })
		f := r.get(id).History[0].Failure
		if f.Class != "panic" || !strings.HasPrefix(f.Message, "panic: boom") || !strings.Contains(f.Stack, "attempt_test.go") ||
			strings.ContainsRune(f.Message, 0) || len(f.Stack) > 8<<10 {
			t.Errorf("recorded %+v", f)
		}
		w.mustStop()
	})
}

func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(g.handle))
		id := r.enqueue(job.New(item{}, bellhop.Timeout(3*time.Second)))[0]
		r.until("it failed", func() bool { return r.get(id).Place.Failures == 1 })
		h := r.get(id).History[0]
		if took := h.Ended.Sub(h.Started); took.Round(time.Millisecond) != 3*time.Second || h.Failure.Class != "timeout" || h.Outcome != bellhop.OutcomeRetry {
			t.Errorf("recorded %+v, %+v", h, h.Failure)
		}
		g.free()
		r.until("the next attempt succeeds", func() bool { return r.get(id).Place.State == bellhop.StateSucceeded })
		w.mustStop()
	})
}

// TestEndsAtTheDeadline lets handlers that do not listen end just before their time is over, just then, and just after. Each has one
// outcome, and it is the one that the handler returned: no success is run again because its time was over as well.
func TestEndsAtTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		const jobs, timeout = 600, 3 * time.Second
		var runs atomic.Int64
		w := r.run(Config{Queues: Queues{"default": jobs}}, job.With(func(ctx context.Context, v item) error {
			runs.Add(1)
			time.Sleep(timeout + time.Duration(v.N%3-1)*time.Millisecond) // the bubble's clock: the work that the job stands for
			if v.N%2 == 1 && bellhop.FromContext(ctx).Attempt() == 1 {
				return errors.New("no")
			}
			return nil
		}))
		ids := r.enqueue(many(jobs, bellhop.Timeout(timeout))...)
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == jobs })
		expect(t, "runs", runs.Load(), jobs*3/2)
		expect(t, "stale attempts", r.countStale(), 0)
		for i, id := range ids {
			if s := r.get(id); len(s.History) != 1+i%2 || s.Place.Failures != i%2 {
				t.Errorf("job %d has failed %d times and has %d records", i, s.Place.Failures, len(s.History))
			}
		}
		w.mustStop()
	})
}

func TestDeafHandlerKeepsItsSlot(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(g.deaf))
		ids := r.enqueue(job.New(item{}, bellhop.Timeout(3*time.Second)), job.New(item{}))
		pass(5 * time.Minute)
		if now, most, all := g.read(); now != 1 || most != 1 || all != 1 {
			t.Errorf("%d run, %d at most, %d in all: want the deaf one alone", now, most, all)
		}
		expect(t, "state of the deaf one", r.get(ids[0]).Place.State, bellhop.StateRunning)
		expect(t, "lines about it", r.log.count("does not listen"), 1)
		g.free()
		r.until("both done", func() bool { return r.in(bellhop.StateSucceeded) == 2 })
		w.mustStop()
	})
}

func TestCancelFromAnotherClient(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		other, err := bellhop.NewClient(r.store)
		if err != nil {
			t.Fatal(err)
		}
		var cause atomic.Value
		w := r.run(Config{Queues: Queues{"default": 2}}, job.With(func(ctx context.Context, v item) error {
			<-ctx.Done()
			cause.Store(context.Cause(ctx))
			if v.N == 1 {
				return nil // done all the same
			}
			return ctx.Err()
		}))
		ids := r.enqueue(many(2)...)
		r.until("both run", func() bool { return r.in(bellhop.StateRunning) == 2 })
		for i, want := range []bellhop.State{bellhop.StateCancelled, bellhop.StateSucceeded} {
			pass(1234 * time.Millisecond)
			if _, err := other.Act(r.ctx, bellhop.ActCancel, "no longer wanted", ids[i]); err != nil {
				t.Fatal(err)
			}
			r.within(2*time.Second, "the cancel arrives", func() bool { return r.get(ids[i]).Place.State == want })
			expect(t, "cause", cause.Load().(error), bellhop.ErrCancelled)
		}
		expect(t, "reason", r.get(ids[0]).Place.Reason, "no longer wanted")
		w.mustStop()
	})
}

// A request that came while an attempt was failing is kept for the next claim; what was said with it is gone by then, so the worker says why.
func TestCancelThatComesLate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		id, process := r.enqueue(many(1)...)[0], bellhop.Process{ID: bellhop.NewID()}
		_, err := r.store.Beat(r.ctx, &bellhop.Beat{Process: process, Lease: time.Minute})
		reply, claimed := r.store.Exchange(r.ctx, &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: process.ID, Limit: 1, Kinds: []string{job.Kind()}, Wants: []bellhop.Want{{Queue: "default", Count: 1}},
		})
		_, acted := r.client.Act(r.ctx, bellhop.ActCancel, "no longer wanted", id)
		if err := errors.Join(err, claimed, acted); err != nil || len(reply.Claims) != 1 {
			t.Fatal(err, reply)
		}
		failed := reply.Claims[0].Settle(bellhop.Policy{}, bellhop.Return{Err: errors.New("boom")})
		if _, err := r.store.Exchange(r.ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{failed}}); err != nil {
			t.Fatal(err)
		}

		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(context.Context, item) error {
			t.Error("it was started")
			return nil
		}))
		r.until("it is cancelled", func() bool { return r.get(id).Place.State == bellhop.StateCancelled })
		expect(t, "reason", r.get(id).Place.Reason, "cancelled while an earlier attempt ran")
		w.mustStop()
	})
}

func TestCancelOfPrefetchedJob(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		g := newGate(t)
		// The poll comes before the claim is given back for want of a slot.
		w := r.run(Config{Queues: Queues{"default": 1}, Poll: 100 * time.Millisecond}, job.With(g.handle))
		r.until("it began", func() bool { return w.Ready() == nil })
		w.mu.Lock()
		w.held.queues["default"].rate = 100 // as if it had earned prefetch
		w.mu.Unlock()
		ids := r.enqueue(many(2)...)
		r.within(100*time.Millisecond, "both are claimed", func() bool { return r.in(bellhop.StateRunning) == 2 })
		if _, err := r.client.Act(r.ctx, bellhop.ActCancel, "no", ids[1]); err != nil {
			t.Fatal(err)
		}
		r.within(2*time.Second, "it is cancelled", func() bool { return r.get(ids[1]).Place.State == bellhop.StateCancelled })
		if s := r.get(ids[1]); s.Place.Attempt != 0 || g.total() != 1 || s.Place.Reason != "no" {
			t.Errorf("it was started: %+v", s.Place)
		}
		g.free()
		r.until("the other is done", func() bool { return r.get(ids[0]).Place.State == bellhop.StateSucceeded })
		w.mustStop()
	})
}

func TestProgressAndResult(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		step := make(chan int)
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(ctx context.Context, _ item) error {
			run := bellhop.FromContext(ctx)
			for n := range step {
				run.SetProgress(int64(n), 100, "at it")
			}
			return run.SetResult(map[string]int{"made": 3})
		}))
		id := r.enqueue(many(1)...)[0]
		r.until("it runs", func() bool { return r.get(id).Place.State == bellhop.StateRunning })
		before := r.faulty.Calls(bellhop.OpReport)
		for n := range 100 {
			step <- n
			pass(100 * time.Millisecond)
		}
		if n := r.faulty.Calls(bellhop.OpReport) - before; n < 8 || n > 11 {
			t.Errorf("%d writes of progress in ten seconds, want one a second", n)
		}
		r.within(2*time.Second, "the last progress is there", func() bool {
			return string(r.get(id).Place.Progress) == `{"done":99,"total":100,"note":"at it"}`
		})
		close(step)
		r.until("it is done", func() bool { return r.get(id).Place.State == bellhop.StateSucceeded })
		expect(t, "result", string(r.get(id).Place.Result), `{"made":3}`)
		w.mustStop()
	})
}

func TestUndecodableArguments(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		calls := 0
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(context.Context, item) error { calls++; return nil }))
		args := `{"n":"three",  "text":1}`
		id := r.enqueue(bellhop.RawJob(job.Kind(), []byte(args), bellhop.Attempts(3)))[0]
		for n := 1; n < 3; n++ {
			r.within(10*time.Second, "a failure", func() bool { return r.get(id).Place.Failures == n })
			expect(t, "state between", r.get(id).Place.State, bellhop.StateScheduled)
		}
		r.within(10*time.Second, "dead", func() bool { return r.get(id).Place.State == bellhop.StateDead })
		s := r.get(id)
		if string(s.Args) != args || s.Place.Attempt != 3 || calls != 0 || !strings.Contains(s.History[0].Failure.Message, "arguments do not fit") {
			t.Errorf("dead with %s after %d attempts and %d calls: %+v", s.Args, s.Place.Attempt, calls, s.History[0].Failure)
		}
		w.mustStop()
	})
}

func TestMiddlewareOrder(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var seq turns
		layer := func(name string) Middleware {
			return func(ctx context.Context, run *bellhop.Run, next func(context.Context) error) error {
				seq.take(name)
				err := next(ctx)
				seq.take(name + " " + fmt.Sprint(err))
				return nil
			}
		}
		config := Config{Queues: Queues{"default": 1}, Middleware: []Middleware{layer("outer"), layer("inner")}}
		w := r.run(config, job.With(func(context.Context, item) error { return errors.New("no") }))
		id := r.enqueue(many(1)...)[0]
		r.until("it is done", func() bool { return r.get(id).Place.State == bellhop.StateSucceeded })
		expect(t, "order", strings.Join(seq.seq, ", "), "outer, inner, inner no, outer <nil>")
		w.mustStop()
	})
}

func TestKeyIsTheSameInAllAttempts(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		keys := map[string]int{}
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(ctx context.Context, _ item) error {
			keys[bellhop.Key(ctx, "charge")]++
			if bellhop.FromContext(ctx).Attempt() < 3 {
				return errors.New("again")
			}
			return nil
		}))
		id := r.enqueue(many(1)...)[0]
		r.until("it is done", func() bool { return r.get(id).Place.State == bellhop.StateSucceeded })
		if len(keys) != 1 {
			t.Errorf("keys of three attempts: %v", keys)
		}
		w.mustStop()
	})
}
