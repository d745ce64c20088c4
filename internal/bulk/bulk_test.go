package bulk_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bulk"
)

var ready = bellhop.States(bellhop.StateReady)

func TestOperationVisitsAll(t *testing.T) {
	onStores(t, func(w *world) {
		n := w.many
		w.enqueue(n, "mail")
		w.enqueue(10, "other")
		p := w.start(0, false)
		o := w.begin(p, bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}, By: "ann", Reason: "wrong text"})
		if o.State != bulk.Running || o.Total > n || !o.Capped && o.Total != n || o.Bound != bulk.DefaultBound {
			w.t.Errorf("begins as %+v", o)
		}
		end := w.wait(p, o.ID)
		if end.State != bulk.Done || end.Done != n || end.Takeovers != 0 || end.Percent() != 100 || end.EndedAt.IsZero() || end.Owner != "" {
			w.t.Errorf("ends as %+v", end)
		}
		w.t.Logf("%d jobs in %v", end.Done, end.EndedAt.Sub(end.StartedAt))
		if got := w.count(bellhop.Filter{States: bellhop.States(bellhop.StateCancelled), Queues: []string{"mail"}}); got != n {
			w.t.Errorf("%d jobs are cancelled, want %d", got, n)
		}
		if got := w.count(bellhop.Filter{States: ready}); got != 10 {
			w.t.Errorf("%d jobs of the other queue are left, want 10", got)
		}
		list, err := w.store.List(w.t.Context(), &bellhop.Query{Filter: bellhop.Filter{Queues: []string{"mail"}}, Limit: 1})
		if err != nil || list.Jobs[0].Place.Reason != "cancelled by ann: wrong text" {
			w.t.Errorf("reason %q, %v", list.Jobs[0].Place.Reason, err)
		}
		p.Close() // waits for the end's last words
		if len(w.ended) != 1 || w.ended[0].ID != o.ID {
			w.t.Errorf("told of %d ends, want that one", len(w.ended))
		}
		running, err := w.store.Records(w.t.Context(), &bellhop.RecordQuery{Space: "bulk.running"})
		if err != nil || len(running) != 0 {
			w.t.Errorf("%d operations are listed as running, %v", len(running), err)
		}
	})
}

// TestOtherProcessGoesOn kills process after process at a random call, before or after it took effect.
func TestOtherProcessGoesOn(t *testing.T) {
	onStores(t, func(w *world) {
		n := w.many
		w.enqueue(n, "mail")
		p := w.start(4+rand.Int64N(6), rand.N(2) == 0) // more than the two writes of the start
		o := w.begin(p, bulk.Request{Action: bellhop.ActDelete, Filter: bellhop.Filter{States: ready}, By: "ann"})
		end := w.wait(p, o.ID)
		deaths := 0
		for ; !end.Ended() && deaths < 1000; deaths++ {
			early := w.start(0, false) // within the lease nobody takes anything over
			if err := early.TakeOver(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			early.Close()
			p.Close()
			w.advance(31 * time.Second)
			p = w.start(1+rand.Int64N(12), rand.N(2) == 0)
			if err := p.TakeOver(w.t.Context()); err != nil && !errors.Is(err, errDead) {
				w.t.Fatal(err)
			}
			end = w.wait(p, o.ID)
		}
		if end.State != bulk.Done || deaths == 0 {
			w.t.Fatalf("after %d deaths: %+v", deaths, end)
		}
		if end.Done > n || end.Done < n-end.Takeovers*bulk.Bite || end.Takeovers > deaths {
			w.t.Errorf("%d of %d counted with %d takeovers", end.Done, n, end.Takeovers)
		}
		if left := w.count(bellhop.Filter{States: bellhop.AllStates}); left != 0 {
			w.t.Errorf("%d jobs are left", left)
		}
		w.t.Logf("%d deaths, %d takeovers, %d of %d counted", deaths, end.Takeovers, end.Done, n)
	})
}

func TestShutdownHandsOver(t *testing.T) {
	onStores(t, func(w *world) {
		w.enqueue(6000, "mail")
		first := w.start(0, false)
		o := w.begin(first, bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}})
		first.Close()
		if _, err := first.Start(w.t.Context(), bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{States: ready}}); !errors.Is(err, bellhop.ErrClosed) {
			w.t.Errorf("a closed runner starts: %v", err)
		}
		second := w.start(0, false)
		if err := second.TakeOver(w.t.Context()); err != nil { // no time has passed
			w.t.Fatal(err)
		}
		end := w.wait(second, o.ID)
		if end.State != bulk.Done || end.Takeovers != 0 || end.Done != 6000 {
			w.t.Errorf("ends as %+v", end)
		}
	})
}

func TestStop(t *testing.T) {
	onStores(t, func(w *world) {
		w.enqueue(5000, "mail")
		p := w.start(0, false)
		stopper := w.start(0, false)
		o := w.begin(p, bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}})
		for range 2 { // the second changes nothing
			if _, err := stopper.Stop(w.t.Context(), o.ID, "bob"); err != nil {
				w.t.Fatal(err)
			}
		}
		end := w.wait(p, o.ID)
		switch end.State { // which depends on who was faster
		case bulk.Stopped:
			if end.StopBy != "bob" || end.Percent() == 100 {
				w.t.Errorf("stopped as %+v", end)
			}
		case bulk.Done:
		default:
			w.t.Errorf("ends as %+v", end)
		}
		if got := w.count(bellhop.Filter{States: bellhop.States(bellhop.StateCancelled)}); got != end.Done {
			w.t.Errorf("%d jobs are cancelled, %d counted", got, end.Done)
		}
		if _, err := stopper.Stop(w.t.Context(), strings.Repeat("0", 24), "bob"); !errors.Is(err, bellhop.ErrNotFound) {
			w.t.Errorf("stop of nothing: %v", err)
		}
	})
}

// TestStopBeforeTheFirstBite stops an operation whose process died before it did anything.
func TestStopBeforeTheFirstBite(t *testing.T) {
	onStores(t, func(w *world) {
		w.enqueue(10, "mail")
		p := w.start(3, false) // two writes of the start, and not the first bite
		o := w.begin(p, bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}})
		w.wait(p, o.ID)
		p.Close()
		other := w.start(0, false)
		if _, err := other.Stop(w.t.Context(), o.ID, "bob"); err != nil {
			w.t.Fatal(err)
		}
		w.advance(31 * time.Second)
		if err := other.TakeOver(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if end := w.wait(other, o.ID); end.State != bulk.Stopped || end.Done != 0 {
			w.t.Errorf("ends as %+v", end)
		}
	})
}

func TestBound(t *testing.T) {
	onStores(t, func(w *world) {
		w.enqueue(3000, "mail")
		p := w.start(0, false)
		o := w.begin(p, bulk.Request{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{"mail"}}, Bound: 1500})
		if end := w.wait(p, o.ID); end.State != bulk.Bounded || end.Done != 1500 || end.Goal() != 1500 {
			w.t.Errorf("ends as %+v", end)
		}
		if got := w.count(bellhop.Filter{States: ready}); got != 1500 {
			w.t.Errorf("%d jobs are left, want 1500", got)
		}
	})
}

func TestSelection(t *testing.T) {
	onStores(t, func(w *world) {
		w.enqueue(20, "mail")
		page, err := w.store.List(w.t.Context(), &bellhop.Query{Limit: 3})
		if err != nil {
			w.t.Fatal(err)
		}
		var ids []bellhop.ID
		for _, j := range page.Jobs {
			ids = append(ids, j.ID)
		}
		p := w.start(0, false)
		o := w.begin(p, bulk.Request{Action: bellhop.ActDelete, Filter: bellhop.Filter{IDs: ids, Queues: []string{"mail"}}})
		if end := w.wait(p, o.ID); end.State != bulk.Done || end.Done != 3 {
			w.t.Errorf("ends as %+v", end)
		}
		if got := w.count(bellhop.Filter{States: ready}); got != 17 {
			w.t.Errorf("%d jobs are left, want 17", got)
		}
	})
}

func TestRefusals(t *testing.T) {
	onStores(t, func(w *world) {
		p := w.start(0, false)
		some := bellhop.Filter{Queues: []string{"mail"}}
		for _, c := range []struct {
			want string
			q    bulk.Request
		}{
			{"unknown", bulk.Request{Action: 77, Filter: some}},
			{"every job", bulk.Request{Action: bellhop.ActRetry}},
			{"means nothing", bulk.Request{Action: bellhop.ActRetry, Filter: bellhop.Filter{States: ready}}},
			{"out of range", bulk.Request{Action: bellhop.ActRetry, Filter: some, Bound: -1}},
			{"out of range", bulk.Request{Action: bellhop.ActRetry, Filter: some, Bound: bulk.MaxBound + 1}},
		} {
			if _, err := p.Start(w.t.Context(), c.q); err == nil || !strings.Contains(err.Error(), c.want) {
				w.t.Errorf("%+v: %v, want %q", c.q, err, c.want)
			}
		}
		for _, id := range []string{"", "x", strings.Repeat("a", 10_000), "../etc", strings.Repeat("0", 24)} {
			if _, err := p.Get(w.t.Context(), id); !errors.Is(err, bellhop.ErrNotFound) {
				w.t.Errorf("get %.20q: %v", id, err)
			}
		}
		for i := range bulk.MaxRunning {
			id := fmt.Sprintf("%024x", i+1)
			other := fmt.Sprintf(`{"state":"running","action":1,"filter":{},"owner":"another","beat_at":%q}`, w.now().Format(time.RFC3339))
			for _, r := range []bellhop.RecordWrite{{Space: "bulk", Key: id, Value: []byte(other)}, {Space: "bulk.running", Key: id, Value: []byte("{}")}} {
				w.must(w.store.Put(w.t.Context(), []bellhop.RecordWrite{r}))
			}
		}
		if _, err := p.Start(w.t.Context(), bulk.Request{Action: bellhop.ActRetry, Filter: some}); !errors.Is(err, bulk.ErrBusy) {
			w.t.Errorf("one more than may run: %v", err)
		}
	})
}

func TestListNewestFirst(t *testing.T) {
	onStores(t, func(w *world) {
		p := w.start(0, false)
		var want []string
		for range 5 {
			o := w.begin(p, bulk.Request{Action: bellhop.ActDiscard, Filter: bellhop.Filter{Queues: []string{"mail"}}})
			w.wait(p, o.ID)
			want = append([]string{o.ID}, want...)
			w.advance(time.Second)
		}
		var got []string
		after := ""
		for {
			list, next, err := p.List(w.t.Context(), after, 2)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, o := range list {
				got = append(got, o.ID)
			}
			if after = next; next == "" {
				break
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			w.t.Errorf("order %v, want %v", got, want)
		}
	})
}

// TestForeignConditions: an operation of a version that knows more conditions is left to processes of that version.
func TestForeignConditions(t *testing.T) {
	_, err := bulk.Decode(&bellhop.Record{Key: "k", Value: []byte(`{"action":1,"filter":{"States":8,"Moon":"full"},"state":"running"}`)})
	if err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("%v", err)
	}
}

func TestNarrow(t *testing.T) {
	dead := bellhop.States(bellhop.StateDead)
	for _, c := range []struct {
		action bellhop.Action
		in     bellhop.Filter
		want   bellhop.StateSet
	}{
		{bellhop.ActRetry, bellhop.Filter{Kinds: []string{"k"}}, dead},
		{bellhop.ActRetry, bellhop.Filter{IDs: []bellhop.ID{bellhop.NewID()}}, bellhop.ActRetry.From()},
		{bellhop.ActRetry, bellhop.Filter{States: dead | ready}, dead},
		{bellhop.ActCancel, bellhop.Filter{Kinds: []string{"k"}}, bellhop.ActCancel.From()},
	} {
		if got, err := bulk.Narrow(c.action, c.in); err != nil || got.States != c.want {
			t.Errorf("%v of %+v: %v, %v, want %v", c.action, c.in, got.States, err, c.want)
		}
	}
}

// TestStartIsNotDisturbed: who looks for abandoned operations between the two writes of one that begins leaves it listed.
func TestStartIsNotDisturbed(t *testing.T) {
	onStores(t, func(w *world) {
		p := w.start(0, false)
		id := fmt.Sprintf("%016x00000000", ^uint64(w.now().UnixMicro()))
		if err := w.store.Put(w.t.Context(), []bellhop.RecordWrite{{Space: "bulk.running", Key: id, Value: []byte("{}")}}); err != nil {
			w.t.Fatal(err)
		}
		for _, want := range []int{1, 0} {
			if err := p.TakeOver(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			found, err := w.store.Records(w.t.Context(), &bellhop.RecordQuery{Space: "bulk.running"})
			if err != nil || len(found) != want {
				w.t.Fatalf("%d are listed, want %d; %v", len(found), want, err)
			}
			w.advance(time.Minute)
		}
	})
}
