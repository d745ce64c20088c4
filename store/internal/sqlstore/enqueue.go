package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gobellhop/bellhop"
)

var (
	lastJob = define("last job", `select job from bellhop_jobs where job > 0 order by job desc limit 1`)
	takeKey = define("take unique key", `insert into bellhop_unique_keys (unique_key, job) values (?, ?) on conflict do nothing`)
	addJob  = defineRows("add job", 14, `insert into bellhop_jobs
		(job, id, kind, queue, priority, run_at, attempts, timeout_ns, retention_ns, unique_key, tags, meta, enqueued_at, args)
		values {rows} on conflict do nothing`)
	jobsAdded = define("jobs added", `select job, id from bellhop_jobs where job between ? and ?`)
	addReady  = define("add ready", `insert into bellhop_ready (queue, priority, due, job, kind)
		select queue, priority, ?, job, kind from bellhop_jobs where job between ? and ?`)
	addTheseReady = defineRows("add these ready", 5, `insert into bellhop_ready (queue, priority, due, job, kind) values {rows}`)
	addScheduled  = defineRows("add scheduled", 3, `insert into bellhop_scheduled (job, queue, due) values {rows}`)
	keyHolder     = define("key holder", `select j.id, j.job from bellhop_unique_keys k cross join bellhop_jobs j where k.unique_key = ? and j.job = k.job`)
	dropKey       = define("drop unique key", `delete from bellhop_unique_keys where job = ?`)
	jobByID       = define("job by id", textOfJobByID)
	// jobSeen is the same for a job that is probably not there: see stateSeenByJob.
	jobSeen = define("job by id, as seen", textOfJobByID)
)

const textOfJobByID = `select ` + jobColumns + ` from bellhop_jobs j where j.id = ?`

// Enqueue implements [bellhop.Store].
func (s *Store) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	if s.swift != nil && len(r.Puts) == 0 && len(r.Jobs) > 0 {
		receipts, err = s.enqueueSwiftly(ctx, r)
		if !errors.Is(err, ErrCareful) {
			return receipts, err
		}
	}
	j := &join{store: s}
	err = errNotEnded // what a panic leaves behind
	defer func() { j.end(err) }()
	err = s.write(ctx, bellhop.OpEnqueue, func(ctx context.Context, t *txn) (err error) {
		receipts, err = t.enqueue(ctx, r)
		if r.Shared {
			err = s.impatient(err)
		}
		if err == nil {
			err = j.do(ctx, t, r.Jobs, receipts)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// intake is a call of Enqueue under way.
type intake struct {
	*txn
	entries  []entry
	receipts []bellhop.Receipt
}

// entry is a job on its way in.
type entry struct {
	job      *bellhop.Job
	number   int64
	due      int64
	answered bool // its receipt is written, and nothing is to be added
}

// state returns where the entry goes.
func (in *intake) state(e *entry) bellhop.State {
	if e.due > in.now {
		return bellhop.StateScheduled
	}
	return bellhop.StateReady
}

func (t *txn) enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	if err := t.put(ctx, r.Puts); err != nil {
		return nil, err
	}
	if len(r.Jobs) == 0 {
		return nil, nil
	}
	numbers, err := t.store.Dialect.Numbers(ctx, t, len(r.Jobs))
	if err != nil {
		return nil, err
	}
	in := &intake{t, make([]entry, len(r.Jobs)), make([]bellhop.Receipt, len(r.Jobs))}
	for i, j := range r.Jobs {
		e := &in.entries[i]
		*e = entry{job: j, number: numbers[i], due: max(j.Due(at(t.now)).UnixMicro(), t.now)}
		in.receipts[i] = bellhop.Receipt{ID: j.ID, State: in.state(e)}
	}
	if err := in.takeKeys(ctx); err != nil {
		return nil, err
	}
	if err := in.addJobs(ctx); err != nil {
		return nil, err
	}
	return in.receipts, in.place(ctx)
}

// NextNumbers returns the n numbers behind the last job's, for dialects with a single writer.
func NextNumbers(ctx context.Context, tx Tx, n int) ([]int64, error) {
	var last num
	if err := tx.Query(ctx, lastJob, func(r Row) error { return r.Scan(&last) }); err != nil {
		return nil, err
	}
	numbers := make([]int64, n)
	for i := range numbers {
		numbers[i] = int64(last) + int64(i) + 1
	}
	return numbers, nil
}

// open returns the indexes of the entries that pass the test and are not answered.
func (in *intake) open(pass func(e *entry) bool) []int {
	list := make([]int, 0, len(in.entries))
	for i := range in.entries {
		if e := &in.entries[i]; !e.answered && (pass == nil || pass(e)) {
			list = append(list, i)
		}
	}
	return list
}

// takeKeys takes the unique keys of the jobs that have one, and answers those
// whose key another job holds.
func (in *intake) takeKeys(ctx context.Context) error {
	keyed := in.open(func(e *entry) bool { return e.job.UniqueKey != "" })
	if err := in.lockKeys(ctx, keyed); err != nil {
		return err
	}
	for _, i := range keyed {
		e := &in.entries[i]
		// A job that is there already may be the holder itself.
		if known, err := in.existing(ctx, i, jobSeen); err != nil || known {
			if err != nil {
				return err
			}
			continue
		}
		n, err := in.Exec(ctx, takeKey, e.job.UniqueKey, e.number)
		if err == nil && n == 0 {
			err = in.keyHeld(ctx, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lockKeys makes others who want the same unique keys wait, where that has to
// be done before the keys are taken.
func (in *intake) lockKeys(ctx context.Context, keyed []int) error {
	locker, ok := in.store.Dialect.(KeyLocker)
	if !ok || len(keyed) == 0 {
		return nil
	}
	keys := make([]string, len(keyed))
	for k, i := range keyed {
		keys[k] = in.entries[i].job.UniqueKey
	}
	return locker.LockKeys(ctx, in, keys)
}

// keyHeld answers a job whose unique key is held.
func (in *intake) keyHeld(ctx context.Context, i int) error {
	e := &in.entries[i]
	for k := range i { // the holder may be a job of this very call
		b := &in.entries[k]
		switch {
		case b.answered || b.job.UniqueKey != e.job.UniqueKey:
		case b.job.ID == e.job.ID: // the same job twice: adding it will tell
			return nil
		default:
			e.answered = true
			in.receipts[i] = bellhop.Receipt{ID: b.job.ID, State: in.state(b), Existing: true}
			return nil
		}
	}
	holder, number, err := in.keyHolder(ctx, e.job.UniqueKey)
	if err != nil {
		return err
	}
	if holder == e.job.ID { // it has come since what a transaction of the caller sees
		_, err := in.existing(ctx, i, jobByID)
		return err
	}
	state, err := in.stateSeen(ctx, number)
	if err == nil && !state.Live() {
		state, err = in.stateOf(ctx, number)
	}
	if err == nil && !state.Live() {
		err = fmt.Errorf("unique key of job %s: its holder has just ended: %w", e.job.ID, ErrAgain)
	}
	e.answered = true
	in.receipts[i] = bellhop.Receipt{ID: holder, State: state, Existing: true}
	return err
}

// keyHolder returns the job that holds a unique key.
func (t *txn) keyHolder(ctx context.Context, key string) (bellhop.ID, int64, error) {
	var holder uid
	var number num
	err := t.Query(ctx, keyHolder, func(row Row) error { return row.Scan(&holder, &number) }, key)
	if err == nil && number == 0 {
		err = fmt.Errorf("a unique key has just become free: %w", ErrAgain)
	}
	return bellhop.ID(holder), int64(number), err
}

// addJobs adds the jobs' rows, and answers those that are there already.
func (in *intake) addJobs(ctx context.Context) error {
	open := in.open(nil)
	added, err := in.Rows(ctx, addJob, len(open), func(i int, row []any) []any {
		e := &in.entries[open[i]]
		j := e.job
		return append(row, e.number, j.ID[:], j.Kind, j.Queue, int64(j.Priority), moment(j.RunAt), int64(j.Attempts),
			zeroNull(int64(j.Timeout)), zeroNull(int64(j.Retention)), none(j.UniqueKey),
			encode(j.Tags, len(j.Tags) == 0), encode(j.Meta, len(j.Meta) == 0), in.now, j.Args)
	})
	if err != nil || added == int64(len(open)) {
		return err
	}
	there := make(map[int64]bellhop.ID, added) // another's job may have one of the numbers
	err = in.Query(ctx, jobsAdded, func(r Row) error {
		var number num
		var id uid
		err := r.Scan(&number, &id)
		there[int64(number)] = bellhop.ID(id)
		return err
	}, in.entries[0].number, in.entries[len(in.entries)-1].number)
	if err != nil {
		return err
	}
	for _, i := range open {
		if e := &in.entries[i]; there[e.number] == e.job.ID {
			continue
		}
		if err := in.notAdded(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// notAdded answers a job that was not added because its id is there.
func (in *intake) notAdded(ctx context.Context, i int) error {
	e := &in.entries[i]
	if e.job.UniqueKey != "" {
		if _, err := in.Exec(ctx, dropKey, e.number); err != nil {
			return err
		}
	}
	known, err := in.existing(ctx, i, jobByID)
	if err == nil && !known {
		err = fmt.Errorf("job %s is neither new nor there: %w", e.job.ID, ErrAgain)
	}
	return err
}

// existing answers a job whose id is there already, if st finds it.
func (in *intake) existing(ctx context.Context, i int, st *Stmt) (known bool, err error) {
	e := &in.entries[i]
	row := newRow()
	var there *bellhop.Job
	err = in.Query(ctx, st, func(r Row) (err error) {
		if err := r.Scan(row.job...); err != nil {
			return err
		}
		there, _ = row.newJob() // a job that is damaged is the same if what can be read of it is
		return nil
	}, e.job.ID[:])
	if err != nil || there == nil {
		return false, err
	}
	e.answered = true
	if !there.SameContent(e.job) {
		return true, &bellhop.ItemError{Index: i, Err: bellhop.ErrIDTaken}
	}
	receipt := &in.receipts[i]
	receipt.Existing = true
	first, added := slices.BinarySearchFunc(in.entries[:i], int64(row.number), func(e entry, n int64) int { return cmp.Compare(e.number, n) })
	if added { // by this very call
		receipt.State = in.receipts[first].State
		return true, nil
	}
	if receipt.State, err = in.stateSeen(ctx, int64(row.number)); err == nil && receipt.State == 0 {
		receipt.State, err = in.stateOf(ctx, int64(row.number))
	}
	if err == nil && receipt.State == 0 {
		err = fmt.Errorf("job %s has just been deleted: %w", e.job.ID, ErrAgain)
	}
	return true, err
}

// place puts the new jobs where they belong.
func (in *intake) place(ctx context.Context) error {
	later := in.open(func(e *entry) bool { return e.due > in.now })
	_, err := in.Rows(ctx, addScheduled, len(later), func(i int, row []any) []any {
		e := &in.entries[later[i]]
		return append(row, e.number, e.job.Queue, e.due)
	})
	if err != nil {
		return err
	}
	// The others are ready now. Runs of neighbouring numbers go together; between
	// those of a single writer there is nobody else's.
	ready := in.open(func(e *entry) bool { return e.due <= in.now })
	if in.store.Shared {
		_, err := in.Rows(ctx, addTheseReady, len(ready), func(i int, row []any) []any {
			e := &in.entries[ready[i]]
			in.wakeFor(e.job)
			return append(row, e.job.Queue, int64(e.job.Priority), in.now, e.number, e.job.Kind)
		})
		return err
	}
	for len(ready) > 0 {
		n := 1
		for n < len(ready) && in.neighbours(ready[n-1], ready[n]) {
			n++
		}
		for _, i := range ready[:n] {
			in.wakeFor(in.entries[i].job)
		}
		if _, err := in.Exec(ctx, addReady, in.now, in.entries[ready[0]].number, in.entries[ready[n-1]].number); err != nil {
			return err
		}
		ready = ready[n:]
	}
	return nil
}

// neighbours reports whether no other job of this call or another that is to be
// placed elsewhere stands between two.
func (in *intake) neighbours(i, k int) bool {
	if in.entries[k].number-in.entries[i].number != int64(k-i) {
		return false
	}
	for _, e := range in.entries[i+1 : k] {
		if !e.answered {
			return false
		}
	}
	return true
}

func zeroNull(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}
