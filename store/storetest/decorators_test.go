package storetest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// enqueueNew enqueues a new job and returns its id.
func enqueueNew(ctx context.Context, s bellhop.Store) (bellhop.ID, error) {
	j := raceJob("a")
	_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
	return j.ID, err
}

func isThere(t *testing.T, s bellhop.Store, id bellhop.ID) bool {
	t.Helper()
	found, err := s.Get(t.Context(), []bellhop.ID{id})
	must(t, err)
	return len(found) == 1
}

func TestFaulty(t *testing.T) {
	own := errors.New("own")
	for _, c := range []struct {
		mode  FaultMode
		err   error
		want  error
		taken bool
	}{
		{Before, nil, bellhop.ErrUnavailable, false},
		{Before, nil, ErrFault, false},
		{Before, own, own, false},
		{After, nil, bellhop.ErrUnavailable, true},
		{After, own, own, true},
		{Hang, nil, context.DeadlineExceeded, false},
		{SwallowReply, own, context.DeadlineExceeded, true},
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory.New()
				f := NewFaulty(s)
				f.Fail(bellhop.OpEnqueue, c.mode, 1, c.err)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				id, err := enqueueNew(ctx, f)
				if !errors.Is(err, c.want) {
					t.Errorf("error is %v; want %v", err, c.want)
				}
				if took := time.Since(began); (took == time.Second) != (c.mode == Hang || c.mode == SwallowReply) {
					t.Errorf("took %v", took)
				}
				if taken := isThere(t, s, id); taken != c.taken {
					t.Errorf("the job is there: %v; want %v", taken, c.taken)
				}
				id, err = enqueueNew(t.Context(), f)
				must(t, err)
				if !isThere(t, f, id) {
					t.Error("the second call was broken too")
				}
				if calls, struck := f.Calls(bellhop.OpEnqueue), f.Struck(bellhop.OpEnqueue); calls != 2 || struck != 1 {
					t.Errorf("%d calls, %d struck; want 2 and 1", calls, struck)
				}
			})
		})
	}
}

func TestFaultyAllAndHeal(t *testing.T) {
	f := NewFaulty(memory.New())
	f.FailAll(Before, Always, nil)
	for range 3 {
		if _, err := f.Ping(t.Context()); !errors.Is(err, ErrFault) {
			t.Errorf("ping: %v; want %v", err, ErrFault)
		}
	}
	if err := f.Put(t.Context(), nil); !errors.Is(err, ErrFault) {
		t.Errorf("put: %v; want %v", err, ErrFault)
	}
	f.Heal(bellhop.OpPing)
	if _, err := f.Ping(t.Context()); err != nil {
		t.Errorf("healed ping: %v", err)
	}
	if err := f.Pause(t.Context(), "a", true); !errors.Is(err, ErrFault) {
		t.Errorf("pause: %v; want %v", err, ErrFault)
	}
	f.Heal()
	must(t, f.Pause(t.Context(), "a", true))
}

// TestFaultyClose: a call in a black hole comes back when the store is closed.
func TestFaultyClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaulty(memory.New())
		f.Fail(bellhop.OpSweep, Hang, Always, nil)
		result := make(chan error, 1)
		go func() {
			_, err := f.Sweep(t.Context(), 1)
			result <- err
		}()
		synctest.Wait()
		if n := f.Hanging(bellhop.OpSweep); n != 1 {
			t.Errorf("%d calls hang; want 1", n)
		}
		must(t, f.Close())
		if err := <-result; !errors.Is(err, bellhop.ErrClosed) {
			t.Errorf("error is %v; want %v", err, bellhop.ErrClosed)
		}
		if n := f.Hanging(bellhop.OpSweep); n != 0 {
			t.Errorf("%d calls hang; want 0", n)
		}
	})
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		slow := NewSlow(s, func(op bellhop.Op) time.Duration {
			if op == bellhop.OpEnqueue {
				return time.Minute
			}
			return 0
		})
		began := time.Now()
		id, err := enqueueNew(t.Context(), slow)
		must(t, err)
		if took := time.Since(began); took != time.Minute || !isThere(t, slow, id) {
			t.Errorf("took %v, there: %v", took, isThere(t, slow, id))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if id, err = enqueueNew(ctx, slow); !errors.Is(err, context.DeadlineExceeded) || isThere(t, s, id) {
			t.Errorf("error is %v, there: %v", err, isThere(t, s, id))
		}
	})
}

// TestAbilities: what lies behind decorators is found through them.
func TestAbilities(t *testing.T) {
	s := memory.New()
	if n, ok := bellhop.As[bellhop.Notifier](Pass{NewFaulty(NewSlow(s, nil))}); !ok || n != bellhop.Notifier(s) {
		t.Errorf("the notifier behind three decorators is %v", n)
	}
}
