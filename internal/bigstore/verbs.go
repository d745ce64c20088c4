package bigstore

import (
	"context"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// FillByVerbs fills any store as its users would: it enqueues, claims and ends jobs, a thousand at a time. It goes on where a fill was ended.
func FillByVerbs(ctx context.Context, s bellhop.Store, size Size, told func(jobs int)) error {
	process := bellhop.Process{ID: bellhop.NewID(), Name: "bigstore", StartedAt: time.Now()}
	if _, err := s.Beat(ctx, &bellhop.Beat{Process: process, Lease: time.Hour}); err != nil {
		return err
	}
	f := &filler{s, size, process.ID, told, 0}
	for _, part := range []struct {
		n     int
		state bellhop.State
		fill  func(context.Context, int) error
	}{
		{size.Finished, bellhop.StateSucceeded, f.finish(bellhop.OutcomeSucceeded)},
		{size.Dead, bellhop.StateDead, f.finish(bellhop.OutcomeDead)},
		{size.Ready, bellhop.StateReady, f.add(0)},
		{size.Scheduled, bellhop.StateScheduled, f.add(400 * 24 * time.Hour)},
	} {
		have, err := s.Count(ctx, &bellhop.Query{Filter: bellhop.Filter{States: bellhop.States(part.state)}, Limit: part.n})
		if err != nil {
			return fmt.Errorf("bigstore: %w", err)
		}
		f.made += have.Count
		for n := have.Count; n < part.n; n += batch {
			if err := part.fill(ctx, min(batch, part.n-n)); err != nil {
				return fmt.Errorf("bigstore: %w", err)
			}
		}
	}
	_, err := s.Beat(ctx, &bellhop.Beat{Process: process, Lease: time.Hour, Leave: true})
	return err
}

// batch is how many jobs one call takes.
const batch = 1000

type filler struct {
	store   bellhop.Store
	size    Size
	process bellhop.ID
	told    func(int)
	made    int
}

// jobs makes n jobs like those of Fill.
func (f *filler) jobs(n int, delay time.Duration, queue string) []*bellhop.Job {
	list := make([]*bellhop.Job, n)
	for k := range list {
		f.made++
		i := f.made
		j := &bellhop.Job{
			ID: bellhop.NewID(), Kind: fmt.Sprintf("kind-%d", i*31%f.size.Kinds), Queue: queue, Priority: i%3 - 1, Attempts: 25, Delay: delay,
			Args: fmt.Appendf(nil, `{"user":{"id":%d,"mail":"user%d@example.com"},"amount":%d.50,"note":"an order like many others, of no interest"}`, i, i, i%1000),
		}
		if queue == "" {
			j.Queue = fmt.Sprintf("queue-%d", i*7919%f.size.Queues)
		}
		switch {
		case i%10_000 == 17:
			j.Tags = []string{Tag}
		case i%7 == 0:
			j.Tags = []string{"common"}
		}
		list[k] = j
	}
	return list
}

// add enqueues jobs that wait.
func (f *filler) add(delay time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		_, err := f.store.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: f.jobs(n, delay, "")})
		f.told(f.made)
		return err
	}
}

// finish enqueues jobs and ends them. All of a batch are of one queue, so that one want claims them.
func (f *filler) finish(kind bellhop.OutcomeKind) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		queue := fmt.Sprintf("queue-%d", f.made/batch%f.size.Queues)
		if _, err := f.store.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: f.jobs(n, 0, queue)}); err != nil {
			return err
		}
		r := &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: f.process, Limit: n, Wants: []bellhop.Want{{Queue: queue, Count: n}}}
		for k := range f.size.Kinds {
			r.Kinds = append(r.Kinds, fmt.Sprintf("kind-%d", k))
		}
		reply, err := f.store.Exchange(ctx, r)
		if err != nil {
			return err
		}
		end := &bellhop.ExchangeRequest{ID: bellhop.NewID()}
		for i, c := range reply.Claims {
			o := bellhop.Outcome{Token: c.Token, Kind: kind, Attempt: 1, Number: 1, Started: c.Place.ClaimedAt, Ended: c.Place.ClaimedAt, Keep: bellhop.Forever}
			if kind == bellhop.OutcomeDead {
				o.Failures, o.Failure = 25, &bellhop.Failure{Class: "net.OpError", Message: fmt.Sprintf("dial 10.0.0.%d:25: reason %c", i%250, 'a'+i%20)}
			}
			end.Outcomes = append(end.Outcomes, o)
		}
		_, err = f.store.Exchange(ctx, end)
		f.told(f.made)
		return err
	}
}
