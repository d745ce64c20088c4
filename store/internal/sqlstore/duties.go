package sqlstore

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
)

var (
	dueFirst         = define("due first", `select job, queue from bellhop_scheduled where due >= ? and due <= ? order by due, job {limit} {skip}`)
	scheduledToReady = define("scheduled to ready", `insert into bellhop_ready
		(queue, priority, due, job, kind, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress)
		select j.queue, j.priority, p.due, p.job, j.kind, p.generation, p.claim, p.attempt, p.failures, p.crashes, p.suspect, p.cancel, p.reason, p.progress
		from bellhop_scheduled p cross join bellhop_jobs j where p.job in ({numbers}) and j.job = p.job`)
	endScheduled = define("end scheduled", `delete from bellhop_scheduled where job in ({numbers})`)

	pruneExpired = [...]pruning{
		pruneStatements("finished"), pruneStatements("dead"),
	}
	pruneExchanges = define("prune exchanges", `delete from bellhop_exchanges where id in (
		select e.id from bellhop_exchanges e where e.made_at < ? and e.id not in (select exchange from bellhop_running) order by e.id {limit})`)
	pruneRecords = define("prune records", `delete from bellhop_records where (space, name) in (
		select space, name from bellhop_records where expires_at <= ? order by expires_at {limit})`)  // each write of a record is another row
	anythingToPrune = define("anything to prune", `select
		exists (select 1 from bellhop_finished where expires_at <= ?) or exists (select 1 from bellhop_dead where expires_at <= ?)
		or exists (select 1 from bellhop_records where expires_at <= ?) or exists (select 1 from bellhop_exchanges where made_at < ?)
		or exists (select 1 from bellhop_processes where gone_at < ?)`)

	setPaused   = define("add queue", `insert into bellhop_queues (name, paused) values (?, 1) on conflict do nothing`)
	unsetPaused = define("remove queue", `delete from bellhop_queues where name = ?`)
)

// pruning deletes jobs from one of the places where they expire.
type pruning struct{ choose, attempts, jobs, rows *Stmt }

func pruneStatements(name string) pruning {
	table := "bellhop_" + name
	where := ` where job in ({numbers})`
	return pruning{
		define("expired "+name, `select job from `+table+` where expires_at <= ? order by expires_at, job {limit} {skip}`),
		define("prune attempts of "+name, `delete from bellhop_attempts`+where),
		define("prune jobs of "+name, `delete from bellhop_jobs`+where),
		define("prune "+name, `delete from `+table+where),
	}
}

// Promote implements [bellhop.Store].
func (s *Store) Promote(ctx context.Context, limit int) (n int, next time.Duration, err error) {
	look := s.dues.begin()
	err = s.read(ctx, bellhop.OpPromote, func(ctx context.Context, t *txn) error {
		next, err = t.nextDue(ctx, look)
		return err
	})
	if err != nil || next != 0 || limit <= 0 {
		return 0, next, err
	}
	err = s.write(ctx, bellhop.OpPromote, func(ctx context.Context, t *txn) error {
		var jobs Numbers
		err := t.Query(ctx, dueFirst, func(r Row) error {
			var job num
			var queue text
			err := r.Scan(&job, &queue)
			jobs = append(jobs, int64(job))
			t.wake(string(queue))
			return err
		}, look.from, t.now, limit)
		if err != nil {
			return err
		}
		if len(jobs) > 0 {
			for _, st := range []*Stmt{scheduledToReady, endScheduled} {
				if _, err := t.Exec(ctx, st, jobs); err != nil {
					return err
				}
			}
		}
		n = len(jobs)
		next, err = t.nextDue(ctx, look)
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
	if lister, ok := s.Dialect.(ClaimLister); ok {
		err := s.write(ctx, bellhop.OpPrune, func(ctx context.Context, t *txn) error { return lister.ListMissing(ctx, t, t.now) })
		if err != nil {
			return 0, err
		}
	}
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
		for i := range pruneExpired {
			deleted, err := t.prune(ctx, &pruneExpired[i], limit-n)
			if err != nil {
				return err
			}
			n += deleted
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

// prune deletes at most limit expired jobs with all that belongs to them.
func (t *txn) prune(ctx context.Context, st *pruning, limit int) (int, error) {
	var jobs Numbers
	err := t.Query(ctx, st.choose, func(r Row) error {
		var job num
		err := r.Scan(&job)
		jobs = append(jobs, int64(job))
		return err
	}, t.now, limit)
	if err != nil || len(jobs) == 0 {
		return 0, err
	}
	for _, st := range []*Stmt{st.attempts, st.jobs, st.rows} {
		if _, err := t.Exec(ctx, st, jobs); err != nil {
			return 0, err
		}
	}
	return len(jobs), nil
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
