package sqlstore

import (
	"context"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
)

var (
	// counted are the places whose rows are counted for each queue by an index.
	counted = []*place{placeReady, placeScheduled, placeBlocked, placeDead}
	// unseen are those of them whose queues are not found by the way, with due times.
	unseen = []*place{placeBlocked, placeDead}
)

// queuesOf is the table q of the queues in a place, by one look into the index for
// each: how many jobs there are makes no difference.
func queuesOf(p *place) string {
	return `with recursive q (queue) as (
		select (select f.queue from ` + p.table + ` f order by f.queue limit 1)
		union all select (select n.queue from ` + p.table + ` n where n.queue > q.queue order by n.queue limit 1) from q where q.queue is not null)`
}

var (
	// queueNames return the queues of a place.
	queueNames = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range unseen {
			m[p] = define("queues with "+p.name, queuesOf(p)+` select queue from q where queue is not null`)
		}
		return m
	}()
	// queueCounts return each of the queues that are named with its count in a place, no further than a limit.
	queueCounts = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range counted {
			m[p] = define("queues in "+p.name, `with q (queue) as ({list}) select q.queue, (select count(*) from (
				select 1 from `+p.table+` c where c.queue = q.queue {limit}) b) from q`)
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
	runningByQueue = define("running by queue", `select p.queue, count(*) from {running} group by p.queue`)
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

// A look at the queues counts so many jobs of a place, shared out among the queues, but so many of each at least.
const (
	countedInAll = 100_000
	leastCounted = 100
)

// countedTo is how far the jobs of each queue are counted.
func countedTo(limit, queues int) int {
	return min(limit, max(countedInAll/max(queues, 1), leastCounted))
}

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
		paused, err := t.paused(ctx)
		if err != nil {
			return err
		}
		for _, name := range paused {
			of(name).Paused = true
		}
		if limit > 0 {
			if err := t.queueStats(ctx, queues, of, limit); err != nil {
				return err
			}
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

// queueStats fills in the numbers of all queues that have live or dead jobs: first which there are, with what comes of one look
// into an index for each, then the counts.
func (t *txn) queueStats(ctx context.Context, queues map[string]*bellhop.QueueStats, of func(name string) *bellhop.QueueStats, limit int) error {
	each := func(st *Stmt, set func(q *bellhop.QueueStats, n int64), args ...any) error {
		return t.Query(ctx, st, func(r Row) error {
			var queue text
			var n num
			err := r.Scan(&queue, &n)
			set(of(string(queue)), int64(n))
			return err
		}, args...)
	}
	err := each(oldestReady, func(q *bellhop.QueueStats, n int64) {
		if due := at(n); q.OldestReady.IsZero() || due.Before(q.OldestReady) {
			q.OldestReady = due
		}
	})
	if err != nil {
		return err
	}
	if err := each(nextDueByQueue, func(q *bellhop.QueueStats, n int64) { q.NextDue = at(n) }); err != nil {
		return err
	}
	names := map[*place]Texts{}
	for name, q := range queues {
		if !q.OldestReady.IsZero() {
			names[placeReady] = append(names[placeReady], name)
		}
		if !q.NextDue.IsZero() {
			names[placeScheduled] = append(names[placeScheduled], name)
		}
	}
	for _, p := range unseen {
		err := t.Query(ctx, queueNames[p], func(r Row) error {
			var queue text
			err := r.Scan(&queue)
			names[p] = append(names[p], of(string(queue)).Queue)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := each(runningByQueue, func(q *bellhop.QueueStats, n int64) { q.Running = int(n) }); err != nil {
		return err
	}
	limit = countedTo(limit, len(queues))
	for _, p := range counted {
		if len(names[p]) == 0 {
			continue
		}
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
		}, names[p], limit)
		if err != nil {
			return err
		}
	}
	for _, q := range queues {
		q.Running, q.Limit = min(q.Running, limit), limit
	}
	return nil
}
