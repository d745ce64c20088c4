package demo

import (
	"context"
	"fmt"
	"time"
)

// Outage says what [RunOutage] does: a load on a shop, and one service that goes down in the middle of it.
type Outage struct {
	// Load is what the shop is given meanwhile. It must last longer than After and For together for the whole to make sense.
	Load Load
	// After is how long everything is well before the service goes down.
	After time.Duration
	// For is how long the service stays down.
	For time.Duration
	// Settle bounds the wait, after the load has ended and the service is back, for the accepted orders to be done. Zero means a minute.
	Settle time.Duration
	// Waiting is called about ten times a second during that wait, with the number of accepted orders that are not done yet.
	// Nil: nobody is told.
	Waiting func(missing int)
}

// OutageResult is what happened during an outage. Times are counted from the beginning of the load.
type OutageResult struct {
	Load     Result
	Service  string        // the name of the service that was down
	Down, Up time.Duration // when it went, and when it was back
	// Done is the number of accepted orders whose effect was done, and DoneAt when, first effect of each order, in no special order.
	Done   int
	DoneAt []time.Duration
	// Twice is the number of effects beyond the first for the same order, failed orders included.
	Twice int
	// DoneButFailed is the number of orders whose effect was done although the customer saw an error.
	DoneButFailed int
	// Replays is the number of calls that the service answered from its idempotency keys during all this.
	Replays int
	// CaughtUp is when the last of the orders accepted before Up was done; zero when some accepted order never was.
	CaughtUp time.Duration
}

// OK reports whether nobody saw an error and every order was done exactly once.
func (r OutageResult) OK() bool {
	return r.Load.Failed == 0 && r.Done == r.Load.Accepted && r.Twice == 0
}

// RunOutage drives a load, takes the service down for a while, and waits until the service has done its part for every accepted
// order, or until Settle is over, which is no error: the result tells. The service is [Normal] again when RunOutage returns.
// It fails when ctx ends, or when the service cannot be switched.
func RunOutage(ctx context.Context, s *Service, o Outage) (OutageResult, error) {
	if o.Settle == 0 {
		o.Settle = time.Minute
	}
	before := s.Counts().Replays
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	type driven struct {
		result Result
		err    error
	}
	load := make(chan driven, 1)
	began := time.Now()
	go func() {
		r, err := Drive(loadCtx, o.Load)
		load <- driven{r, err}
	}()

	out := OutageResult{Service: s.name}
	err := takeDown(ctx, s, o, began, &out)
	if err != nil {
		stop()
	}
	d := <-load
	if err == nil {
		err = d.err
	}
	if err != nil {
		return out, fmt.Errorf("demo: outage of %s: %w", s.name, err)
	}
	out.Load = d.result
	settle, cancel := context.WithTimeout(ctx, o.Settle)
	defer cancel()
	for round := 0; ; round++ {
		missing := out.count(s)
		if missing == 0 {
			break
		}
		if o.Waiting != nil && round%4 == 0 {
			o.Waiting(missing)
		}
		if !wait(settle, 25*time.Millisecond) {
			break
		}
	}
	out.Replays = s.Counts().Replays - before
	return out, ctx.Err()
}

// takeDown switches the service off and on again, and notes when.
func takeDown(ctx context.Context, s *Service, o Outage, began time.Time, out *OutageResult) error {
	if !wait(ctx, o.After) {
		return ctx.Err()
	}
	if err := s.Set(Down); err != nil {
		return err
	}
	out.Down = time.Since(began)
	whole := wait(ctx, o.For)
	if err := s.Set(Normal); err != nil {
		return err
	}
	out.Up = time.Since(began)
	if !whole {
		return ctx.Err()
	}
	return nil
}

// count compares the load with the service's book and returns how many accepted orders are not done yet.
func (r *OutageResult) count(s *Service) (missing int) {
	done := s.Effects()
	r.Done, r.DoneAt, r.Twice, r.DoneButFailed, r.CaughtUp = 0, nil, 0, 0, 0
	last := time.Duration(0)
	for _, order := range r.Load.Samples {
		if !order.Accepted() {
			continue
		}
		times := done[order.ID]
		if len(times) == 0 {
			missing++
			continue
		}
		r.Done++
		r.Twice += len(times) - 1
		at := times[0].Sub(r.Load.Began)
		r.DoneAt = append(r.DoneAt, at)
		if order.Started+order.Latency < r.Up {
			last = max(last, at)
		}
	}
	for _, id := range r.Load.FailedIDs() {
		if times := done[id]; len(times) > 0 {
			r.DoneButFailed++
			r.Twice += len(times) - 1
		}
	}
	if missing == 0 {
		r.CaughtUp = last
	}
	return missing
}
