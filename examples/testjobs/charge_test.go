package testjobs

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/worker"
)

func newShop(t *testing.T) *Shop {
	client, err := bellhop.NewClient(memory.New(), bellhop.Logger(slog.New(slog.NewTextHandler(t.Output(), nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Shop{Jobs: client}
}

// work runs the shop's worker until the test ends.
func (s *Shop) work(t *testing.T) {
	w := worker.New(s.Jobs, worker.Config{Queues: worker.Queues{"default": 10}})
	w.Handle(ChargeOrder.With(s.Charge))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// jobs returns all jobs, the newest first.
func (s *Shop) jobs(t *testing.T) []bellhop.Snapshot {
	t.Helper()
	list, err := s.Jobs.List(t.Context(), bellhop.Query{Filter: bellhop.Filter{Kinds: []string{ChargeOrder.Kind()}}})
	if err != nil {
		t.Fatal(err)
	}
	return list.Jobs
}

// What the code enqueues is looked up in the store. No worker is needed.
func TestCheckoutEnqueuesACharge(t *testing.T) {
	s := newShop(t)
	if err := s.Checkout(t.Context(), "A-1"); err != nil {
		t.Fatal(err)
	}
	if jobs := s.jobs(t); len(jobs) != 1 || string(jobs[0].Args) != `{"order":"A-1"}` || jobs[0].Place.State != bellhop.StateReady {
		t.Errorf("enqueued: %+v", jobs)
	}
}

// A service that is down for a while: the job is tried again, each time with the same key.
func TestChargeOutlastsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, keys, begin := newShop(t), map[string]int{}, time.Now()
		s.Pay = func(_ context.Context, _, key string) error {
			keys[key]++
			if time.Since(begin) < 3*time.Minute {
				return errServiceDown
			}
			return nil
		}
		s.work(t)
		if err := s.Checkout(t.Context(), "A-1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // of the bubble: it is over as soon as nothing else is to be done
		place := s.jobs(t)[0].Place
		if place.State != bellhop.StateSucceeded || place.Failures == 0 || len(keys) != 1 {
			t.Errorf("%v after %d failures, keys %v", place.State, place.Failures, keys)
		}
	})
}

// What no retry can mend.
func TestChargesThatFail(t *testing.T) {
	for name, tt := range map[string]struct {
		err      error
		state    bellhop.State
		attempts int
	}{
		"declined":       {errCardDeclined, bellhop.StateDiscarded, 1},
		"down for hours": {errServiceDown, bellhop.StateDead, 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				s.Pay = func(context.Context, string, string) error { return tt.err }
				s.work(t)
				if err := s.Checkout(t.Context(), "A-1"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour) // of the bubble
				if place := s.jobs(t)[0].Place; place.State != tt.state || place.Attempt != tt.attempts {
					t.Errorf("%v after %d attempts: %s", place.State, place.Attempt, place.Reason)
				}
			})
		})
	}
}
