package rollup

import (
	"context"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// MaxPoints is how many points a chart has at most.
const MaxPoints = 400

// steps are the lengths of a chart's steps. Each is a multiple of a level's windows, and divides the day.
var steps = [...]time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour,
}

// Range is a stretch of time in steps: what a chart shows. Make one with [Reader.Last] or [Reader.Between].
type Range struct {
	// From (inclusive) and To (exclusive) are multiples of Step. To may be later than Now, by less than a step.
	From, To time.Time
	Step     time.Duration
	// Now is the store's clock: what happened until some ten seconds before is known.
	Now time.Time
}

// Points is how many steps the range has.
func (r Range) Points() int { return int(r.To.Sub(r.From) / r.Step) }

// At returns when a step begins.
func (r Range) At(i int) time.Time { return r.From.Add(time.Duration(i) * r.Step) }

// Covers returns how much of a step has passed.
func (r Range) Covers(i int) time.Duration { return min(max(r.Now.Sub(r.At(i)), 0), r.Step) }

// Passed is how much of the range has passed.
func (r Range) Passed() time.Duration { return min(max(r.Now.Sub(r.From), 0), r.To.Sub(r.From)) }

// Coarser returns about the same stretch of time in fewer steps: at most so many, if there are steps long enough.
func (r Range) Coarser(points int) Range {
	c := r
	for _, s := range steps {
		if s < r.Step {
			continue
		}
		c.Step, c.From, c.To = s, r.From.Truncate(s), r.To.Truncate(s)
		if c.From.Before(r.From) {
			c.From = c.From.Add(s)
		}
		if c.To.Before(r.To) || !c.From.Before(c.To) {
			c.To = c.To.Add(s)
		}
		if c.Points() <= points {
			break
		}
	}
	return c
}

// Last returns the range of the last d, up to now: d from a minute to [Kept].
func (r *Reader) Last(ctx context.Context, d time.Duration) (Range, error) {
	if d < time.Minute || d > Kept {
		return Range{}, invalid("since", "%v is out of range: want 1m to %v", d, Kept)
	}
	now, err := r.Now(ctx)
	if err != nil {
		return Range{}, err
	}
	return newRange(now, now.Add(-d), now, 0)
}

// Between returns the range between two times, with steps of the given length. A zero to means now, and so does one that
// lies ahead; a step of 0 means the shortest that can be had, which is the longer the older from is. What cannot be had is
// a [*bellhop.InvalidError]: a from older than [Kept], more than [MaxPoints] steps, steps too short for what is kept.
func (r *Reader) Between(ctx context.Context, from, to time.Time, step time.Duration) (Range, error) {
	now, err := r.Now(ctx)
	if err != nil {
		return Range{}, err
	}
	if to.IsZero() || to.After(now) {
		to = now
	}
	return newRange(now, from, to, step)
}

func newRange(now, from, to time.Time, step time.Duration) (Range, error) {
	if !from.Before(to) {
		return Range{}, invalid("from", "%s is not before the end, %s", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	if now.Sub(from) > Kept {
		return Range{}, invalid("from", "%s is too long ago: figures are kept for %d days", from.UTC().Format(time.RFC3339), Kept/(24*time.Hour))
	}
	least := levels[0].size
	for _, l := range levels {
		if least = l.size; now.Sub(from) <= l.keep {
			break
		}
	}
	fits := func(step time.Duration) (Range, bool) {
		end := to.UTC().Truncate(step)
		if end.Before(to) {
			end = end.Add(step)
		}
		// The oldest step would be cut: one step less is better than one that shows less than was.
		begin := from.UTC().Truncate(step)
		if begin.Before(from) && end.Sub(begin) > step && end.After(now) {
			begin = begin.Add(step)
		}
		r := Range{From: begin, To: end, Step: step, Now: now}
		return r, r.Points() <= MaxPoints
	}
	for _, s := range steps {
		switch {
		case step != 0 && s != step:
			continue
		case s < least && step == 0:
			continue
		case s < least:
			return Range{}, invalid("step", "%v is too short: of %s nothing finer than %v is kept", step, from.UTC().Format(time.RFC3339), least)
		}
		if r, ok := fits(s); ok {
			return r, nil
		}
		if step != 0 {
			return Range{}, invalid("step", "%v is too short: a chart has at most %d points", step, MaxPoints)
		}
	}
	return Range{}, invalid("step", "%v is not one of the steps: 1m, 2m, 5m, 10m, 30m, 1h, 2h, 6h, 24h", step)
}

func invalid(field, format string, args ...any) error {
	return &bellhop.InvalidError{Index: -1, Field: field, Reason: fmt.Sprintf(format, args...)}
}
