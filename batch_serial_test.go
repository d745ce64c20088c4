package bellhop_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// serial is a store that works on one call at a time, and on each only when it is let.
type serial struct{ gated }

func (s *serial) Capabilities() bellhop.Capabilities {
	c := s.Store.Capabilities()
	c.Writers, c.Serial = 2, true
	return c
}

// A lone call goes to a serial store at once, a second beside it only when it is large, and what the two leave waits
// for the first that is answered. Nobody is forgotten, also not when a call is withdrawn.
func TestSerialStoreGetsTwoLargeCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &serial{gated{Store: memory.New(), let: make(chan struct{})}}
		c, _ := bellhop.NewClient(s)
		var group sync.WaitGroup
		more := func(n int) {
			for range n {
				group.Go(func() {
					if _, err := sendWelcome.Enqueue(t.Context(), c, welcome{}); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
		}
		check := func(want ...int) {
			t.Helper()
			if !slices.Equal(s.sizes, want) {
				t.Errorf("calls of %v jobs were sent; want %v", s.sizes, want)
			}
		}
		more(1)
		more(15)
		check(1) // a second call of 15 is not worth its cost
		ctx, cancel := context.WithCancel(t.Context())
		group.Go(func() { _, _ = sendWelcome.Enqueue(ctx, c, welcome{}) })
		synctest.Wait()
		check(1, 16)
		more(32)
		check(1, 16) // both are under way
		ctx2, cancel2 := context.WithCancel(t.Context())
		withdrawn := make(chan error, 1)
		group.Go(func() { _, err := sendWelcome.Enqueue(ctx2, c, welcome{}); withdrawn <- err })
		synctest.Wait()
		cancel2()
		if err := <-withdrawn; err == nil {
			t.Error("a call that was withdrawn has no error")
		}
		s.let <- struct{}{}
		synctest.Wait()
		if last := s.sizes[len(s.sizes)-1]; len(s.sizes) != 3 || last != 24 { // half of 32 and 16
			t.Errorf("calls of %v jobs were sent; want the third of 24", s.sizes)
		}
		close(s.let)
		group.Wait()
		cancel()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		sent := 0
		for _, n := range s.sizes {
			sent += n
		}
		if sent != 49 {
			t.Errorf("%d jobs were sent; want 49", sent)
		}
	})
}
