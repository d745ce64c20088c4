package memory

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	maxPage     = 1000    // jobs in one page
	maxExamined = 10_000  // jobs looked at for one page
	maxCounted  = 100_000 // and for one count
)

// Get implements [bellhop.Store].
func (s *Store) Get(ctx context.Context, ids []bellhop.ID) ([]bellhop.Snapshot, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	list := make([]bellhop.Snapshot, 0, len(ids))
	for _, id := range ids {
		if j := s.find(id); j != nil {
			list = append(list, j.snapshot(bellhop.KeptAttempts))
		}
	}
	return list, nil
}

// List implements [bellhop.Store].
func (s *Store) List(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	jobs, next, examined, err := s.page(&q.Filter, q.After, min(limit, maxPage), maxExamined)
	if err != nil {
		return nil, err
	}
	listing := &bellhop.Listing{Next: next, Jobs: make([]bellhop.Snapshot, 0, len(jobs)), Examined: examined}
	for _, j := range jobs {
		snapshot := j.snapshot(0)
		if q.WithLast {
			snapshot = j.snapshot(1)
			for i := range snapshot.History {
				snapshot.History[i].Log = nil
			}
		}
		if q.WithoutArgs {
			snapshot.Args = nil
		}
		listing.Jobs = append(listing.Jobs, snapshot)
	}
	return listing, nil
}

// page returns at most limit jobs that match, newest first, where to go on, which
// is the order of the last job that was looked at, and how many were: no more than most.
func (s *Store) page(f *bellhop.Filter, after string, limit, most int) (jobs []*job, next string, examined int, err error) {
	before := int64(math.MaxInt64)
	if after != "" {
		if before, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", 0, &bellhop.InvalidError{Index: -1, Field: "after", Reason: "it is not a mark that a page before has returned"}
		}
	}
	all := s.candidates(f)
	at, _ := slices.BinarySearchFunc(all, before, func(o ordered, seq int64) int { return cmp.Compare(o.seq, seq) })
	for at--; at >= 0; at-- {
		if len(jobs) == limit || examined == most {
			return jobs, strconv.FormatInt(all[at+1].seq, 10), examined, nil
		}
		examined++
		if j := s.slab.at(all[at].job); j != nil && j.matches(f) {
			jobs = append(jobs, j)
		}
	}
	return jobs, "", examined, nil
}

func (j *job) matches(f *bellhop.Filter) bool {
	if f.States != 0 && !f.States.Has(j.place.state) {
		return false // the most common reason, before anything is made for the others
	}
	var last *bellhop.Attempt
	if j.last.outcome != 0 && f.ByFailure() {
		a := j.last.snapshot()
		last = &a
	}
	p := j.public()
	return f.Matches(&j.Job, &p, last)
}

// candidates returns the jobs among which a filter selects, oldest first.
func (s *Store) candidates(f *bellhop.Filter) []ordered {
	var list []ordered
	switch {
	case len(f.IDs) > 0:
		for _, id := range f.IDs {
			if j := s.find(id); j != nil {
				list = append(list, ordered{j.seq, j.self})
			}
		}
	case f.States == bellhop.States(bellhop.StateRunning): // few, and asked for often
		for _, j := range s.running {
			list = append(list, ordered{j.seq, j.self})
		}
	default:
		return s.order
	}
	slices.SortFunc(list, func(a, b ordered) int { return cmp.Compare(a.seq, b.seq) })
	return slices.Compact(list)
}

// Count implements [bellhop.Store].
func (s *Store) Count(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	limit := q.Limit
	if limit <= 0 {
		return &bellhop.Counted{}, nil
	}
	jobs, next, examined, err := s.page(&q.Filter, q.After, limit, maxCounted)
	if err != nil {
		return nil, err
	}
	if len(jobs) == limit {
		next = ""
	}
	return &bellhop.Counted{Count: len(jobs), Next: next, Examined: examined}, nil
}

// Stats implements [bellhop.Store].
func (s *Store) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	list := []bellhop.QueueStats{}
	if limit == 0 {
		for _, q := range s.queues {
			if q.paused {
				list = append(list, bellhop.QueueStats{Queue: q.name, Paused: true})
			}
		}
		slices.SortFunc(list, byQueue)
		return list, nil
	}
	due := map[*queue]time.Time{} // of the next scheduled job
	for j := range s.scheduled.all {
		if t, ok := due[j.queue]; !ok || j.place.due.time().Before(t) {
			due[j.queue] = j.place.due.time()
		}
	}
	for _, q := range s.queues {
		st := bellhop.QueueStats{Queue: q.name, Limit: limit, Paused: q.paused, NextDue: due[q], OldestReady: q.oldest()}
		st.Scheduled = min(q.counts[bellhop.StateScheduled], limit)
		st.Blocked = min(q.counts[bellhop.StateBlocked], limit)
		st.Ready = min(q.counts[bellhop.StateReady], limit)
		st.Running = min(q.counts[bellhop.StateRunning], limit)
		st.Dead = min(q.counts[bellhop.StateDead], limit)
		if q.paused || st.Scheduled+st.Blocked+st.Ready+st.Running+st.Dead > 0 {
			list = append(list, st)
		}
	}
	slices.SortFunc(list, byQueue)
	return list, nil
}

func byQueue(a, b bellhop.QueueStats) int { return strings.Compare(a.Queue, b.Queue) }

// oldest returns the earliest due time of the ready jobs; zero if there are none.
func (q *queue) oldest() (t time.Time) {
	for _, lanes := range q.ready {
		for _, h := range lanes {
			if h.len() == 0 {
				continue
			}
			if due := h.first().place.due.time(); t.IsZero() || due.Before(t) {
				t = due
			}
		}
	}
	return t
}
