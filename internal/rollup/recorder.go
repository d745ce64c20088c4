package rollup

import (
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// Recorder counts what happens in one process. A job costs it about a tenth of a microsecond and no memory; it is safe for
// any number of goroutines. A [Writer] takes from it what has gathered.
type Recorder struct {
	mu    sync.Mutex
	live  *batch   // of the minute under way; nil if nothing has happened since the last take
	done  []*batch // of minutes that are over, oldest first
	spare *batch   // an empty one, to be filled again
	last  int64    // the latest minute so far: nothing counts in an earlier one, which may have been written for good
}

// NewRecorder returns a recorder for which nothing has happened.
func NewRecorder() *Recorder { return &Recorder{} }

// batch is what has happened within a minute since it was last taken.
type batch struct {
	minute   int64 // since 1970
	page     page
	failures failures
	// The series that was looked up last: jobs of one kind come together.
	series Series
	sums   *Sums
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// Outcome counts an outcome that the store has taken, at a time by the store's clock.
func (r *Recorder) Outcome(c *bellhop.Claim, o *bellhop.Outcome, at time.Time) {
	if o.Kind == bellhop.OutcomeHandedBack {
		return
	}
	crashed := o.Failure != nil && o.Failure.Class == "crash" // nobody knows how long it ran
	failed := o.Kind == bellhop.OutcomeRetry || o.Kind == bellhop.OutcomeDead || o.Kind == bellhop.OutcomeSwept
	var group *FailureGroup
	if failed && o.Failure != nil {
		group = newGroup(c, o, at)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.at(minuteOf(at))
	sums := b.of(c.Job.Queue, c.Job.Kind)
	if n := sums.of(o.Kind); n != nil {
		*n++
	}
	if !o.Started.IsZero() && !crashed {
		sums.Wait.Add(o.Started.Sub(c.Place.Due))
		sums.Run.Add(o.Ended.Sub(o.Started))
	}
	if group != nil {
		b.failures.within(group, minuteGroups)
	}
}

// Stale counts an attempt that had lost its claim.
func (r *Recorder) Stale(c *bellhop.Claim, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at(minuteOf(at)).of(c.Job.Queue, c.Job.Kind).Stale++
}

// at returns the batch of a minute, or of a later one if that has begun. Called under r.mu.
func (r *Recorder) at(minute int64) *batch {
	r.last = max(r.last, minute)
	b := r.live
	if b != nil && b.minute == r.last {
		return b
	}
	if b != nil {
		r.done = append(r.done, b)
	}
	b, r.spare = r.spare, nil
	if b == nil {
		b = &batch{page: page{}}
	}
	b.minute, r.live = r.last, b
	return b
}

func (b *batch) of(queue, kind string) *Sums {
	if b.sums == nil || b.series.Queue != queue || b.series.Kind != kind {
		b.series = Series{queue, kind}
		b.sums = b.page.within(b.series)
	}
	return b.sums
}

// take returns what has happened since the last take, oldest first. A batch that lies ahead of now, because the clock was set
// back, becomes one of now: else all that follows would count there.
func (r *Recorder) take(now time.Time) []*batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.done
	if r.live != nil {
		list = append(list, r.live)
	}
	r.live, r.done = nil, nil
	if r.last > minuteOf(now)+1 {
		r.last = minuteOf(now)
		for _, b := range list {
			b.minute = min(b.minute, r.last)
		}
	}
	return list
}

// giveBack lets the memory of a batch be used again, unless most of it was not used this time.
func (r *Recorder) giveBack(b *batch) {
	used := 0
	for _, sums := range b.page {
		if !sums.isZero() {
			used++
		}
		sums.reset()
	}
	if 2*used < len(b.page) {
		return
	}
	b.failures, b.sums = failures{}, nil
	r.mu.Lock()
	r.spare = b
	r.mu.Unlock()
}
