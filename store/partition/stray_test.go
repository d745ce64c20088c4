package partition_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/storetest"
)

// An exchange that goes on when its caller waits no longer has its outcomes for
// itself: the caller may use the memory again.
func TestStrayKeepsItsOutcomes(t *testing.T) {
	r := newRig(t)
	p := bellhop.NewID()
	_, err := r.beat(p)
	r.must(err)
	id := r.add("two")[0]
	slow := &slow{Pass: storetest.Pass{Store: r.parts["two"]}}
	r.s, err = partition.New(partition.Config{
		By: partition.ByQueue, Pins: map[string]string{"one": "one", "two": "two"}, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Parts: []partition.Part{{Name: "one", Store: r.parts["one"]}, {Name: "two", Store: slow}},
	})
	r.must(err)
	x := request(p, 10)
	x.Outcomes = []bellhop.Outcome{succeeded(r.claim(p)["two"])}
	slow.until = make(chan struct{})
	if reply := r.exchange(x); !slices.Equal(reply.Unsettled, []int{0}) {
		t.Fatalf("unsettled are %v; want the outcome, since its part is slow", reply.Unsettled)
	}
	clear(x.Outcomes)
	close(slow.until)
	r.until("the outcome is applied", func() bool { return r.state(id) == bellhop.StateSucceeded })
}

// slow is a part whose exchanges take effect late.
type slow struct {
	storetest.Pass
	until chan struct{} // nil for at once
}

func (s *slow) Exchange(ctx context.Context, x *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	if s.until != nil {
		<-s.until
	}
	return s.Store.Exchange(ctx, x)
}
