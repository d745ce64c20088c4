package observe_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/observe"
	"github.com/gobellhop/bellhop/store/memory"
)

// callAll calls each verb of a store once; what comes of it does not matter.
func callAll(ctx context.Context, s bellhop.Store) {
	_, _ = s.Enqueue(ctx, &bellhop.EnqueueRequest{})
	_, _ = s.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID()})
	_, _ = s.Report(ctx, nil)
	_, _ = s.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: bellhop.NewID()}, Lease: time.Minute})
	_, _ = s.Sweep(ctx, 1)
	_, _, _ = s.Promote(ctx, 1)
	_, _ = s.Prune(ctx, 1)
	_, _ = s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActRetry, IDs: []bellhop.ID{bellhop.NewID()}})
	_, _ = s.Get(ctx, []bellhop.ID{bellhop.NewID()})
	_, _ = s.List(ctx, &bellhop.Query{})
	_, _ = s.Count(ctx, &bellhop.Query{Limit: 1})
	_, _ = s.Stats(ctx, 1)
	_, _ = s.Processes(ctx)
	_ = s.Pause(ctx, "q", true)
	_, _ = s.Records(ctx, &bellhop.RecordQuery{Space: "s"})
	_ = s.Put(ctx, nil)
	_, _ = s.Ping(ctx)
}

func TestEachVerbIsTold(t *testing.T) {
	type key struct{}
	var got []bellhop.Op
	inner := &keyed{Store: memory.New(), key: key{}}
	s := observe.Store(inner, func(ctx context.Context, op bellhop.Op) (context.Context, func(time.Duration, error)) {
		return context.WithValue(ctx, key{}, op), func(took time.Duration, _ error) {
			if took < 0 {
				t.Errorf("%s took %v", op, took)
			}
			got = append(got, op)
		}
	})
	callAll(t.Context(), s)
	if want := bellhop.Ops; !slices.Equal(got, want) {
		t.Errorf("told of %v, want %v", got, want)
	}
	if inner.pinged != bellhop.OpPing {
		t.Errorf("the store behind was called with the context of %q", inner.pinged)
	}
	if found, ok := bellhop.As[*keyed](s); !ok || found != inner {
		t.Error("the store behind is not found through the decorator")
	}
}

// keyed remembers what the context of a ping carries.
type keyed struct {
	bellhop.Store
	key    any
	pinged any
}

func (k *keyed) Ping(ctx context.Context) (time.Time, error) {
	k.pinged = ctx.Value(k.key)
	return k.Store.Ping(ctx)
}

// TestNoVerbIsForgotten finds a verb that was added to the contract and not here.
func TestNoVerbIsForgotten(t *testing.T) {
	const others = 2 // Capabilities and Close
	if n := reflect.TypeFor[bellhop.Store]().NumMethod(); n != len(bellhop.Ops)+others {
		t.Errorf("the contract has %d methods and %d operations: is one missing in this package?", n, len(bellhop.Ops))
	}
}

func TestWhoDoesNotWantToKnow(t *testing.T) {
	s := observe.Store(memory.New(), func(ctx context.Context, _ bellhop.Op) (context.Context, func(time.Duration, error)) { return ctx, nil })
	callAll(t.Context(), s)
	if _, err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
