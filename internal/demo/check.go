package demo

import (
	"context"
	"fmt"
	"time"
)

// Expect is what the outside world must have counted.
type Expect struct {
	// Orders are the ids of accepted purchases: each wants every effect exactly once.
	Orders []string
	// Signups are the ids of accepted signups: each wants every effect but the charge exactly once.
	Signups []string
	// Uncertain are the ids of orders whose customers saw an error: an effect may have been done for them, but at most once.
	Uncertain []string
	// Alone holds, by effect, the ids of calls that were asked for without an order: each wants this effect exactly once.
	Alone map[string][]string
}

// Check compares one effect: what should have been done with what the outside world counted.
type Check struct {
	Effect   string
	Expected int // orders and signups that want the effect
	Counted  int // how many of these the outside world has done it for, at least once
	Twice    int // effects beyond the first for the same order
	Unknown  int // effects for ids that nobody placed
	// Uncertain is the number of orders that had the effect although their customers saw an error. It is told, and no failure of
	// the check: the answer was lost, the effect was not.
	Uncertain int
}

// OK reports whether everything was done, once, and nothing else.
func (c Check) OK() bool { return c.Counted == c.Expected && c.Twice == 0 && c.Unknown == 0 }

// AllOK reports whether all checks are.
func AllOK(checks []Check) bool {
	for _, c := range checks {
		if !c.OK() {
			return false
		}
	}
	return true
}

// Check compares what is expected with the books of the outside world, one check for each effect.
func (w *World) Check(e Expect) []Check {
	checks := make([]Check, 0, 5)
	for _, s := range w.Services() {
		c := Check{Effect: s.effect}
		wanted := make(map[string]bool)
		for _, id := range e.Signups {
			wanted[id] = s.effect != EffectCharge
		}
		for _, id := range e.Orders {
			wanted[id] = true
		}
		for _, id := range e.Alone[s.effect] {
			wanted[id] = true
		}
		known := make(map[string]bool)
		done := s.Effects()
		for _, id := range e.Uncertain {
			known[id] = true
			if len(done[id]) > 0 {
				c.Uncertain++
			}
		}
		for id, want := range wanted {
			if !want {
				continue
			}
			known[id] = true
			c.Expected++
			if len(done[id]) > 0 {
				c.Counted++
			}
		}
		for id, times := range done {
			c.Twice += len(times) - 1
			if !known[id] {
				c.Unknown += len(times)
			}
		}
		checks = append(checks, c)
	}
	return checks
}

// Settle waits until the outside world has done everything that is expected, and returns the checks of that moment. When ctx
// ends first, it returns the checks as they are then, with an error that says what is missing.
func (w *World) Settle(ctx context.Context, e Expect) ([]Check, error) {
	for {
		checks := w.Check(e)
		missing, effect := 0, ""
		for _, c := range checks {
			if n := c.Expected - c.Counted; n > 0 {
				missing, effect = n, c.Effect
				break
			}
		}
		if missing == 0 {
			return checks, nil
		}
		if !wait(ctx, 25*time.Millisecond) {
			return checks, fmt.Errorf("demo: the outside world still misses %s for %d orders: %w", effect, missing, context.Cause(ctx))
		}
	}
}
