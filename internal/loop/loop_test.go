package loop_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop/internal/loop"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rounds records when each round of a loop began, counted from its making. Time is that of the synctest bubble.
type rounds struct {
	mu    sync.Mutex
	start time.Time
	at    []time.Duration
}

func newRounds() *rounds { return &rounds{start: time.Now()} }

// add notes a round that begins now and returns its number, from 1.
func (r *rounds) add() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, time.Since(r.start))
	return len(r.at)
}

// expect compares the rounds so far, once every goroutine of the bubble is at rest.
func (r *rounds) expect(t *testing.T, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	same := len(r.at) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = r.at[i] == want[i]
	}
	if !same {
		t.Errorf("rounds began at %v, want %v", r.at, want)
	}
}

// pass lets d go by on the bubble's clock.
func pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock: it moves at once when all goroutines wait
	synctest.Wait()
}

func TestRoundsFollowTheirWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := []time.Duration{0, -time.Second, 3 * time.Second, time.Minute, loop.Never}
		r := newRounds()
		l := loop.New("waits", func(context.Context) time.Duration { return waits[r.add()-1] }, loop.Options{})
		l.Start(t.Context())
		pass(24 * time.Hour)
		r.expect(t, 0, 0, 0, 3*time.Second, 63*time.Second)
		l.Stop()
	})
}

func TestStopWaitsForTheRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		var ended bool
		l := loop.New("slow", func(ctx context.Context) time.Duration {
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(7 * time.Second) // the bubble's clock: a round that is slow to end
			ended = true
			return 0
		}, loop.Options{})
		l.Start(t.Context())
		synctest.Wait()
		l.Stop()
		if !ended {
			t.Error("Stop returned before the round had ended")
		}
		if !errors.Is(cause, loop.ErrStopped) {
			t.Errorf("cause is %v, want ErrStopped", cause)
		}
		l.Stop() // again: harmless
	})
}

func TestStopEndsAnyWait(t *testing.T) {
	for name, wait := range map[string]time.Duration{"long": time.Hour, "never": loop.Never, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			begun := make(chan struct{})
			l := loop.New(name, func(context.Context) time.Duration {
				if n.Add(1) == 1 {
					close(begun)
				}
				return wait
			}, loop.Options{})
			l.Start(t.Context())
			<-begun
			l.Stop()
			after := n.Load()
			l.Wake()
			runtime.Gosched()
			if n.Load() != after {
				t.Error("a round began after Stop")
			}
		})
	}
}

func TestEndOfContextEndsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		l := loop.New("context", func(context.Context) time.Duration { r.add(); return time.Second }, loop.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		l.Start(ctx)
		r.expect(t, 0)
		cancel()
		pass(time.Hour)
		l.Wake()
		r.expect(t, 0)
		l.Stop()
	})
}

func TestStopBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		l := loop.New("stopped", func(context.Context) time.Duration { r.add(); return time.Second }, loop.Options{})
		l.Stop()
		l.Start(t.Context())
		pass(time.Hour)
		r.expect(t)
	})
}

func TestStartTwicePanics(t *testing.T) {
	l := loop.New("twice", func(context.Context) time.Duration { return loop.Never }, loop.Options{})
	l.Start(t.Context())
	defer l.Stop()
	defer func() {
		if recover() == nil {
			t.Error("the second Start did not panic")
		}
	}()
	l.Start(t.Context())
}

func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		l := loop.New("wake", func(context.Context) time.Duration {
			if r.add() == 1 {
				time.Sleep(time.Second) // the bubble's clock: time for wakes during the round
			}
			return loop.Never
		}, loop.Options{})
		l.Wake() // before Start: part of the first round
		l.Start(t.Context())
		r.expect(t, 0)
		for range 5 {
			l.Wake() // during a round: one more, once
		}
		pass(time.Minute)
		r.expect(t, 0, time.Second)
		for range 5 {
			l.Wake() // during a wait: one more, at once
		}
		synctest.Wait()
		pass(time.Minute)
		l.Stop()
		l.Wake() // after Stop: harmless
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := len(r.at); n < 3 || n > 4 || r.at[2] != time.Minute {
			t.Errorf("rounds began at %v, want the third at 1m0s and at most one more", r.at)
		}
	})
}

func TestManyWakersLoseNoWake(t *testing.T) {
	var todo, did atomic.Int64
	all := make(chan struct{})
	const wakers, each = 8, 500
	l := loop.New("busy", func(context.Context) time.Duration {
		if n := todo.Swap(0); n > 0 && did.Add(n) == wakers*each {
			close(all)
		}
		return loop.Never // so that only a wake brings the next round
	}, loop.Options{})
	l.Start(t.Context())
	defer l.Stop()
	for range wakers {
		go func() {
			for range each {
				todo.Add(1)
				l.Wake()
			}
		}()
	}
	select {
	case <-all:
	case <-time.After(30 * time.Second):
		t.Fatalf("did %d of %d: a wake was lost", did.Load(), wakers*each)
	}
}

// failing lists the ways in which a round can end badly, and what OnPanic is to be told.
var failing = map[string]struct {
	fail func()
	want func(v any) bool
}{
	"panic":     {func() { panic("boom") }, func(v any) bool { return v == "boom" }},
	"panic nil": {func() { panic(any(nil)) }, func(v any) bool { _, ok := v.(*runtime.PanicNilError); return ok }},
	"goexit":    {runtime.Goexit, func(v any) bool { return v == loop.ErrGoexit }},
}

func TestBadRoundsBackOffAndAreReported(t *testing.T) {
	for name, c := range failing {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRounds()
				var reports int
				onPanic := func(loopName string, v any, stack []byte) {
					reports++
					if loopName != "bad" || !c.want(v) || len(stack) == 0 {
						t.Errorf("OnPanic got %q, %v and %d bytes of stack", loopName, v, len(stack))
					}
				}
				l := loop.New("bad", func(context.Context) time.Duration {
					if n := r.add(); n <= 7 || n == 9 {
						c.fail()
					}
					return time.Minute
				}, loop.Options{OnPanic: onPanic})
				l.Start(t.Context())
				pass(3*time.Minute + 32*time.Second)
				// 1, 2, 4, 8, 16, 30, 30 s after the bad ones; a minute after the good eighth; from 1 s again after the ninth.
				r.expect(t, 0, 1*time.Second, 3*time.Second, 7*time.Second, 15*time.Second, 31*time.Second, 61*time.Second,
					91*time.Second, 151*time.Second, 152*time.Second, 212*time.Second)
				l.Stop()
				if reports != 8 {
					t.Errorf("%d reports, want 8", reports)
				}
			})
		})
	}
}

func TestWakeDoesNotCutABackOffShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		l := loop.New("backoff", func(context.Context) time.Duration {
			if r.add() == 1 {
				panic("boom")
			}
			return loop.Never
		}, loop.Options{OnPanic: func(string, any, []byte) {}})
		l.Start(t.Context())
		for range 9 {
			pass(100 * time.Millisecond)
			l.Wake()
		}
		r.expect(t, 0)
		pass(time.Hour)
		r.expect(t, 0, time.Second)
		l.Stop()
	})
}

func TestStopEndsABackOff(t *testing.T) {
	for name, c := range failing {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := loop.New("stop", func(context.Context) time.Duration { c.fail(); return 0 },
					loop.Options{OnPanic: func(string, any, []byte) {}})
				l.Start(t.Context())
				synctest.Wait()
				begin := time.Now()
				l.Stop()
				if took := time.Since(begin); took != 0 {
					t.Errorf("Stop took %v of a back-off", took)
				}
			})
		})
	}
}

func TestBadOnPanicDoesNotEndTheLoop(t *testing.T) {
	for name, c := range failing {
		for reporter, bad := range failing {
			t.Run(name+" then "+reporter, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRounds()
					l := loop.New("report", func(context.Context) time.Duration {
						if r.add() == 1 {
							c.fail()
						}
						return loop.Never
					}, loop.Options{OnPanic: func(string, any, []byte) { bad.fail() }})
					l.Start(t.Context())
					pass(time.Hour)
					r.expect(t, 0, time.Second)
					l.Stop()
				})
			})
		}
	}
}

func TestLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		l := loop.New("last", func(context.Context) time.Duration {
			if r.add() == 2 {
				panic("boom")
			}
			time.Sleep(time.Second) // the bubble's clock: a round takes a second
			return time.Minute
		}, loop.Options{OnPanic: func(string, any, []byte) {}})
		expect := func(what string, want time.Time) {
			t.Helper()
			synctest.Wait()
			if got := l.Last(); !got.Equal(want) {
				t.Errorf("%s: Last is %v, want %v", what, got, want)
			}
		}
		expect("before Start", time.Time{})
		l.Start(t.Context())
		expect("during the first round", time.Time{})
		pass(2 * time.Second)
		expect("after the first round", r.start.Add(time.Second))
		pass(time.Minute) // the second round panics at 61 s
		expect("after the second round", r.start.Add(time.Second))
		pass(2 * time.Second) // the third runs from 62 s to 63 s
		expect("after the third round", r.start.Add(63*time.Second))
		l.Stop()
	})
}

func TestLoopJittersItsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		l := loop.New("jitter", func(context.Context) time.Duration { r.add(); return time.Second }, loop.Options{Jitter: 0.5})
		l.Start(t.Context())
		pass(time.Hour)
		l.Stop()
		spread := map[time.Duration]bool{}
		for i := 1; i < len(r.at); i++ {
			wait := r.at[i] - r.at[i-1]
			spread[wait] = true
			if wait < time.Second || wait > 1500*time.Millisecond {
				t.Fatalf("round %d waited %v, want 1s to 1.5s", i, wait)
			}
		}
		if len(spread) < 100 {
			t.Errorf("%d different waits in an hour: no jitter", len(spread))
		}
	})
}

func TestJitter(t *testing.T) {
	for _, c := range []struct {
		d        time.Duration
		fraction float64
		low      time.Duration
		high     time.Duration
	}{
		{0, 0.5, 0, 0},
		{-time.Second, 0.5, 0, 0},
		{time.Second, 0, time.Second, time.Second},
		{time.Second, -1, time.Second, time.Second},
		{time.Second, math.NaN(), time.Second, time.Second},
		{time.Second, 0.1, time.Second, 1100 * time.Millisecond},
		{time.Second, 3, time.Second, 4 * time.Second},
		{time.Second, math.Inf(1), loop.Never, loop.Never},
		{loop.Never - 1, 1, loop.Never - 1, loop.Never},
		{loop.Never, 0.5, loop.Never, loop.Never},
	} {
		for range 200 {
			if got := loop.Jitter(c.d, c.fraction); got < c.low || got > c.high {
				t.Errorf("Jitter(%v, %v) = %v, want %v to %v", c.d, c.fraction, got, c.low, c.high)
				break
			}
		}
	}
}
