package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
)

const (
	maxPage     = 1000 // jobs in one page
	maxExamined = 5000 // rows of each place that are looked at for one page
	maxSearched = 250  // the same if a text is looked for in arguments, each up to 1 MiB
)

var (
	placeByJob = define("place by job", placeUnion())
	historyOf  = define("history", `select claim, generation, number, process, outcome, due, claimed_at, started, ended, failure
		from bellhop_attempts where job = ?
		union all select claim, generation, number, process, 1, due, claimed_at, started, ended, null
		from bellhop_finished where job = ? and state = 5 order by claim`)
	stateByJob = define("state by job", stateUnion())
	// stateSeenByJob is the same for a transaction of the caller that sees an old
	// snapshot, if that will do. To see more it has to lock, also the gaps where
	// there is nothing, in the midst of all jobs.
	stateSeenByJob = define("state by job, as seen", stateUnion())
)

// placeUnion selects a job's place from wherever it is. Its parameters are the job's number, once for each table.
func placeUnion() string {
	var parts []string
	for _, p := range places {
		parts = append(parts, `select `+p.columns+` from `+p.table+` p where p.job = ?`)
	}
	return strings.Join(parts, " union all ")
}

func stateUnion() string {
	var parts []string
	for _, p := range places {
		state := strconv.Itoa(int(p.states.List()[0]))
		if p == placeFinished {
			state = "p.state"
		}
		parts = append(parts, `select `+state+` from `+p.table+` p where p.job = ?`)
	}
	return strings.Join(parts, " union all ")
}

// forEachPlace is the parameters of placeByJob and stateByJob.
func forEachPlace(job int64) []any {
	args := make([]any, len(places))
	for i := range args {
		args[i] = job
	}
	return args
}

// stateOf returns where a job is; 0 if it is in no place.
func (t *txn) stateOf(ctx context.Context, job int64) (bellhop.State, error) {
	n, err := t.count(ctx, stateByJob, forEachPlace(job)...)
	return bellhop.State(n), err
}

// stateSeen returns where the transaction sees a job; 0 if in no place.
func (t *txn) stateSeen(ctx context.Context, job int64) (bellhop.State, error) {
	n, err := t.count(ctx, stateSeenByJob, forEachPlace(job)...)
	return bellhop.State(n), err
}

// numbered is a snapshot with its job's number.
type numbered struct {
	bellhop.Snapshot
	number int64
}

// load returns a job by its id, without history; nil if there is none.
func (t *txn) load(ctx context.Context, id bellhop.ID, row *row) (*numbered, error) {
	found := false
	err := t.Query(ctx, jobByID, func(r Row) error {
		found = true
		return r.Scan(row.job...)
	}, id[:])
	if err != nil || !found {
		return nil, err
	}
	placed := false
	err = t.Query(ctx, placeByJob, func(r Row) error {
		placed = true
		return r.Scan(row.place...)
	}, forEachPlace(int64(row.number))...)
	if err != nil || !placed { // deleted since
		return nil, err
	}
	return row.snapshot()
}

func (r *row) snapshot() (*numbered, error) {
	j, err := r.newJob()
	if err != nil {
		return nil, err
	}
	return &numbered{bellhop.Snapshot{Job: *j, Place: r.newPlace()}, int64(r.number)}, nil
}

// history returns the records of a job's attempts, oldest first.
func (t *txn) history(ctx context.Context, job int64) (attempts []bellhop.Attempt, err error) {
	err = t.Query(ctx, historyOf, func(r Row) error {
		var claim, generation, number, outcome, due, claimedAt, started, ended num
		var process uid
		var failure text
		if err := r.Scan(&claim, &generation, &number, &process, &outcome, &due, &claimedAt, &started, &ended, &failure); err != nil {
			return err
		}
		a := bellhop.Attempt{
			Claim: int64(claim), Generation: int(generation), Number: int(number), Process: bellhop.ID(process),
			Outcome: bellhop.OutcomeKind(outcome), Due: due.time(), ClaimedAt: claimedAt.time(), Started: started.time(), Ended: ended.time(),
		}
		err := failure.decode(&a.Failure)
		attempts = append(attempts, a)
		return err
	}, job, job)
	return attempts, err
}

// Get implements [bellhop.Store].
func (s *Store) Get(ctx context.Context, ids []bellhop.ID) (list []bellhop.Snapshot, err error) {
	err = s.read(ctx, bellhop.OpGet, func(ctx context.Context, t *txn) error {
		list = make([]bellhop.Snapshot, 0, len(ids))
		row := newRow()
		for _, id := range ids {
			found, err := t.load(ctx, id, row)
			if err != nil {
				return err
			}
			if found == nil {
				continue
			}
			if found.History, err = t.history(ctx, found.number); err != nil {
				return err
			}
			list = append(list, found.Snapshot)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// List implements [bellhop.Store].
func (s *Store) List(ctx context.Context, q *bellhop.Query) (listing *bellhop.Listing, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	err = s.read(ctx, bellhop.OpList, func(ctx context.Context, t *txn) error {
		page, next, err := t.page(ctx, &q.Filter, q.After, min(limit, maxPage), q.WithoutArgs)
		listing = &bellhop.Listing{Next: next, Jobs: make([]bellhop.Snapshot, 0, len(page))}
		for _, j := range page {
			listing.Jobs = append(listing.Jobs, j.Snapshot)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return listing, nil
}

// page returns at most limit jobs that match, newest first, and where to go on:
// the number of the last job that was looked at.
func (t *txn) page(ctx context.Context, f *bellhop.Filter, after string, limit int, withoutArgs bool) (page []*numbered, next string, err error) {
	if len(f.NotQueues) > 0 || f.ByFailure() || len(f.Args) > 0 || !f.FinishedAfter.IsZero() || !f.FinishedBefore.IsZero() {
		return nil, "", fmt.Errorf("these conditions of the filter: %w", bellhop.ErrUnsupported)
	}
	before := int64(math.MaxInt64)
	if after != "" {
		if before, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", &bellhop.InvalidError{Index: -1, Field: "after", Reason: "it is not a mark that a page before has returned"}
		}
	}
	floor := int64(0) // jobs from here on have been looked at in all places
	if len(f.IDs) > 0 {
		page, err = t.named(ctx, f, before, withoutArgs)
	} else {
		page, floor, err = t.windows(ctx, f, before, limit, withoutArgs)
	}
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(page, func(a, b *numbered) int { return cmp.Compare(b.number, a.number) })
	page = slices.DeleteFunc(page, func(j *numbered) bool { return j.number < floor })
	switch {
	case len(page) > limit:
		page = page[:limit]
		next = strconv.FormatInt(page[limit-1].number, 10)
	case floor > 0:
		next = strconv.FormatInt(floor, 10)
	}
	return page, next, nil
}

// named returns the jobs among the filter's ids that match and come before a number.
func (t *txn) named(ctx context.Context, f *bellhop.Filter, before int64, withoutArgs bool) (found []*numbered, err error) {
	row := newRow()
	seen := make(map[bellhop.ID]bool, len(f.IDs))
	for _, id := range f.IDs {
		if seen[id] {
			continue
		}
		seen[id] = true
		j, err := t.load(ctx, id, row)
		if err != nil {
			return nil, err
		}
		if j == nil || j.number >= before || !f.Matches(&j.Job, &j.Place, nil) {
			continue
		}
		if withoutArgs {
			j.Args = nil
		}
		found = append(found, j)
	}
	return found, nil
}

// windows looks at the newest rows of each place before a number. It returns
// what matches, and the number down to which all places have been looked at.
func (t *txn) windows(ctx context.Context, f *bellhop.Filter, before int64, limit int, withoutArgs bool) (all []*numbered, floor int64, err error) {
	row, examined := newRow(), maxExamined
	if f.Text != "" {
		examined = maxSearched
	}
	for _, p := range selected(f) {
		var least, rows num
		window := compose("window of "+p.name, `select min(job), count(*) from (select job from `+p.table+` where job < ? order by job desc {limit}) w`)
		err := t.Query(ctx, window, func(r Row) error { return r.Scan(&least, &rows) }, before, examined)
		if err != nil {
			return nil, 0, err
		}
		if rows == 0 {
			continue
		}
		if int(rows) == examined {
			floor = max(floor, int64(least))
		}
		columns := jobColumns
		if withoutArgs {
			columns = strings.Replace(columns, "j.args", "null", 1)
		}
		where, args := t.conditions(f, p)
		st := compose("list "+p.name, `select `+columns+`, `+p.columns+` from `+p.table+` p cross join bellhop_jobs j
			where p.job < ? and p.job >= ? and j.job = p.job`+where+` order by p.job desc {limit}`)
		args = append(append([]any{before, int64(least)}, args...), limit+1)
		found, lowest := 0, int64(0)
		err = t.Query(ctx, st, func(r Row) error {
			if err := r.Scan(row.all()...); err != nil {
				return err
			}
			j, err := row.snapshot()
			if err != nil {
				return err
			}
			all = append(all, j)
			found, lowest = found+1, j.number
			return nil
		}, args...)
		if err != nil {
			return nil, 0, err
		}
		if found > limit {
			floor = max(floor, lowest)
		}
	}
	return all, floor, nil
}

// selected returns the places in which a filter's jobs can be.
func selected(f *bellhop.Filter) []*place {
	return slices.DeleteFunc(slices.Clone(places), func(p *place) bool {
		return f.States != 0 && f.States&p.states == 0 || !f.Process.IsZero() && p != placeRunning
	})
}

// conditions returns a filter's conditions on a place p and its job j, and their arguments.
func (t *txn) conditions(f *bellhop.Filter, p *place) (where string, args []any) {
	var b strings.Builder
	add := func(condition string, values ...any) {
		b.WriteString(" and " + condition)
		args = append(args, values...)
	}
	if p == placeFinished && f.States != 0 {
		var states []string
		for _, s := range (f.States & p.states).List() {
			states = append(states, strconv.Itoa(int(s)))
		}
		add("p.state in (" + strings.Join(states, ", ") + ")")
	}
	if len(f.Queues) > 0 {
		add("j.queue in ({list})", Texts(f.Queues))
	}
	if len(f.Kinds) > 0 {
		add("j.kind in ({list})", Texts(f.Kinds))
	}
	if !f.Process.IsZero() {
		add("p.process = ?", f.Process[:])
	}
	if !f.EnqueuedAfter.IsZero() {
		add("j.enqueued_at >= ?", ceiling(f.EnqueuedAfter))
	}
	if !f.EnqueuedBefore.IsZero() {
		add("j.enqueued_at < ?", ceiling(f.EnqueuedBefore))
	}
	for _, tag := range f.Tags {
		add("{tag}", tag)
	}
	if f.Text != "" {
		add("{contains}", []byte(f.Text))
	}
	return b.String(), args
}

// Count implements [bellhop.Store].
func (s *Store) Count(ctx context.Context, f *bellhop.Filter, limit int) (n int, err error) {
	if len(f.NotQueues) > 0 || f.ByFailure() || len(f.Args) > 0 || !f.FinishedAfter.IsZero() || !f.FinishedBefore.IsZero() {
		return 0, fmt.Errorf("these conditions of the filter: %w", bellhop.ErrUnsupported)
	}
	err = s.read(ctx, bellhop.OpCount, func(ctx context.Context, t *txn) error {
		if len(f.IDs) > 0 {
			found, err := t.named(ctx, f, math.MaxInt64, false)
			n = min(len(found), max(limit, 0))
			return err
		}
		n = 0
		for _, p := range selected(f) {
			if n >= limit {
				break
			}
			where, args := t.conditions(f, p)
			from := p.table + ` p`
			if strings.Contains(where, "j.") || strings.Contains(where, "{") {
				from += ` cross join bellhop_jobs j where j.job = p.job` + where
			} else {
				from += ` where 1 = 1` + where
			}
			st := compose("count "+p.name, `select count(*) from (select 1 from `+from+` {limit}) c`)
			found, err := t.count(ctx, st, append(args, limit-n)...)
			if err != nil {
				return err
			}
			n += int(found)
		}
		return nil
	})
	return n, err
}
