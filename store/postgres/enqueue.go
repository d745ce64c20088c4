package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// One statement takes a whole batch: the jobs come as arrays, get their numbers
// and go to ready or scheduled. It takes new jobs only: an id or a unique key
// that is there makes it fail, and the call goes the way of all databases.
const (
	intake = `with n as materialized (select {now} + ? as now),
		o as materialized (
			select nextval('bellhop_job_numbers') as job, n.now, u.*,
				case when u.run_at > n.now then u.run_at when u.run_at is null and u.delay > 0 then n.now + u.delay else n.now end as due
			from n cross join unnest(?::uuid[], ?::text[], ?::text[], ?::smallint[], ?::bigint[], ?::bigint[], ?::int[], ?::bigint[], ?::bigint[],
				?::text[], ?::text[], ?::text[], ?::bytea[])
				as u (id, kind, queue, priority, run_at, delay, attempts, timeout_ns, retention_ns, unique_key, tags, meta, args)),
		j as (insert into bellhop_jobs
			(job, id, kind, queue, priority, run_at, attempts, timeout_ns, retention_ns, unique_key, tags, meta, enqueued_at, args)
			select job, id, kind, queue, priority, run_at, attempts, timeout_ns, retention_ns, unique_key, tags, meta, now, args from o),
		r as (insert into bellhop_ready (due, job, priority, queue, kind) select due, job, priority, queue, kind from o where due <= now)`
	intakeLater = `,
		s as (insert into bellhop_scheduled (job, queue, due) select job, queue, due from o where due > now),
		k as (insert into bellhop_unique_keys (unique_key, job) select unique_key, job from o where unique_key is not null)`
	intakeEnd = ` select now from n`
)

var (
	addNewJobs   = sqlstore.Define("add new jobs", intake+intakeEnd)
	addNewSorted = sqlstore.Define("add new jobs, some later or with keys", intake+intakeLater+intakeEnd)
)

// Enqueue implements [sqlstore.Swift].
func (d *database) Enqueue(ctx context.Context, step sqlstore.Step, jobs []*bellhop.Job) (now int64, err error) {
	st, args := intakeOf(jobs, d.offset.Load())
	err = d.pipeline(ctx, step, []request{{st, args, func(rows pgx.Rows) error { return rows.Scan(&now) }}})
	if codeOf(err) == codeUnique {
		err = sqlstore.ErrCareful
	}
	return now, err
}

// intakeOf returns the statement that takes jobs, and its arguments.
func intakeOf(jobs []*bellhop.Job, offset int64) (*sqlstore.Stmt, []any) {
	n := len(jobs)
	st := addNewJobs
	ids, kinds, queues, priorities := make([][16]byte, n), make([]string, n), make([]string, n), make([]int16, n)
	runAts, delays, attempts := make([]*int64, n), make([]int64, n), make([]int32, n)
	timeouts, retentions := make([]*int64, n), make([]*int64, n)
	keys, tags, metas, args := make([]*string, n), make([]*string, n), make([]*string, n), make([][]byte, n)
	for i, j := range jobs {
		ids[i], kinds[i], queues[i], priorities[i] = j.ID, j.Kind, j.Queue, int16(j.Priority)
		attempts[i], args[i] = int32(j.Attempts), j.Args
		if !j.RunAt.IsZero() {
			runAts[i], st = new(j.RunAt.UnixMicro()), addNewSorted
		}
		if j.Delay > 0 {
			delays[i], st = delayOf(j), addNewSorted
		}
		if j.UniqueKey != "" {
			keys[i], st = &j.UniqueKey, addNewSorted
		}
		timeouts[i], retentions[i] = unlessZero(j.Timeout), unlessZero(j.Retention)
		tags[i], metas[i] = sqlstore.JobText(j.Tags), sqlstore.JobText(j.Meta)
	}
	return st, []any{offset, ids, kinds, queues, priorities, runAts, delays, attempts, timeouts, retentions, keys, tags, metas, args}
}

// delayOf returns a job's delay in microseconds, as adding it to a time of whole microseconds does.
func delayOf(j *bellhop.Job) int64 { return int64(j.Delay / time.Microsecond) }

func unlessZero(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	return new(int64(d))
}
