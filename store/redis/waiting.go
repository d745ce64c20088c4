package redis

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/gobellhop/bellhop"
)

// waiting are the jobs in the lines of a filter, the newest first. Jobs that are ready or scheduled may be old: a million that have
// ended may have come since. Where few wait, their lines lead to them. It is nil if the filter is not answered by lines.
type waiting struct {
	jobs []waiter
	last waiter // of the bite that was taken
}

// waiter is a job in a line, as its member there tells.
type waiter struct {
	turn uint64
	id   bellhop.ID
}

// maxBite is how many waiting jobs one run of a script looks at: they may all come back to be judged.
const maxBite = 500

// waiting finds the jobs that wait, if a filter wants no others and they are few; none if there are no jobs in the filter's states and queues
// at all.
func (s *Store) waiting(ctx context.Context, op bellhop.Op, f *bellhop.Filter) (*waiting, error) {
	if f.States == 0 && len(f.Queues) == 0 || len(f.IDs) > 0 || !f.Process.IsZero() {
		return nil, nil
	}
	in := items{}
	if f.States == 0 {
		in.text(digits(bellhop.AllStates))
	} else {
		in.text(digits(f.States))
	}
	in.number(maxLined)
	for _, queue := range f.Queues {
		in.text(queue)
	}
	reply, err := s.run(ctx, op, scriptLines, in)
	if err != nil {
		return nil, err
	}
	r, err := row(reply, 1)
	if err != nil || integer(r[0]) == 0 {
		return nil, err
	}
	w := &waiting{jobs: make([]waiter, 0, len(r)-1)}
	for _, member := range r[1:] {
		m := reader{s: text(member)}
		j := waiter{turn: m.number(6)}
		copy(j.id[:], m.s)
		w.jobs = append(w.jobs, j)
	}
	slices.SortFunc(w.jobs, func(a, b waiter) int { return cmp.Compare(b.turn, a.turn) })
	w.jobs = slices.Compact(w.jobs) // a queue may have been named twice
	return w, nil
}

// bite returns the filter for the next run of a script, behind a mark: that of the jobs that come next, if lines have led to them. It is nil
// if none come.
func (w *waiting) bite(f *bellhop.Filter, after string) *bellhop.Filter {
	if w == nil {
		return f
	}
	before, _ := readMark(after) // it was looked at
	first := slices.IndexFunc(w.jobs, func(j waiter) bool { return j.turn < before })
	if first < 0 {
		return nil
	}
	some := w.jobs[first:min(len(w.jobs), first+maxBite)]
	own := *f
	own.IDs = make([]bellhop.ID, len(some))
	for i, j := range some {
		own.IDs[i] = j.id
	}
	w.last = some[len(some)-1]
	return &own
}

// next is where to go on behind a run that has ended at a mark, or has come to the end of its bite.
func (w *waiting) next(mark string) string {
	if w == nil || mark != "" || len(w.jobs) == 0 || w.last == w.jobs[len(w.jobs)-1] {
		return mark
	}
	return strconv.FormatUint(w.last.turn, 10)
}
