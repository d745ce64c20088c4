package sqlstore

import (
	"context"
	"time"
)

// clockSlack is how far the times of enqueueing may be out of the order of numbers:
// concurrent calls, and a clock that was set back a little.
const clockSlack = time.Minute

var (
	lastNumber  = define("last job number", `select max(job) from bellhop_jobs`)
	jobFrom     = define("job from a number on", `select job, enqueued_at from bellhop_jobs where job >= ? order by job {limit}`)
	firstNumber = define("first job number", `select min(job) from bellhop_jobs`)
)

// span bounds the numbers of the jobs by the times of the filter. A job has not
// ended before it was enqueued.
func (s *search) span(ctx context.Context) error {
	from, to := s.f.EnqueuedAfter, s.f.EnqueuedBefore
	if t := s.f.FinishedBefore; !t.IsZero() && (to.IsZero() || t.Before(to)) {
		to = t
	}
	if from.IsZero() && to.IsZero() {
		return nil
	}
	first, err := s.count(ctx, firstNumber)
	if err != nil {
		return err
	}
	last, err := s.count(ctx, lastNumber)
	if err != nil {
		return err
	}
	if !from.IsZero() {
		if s.bottom, err = s.numberAt(ctx, from.Add(-clockSlack), first, last); err != nil {
			return err
		}
	}
	if !to.IsZero() {
		end, err := s.numberAt(ctx, to.Add(clockSlack), first, last)
		if err != nil {
			return err
		}
		s.before = min(s.before, end)
	}
	return nil
}

// numberAt returns the number from which on jobs were enqueued at t or later.
func (t *txn) numberAt(ctx context.Context, when time.Time, first, last int64) (int64, error) {
	low, high := first, last+1 // the answer is one of these, or between
	for low < high {
		middle := low + (high-low)/2
		var job, enqueued num
		err := t.Query(ctx, jobFrom, func(r Row) error { return r.Scan(&job, &enqueued) }, middle, 1)
		if err != nil {
			return 0, err
		}
		switch {
		case int64(job) < middle, int64(job) >= high, int64(enqueued) >= ceiling(when): // the first is none at all
			high = middle
		default:
			low = int64(job) + 1
		}
	}
	return low, nil
}
