package sqlstore

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
)

// Looker is the ability of a [Database] in which a transaction costs several
// round trips, to run a query by itself in one. Idle workers ask by it.
type Looker interface {
	// Look runs a query that changes nothing. {now} in it stands for the server's
	// clock in microseconds; the store's clock is ahead of that, in tests only.
	Look(ctx context.Context, step Step, st *Stmt, scan func(Row) error, args ...any) (ahead int64, err error)
}

// idleness knows whether looking before claiming is likely to spare the claim.
type idleness struct {
	empty    atomic.Bool  // the last exchange that asked for jobs found none
	doubtful atomic.Int64 // until then an exchange may be one that is repeated
	epoch    time.Time
}

// doubtFor is longer than a transaction of ours can stay open after its client
// has given it up: until then only a claim, which waits for it, knows what an
// exchange with the same id has taken.
const doubtFor = time.Minute

// note takes in what came of an exchange that asked for jobs.
func (i *idleness) note(reply *bellhop.ExchangeReply, err error) {
	if err != nil {
		i.doubtful.Store(int64(time.Since(i.epoch) + doubtFor))
	}
	i.empty.Store(err == nil && len(reply.Claims) == 0)
}

func (i *idleness) worthLooking() bool {
	return i.empty.Load() && int64(time.Since(i.epoch)) >= i.doubtful.Load()
}

// lookFirst answers an exchange that hands in nothing and would find nothing, by
// one query. It returns nil if there is more to do than that.
func (s *Store) lookFirst(ctx context.Context, r *bellhop.ExchangeRequest) (reply *bellhop.ExchangeReply, err error) {
	if s.looker == nil || len(r.Outcomes) > 0 || len(r.Puts) > 0 || !claims(r) || !s.idle.worthLooking() {
		return nil, nil
	}
	st := compose("look for jobs", `select {now},
		(select count(*) from bellhop_processes where id = ? and gone_at is null),
		(select count(*) from bellhop_exchanges where id = ?)
			+ (select count(*) from bellhop_queues where paused = 1)
			+ (select count(*) from bellhop_running where process = ? and cancel = 1)
			+ case when `+anyReady(len(r.Wants))+` then 1 else 0 end,
		(select min(due) from bellhop_scheduled)`)
	args := []any{r.Process[:], r.ID[:], r.Process[:]}
	for _, want := range r.Wants {
		args = append(args, want.Queue)
	}
	err = s.verb(ctx, bellhop.OpExchange, func() error {
		var now, alive, more, due num
		ahead, err := s.looker.Look(ctx, s.stepOf(bellhop.OpExchange), st, func(row Row) error { return row.Scan(&now, &alive, &more, &due) }, args...)
		if err != nil {
			return Unchanged(err)
		}
		if alive > 0 && more == 0 {
			t := &txn{store: s, now: int64(now) + ahead}
			reply = &bellhop.ExchangeReply{Signals: bellhop.Signals{Now: at(t.now), NextDue: t.until(int64(due))}}
		}
		return nil
	})
	return reply, err
}

// anyReady is the condition that a job is ready in one of n queues, which are the arguments.
func anyReady(n int) string {
	const ready = "exists (select 1 from bellhop_ready where queue = ?)"
	return ready + strings.Repeat(" or "+ready, n-1)
}

// idle reports whether there is nothing to claim for a process and nothing to
// sweep, and how long until a scheduled job is due.
func (t *txn) idle(ctx context.Context, p *bellhop.Process) (idle bool, next time.Duration, err error) {
	all, err := t.processes(ctx)
	if err != nil || len(p.Queues) == 0 || len(t.store.over(all, t.now)) > 0 {
		return false, 0, err
	}
	st := compose("look for something to do", `select
		case when `+anyReady(len(p.Queues))+` or exists (select 1 from {running} where `+deserted+`) then 1 else 0 end,
		(select min(due) from bellhop_scheduled)`)
	args := make([]any, len(p.Queues))
	for i, queue := range p.Queues {
		args[i] = queue
	}
	var more, due num
	err = t.Query(ctx, st, func(r Row) error { return r.Scan(&more, &due) }, args...)
	return more == 0, t.until(int64(due)), err
}
