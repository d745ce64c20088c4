package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/storetest"
)

// halfAway leaves every second outcome unsettled while it is away, as a store of
// several parts does whose parts are not all in reach: whether it was applied or not.
type halfAway struct {
	storetest.Pass
	away, applies atomic.Bool
	left          atomic.Int64
}

func (h *halfAway) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	if !h.away.Load() {
		return h.Store.Exchange(ctx, r)
	}
	own := *r
	own.Outcomes = nil
	var places, unsettled []int
	for i, o := range r.Outcomes {
		if i%2 == 0 {
			unsettled = append(unsettled, i)
		}
		if i%2 == 1 || h.applies.Load() {
			own.Outcomes = append(own.Outcomes, o)
			places = append(places, i)
		}
	}
	reply, err := h.Store.Exchange(ctx, &own)
	if reply != nil {
		for i := range reply.Refused {
			reply.Refused[i].Index = places[reply.Refused[i].Index]
		}
		reply.Unsettled = unsettled
		h.left.Add(int64(len(unsettled)))
	}
	return reply, err
}

// TestUnsettledOutcomes: what an exchange left unsettled is handed in again until it
// is settled, and is told once. Beats meanwhile neither lose nor give back the jobs,
// and a drain waits for it.
func TestUnsettledOutcomes(t *testing.T) {
	for name, applies := range map[string]bool{"not applied": false, "applied": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				h := &halfAway{Pass: storetest.Pass{Store: r.faulty}}
				h.applies.Store(applies)
				h.away.Store(true)
				r.client = r.newClient(h)
				var l ledger
				var runs atomic.Int64
				w := r.run(Config{Queues: Queues{"default": 10}}, job.With(func(ctx context.Context, _ item) error {
					l.add(ctx)
					runs.Add(1)
					return nil
				}))
				const jobs = 200
				r.enqueue(many(jobs)...)
				r.until("all have run", func() bool { return runs.Load() == jobs })
				pass(time.Minute) // many leases, and beats in each
				if h.left.Load() == 0 {
					t.Fatal("nothing was left unsettled")
				}
				calls := r.faulty.Calls(bellhop.OpExchange)
				pass(10 * time.Second)
				if n := r.faulty.Calls(bellhop.OpExchange) - calls; n > 100 {
					t.Errorf("%d exchanges in 10 s for outcomes that cannot be settled", n)
				}
				ended := make(chan error, 1)
				go func() { ended <- w.stop() }()
				pass(time.Second)
				h.away.Store(false)
				if err := <-ended; err != nil {
					t.Errorf("Run returned %v", err)
				}
				expect(t, "jobs that succeeded", r.in(bellhop.StateSucceeded), jobs)
				expect(t, "jobs that were told to have succeeded", r.countType(bellhop.EventSucceeded), jobs)
				expect(t, "stale attempts", r.countStale(), 0)
				expect(t, "jobs that ran twice", l.twice(), 0)
			})
		})
	}
}
