package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	maxPage     = 1000    // jobs in one page
	maxExamined = 5000    // jobs looked at in one run of a script, which nobody else can enter meanwhile
	enoughBytes = 4 << 20 // bytes of jobs after which a page ends
)

// Get implements [bellhop.Store].
func (s *Store) Get(ctx context.Context, ids []bellhop.ID) (found []bellhop.Snapshot, err error) {
	in := items{}
	for i := range ids {
		in.raw(ids[i][:])
	}
	err = s.ask(ctx, bellhop.OpGet, scriptGet, in, func(reply any) (err error) {
		found, err = readSnapshots(reply)
		return err
	})
	return found, err
}

func readSnapshots(v any) ([]bellhop.Snapshot, error) {
	all := list(v)
	found := make([]bellhop.Snapshot, 0, len(all)/3)
	for three := range slices.Chunk(all, 3) {
		e, err := readEntry(text(three[0]), text(three[1]), text(three[2]))
		if err != nil {
			return nil, err
		}
		found = append(found, e.Snapshot)
	}
	return found, nil
}

// appendFilter writes a filter as the script filter takes it.
func appendFilter(in *items, f *bellhop.Filter) {
	in.text(digits(f.States))
	in.text(names(f.Queues))
	in.text(names(f.Kinds))
	in.text(names(f.Tags))
	in.text(idText(f.Process))
	in.text(bound(f.EnqueuedAfter))
	in.text(bound(f.EnqueuedBefore))
	in.text(f.Text)
	ids := make([]byte, 0, 16*len(f.IDs))
	for i := range f.IDs {
		ids = append(ids, f.IDs[i][:]...)
	}
	in.raw(ids)
}

// bound returns the first stored moment that is not before t.
func bound(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	n := t.UnixMicro()
	if time.UnixMicro(n).Before(t) {
		n++
	}
	return strconv.FormatInt(n, 10)
}

// appendPage writes where a page begins and how long it may be.
func appendPage(in *items, after string, limit int) error {
	if n, err := strconv.ParseInt(after, 10, 64); after != "" && (err != nil || n < 0 || n >= 1<<48) {
		return &bellhop.InvalidError{Index: -1, Field: "after", Reason: "it is not a mark that a page before has returned"}
	}
	in.text(after)
	in.number(int64(limit))
	in.number(maxExamined)
	return nil
}

// List implements [bellhop.Store].
func (s *Store) List(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	if len(q.Filter.NotQueues) > 0 || q.Filter.ByFailure() || len(q.Filter.Args) > 0 || !q.Filter.FinishedAfter.IsZero() || !q.Filter.FinishedBefore.IsZero() {
		return nil, fmt.Errorf("these conditions of the filter: %w", bellhop.ErrUnsupported)
	}
	in := items{}
	appendFilter(&in, &q.Filter)
	if err := appendPage(&in, q.After, min(limit, maxPage)); err != nil {
		return nil, err
	}
	in.text("jobs")
	in.number(enoughBytes)
	listing := &bellhop.Listing{}
	err := s.ask(ctx, bellhop.OpList, scriptList, in, func(reply any) error {
		r, err := row(reply, 2)
		if err != nil {
			return err
		}
		listing.Next = text(r[0])
		listing.Jobs, err = readSnapshots(r[2:])
		return err
	})
	if err != nil {
		return nil, err
	}
	if q.WithoutArgs {
		for i := range listing.Jobs {
			listing.Jobs[i].Args = nil
		}
	}
	return listing, nil
}

// Count implements [bellhop.Store]. What states and queues alone select is
// answered from the counters; all else is counted in bites, and so not of one
// moment if there are many jobs.
func (s *Store) Count(ctx context.Context, f *bellhop.Filter, limit int) (n int, err error) {
	if len(f.NotQueues) > 0 || f.ByFailure() || len(f.Args) > 0 || !f.FinishedAfter.IsZero() || !f.FinishedBefore.IsZero() {
		return 0, fmt.Errorf("these conditions of the filter: %w", bellhop.ErrUnsupported)
	}
	err = s.verb(ctx, bellhop.OpCount, func() (err error) {
		if onlyPlaces(f) {
			n, err = s.countPlaces(ctx, f, limit)
		} else {
			n, err = s.countEach(ctx, f, limit)
		}
		return err
	})
	return n, err
}

// onlyPlaces reports whether a filter has no conditions but states and queues.
func onlyPlaces(f *bellhop.Filter) bool {
	rest := *f
	rest.States, rest.Queues = 0, nil
	return rest.IsZero()
}

func (s *Store) countPlaces(ctx context.Context, f *bellhop.Filter, limit int) (n int, err error) {
	reply, err := s.run(ctx, bellhop.OpCount, scriptStats, items{})
	if err != nil {
		return 0, err
	}
	r, err := row(reply, 4)
	if err != nil {
		return 0, err
	}
	for pair := range slices.Chunk(list(r[0]), 2) {
		state, queue := stateAndQueue(text(pair[0]))
		if (f.States == 0 || f.States.Has(state)) && (len(f.Queues) == 0 || slices.Contains(f.Queues, queue)) {
			n += int(integer(pair[1]))
		}
	}
	return min(n, max(limit, 0)), nil
}

func (s *Store) countEach(ctx context.Context, f *bellhop.Filter, limit int) (n int, err error) {
	for after := ""; n < limit; {
		in := items{}
		appendFilter(&in, f)
		if err := appendPage(&in, after, limit-n); err != nil {
			return 0, err
		}
		in.text("none")
		in.number(0)
		reply, err := s.run(ctx, bellhop.OpCount, scriptList, in)
		if err != nil {
			return 0, err
		}
		r, err := row(reply, 2)
		if err != nil {
			return 0, err
		}
		n += int(integer(r[1]))
		if after = text(r[0]); after == "" {
			break
		}
	}
	return n, nil
}

// stateAndQueue takes a name among the counters apart.
func stateAndQueue(name string) (bellhop.State, string) {
	if name == "" {
		return 0, ""
	}
	return bellhop.State(name[0] - '0'), name[1:]
}

// Stats implements [bellhop.Store].
func (s *Store) Stats(ctx context.Context, limit int) (all []bellhop.QueueStats, err error) {
	err = s.ask(ctx, bellhop.OpStats, scriptStats, items{}, func(reply any) error {
		all, err = readStats(reply, limit)
		return err
	})
	return all, err
}

func readStats(reply any, limit int) ([]bellhop.QueueStats, error) {
	r, err := row(reply, 4)
	if err != nil {
		return nil, err
	}
	queues := map[string]*bellhop.QueueStats{}
	of := func(name string) *bellhop.QueueStats {
		if queues[name] == nil {
			queues[name] = &bellhop.QueueStats{Queue: name}
		}
		return queues[name]
	}
	for pair := range slices.Chunk(list(r[0]), 2) {
		state, name := stateAndQueue(text(pair[0]))
		n := min(int(integer(pair[1])), limit)
		switch state {
		case bellhop.StateScheduled:
			of(name).Scheduled = n
		case bellhop.StateBlocked:
			of(name).Blocked = n
		case bellhop.StateReady:
			of(name).Ready = n
		case bellhop.StateRunning:
			of(name).Running = n
		case bellhop.StateDead:
			of(name).Dead = n
		}
	}
	for _, name := range list(r[1]) {
		of(text(name)).Paused = true
	}
	for pair := range slices.Chunk(list(r[2]), 2) {
		of(text(pair[0])).OldestReady = at(score(text(pair[1])))
	}
	for pair := range slices.Chunk(list(r[3]), 2) {
		of(text(pair[0])).NextDue = at(score(text(pair[1])))
	}
	all := make([]bellhop.QueueStats, 0, len(queues))
	for _, q := range queues {
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b bellhop.QueueStats) int { return strings.Compare(a.Queue, b.Queue) })
	return all, nil
}
