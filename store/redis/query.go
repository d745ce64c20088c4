package redis

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	maxPage     = 1000    // jobs in one page
	maxExamined = 5000    // jobs looked at for one page
	maxLooked   = 2000    // jobs looked at in one run of a script, for the whole server waits meanwhile
	maxLined    = 5000    // jobs that are looked up by the lines in which they wait
	maxCounted  = 4000    // jobs looked at for one count
	maxJudged   = 2000    // the same if they are judged here
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
	in.text(names(f.NotQueues))
	in.text(names(f.Kinds))
	in.text(names(f.Tags))
	in.text(idText(f.Process))
	in.text(bound(f.EnqueuedAfter))
	in.text(bound(f.EnqueuedBefore))
	in.text(bound(f.FinishedAfter))
	in.text(bound(f.FinishedBefore))
	in.text(ifSet(f.ByFailure(), "1"))
	in.text(ifSet(f.Seen == nil, f.Text)) // what the script reads is more than may be seen
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
	if _, err := readMark(after); err != nil {
		return err
	}
	in.text(after)
	in.number(int64(limit))
	in.number(maxLooked)
	return nil
}

// maxTurn is more than any turn.
const maxTurn = 1 << 48

// readMark returns the turn before which a page begins.
func readMark(after string) (before uint64, err error) {
	if after == "" {
		return maxTurn, nil
	}
	if before, err = strconv.ParseUint(after, 10, 64); err != nil || before >= maxTurn {
		return 0, &bellhop.InvalidError{Index: -1, Field: "after", Reason: "it is not a mark that a page before has returned"}
	}
	return before, nil
}

// judged reports whether a filter asks for what is judged here and not by a script:
// single values in arguments, which Lua would round, failures, and texts in what may
// be seen of the arguments.
func judged(f *bellhop.Filter) bool {
	return len(f.Args) > 0 || f.ByFailure() || f.Text != "" && f.Seen != nil
}

// List implements [bellhop.Store].
func (s *Store) List(ctx context.Context, q *bellhop.Query) (listing *bellhop.Listing, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	err = s.verb(ctx, bellhop.OpList, func() error {
		p, err := s.search(ctx, bellhop.OpList, q, min(limit, maxPage))
		if err != nil {
			return err
		}
		listing = &bellhop.Listing{Next: p.next, Examined: p.examined, Jobs: make([]bellhop.Snapshot, len(p.jobs))}
		for i, e := range p.jobs {
			listing.Jobs[i] = e.Snapshot
			if q.WithoutArgs {
				listing.Jobs[i].Args = nil
			}
			if !q.WithLast {
				listing.Jobs[i].History = nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return listing, nil
}

// page is a page of jobs, the newest first.
type page struct {
	jobs     []*entry
	next     string
	examined int
	bytes    int
}

// search reads a page in several runs of a script, between which the server does what others ask, and judges what
// is not judged by the script.
func (s *Store) search(ctx context.Context, op bellhop.Op, q *bellhop.Query, limit int) (*page, error) {
	what, most := "jobs", maxPage
	if q.WithLast || q.Filter.ByFailure() {
		what = "last"
	}
	if _, err := readMark(q.After); err != nil {
		return nil, err
	}
	w, err := s.waiting(ctx, op, &q.Filter)
	if err != nil {
		return nil, err
	}
	all := &page{next: q.After}
	for {
		if !judged(&q.Filter) {
			most = limit - len(all.jobs)
		}
		f := w.bite(&q.Filter, all.next)
		if f == nil {
			all.next = ""
			return all, nil
		}
		p, err := s.page(ctx, op, f, all.next, most, what)
		if err != nil {
			return nil, err
		}
		all.next, all.examined, all.bytes = w.next(p.next), all.examined+p.examined, all.bytes+p.bytes
		for i, e := range p.jobs {
			if !e.matches(&q.Filter) {
				continue
			}
			if all.jobs = append(all.jobs, e); len(all.jobs) == limit {
				if i < len(p.jobs)-1 {
					all.next = strconv.FormatUint(e.turn, 10)
				}
				return all, nil
			}
		}
		if all.next == "" || all.examined >= maxExamined || all.bytes >= enoughBytes {
			return all, nil
		}
	}
}

// matches judges what the script has not.
func (e *entry) matches(f *bellhop.Filter) bool {
	if !judged(f) {
		return true
	}
	var last *bellhop.Attempt
	if n := len(e.History); n > 0 {
		last = &e.History[n-1]
	}
	return f.Matches(&e.Job, &e.Place, last)
}

// page reads what the script finds.
func (s *Store) page(ctx context.Context, op bellhop.Op, f *bellhop.Filter, after string, limit int, what string) (*page, error) {
	in := items{}
	appendFilter(&in, f)
	if err := appendPage(&in, after, limit); err != nil {
		return nil, err
	}
	in.text(what)
	in.number(enoughBytes)
	reply, err := s.run(ctx, op, scriptList, in)
	if err != nil {
		return nil, err
	}
	r, err := row(reply, 3)
	if err != nil {
		return nil, err
	}
	p := &page{next: text(r[0]), examined: int(integer(r[2]))}
	for three := range slices.Chunk(r[3:], 3) {
		e, err := readEntry(text(three[0]), text(three[1]), text(three[2]))
		if err != nil {
			return nil, err
		}
		p.bytes += len(text(three[1])) + len(text(three[2]))
		p.jobs = append(p.jobs, e)
	}
	return p, nil
}

// Count implements [bellhop.Store]. What states and queues alone select is
// answered from the counters; all else is counted in bites, and so not of one moment.
func (s *Store) Count(ctx context.Context, q *bellhop.Query) (c *bellhop.Counted, err error) {
	limit := max(q.Limit, 0)
	err = s.verb(ctx, bellhop.OpCount, func() (err error) {
		if q.After == "" && onlyPlaces(&q.Filter) {
			c, err = s.countPlaces(ctx, &q.Filter)
		} else {
			c, err = s.countEach(ctx, &q.Filter, q.After, limit)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if c.Count >= limit {
		c.Count, c.Next = limit, ""
	}
	return c, nil
}

// onlyPlaces reports whether a filter has no conditions but states and queues.
func onlyPlaces(f *bellhop.Filter) bool {
	rest := *f
	rest.States, rest.Queues = 0, nil
	return rest.IsZero()
}

func (s *Store) countPlaces(ctx context.Context, f *bellhop.Filter) (*bellhop.Counted, error) {
	reply, err := s.run(ctx, bellhop.OpCount, scriptCounts, items{})
	if err != nil {
		return nil, err
	}
	c := &bellhop.Counted{}
	for pair := range slices.Chunk(list(reply), 2) {
		state, queue := stateAndQueue(text(pair[0]))
		if (f.States == 0 || f.States.Has(state)) && (len(f.Queues) == 0 || slices.Contains(f.Queues, queue)) {
			c.Count += int(integer(pair[1]))
		}
	}
	return c, nil
}

func (s *Store) countEach(ctx context.Context, f *bellhop.Filter, after string, limit int) (*bellhop.Counted, error) {
	most, some := maxCounted, s.countSome
	if judged(f) {
		most, some = maxJudged, s.countJudged
	}
	if _, err := readMark(after); err != nil {
		return nil, err
	}
	w, err := s.waiting(ctx, bellhop.OpCount, f)
	if err != nil {
		return nil, err
	}
	c := &bellhop.Counted{Next: after}
	for c.Count < limit {
		bite := w.bite(f, c.Next)
		if bite == nil {
			c.Next = ""
			break
		}
		p, found, err := some(ctx, bite, c.Next, limit-c.Count)
		if err != nil {
			return nil, err
		}
		c.Count, c.Examined, c.Next = c.Count+found, c.Examined+p.examined, w.next(p.next)
		if c.Next == "" || c.Examined >= most {
			break
		}
	}
	return c, nil
}

// countJudged counts what is judged here, in one page.
func (s *Store) countJudged(ctx context.Context, f *bellhop.Filter, after string, limit int) (p *page, n int, err error) {
	p, err = s.search(ctx, bellhop.OpCount, &bellhop.Query{Filter: *f, After: after}, min(limit, maxPage))
	if err != nil {
		return nil, 0, err
	}
	return p, len(p.jobs), nil
}

// countSome counts as far as one run of the script goes.
func (s *Store) countSome(ctx context.Context, f *bellhop.Filter, after string, limit int) (p *page, n int, err error) {
	in := items{}
	appendFilter(&in, f)
	if err := appendPage(&in, after, limit); err != nil {
		return nil, 0, err
	}
	in.text("none")
	in.number(0)
	reply, err := s.run(ctx, bellhop.OpCount, scriptList, in)
	if err != nil {
		return nil, 0, err
	}
	r, err := row(reply, 3)
	if err != nil {
		return nil, 0, err
	}
	return &page{next: text(r[0]), examined: int(integer(r[2]))}, int(integer(r[1])), nil
}

// stateAndQueue takes a name among the counters apart.
func stateAndQueue(name string) (bellhop.State, string) {
	if name == "" {
		return 0, ""
	}
	return bellhop.State(name[0] - '0'), name[1:]
}
