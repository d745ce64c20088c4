package bulk_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bulk"
)

// freezing is the store of a process that stands still at its second bite: before the store has got it, or before it has the answer.
type freezing struct {
	bellhop.Store
	bites atomic.Int32
	after bool
	stuck chan struct{} // closed when it stands still
	thaw  chan struct{} // closed to let it go on
	done  chan struct{} // closed when that bite is over
}

func (f *freezing) Act(ctx context.Context, r *bellhop.ActRequest) (reply *bellhop.ActReply, err error) {
	here := f.bites.Add(1) == 2
	if here && f.after {
		reply, err = f.Store.Act(ctx, r)
	}
	if here {
		close(f.stuck)
		<-f.thaw
	}
	if !here || !f.after {
		reply, err = f.Store.Act(ctx, r)
	}
	if here {
		close(f.done)
	}
	return reply, err
}

// TestFrozenOwnerDoesNothingMore: an owner that stood still while another took its operation over and ended it changes no job when it
// goes on, wherever it stood, and leaves the record alone.
func TestFrozenOwnerDoesNothingMore(t *testing.T) {
	for point, after := range map[string]bool{"before a bite": false, "after a bite": true} {
		t.Run(point, func(t *testing.T) {
			onStores(t, func(w *world) { frozenOwner(w, after) })
		})
	}
}

func frozenOwner(w *world, after bool) {
	w.enqueue(2500, "mail")
	f := &freezing{Store: w.store, after: after, stuck: make(chan struct{}), thaw: make(chan struct{}), done: make(chan struct{})}
	client, err := bellhop.NewClient(f)
	w.must(err)
	owner := bulk.New(client, bulk.Options{Logger: slog.New(slog.DiscardHandler)})
	owner.Rush()
	o := w.begin(&process{Runner: owner}, bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}})
	<-f.stuck

	w.advance(31 * time.Second)
	successor := w.start(0, false)
	w.must(successor.TakeOver(w.t.Context()))
	end := w.wait(successor, o.ID)
	if end.State != bulk.Done || end.Takeovers != 1 {
		w.t.Fatalf("the successor ends as %+v", end)
	}
	cancelled := bellhop.Filter{States: bellhop.States(bellhop.StateCancelled)}
	if n := w.count(cancelled); n != 2500 {
		w.t.Fatalf("%d jobs are cancelled", n)
	}
	_, err = client.ActAll(w.t.Context(), bellhop.ActRetry, "again", cancelled, nil)
	w.must(err)
	close(f.thaw)
	<-f.done      // else its shutdown would be what ends it
	owner.Close() // returns when it has seen that it is not the owner any more
	if n := w.count(cancelled); n != 0 {
		w.t.Errorf("the former owner has cancelled %d jobs that were retried meanwhile", n)
	}
	last, err := successor.Get(w.t.Context(), o.ID)
	if err != nil || last.State != end.State || last.Done != end.Done || last.Cursor != end.Cursor || last.Takeovers != 1 {
		w.t.Errorf("the record is %+v after that, and was %+v; %v", last, end, err)
	}
}
