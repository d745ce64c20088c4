package worker

import (
	"context"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// TestFinishedJobsGoByThemselves: nobody has to ask for it that finished jobs are deleted when their time is over.
func TestFinishedJobsGoByThemselves(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		w := r.run(Config{Queues: Queues{"default": 10}}, job.With(ok))
		r.enqueue(many(2500)...)
		kept := r.enqueue(many(10, bellhop.Retention(bellhop.Forever))...)
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 2510 })
		w.mustStop()
		pass(bellhop.KeepSucceeded - time.Minute)
		w = r.run(Config{Queues: Queues{"default": 10}}, job.With(ok))
		pass(45 * time.Second)
		expect(t, "jobs before their time", r.all(), 2510)
		r.within(3*DefaultPrune, "the finished jobs are gone", func() bool { return r.all() == len(kept) })
		w.mustStop()
	})
}

// TestSweepOfAKindThatIsNotKnown: who takes back a dead process's jobs need not know their kinds, and throws none away: they wait for
// somebody who does.
func TestSweepOfAKindThatIsNotKnown(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		foreign := bellhop.Define[item]("test.foreign")
		ids := r.enqueue(foreign.New(item{N: 1}), foreign.New(item{N: 2}))
		dead := bellhop.Process{ID: bellhop.NewID(), StartedAt: time.Now()}
		if _, err := r.store.Beat(r.ctx, &bellhop.Beat{Process: dead, Lease: time.Second}); err != nil {
			t.Fatal(err)
		}
		reply, err := r.store.Exchange(r.ctx, &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: dead.ID, Kinds: []string{foreign.Kind()}, Wants: []bellhop.Want{{Queue: "default", Count: 2}}, Limit: 2,
		})
		if err != nil || len(reply.Claims) != 2 {
			t.Fatalf("claimed %v, %v", reply, err)
		}
		w := r.run(Config{Queues: Queues{"default": 4}}, job.With(ok))
		r.within(20*time.Second, "they are taken back", func() bool { return r.in(bellhop.StateReady) == 2 })
		pass(time.Hour)
		for _, id := range ids {
			if p := r.get(id).Place; p.State != bellhop.StateReady || p.Failures != 1 || p.Claim != 1 {
				t.Errorf("a job that nobody here can run: %+v", p)
			}
		}
		runs := 0
		other := r.run(Config{Queues: Queues{"default": 4}}, foreign.With(func(context.Context, item) error { runs++; return nil }))
		r.until("somebody knows them", func() bool { return r.in(bellhop.StateSucceeded) == 2 })
		expect(t, "runs", runs, 2)
		other.mustStop()
		w.mustStop()
	})
}
