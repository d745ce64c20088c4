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
//
// In the list of a select, arrays are taken apart row by row; in its from clause
// each is first laid down whole. What the second insert needs, the first returns,
// so that no wide row is kept for it. Both were measured: see ADR 7.
var (
	addNewJobs = sqlstore.Define("add new jobs", `with n as materialized (select {now} + ? as now),
		j as (insert into bellhop_jobs
			(job, id, kind, queue, priority, attempts, timeout_ns, retention_ns, tags, meta, args, enqueued_at)
			select nextval('bellhop_job_numbers'), u.*, n.now from n cross join (select unnest(?::uuid[]), unnest(?::text[]), unnest(?::text[]),
				unnest(?::smallint[]), unnest(?::int[]), unnest(?::bigint[]), unnest(?::bigint[]), unnest(?::text[]), unnest(?::text[]),
				unnest(?::bytea[])) as u
			returning enqueued_at, job, priority, queue, kind),
		r as (insert into bellhop_ready (due, job, priority, queue, kind) select enqueued_at, job, priority, queue, kind from j)
		select now from n`)

	// addNewSorted is for jobs of which some are due later or have unique keys.
	addNewSorted = sqlstore.Define("add new jobs, some later or with keys", `with n as materialized (select {now} + ? as now),
		o as materialized (
			select nextval('bellhop_job_numbers') as job, n.now, u.*,
				case when u.run_at > n.now then u.run_at when u.run_at is null and u.delay > 0 then n.now + u.delay else n.now end as due
			from n cross join (select unnest(?::uuid[]) as id, unnest(?::text[]) as kind, unnest(?::text[]) as queue,
				unnest(?::smallint[]) as priority, unnest(?::int[]) as attempts, unnest(?::bigint[]) as timeout_ns,
				unnest(?::bigint[]) as retention_ns, unnest(?::text[]) as tags, unnest(?::text[]) as meta, unnest(?::bytea[]) as args,
				unnest(?::bigint[]) as run_at, unnest(?::bigint[]) as delay, unnest(?::text[]) as unique_key) as u),
		j as (insert into bellhop_jobs
			(job, id, kind, queue, priority, run_at, attempts, timeout_ns, retention_ns, unique_key, tags, meta, enqueued_at, args)
			select job, id, kind, queue, priority, run_at, attempts, timeout_ns, retention_ns, unique_key, tags, meta, now, args from o),
		r as (insert into bellhop_ready (due, job, priority, queue, kind) select due, job, priority, queue, kind from o where due <= now),
		s as (insert into bellhop_scheduled (job, queue, due) select job, queue, due from o where due > now),
		k as (insert into bellhop_unique_keys (unique_key, job) select unique_key, job from o where unique_key is not null)
		select now from n`)
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
	ids, kinds, queues, priorities := make([][16]byte, n), make([]string, n), make([]string, n), make([]int16, n)
	attempts, timeouts, retentions := make([]int32, n), make([]*int64, n), make([]*int64, n)
	tags, metas, args := make([]*string, n), make([]*string, n), make([][]byte, n)
	sorted := false
	for i, j := range jobs {
		ids[i], kinds[i], queues[i], priorities[i] = j.ID, j.Kind, j.Queue, int16(j.Priority)
		attempts[i], timeouts[i], retentions[i] = int32(j.Attempts), unlessZero(j.Timeout), unlessZero(j.Retention)
		tags[i], metas[i], args[i] = sqlstore.JobText(j.Tags), sqlstore.JobText(j.Meta), j.Args
		sorted = sorted || !j.RunAt.IsZero() || j.Delay > 0 || j.UniqueKey != ""
	}
	list := []any{offset, ids, kinds, queues, priorities, attempts, timeouts, retentions, tags, metas, args}
	if !sorted {
		return addNewJobs, list
	}
	runAts, delays, keys := make([]*int64, n), make([]int64, n), make([]*string, n)
	for i, j := range jobs {
		if !j.RunAt.IsZero() {
			runAts[i] = new(j.RunAt.UnixMicro())
		}
		if j.Delay > 0 {
			delays[i] = delayOf(j)
		}
		if j.UniqueKey != "" {
			keys[i] = &j.UniqueKey
		}
	}
	return addNewSorted, append(list, runAts, delays, keys)
}

// delayOf returns a job's delay in microseconds, as adding it to a time of whole microseconds does.
func delayOf(j *bellhop.Job) int64 { return int64(j.Delay / time.Microsecond) }

func unlessZero(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	return new(int64(d))
}
