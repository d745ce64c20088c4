package rollup

import (
	"time"

	"github.com/gobellhop/bellhop"
)

// Counts are how often things happened. But for Enqueued and Stale each is the number of attempts that came to it, and
// each attempt is in one of them.
type Counts struct {
	// Enqueued is how many jobs came into being.
	Enqueued int64 `json:"enqueued"`
	// Succeeded, Discarded, Dead and Cancelled ended their jobs.
	Succeeded int64 `json:"succeeded"`
	Discarded int64 `json:"discarded"`
	Dead      int64 `json:"dead"`
	Cancelled int64 `json:"cancelled"`
	// Retried failed, and their jobs run again.
	Retried int64 `json:"retried"`
	// Snoozed asked to run later, which is no failure.
	Snoozed int64 `json:"snoozed"`
	// Crashed were taken back from processes that are gone, and their jobs run again.
	Crashed int64 `json:"crashed"`
	// Stale had lost their claim when they ended: they changed nothing, and their jobs are counted where they ended.
	Stale int64 `json:"stale"`
}

// counters is how many numbers Counts has. Their order, in list, is part of the stored format.
const counters = 9

func (c *Counts) list() [counters]*int64 {
	return [counters]*int64{
		&c.Succeeded, &c.Retried, &c.Dead, &c.Enqueued, &c.Snoozed, &c.Discarded, &c.Cancelled, &c.Crashed, &c.Stale,
	}
}

// Add adds other counts.
func (c *Counts) Add(o *Counts) {
	to := c.list()
	for i, n := range o.list() {
		*to[i] += *n
	}
}

// IsZero reports whether nothing happened.
func (c *Counts) IsZero() bool { return *c == Counts{} }

// Attempts is how many attempts ended, stale ones not counted.
func (c *Counts) Attempts() int64 {
	return c.Succeeded + c.Retried + c.Dead + c.Snoozed + c.Discarded + c.Cancelled + c.Crashed
}

// Ended is how many jobs ended.
func (c *Counts) Ended() int64 { return c.Succeeded + c.Discarded + c.Dead + c.Cancelled }

// Failed is how many attempts failed: retried, dead and crashed ones.
func (c *Counts) Failed() int64 { return c.Retried + c.Dead + c.Crashed }

// ErrorRate is the part of the attempts that failed: 0 to 1, and 0 if there were none.
func (c *Counts) ErrorRate() float64 {
	if n := c.Attempts(); n > 0 {
		return float64(c.Failed()) / float64(n)
	}
	return 0
}

// of returns the count of an outcome, or nil if it is not counted.
func (c *Counts) of(k bellhop.OutcomeKind) *int64 {
	switch k {
	case bellhop.OutcomeSucceeded:
		return &c.Succeeded
	case bellhop.OutcomeRetry:
		return &c.Retried
	case bellhop.OutcomeSnooze:
		return &c.Snoozed
	case bellhop.OutcomeDiscarded:
		return &c.Discarded
	case bellhop.OutcomeDead:
		return &c.Dead
	case bellhop.OutcomeCancelled:
		return &c.Cancelled
	case bellhop.OutcomeSwept:
		return &c.Crashed
	}
	return nil // handed back: the job goes on as if nothing had happened
}

// Sums are the counts of some time, and how long attempts waited and ran.
type Sums struct {
	Counts
	// Wait holds the times from due to start, Run those from start to end, of the attempts that started.
	Wait, Run Sketch
}

func (s *Sums) merge(o *Sums) {
	s.Add(&o.Counts)
	s.Wait.Merge(&o.Wait)
	s.Run.Merge(&o.Run)
}

// isZero reports whether nothing was counted.
func (s *Sums) isZero() bool { return s.Counts.IsZero() && s.Wait.n == 0 && s.Run.n == 0 }

func (s *Sums) reset() {
	s.Counts = Counts{}
	s.Wait.Reset()
	s.Run.Reset()
}

// Point is one step of a chart.
type Point struct {
	// At is when the step begins.
	At time.Time
	// Covers is how much of the step has passed: all but of the one that is under way.
	Covers time.Duration
	Sums
}

// PerSecond turns a count of the point into a rate.
func (p *Point) PerSecond(n int64) float64 {
	if p.Covers <= 0 {
		return 0
	}
	return float64(n) / p.Covers.Seconds()
}
