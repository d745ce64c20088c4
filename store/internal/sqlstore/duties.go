package sqlstore

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
)

// dueFirst are the jobs that a call of Promote moves. It names the same jobs
// until they are removed from scheduled.
const dueFirst = `select job from bellhop_scheduled where due <= ? order by due, job {limit}`

// expiredFirst are the jobs that a call of Prune deletes from a table.
func expiredFirst(table string) string {
	return `select job from ` + table + ` where expires_at <= ? order by expires_at, job {limit}`
}

var (
	dueQueues        = define("due queues", `select distinct queue from bellhop_scheduled where job in (`+dueFirst+`)`)
	scheduledToReady = define("scheduled to ready", `insert into bellhop_ready
		(queue, priority, due, job, kind, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress)
		select j.queue, j.priority, p.due, p.job, j.kind, p.generation, p.claim, p.attempt, p.failures, p.crashes, p.suspect, p.cancel, p.reason, p.progress
		from bellhop_scheduled p cross join bellhop_jobs j where p.job in (`+dueFirst+`) and j.job = p.job`)
	endScheduled = define("end scheduled", `delete from bellhop_scheduled where job in (`+dueFirst+`)`)

	pruneExpired = [...]struct{ attempts, jobs, rows *Stmt }{
		pruneStatements("finished"), pruneStatements("dead"),
	}
	pruneExchanges = define("prune exchanges", `delete from bellhop_exchanges where id in (
		select e.id from bellhop_exchanges e where e.made_at < ? and e.id not in (select exchange from bellhop_running) order by e.id {limit})`)
	pruneRecords = define("prune records", `delete from bellhop_records where (space, name) in (
		select space, name from bellhop_records where expires_at <= ? order by expires_at {limit})`)
	anythingToPrune = define("anything to prune", `select
		exists (select 1 from bellhop_finished where expires_at <= ?) or exists (select 1 from bellhop_dead where expires_at <= ?)
		or exists (select 1 from bellhop_records where expires_at <= ?) or exists (select 1 from bellhop_exchanges where made_at < ?)
		or exists (select 1 from bellhop_processes where gone_at < ?)`)

	setPaused   = define("add queue", `insert into bellhop_queues (name, paused) values (?, 1) on conflict do nothing`)
	unsetPaused = define("remove queue", `delete from bellhop_queues where name = ?`)
)

func pruneStatements(name string) struct{ attempts, jobs, rows *Stmt } {
	table := "bellhop_" + name
	where := ` where job in (` + expiredFirst(table) + `)`
	return struct{ attempts, jobs, rows *Stmt }{
		define("prune attempts of "+name, `delete from bellhop_attempts`+where),
		define("prune jobs of "+name, `delete from bellhop_jobs`+where),
		define("prune "+name, `delete from `+table+where),
	}
}

// Promote implements [bellhop.Store].
func (s *Store) Promote(ctx context.Context, limit int) (n int, next time.Duration, err error) {
	err = s.read(ctx, bellhop.OpPromote, func(ctx context.Context, t *txn) error {
		next, err = t.nextDue(ctx)
		return err
	})
	if err != nil || next != 0 || limit <= 0 {
		return 0, next, err
	}
	err = s.write(ctx, bellhop.OpPromote, func(ctx context.Context, t *txn) error {
		err := t.Query(ctx, dueQueues, func(r Row) error {
			var queue text
			err := r.Scan(&queue)
			t.wake(string(queue))
			return err
		}, t.now, limit)
		if err != nil {
			return err
		}
		moved, err := t.Exec(ctx, scheduledToReady, t.now, limit)
		if err != nil {
			return err
		}
		if moved > 0 {
			if _, err := t.Exec(ctx, endScheduled, t.now, limit); err != nil {
				return err
			}
		}
		n = int(moved)
		next, err = t.nextDue(ctx)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return n, next, nil
}

// exchangeMemory is how long an exchange that holds nothing is remembered.
// Nothing depends on it: repeated, it claims anew.
const exchangeMemory = time.Minute

// Prune implements [bellhop.Store].
func (s *Store) Prune(ctx context.Context, limit int) (n int, err error) {
	work := int64(0)
	err = s.read(ctx, bellhop.OpPrune, func(ctx context.Context, t *txn) error {
		work, err = t.count(ctx, anythingToPrune, t.now, t.now, t.now, t.now-wait(exchangeMemory), t.now-wait(goneFor))
		return err
	})
	if err != nil || work == 0 || limit <= 0 {
		return 0, err
	}
	err = s.write(ctx, bellhop.OpPrune, func(ctx context.Context, t *txn) error {
		n = 0
		left := int64(limit)
		for _, st := range pruneExpired {
			if _, err := t.Exec(ctx, st.attempts, t.now, left); err != nil {
				return err
			}
			if _, err := t.Exec(ctx, st.jobs, t.now, left); err != nil {
				return err
			}
			deleted, err := t.Exec(ctx, st.rows, t.now, left)
			if err != nil {
				return err
			}
			left -= deleted
			n += int(deleted)
		}
		records, err := t.Exec(ctx, pruneRecords, t.now, limit)
		if err != nil {
			return err
		}
		n += int(records)
		if _, err := t.Exec(ctx, pruneExchanges, t.now-wait(exchangeMemory), max(limit, 10_000)); err != nil {
			return err
		}
		_, err = t.Exec(ctx, forgetProcesses, t.now-wait(goneFor))
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Pause implements [bellhop.Store].
func (s *Store) Pause(ctx context.Context, queue string, paused bool) error {
	return s.write(ctx, bellhop.OpPause, func(ctx context.Context, t *txn) error {
		st := setPaused
		if !paused {
			st = unsetPaused
			t.wake(queue)
		}
		_, err := t.Exec(ctx, st, queue)
		return err
	})
}
