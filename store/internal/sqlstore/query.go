package sqlstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
)

var (
	placeByJob = define("place by job", placeUnion())
	historyOf  = define("history", `select `+attemptColumns+`, a.log from bellhop_attempts a where a.job = ?
		union all select `+successColumns+`, p.log from bellhop_finished p where p.job = ? and p.state = 5 order by claim`)
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
	j, damage := r.newJob()
	n := &numbered{bellhop.Snapshot{Job: *j, Place: r.newPlace()}, int64(r.number)}
	if damage != nil && n.Place.Reason == "" {
		n.Place.Reason = damage.Error()
	}
	return n, nil
}

// history returns the records of a job's attempts, oldest first.
func (t *txn) history(ctx context.Context, job int64) (attempts []bellhop.Attempt, err error) {
	var last lastRow
	into := last.withLog()
	err = t.Query(ctx, historyOf, func(r Row) error {
		if err := r.Scan(into...); err != nil {
			return err
		}
		a, err := last.attempt()
		attempts = append(attempts, a...)
		return err
	}, job, job)
	return attempts, err
}

// last returns the record of a job's newest attempt without its log, if there is one.
func (t *txn) last(ctx context.Context, j *numbered) ([]bellhop.Attempt, error) {
	attempts, err := t.history(ctx, j.number)
	attempts = attempts[max(0, len(attempts)-1):]
	for i := range attempts {
		attempts[i].Log = nil
	}
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
