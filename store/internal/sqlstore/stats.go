package sqlstore

import (
	"context"
	"math"
	"slices"

	"github.com/gobellhop/bellhop"
)

// queued are the places whose rows are counted for each queue.
var queued = []*place{placeReady, placeScheduled, placeBlocked, placeRunning, placeDead}

var (
	nextQueue = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range queued {
			m[p] = define("next queue in "+p.name, `select min(queue) from `+p.table+` where queue > ?`)
		}
		return m
	}()
	countQueue = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range queued {
			m[p] = define("count queue in "+p.name, `select count(*) from (select 1 from `+p.table+` where queue = ? {limit}) c`)
		}
		return m
	}()
	runningByQueue = define("running by queue", `select queue, count(*) from bellhop_running group by queue`)
	oldestReady    = define("oldest ready", `select min(due) from bellhop_ready where queue = ? and priority = ?`)
	nextDueIn      = define("next due in queue", `select min(due) from bellhop_scheduled where queue = ?`)
)

// Stats implements [bellhop.Store].
func (s *Store) Stats(ctx context.Context, limit int) (list []bellhop.QueueStats, err error) {
	err = s.read(ctx, bellhop.OpStats, func(ctx context.Context, t *txn) error {
		running, names, err := t.queueNames(ctx)
		if err != nil {
			return err
		}
		paused, err := t.paused(ctx)
		if err != nil {
			return err
		}
		names = append(names, paused...)
		slices.Sort(names)
		list = []bellhop.QueueStats{}
		for _, name := range slices.Compact(names) {
			q := bellhop.QueueStats{Queue: name, Paused: slices.Contains(paused, name), Running: min(running[name], limit)}
			if err := t.queueStats(ctx, &q, limit); err != nil {
				return err
			}
			list = append(list, q)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// queueNames returns the queues that have live or dead jobs, with repetitions,
// and how many jobs of each run. Running rows are few and have no index by queue.
func (t *txn) queueNames(ctx context.Context) (running map[string]int, names []string, err error) {
	running = map[string]int{}
	err = t.Query(ctx, runningByQueue, func(r Row) error {
		var queue text
		var n num
		err := r.Scan(&queue, &n)
		running[string(queue)] = int(n)
		names = append(names, string(queue))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for _, p := range queued {
		for last := ""; p != placeRunning; {
			var next text
			err := t.Query(ctx, nextQueue[p], func(r Row) error { return r.Scan(&next) }, last)
			if err != nil {
				return nil, nil, err
			}
			if next == "" {
				break
			}
			last = string(next)
			names = append(names, last)
		}
	}
	return running, names, nil
}

func (t *txn) queueStats(ctx context.Context, q *bellhop.QueueStats, limit int) error {
	counts := map[*place]*int{placeReady: &q.Ready, placeScheduled: &q.Scheduled, placeBlocked: &q.Blocked, placeDead: &q.Dead}
	for _, p := range queued {
		if p == placeRunning {
			continue
		}
		n, err := t.count(ctx, countQueue[p], q.Queue, limit)
		if err != nil {
			return err
		}
		*counts[p] = int(n)
	}
	next, err := t.count(ctx, nextDueIn, q.Queue)
	if err != nil {
		return err
	}
	q.NextDue = at(next)
	for priority := int64(math.MinInt16); ; {
		var found *int64
		err := t.Query(ctx, nextPriority, func(r Row) error { return r.Scan(&found) }, q.Queue, priority)
		if err != nil || found == nil {
			return err
		}
		priority = *found
		due, err := t.count(ctx, oldestReady, q.Queue, priority)
		if err != nil {
			return err
		}
		if oldest := at(due); q.OldestReady.IsZero() || oldest.Before(q.OldestReady) {
			q.OldestReady = oldest
		}
	}
}
