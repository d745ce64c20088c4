package bellhop_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// gated is a store that works on each call only when it is let, and tells of the calls.
type gated struct {
	bellhop.Store
	let    chan struct{}
	panics bool

	mu    sync.Mutex
	sizes []int // of the calls, as they were sent
}

func (g *gated) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	g.mu.Lock()
	g.sizes = append(g.sizes, len(r.Jobs))
	g.mu.Unlock()
	<-g.let
	if g.panics {
		panic("the store is broken")
	}
	return g.Store.Enqueue(ctx, r)
}

// Who sends his own jobs, because he cannot go away, holds up nobody: others wait for him as for anybody, may be withdrawn,
// go together when he is answered, and Close waits for all.
func TestCallerWhoCannotGoAwaySendsHisJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{Store: memory.New(), let: make(chan struct{})}
		c, _ := bellhop.NewClient(g)
		var group sync.WaitGroup
		enqueue := func(ctx context.Context, want bool) {
			group.Go(func() {
				if _, err := sendWelcome.Enqueue(ctx, c, welcome{}); (err == nil) != want {
					t.Errorf("enqueue: %v; want success %v", err, want)
				}
			})
			synctest.Wait()
		}
		impatient, goAway := context.WithCancel(t.Context())
		enqueue(context.Background(), true)
		enqueue(context.Background(), true)
		enqueue(t.Context(), true)
		enqueue(impatient, false)
		goAway()
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		synctest.Wait()
		g.let <- struct{}{}
		synctest.Wait()
		if !slices.Equal(g.sizes, []int{1, 2}) || len(closed) > 0 {
			t.Errorf("calls of %v jobs were sent, Close has returned %v; want calls of 1 and 2, and that it waits", g.sizes, len(closed) > 0)
		}
		close(g.let)
		group.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// A store that panics does so on the goroutine of a caller who sends his own jobs. If he lives on, so do the others.
func TestPanicOfACallerWhoSendsHisJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{Store: memory.New(), let: make(chan struct{}), panics: true}
		c, _ := bellhop.NewClient(g)
		var group sync.WaitGroup
		group.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the caller does not see the panic")
				}
				g.panics = false
			}()
			_, _ = sendWelcome.Enqueue(context.Background(), c, welcome{})
		})
		synctest.Wait()
		group.Go(func() {
			if _, err := sendWelcome.Enqueue(t.Context(), c, welcome{}); err != nil {
				t.Errorf("a call that waited: %v", err)
			}
		})
		synctest.Wait()
		g.let <- struct{}{}
		synctest.Wait()
		close(g.let)
		group.Wait()
		if _, err := sendWelcome.Enqueue(context.Background(), c, welcome{}); err != nil {
			t.Errorf("a call after it: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// narrow is a store that takes some calls at once and tells the most that there were.
type narrow struct {
	bellhop.Store
	now, most atomic.Int64
	work      func()
}

func (n *narrow) Capabilities() bellhop.Capabilities {
	return bellhop.Capabilities{Name: "narrow", Writers: 2}
}

func (n *narrow) Enqueue(_ context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	for now, most := n.now.Add(1), n.most.Load(); now > most && !n.most.CompareAndSwap(most, now); most = n.most.Load() {
	}
	n.work()
	n.now.Add(-1)
	receipts := make([]bellhop.Receipt, len(r.Jobs))
	for i, j := range r.Jobs {
		receipts[i].ID = j.ID
	}
	return receipts, nil
}

// However callers who send their own jobs meet goroutines that take what waits: there are never more calls at once than the store
// has writers, and all are answered.
func TestWritersAreNeverMore(t *testing.T) {
	n := &narrow{Store: memory.New(), work: func() {}}
	c, _ := bellhop.NewClient(n)
	patient, impatient := context.Background(), t.Context()
	var group sync.WaitGroup
	for i := range 8 {
		ctx := patient
		if i == 0 {
			ctx = impatient
		}
		group.Go(func() {
			for range 3000 {
				if _, err := sendWelcome.Enqueue(ctx, c, welcome{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if most := n.most.Load(); most > 2 {
		t.Errorf("%d calls at once; the store takes 2", most)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if n := bellhop.Senders(c); n != 0 {
		t.Errorf("%d goroutines are counted as sending, at rest", n)
	}
}
