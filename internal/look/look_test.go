package look

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slow is a look that takes a while, and counts.
type slow struct {
	takes time.Duration
	looks int
	fails error
	spent time.Duration
}

func (s *slow) read(ctx context.Context) (*int, error) {
	began := time.Now()
	defer func() { s.spent += time.Since(began) }()
	s.looks++
	n := s.looks
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &n, s.fails
}

func TestOneLookForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: time.Second}
		l := New(s.read)
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				if seen := l.Get(t.Context(), time.Minute); seen.Err != nil || *seen.Value != 1 || seen.Age() != time.Second {
					t.Errorf("%+v", seen)
				}
			})
		}
		all.Wait()
		time.Sleep(50 * time.Second) // of the bubble's clock, as are all sleeps in these tests: what was seen is not old yet
		if seen := l.Get(t.Context(), time.Minute); *seen.Value != 1 {
			t.Error("it was looked again, and what was seen is not old")
		}
		time.Sleep(10 * time.Second) // until it is
		if seen := l.Get(t.Context(), time.Minute); *seen.Value != 2 || seen.Number != 2 {
			t.Errorf("it is old, and shown: %+v", seen)
		}
	})
}

// Whatever is asked for, and however a look goes, looking takes no more than its part of the time, and no less than it may.
func TestPartOfTheTime(t *testing.T) {
	for name, s := range map[string]*slow{
		"slow": {takes: 3 * time.Second}, "too slow": {takes: time.Hour}, "failing": {takes: time.Second, fails: errors.New("of no use")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(s.read)
				const over = time.Hour
				for began := time.Now(); time.Since(began) < over; time.Sleep(100 * time.Millisecond) { // between visitors
					l.Get(t.Context(), 0)
				}
				if part := float64(over) / float64(s.spent); part < Part || part > Part+2 {
					t.Errorf("looking took one part in %.1f of the time, want one in %d", part, Part)
				}
			})
		})
	}
}

func TestForgottenIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: time.Second}
		l := New(s.read)
		l.Get(t.Context(), time.Hour)
		l.Forget()
		if seen := l.Get(t.Context(), time.Hour); *seen.Value != 2 {
			t.Errorf("look %d is shown after a change", *seen.Value)
		}
		// A look that began before the change is not enough.
		l.Forget()
		go l.Get(t.Context(), time.Hour)
		synctest.Wait()
		l.Forget()
		if seen := l.Get(t.Context(), time.Hour); *seen.Value != 4 {
			t.Errorf("look %d is shown, which began before the change", *seen.Value)
		}
		// Who changes things all the time gets ahead of the measure, and no further.
		s.looks, s.spent = 0, 0
		began := time.Now()
		for time.Since(began) < time.Hour {
			l.Forget()
			l.Get(t.Context(), time.Hour)
			time.Sleep(100 * time.Millisecond) // between actions
		}
		if most := time.Hour/Part + 2*credit/Part; s.spent > most {
			t.Errorf("looking took %v of an hour, want %v at most", s.spent, most)
		}
	})
}

func TestLateLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 10 * time.Second}
		l := New(s.read)
		hasty := func() Seen[int] {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return l.Get(ctx, time.Minute)
		}
		began := time.Now()
		if seen := hasty(); seen.Value != nil || !errors.Is(seen.Err, ErrLate) || !errors.Is(seen.Err, bellhop.ErrUnavailable) || seen.Since != began {
			t.Errorf("%+v", seen)
		}
		if seen := l.Get(t.Context(), time.Minute); seen.Err != nil || *seen.Value != 1 {
			t.Errorf("the look has ended with one who waited for it: %+v", seen)
		}
		time.Sleep(10 * time.Minute) // until it is old
		if seen := hasty(); seen.Value == nil || *seen.Value != 1 || !errors.Is(seen.Err, ErrLate) || seen.Age() < 10*time.Minute {
			t.Errorf("the last look is not shown meanwhile: %+v", seen)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if seen := l.Get(gone, time.Minute); *seen.Value != 1 {
			t.Errorf("%+v", seen)
		}
		time.Sleep(time.Minute) // until that look has ended
		if seen := l.Get(t.Context(), time.Hour); seen.Err != nil || seen.Number != 2 {
			t.Errorf("%+v", seen)
		}
	})
}

func TestFailedLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: time.Second}
		l := New(s.read)
		l.Get(t.Context(), time.Minute)
		time.Sleep(time.Minute) // until it is old
		s.fails = errors.New("no room")
		began := time.Now()
		seen := l.Get(t.Context(), time.Minute)
		if seen.Value == nil || *seen.Value != 1 || seen.Err != s.fails || seen.Since != began || seen.Number != 2 {
			t.Errorf("%+v", seen)
		}
		time.Sleep(Part * time.Second) // until the measure allows more
		if seen = l.Get(t.Context(), time.Minute); seen.Since != began || seen.Number != 3 {
			t.Errorf("since when it fails has changed: %+v", seen)
		}
		s.fails = nil
		time.Sleep(Part * time.Second) // likewise
		if seen = l.Get(t.Context(), time.Minute); seen.Err != nil || *seen.Value != 4 {
			t.Errorf("it goes well again: %+v", seen)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	l := New(func(context.Context) (*int, error) { panic("of the store") })
	if seen := l.Get(t.Context(), 0); seen.Err == nil || seen.Value != nil {
		t.Errorf("%+v", seen)
	}
}

// frozen is a store that does not tell the time until it thaws.
type frozen struct {
	bellhop.Store
	thaw  chan struct{}
	pings atomic.Int64
}

func (f *frozen) Ping(ctx context.Context) (time.Time, error) {
	f.pings.Add(1)
	select {
	case <-f.thaw:
		return f.Store.Ping(ctx)
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("no answer: %w", ctx.Err())
	}
}

// A store that does not even tell the time is not kept busy: whoever waits for it waits for one look together with the others, and the next
// looks at once, so that its return is seen at once.
func TestFrozenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &frozen{Store: memory.New(), thaw: make(chan struct{})}
		l := Of(store)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if seen := l.Get(t.Context(), time.Second); seen.Value != nil || !errors.Is(seen.Err, context.DeadlineExceeded) {
					t.Errorf("%+v", seen)
				}
			})
		}
		all.Wait()
		if n := store.pings.Load(); n != 1 {
			t.Errorf("it was asked %d times, want once", n)
		}
		close(store.thaw)
		if seen := l.Get(t.Context(), time.Second); seen.Err != nil {
			t.Errorf("it is back: %v", seen.Err)
		}
	})
}

func TestQueues(t *testing.T) {
	store, other := Share(memory.New()), memory.New()
	client, err := bellhop.NewClient(store)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if Of(store) != Of(client.Store()) || Of(store) == Of(other) {
		t.Error("who finds the store finds another look, or stores share one")
	}
	if _, err := bellhop.Enqueue(t.Context(), client, bellhop.RawJob("kind", []byte("{}"), bellhop.Queue("mail"))); err != nil {
		t.Fatal(err)
	}
	_, err = store.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: bellhop.NewID(), Name: "w"}, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	seen := Of(store).Get(t.Context(), 0)
	if seen.Err != nil || len(seen.Value.Stats) != 1 || len(seen.Value.Processes) != 1 || seen.Value.Control == nil {
		t.Fatalf("%+v", seen)
	}
	q, st := seen.Value, seen.Value.Stats[0]
	if st.Queue != "mail" || st.Ready != 1 || q.Oldest(&st) != q.Now.Sub(st.OldestReady) || q.Oldest(&bellhop.QueueStats{}) != 0 || q.Clock().Before(q.Now) {
		t.Errorf("%+v", q)
	}
}

// At the end of a process a look goes on as long as somebody waits for it, and no longer.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 10 * time.Second}
		l := New(s.read)
		visit := func(patience time.Duration) Seen[int] {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return l.Get(ctx, time.Minute)
		}
		visit(time.Second)
		l.Close()
		if s.spent != time.Second {
			t.Errorf("nobody waits, and the look went on: it took %v", s.spent)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if seen := visit(time.Minute); seen.Err != nil || *seen.Value != 2 {
				t.Errorf("somebody waits, and the look was cut off: %+v", seen)
			}
		})
		visit(time.Second)
		all.Wait()
		time.Sleep(10 * time.Minute) // until it is old
		s.spent = 0
		if seen := visit(time.Second); *seen.Value != 2 || !errors.Is(seen.Err, ErrLate) {
			t.Errorf("%+v", seen)
		}
		synctest.Wait()
		if s.spent != time.Second {
			t.Errorf("the last one has left, and the look went on: it took %v", s.spent)
		}
		if seen := visit(time.Minute); seen.Err != nil || *seen.Value != 4 {
			t.Errorf("a look that was cut off keeps the next one back: %+v", seen)
		}
		l.Close()
		l.Close()
	})
}

// A store ends its looks before it closes.
func TestStoreEndsItsLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := Share(&frozen{Store: memory.New(), thaw: make(chan struct{})})
		seven := To(store, 7)
		if Of(store) != To(store, bellhop.QueuesCountedTo) || To(store, 7) != seven || seven == Of(store) {
			t.Error("looks that count to the same are not one, or others are")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		Of(store).Get(ctx, 0)
		To(store, 7).Get(ctx, 0)
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if d := Of(store).seen.Err; !errors.Is(d, context.Canceled) {
			t.Errorf("the look under way was not ended: %v", d)
		}
	})
}
