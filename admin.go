package bellhop

import (
	"context"
	"fmt"
	"strings"
)

// Get returns one job with its history. If there is none, the error matches [ErrNotFound].
func (c *Client) Get(ctx context.Context, id ID) (*Snapshot, error) {
	found, err := c.store.Get(ctx, []ID{id})
	if err != nil {
		return nil, storeError(err, "get job %s", id)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("bellhop: get job %s: %w", id, ErrNotFound)
	}
	return &found[0], nil
}

// searched is how many jobs [Client.List] looks at before it comes back with what it has found.
const searched = 10_000

// List returns a page of jobs, newest first; see [Query]. It goes on over short
// pages until the page is full, the end is reached, or 10,000 jobs have been
// looked at, as the page's Examined tells: then Next goes on from there.
func (c *Client) List(ctx context.Context, q Query) (*Listing, error) {
	if q.Limit == 0 {
		q.Limit = 50
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, invalid("limit", "%d is out of range: want 1 to 1000", q.Limit)
	}
	if err := q.Filter.Check(); err != nil {
		return nil, err
	}
	page := &Listing{}
	want := q.Limit
	for {
		l, err := c.store.List(ctx, &q)
		if err != nil {
			return nil, storeError(err, "list jobs")
		}
		page.Jobs, page.Next = append(page.Jobs, l.Jobs...), l.Next
		page.Examined += l.Examined
		if len(page.Jobs) >= want || l.Next == "" || page.Examined >= searched {
			return page, nil
		}
		q.Limit, q.After = want-len(page.Jobs), l.Next
	}
}

// Count returns how many jobs match the filter, counting no further than limit.
//
// States and queues are counted by an index, or at a glance. For all else the
// store has to look at the jobs, some thousand at a time, and Count goes on until
// it is through: among millions of jobs that takes seconds, and the number is not
// of one moment (a job that is moving is counted once at most). End it by the
// context, then it returns what it had found beside the error; or ask
// [Client.Tally], which looks once.
func (c *Client) Count(ctx context.Context, f Filter, limit int) (int, error) {
	q := Query{Filter: f, Limit: limit}
	n := 0
	for {
		part, err := c.countOnce(ctx, &q)
		if err != nil {
			return n, err
		}
		if n += part.Count; n >= limit || part.Next == "" {
			return n, nil
		}
		q.Limit, q.After = limit-n, part.Next
	}
}

// Tally counts as [Client.Count] does, but in one look, and takes what that finds
// for an answer: for pages that show a number and what it is worth.
func (c *Client) Tally(ctx context.Context, f Filter, limit int) (Tally, error) {
	part, err := c.countOnce(ctx, &Query{Filter: f, Limit: limit})
	switch {
	case err != nil:
		return Tally{}, err
	case part.Next != "":
		return Tally{Count: part.Count, More: true, Examined: part.Examined}, nil
	}
	return Tally{Count: part.Count, More: part.Count >= limit}, nil
}

func (c *Client) countOnce(ctx context.Context, q *Query) (*Counted, error) {
	if q.Limit < 1 {
		return nil, invalid("limit", "%d is out of range: want at least 1", q.Limit)
	}
	if err := q.Filter.Check(); err != nil {
		return nil, err
	}
	part, err := c.store.Count(ctx, q)
	if err != nil {
		return nil, storeError(err, "count jobs")
	}
	return part, nil
}

// Act does an action to the named jobs and says which were skipped, and why.
func (c *Client) Act(ctx context.Context, action Action, reason string, ids ...ID) (*ActReply, error) {
	if !action.Valid() {
		return nil, invalid("action", "%v is unknown", action)
	}
	total := &ActReply{}
	for len(ids) > 0 {
		bite := ids[:min(len(ids), 1000)]
		ids = ids[len(bite):]
		r, err := c.act(ctx, &ActRequest{Action: action, IDs: bite, Reason: reason})
		if err != nil {
			return total, err
		}
		total.Changed = append(total.Changed, r.Changed...)
		total.Signalled = append(total.Signalled, r.Signalled...)
		total.Skipped = append(total.Skipped, r.Skipped...)
	}
	return total, nil
}

// ActAll does an action to all jobs that match the filter, in bounded bites, and
// returns how many were changed. After each bite progress is called with the
// number so far, if it is not nil. It can be stopped by ending ctx: what is done
// is done. An empty filter is refused, since it would select every job; to mean
// that, name the action's states: Filter{States: action.From()}.
func (c *Client) ActAll(ctx context.Context, action Action, reason string, f Filter, progress func(changed int)) (int, error) {
	if !action.Valid() {
		return 0, invalid("action", "%v is unknown", action)
	}
	if f.IsZero() {
		return 0, invalid("filter", "an empty filter would select every job: name at least the states, for example Filter{States: action.From()}")
	}
	r := &ActRequest{Action: action, Filter: f, Reason: reason}
	changed := 0
	for {
		reply, err := c.act(ctx, r)
		if err != nil {
			return changed, err
		}
		changed += len(reply.Changed) + len(reply.Signalled)
		if progress != nil {
			progress(changed)
		}
		if reply.Next == "" {
			return changed, nil
		}
		r.After = reply.Next
	}
}

// ActSome is one bite of [Client.ActAll], for callers that keep their place themselves: it visits at most r.Limit jobs of the
// filter, or does the action to the jobs that r names, at most 1000 of them. Next in the reply is After of the next bite.
func (c *Client) ActSome(ctx context.Context, r ActRequest) (*ActReply, error) {
	if !r.Action.Valid() {
		return nil, invalid("action", "%v is unknown", r.Action)
	}
	if len(r.IDs) == 0 && r.Filter.IsZero() {
		return nil, invalid("filter", "an empty filter would select every job: name at least the states, for example Filter{States: action.From()}")
	}
	if len(r.IDs) > 1000 {
		return nil, invalid("ids", "%d jobs are more than the limit of 1000", len(r.IDs))
	}
	if r.Limit < 0 || r.Limit > 1000 {
		return nil, invalid("limit", "%d is out of range: want 1 to 1000, or 0 for 1000", r.Limit)
	}
	if r.Fence != nil && r.Fence.Version < 1 {
		return nil, invalid("fence", "no record has the version %d: give the one that was read", r.Fence.Version)
	}
	return c.act(ctx, &r)
}

func (c *Client) act(ctx context.Context, r *ActRequest) (*ActReply, error) {
	r.Reason = CleanText(r.Reason, 512)
	reply, err := c.store.Act(ctx, r)
	if err != nil {
		return nil, storeError(err, "%s jobs", r.Action)
	}
	if c.Listening() {
		for _, id := range reply.Changed {
			c.Emit(Event{Type: r.Action.Event(), JobID: id, To: r.Action.To()})
		}
	}
	return reply, nil
}

// QueuesCountedTo is how far [Client.Queues] counts the jobs of a queue in one
// state, at the most; each entry's Limit says how far it was: the SQL stores count
// 100,000 jobs of a state in all, and so fewer of each queue where there are more than 10.
const QueuesCountedTo = 10_000

// Queues returns what each queue has to do; counts go no further than the Limit of each, which is [QueuesCountedTo] or less.
func (c *Client) Queues(ctx context.Context) ([]QueueStats, error) {
	stats, err := c.store.Stats(ctx, QueuesCountedTo)
	if err != nil {
		return nil, storeError(err, "queue statistics")
	}
	return stats, nil
}

// Processes returns the workers that the store holds alive.
func (c *Client) Processes(ctx context.Context) ([]ProcessStatus, error) {
	p, err := c.store.Processes(ctx)
	if err != nil {
		return nil, storeError(err, "list processes")
	}
	return p, nil
}

// Pause stops every process from claiming jobs of the queue, from the next
// exchange on; jobs that run go on. It is kept over restarts.
func (c *Client) Pause(ctx context.Context, queue string) error { return c.pause(ctx, queue, true) }

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, queue string) error { return c.pause(ctx, queue, false) }

func (c *Client) pause(ctx context.Context, queue string, paused bool) error {
	if err := CheckName("queue", queue); err != nil {
		return asInvalid("queue", err)
	}
	if err := c.store.Pause(ctx, queue, paused); err != nil {
		return storeError(err, "pause or resume queue %s", queue)
	}
	return nil
}

// failedCall says what the client was doing when the store failed.
type failedCall struct {
	doing string
	err   error
}

func storeError(err error, doing string, args ...any) error {
	return &failedCall{fmt.Sprintf(doing, args...), err}
}

// Error says "bellhop" once: an [InvalidError] of the store says it too.
func (e *failedCall) Error() string {
	return "bellhop: " + e.doing + ": " + strings.TrimPrefix(e.err.Error(), "bellhop: ")
}

func (e *failedCall) Unwrap() error { return e.err }
