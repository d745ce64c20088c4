package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bulk"
	"github.com/gobellhop/bellhop/store/memory"
)

// faltering is a store that does not take the first record after its n-th bite.
type faltering struct {
	bellhop.Store
	n, bites int32
	refuse   error // what bites come to; nil if they are done
	falter   atomic.Bool
}

func (f *faltering) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	f.bites++
	f.falter.Store(f.bites == f.n)
	if f.refuse != nil {
		return nil, f.refuse
	}
	return f.Store.Act(ctx, r)
}

func (f *faltering) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	if f.falter.CompareAndSwap(true, false) {
		return fmt.Errorf("it falters: %w", bellhop.ErrUnavailable)
	}
	return f.Store.Put(ctx, writes)
}

// TestEndIsWrittenDown: an operation has not ended before its record says so, which the store may not take at once.
func TestEndIsWrittenDown(t *testing.T) {
	for _, c := range []struct {
		end    bulk.State
		bound  int
		n      int32
		refuse error
	}{
		{bulk.Done, 0, 1, nil}, {bulk.Bounded, 3, 1, nil}, {bulk.Failed, 0, 3, errors.New("there is no hope")},
	} {
		t.Run(string(c.end), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, memory.New(), 10, 10)
				w.enqueue(10, "mail")
				client, err := bellhop.NewClient(&faltering{Store: w.store, n: c.n, refuse: c.refuse}, bellhop.Logger(slog.New(slog.DiscardHandler)))
				w.must(err)
				defer client.Close()
				var told atomic.Int32
				runner := bulk.New(client, bulk.Options{Ended: func(context.Context, *bulk.Operation) { told.Add(1) }})
				defer runner.Close()
				o := w.begin(&process{Runner: runner}, bulk.Request{
					Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}, Bound: c.bound,
				})
				time.Sleep(10 * time.Minute) // of the bubble's clock
				o, err = runner.Get(t.Context(), o.ID)
				w.must(err)
				if o.State != c.end || o.Owner != "" || o.EndedAt.IsZero() || told.Load() != 1 {
					t.Errorf("it ends as %+v, of which %d were told", o, told.Load())
				}
			})
		})
	}
}

// slow is a store whose bites take their time.
type slow struct{ bellhop.Store }

func (s slow) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	defer time.Sleep(10 * time.Second) // of the bubble's clock
	return s.Store.Act(ctx, r)
}

// TestStoppedAtShutdown: an operation that was asked to stop while its process rests, and then shuts down, ends there and is told of.
func TestStoppedAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, memory.New(), 10, 10)
		w.enqueue(bulk.Bite+1, "mail")
		client, err := bellhop.NewClient(slow{w.store}, bellhop.Logger(slog.New(slog.DiscardHandler)))
		w.must(err)
		defer client.Close()
		var told atomic.Int32
		runner := bulk.New(client, bulk.Options{Ended: func(context.Context, *bulk.Operation) { told.Add(1) }})
		o := w.begin(&process{Runner: runner}, bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}})
		time.Sleep(15 * time.Second) // of the bubble's clock: the first bite is over, and the second not begun
		_, err = runner.Stop(t.Context(), o.ID, "bob")
		w.must(err)
		runner.Close()
		o, err = runner.Get(t.Context(), o.ID)
		w.must(err)
		if o.State != bulk.Stopped || o.Done != bulk.Bite || told.Load() != 1 {
			t.Errorf("it ends as %+v, of which %d were told", o, told.Load())
		}
	})
}
