package mysql_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// TestIdleExchangeIsOneQuery: a worker that found nothing asks by one query, and
// misses nothing by that: not a job, a pause, a cancel, nor its own end.
func TestIdleExchangeIsOneQuery(t *testing.T) {
	s := newStore(t)
	ctx := t.Context()
	p := bellhop.Process{ID: bellhop.NewID(), Name: "idle"}
	beat := func(leave bool) {
		t.Helper()
		if _, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Minute, Leave: leave}); err != nil {
			t.Fatal(err)
		}
	}
	var steps []string
	s.SetStep(func(_ context.Context, op bellhop.Op, name string, done bool) error {
		if op == bellhop.OpExchange && !done {
			steps = append(steps, name)
		}
		return nil
	})
	ask := func() (*bellhop.ExchangeReply, error) {
		steps = nil
		return s.Exchange(ctx, &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: p.ID, Limit: 10, Kinds: []string{"a"},
			Wants: []bellhop.Want{{Queue: "one", Count: 5}, {Queue: "two", Count: 5}},
		})
	}
	must := func() *bellhop.ExchangeReply {
		t.Helper()
		reply, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	beat(false)
	must() // finds nothing, the whole way
	if must(); !slices.Equal(steps, []string{"look for jobs"}) {
		t.Errorf("an idle exchange ran %q, want one query", steps)
	}
	job := &bellhop.Job{ID: bellhop.NewID(), Kind: "a", Queue: "two", Attempts: 1, Args: []byte(`{}`)}
	later := &bellhop.Job{ID: bellhop.NewID(), Kind: "a", Queue: "one", Attempts: 1, Args: []byte(`{}`), Delay: time.Hour}
	if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{job, later}}); err != nil {
		t.Fatal(err)
	}
	if reply := must(); len(reply.Claims) != 1 || reply.Claims[0].Job.ID != job.ID {
		t.Fatalf("a look that saw a job claimed %v", reply.Claims)
	}
	must()
	if reply := must(); len(steps) != 1 || reply.Signals.NextDue < 59*time.Minute || reply.Signals.Now.IsZero() {
		t.Errorf("after %q the signals are %+v, want the hour of the scheduled job and the time", steps, reply.Signals)
	}
	if _, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: []bellhop.ID{job.ID}}); err != nil {
		t.Fatal(err)
	}
	if reply := must(); len(reply.Signals.Cancel) != 1 {
		t.Errorf("a look hid a cancel: %+v", reply.Signals)
	}
	if err := s.Pause(ctx, "one", true); err != nil {
		t.Fatal(err)
	}
	if reply := must(); !slices.Equal(reply.Signals.Paused, []string{"one"}) {
		t.Errorf("a look hid a pause: %+v", reply.Signals)
	}
	beat(true)
	if _, err := ask(); err == nil {
		t.Error("a process that has left was answered")
	}
}

// TestIdleBeat: the beat of a process that holds nothing tells whether there is
// something to do, and stands for its poll and its sweep.
func TestIdleBeat(t *testing.T) {
	s := newStore(t)
	b := &bellhop.Beat{Process: bellhop.Process{ID: bellhop.NewID(), Name: "idle", Queues: []string{"one", "two"}}, Lease: time.Minute}
	beat := func(idle bool, from, to time.Duration) {
		t.Helper()
		reply, err := s.Beat(t.Context(), b)
		if err != nil || reply.Idle != idle || idle && (reply.NextDue < from || reply.NextDue > to) {
			t.Fatalf("a beat answered %+v, error %v; want idle %v, the next due within %v to %v", reply, err, idle, from, to)
		}
	}
	add := func(delay time.Duration) {
		t.Helper()
		job := &bellhop.Job{ID: bellhop.NewID(), Kind: "a", Queue: "two", Attempts: 1, Args: []byte(`{}`), Delay: delay}
		if _, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{job}}); err != nil {
			t.Fatal(err)
		}
	}
	beat(true, -1, -1)
	add(time.Hour)
	beat(true, 59*time.Minute, time.Hour)
	add(0)
	beat(false, 0, 0)
}
