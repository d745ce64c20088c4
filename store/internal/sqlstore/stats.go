package sqlstore

import (
	"context"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
)

// counted are the places whose rows are counted for each queue by an index.
var counted = []*place{placeReady, placeScheduled, placeBlocked, placeDead}

// queuesOf is the table q of the queues in a place, by one look into the index for
// each: how many jobs there are makes no difference.
func queuesOf(p *place) string {
	return `with recursive q (queue) as (
		select (select f.queue from ` + p.table + ` f order by f.queue limit 1)
		union all select (select n.queue from ` + p.table + ` n where n.queue > q.queue order by n.queue limit 1) from q where q.queue is not null)`
}

var (
	// queueCounts return each queue of a place with its count, no further than a limit.
	queueCounts = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range counted {
			m[p] = define("queues in "+p.name, queuesOf(p)+` select q.queue, (select count(*) from (
				select 1 from `+p.table+` c where c.queue = q.queue {limit}) b) from q where q.queue is not null`)
		}
		return m
	}()
	// countQueue counts in one queue.
	countQueue = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range counted {
			m[p] = define("count queue in "+p.name, `select count(*) from (select 1 from `+p.table+` where queue = ? {limit}) c`)
		}
		return m
	}()
	runningByQueue = define("running by queue", `select queue, count(*) from bellhop_running group by queue`)
	// oldestReady returns the earliest due time of each queue and priority.
	oldestReady = define("oldest ready", queuesOf(placeReady)+`, l (queue, priority) as (
		select q.queue, (select f.priority from bellhop_ready f where f.queue = q.queue order by f.priority limit 1) from q where q.queue is not null
		union all select l.queue, (select n.priority from bellhop_ready n where n.queue = l.queue and n.priority > l.priority order by n.priority limit 1)
		from l where l.priority is not null)
		select l.queue, (select d.due from bellhop_ready d where d.queue = l.queue and d.priority = l.priority order by d.due limit 1)
		from l where l.priority is not null`)
	nextDueByQueue = define("next due by queue", queuesOf(placeScheduled)+`
		select q.queue, (select d.due from bellhop_scheduled d where d.queue = q.queue order by d.due limit 1) from q where q.queue is not null`)
)

// Stats implements [bellhop.Store]. Each of its statements returns a few numbers
// for all queues.
func (s *Store) Stats(ctx context.Context, limit int) (list []bellhop.QueueStats, err error) {
	err = s.read(ctx, bellhop.OpStats, func(ctx context.Context, t *txn) error {
		queues := map[string]*bellhop.QueueStats{}
		of := func(name string) *bellhop.QueueStats {
			if queues[name] == nil {
				queues[name] = &bellhop.QueueStats{Queue: name}
			}
			return queues[name]
		}
		if limit > 0 {
			if err := t.queueStats(ctx, of, limit); err != nil {
				return err
			}
		}
		paused, err := t.paused(ctx)
		if err != nil {
			return err
		}
		for _, name := range paused {
			of(name).Paused = true
		}
		list = make([]bellhop.QueueStats, 0, len(queues))
		for _, q := range queues {
			list = append(list, *q)
		}
		slices.SortFunc(list, func(a, b bellhop.QueueStats) int { return strings.Compare(a.Queue, b.Queue) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// queueStats fills in the numbers of all queues that have live or dead jobs.
func (t *txn) queueStats(ctx context.Context, of func(name string) *bellhop.QueueStats, limit int) error {
	each := func(st *Stmt, set func(q *bellhop.QueueStats, n int64), args ...any) error {
		return t.Query(ctx, st, func(r Row) error {
			var queue text
			var n num
			err := r.Scan(&queue, &n)
			set(of(string(queue)), int64(n))
			return err
		}, args...)
	}
	for _, p := range counted {
		err := each(queueCounts[p], func(q *bellhop.QueueStats, n int64) {
			switch p {
			case placeReady:
				q.Ready = int(n)
			case placeScheduled:
				q.Scheduled = int(n)
			case placeBlocked:
				q.Blocked = int(n)
			default:
				q.Dead = int(n)
			}
		}, limit)
		if err != nil {
			return err
		}
	}
	if err := each(runningByQueue, func(q *bellhop.QueueStats, n int64) { q.Running = min(int(n), limit) }); err != nil {
		return err
	}
	err := each(oldestReady, func(q *bellhop.QueueStats, n int64) {
		if due := at(n); q.OldestReady.IsZero() || due.Before(q.OldestReady) {
			q.OldestReady = due
		}
	})
	if err != nil {
		return err
	}
	return each(nextDueByQueue, func(q *bellhop.QueueStats, n int64) { q.NextDue = at(n) })
}
