package bellhop_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// locking is a store in which a user's open transaction holds every unique key,
// until it is released. It has a single writer.
type locking struct {
	bellhop.Store
	released chan struct{}
}

func (l *locking) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	for _, j := range r.Jobs {
		if j.UniqueKey == "" {
			continue
		}
		select {
		case <-l.released:
		default:
			if r.Shared {
				return nil, fmt.Errorf("a key is held: %w", bellhop.ErrLocked)
			}
			select {
			case <-l.released:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	return l.Store.Enqueue(ctx, r)
}

// Calls that wait for a user's transaction hold up nobody else, however many they
// are. One whose turn has not come may be withdrawn, and Close waits for the others.
func TestLockedCallsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &locking{Store: memory.New(), released: make(chan struct{})}
		c, _ := bellhop.NewClient(s)
		var group sync.WaitGroup
		fresh := make(chan bool, 3)
		for range 3 {
			group.Go(func() {
				r, err := sendWelcome.Enqueue(t.Context(), c, welcome{}, bellhop.UniqueKey("held"))
				if err != nil {
					t.Error(err)
				}
				fresh <- !r.Existing
			})
		}
		synctest.Wait()
		impatient, goAway := context.WithCancel(t.Context())
		group.Go(func() {
			_, err := sendWelcome.Enqueue(impatient, c, welcome{}, bellhop.UniqueKey("held"))
			if !errors.Is(err, context.Canceled) || errors.Is(err, bellhop.ErrUnknown) {
				t.Errorf("a caller that goes away before its turn: %v", err)
			}
		})
		synctest.Wait()
		goAway()
		for range 10 {
			if _, err := sendWelcome.Enqueue(t.Context(), c, welcome{}); err != nil {
				t.Fatal(err)
			}
		}
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Fatalf("Close returned %v while calls were under way", err)
		default:
		}
		close(s.released)
		group.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		n := 0
		for range 3 {
			if <-fresh {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d of 3 calls have the key, want one", n)
		}
	})
}
