package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

var (
	lookAround = define("look around", `select
		(select count(*) from bellhop_processes where id = ? and gone_at is null),
		(select count(*) from bellhop_exchanges where id = ?),
		(select count(*) from bellhop_queues where paused = 1),
		(select count(*) from bellhop_running where process = ? and cancel = 1),
		(select min(due) from bellhop_scheduled where due >= ?)`)
	addExchange  = define("add exchange", `insert into bellhop_exchanges (id, made_at) values (?, ?) on conflict do nothing`)
	holdMade     = define("hold made exchange", `select id from bellhop_exchanges where id = ? {lock}`)
	holdProcess  = define("hold process", `select id from bellhop_processes where id = ? and gone_at is null {share}`)
	dropExchange = define("drop exchange", `delete from bellhop_exchanges where id = ?`)
	pausedQueues = define("paused queues", `select name from bellhop_queues where paused = 1`)
	madeClaims   = define("claims of exchange", `select `+jobColumns+`, `+placeRunning.columns+`
		from {running jobs} where {exchange} = ?`)
	cancels = define("cancels", `select j.id, p.claim, p.exchange from bellhop_running p cross join bellhop_jobs j
		where p.process = ? and p.cancel = 1 and j.job = p.job order by j.id`)
	nextDue = define("next due", `select min(due) from bellhop_scheduled where due >= ?`)
)

// lockedTries is how often an exchange tries to reach all its claims, some tens of
// milliseconds in all, before it goes on without those that others have locked:
// one that a report or an action of ours holds at that moment need not be handed in again.
const lockedTries = 6

// Exchange implements [bellhop.Store].
func (s *Store) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (reply *bellhop.ExchangeReply, err error) {
	if reply, err = s.lookFirst(ctx, r); reply != nil || err != nil {
		return reply, err
	}
	var gone bool
	var damaged []bellhop.Claim
	defer func() {
		if err == nil {
			reply.Claims = s.sound(ctx, reply.Claims, damaged)
		}
	}()
	if claims(r) {
		defer func() { s.idle.note(reply, err) }()
	}
	if s.swift != nil && len(r.Puts) == 0 && !s.locked.has(r.Outcomes...) {
		reply, gone, damaged, err = s.exchangeSwiftly(ctx, r)
		if !errors.Is(err, ErrCareful) {
			return s.exchanged(r, reply, gone, err)
		}
	}
	err = s.write(ctx, bellhop.OpExchange, func(ctx context.Context, t *txn) (err error) {
		reply, gone, err = t.exchange(ctx, r, likely)
		damaged = t.damaged
		return s.impatient(err)
	})
	if errors.Is(err, bellhop.ErrLocked) {
		// A transaction of a user holds one of the claims, for longer than anybody
		// should be kept waiting: the others go on without it.
		tries := 0
		err = s.write(ctx, bellhop.OpExchange, func(ctx context.Context, t *txn) (err error) {
			which := soon
			if tries++; tries > lockedTries {
				which = unlocked
			}
			reply, gone, err = t.exchange(ctx, r, which)
			damaged = t.damaged
			return err
		})
	}
	return s.exchanged(r, reply, gone, err)
}

// exchanged is what an exchange returns.
func (s *Store) exchanged(r *bellhop.ExchangeRequest, reply *bellhop.ExchangeReply, gone bool, err error) (*bellhop.ExchangeReply, error) {
	if err != nil {
		return nil, err
	}
	if gone {
		return reply, fmt.Errorf("%s: process %v: %w", s.label(bellhop.OpExchange), r.Process, bellhop.ErrProcessGone)
	}
	return reply, nil
}

func (t *txn) exchange(ctx context.Context, r *bellhop.ExchangeRequest, which reach) (reply *bellhop.ExchangeReply, gone bool, err error) {
	reply = &bellhop.ExchangeReply{}
	if err := t.put(ctx, r.Puts); err != nil {
		return nil, false, err
	}
	if reply.Refused, reply.Unsettled, err = t.settle(ctx, r.Outcomes, which); err != nil {
		return nil, false, err
	}
	seen, err := t.enter(ctx, r)
	if err != nil {
		return nil, false, err
	}
	var alive, known, paused, cancel, due num
	look := t.store.dues.begin()
	err = t.Query(ctx, lookAround, func(row Row) error { return row.Scan(&alive, &known, &paused, &cancel, &due) },
		r.Process[:], r.ID[:], r.Process[:], look.from)
	if err != nil {
		return nil, false, err
	}
	t.after = append(t.after, func() { t.store.dues.end(look, t.now, int64(due)) })
	var stopped []string
	if paused > 0 {
		if stopped, err = t.paused(ctx); err != nil {
			return nil, false, err
		}
	}
	gone = !r.Process.IsZero() && alive == 0
	if claims(r) && !gone {
		if reply.Claims, err = t.claims(ctx, r, seen || !t.store.Shared && known > 0, stopped); err != nil {
			return nil, false, err
		}
	}
	if t.store.Shared && claims(r) && len(reply.Claims) == 0 && !seen {
		if _, err := t.Exec(ctx, dropExchange, r.ID[:]); err != nil {
			return nil, false, err
		}
	}
	if cancel > 0 || slices.ContainsFunc(reply.Claims, func(c bellhop.Claim) bool { return c.Place.CancelRequested }) {
		if reply.Signals.Cancel, err = t.cancelled(ctx, r.Process); err != nil {
			return nil, false, err
		}
	}
	reply.Signals.Now, reply.Signals.NextDue = at(t.now), t.until(int64(due))
	reply.Signals.Paused = pausedWants(r.Wants, stopped)
	return reply, gone, nil
}

// pausedWants returns the queues that are wanted and paused.
func pausedWants(wants []bellhop.Want, paused []string) (list []string) {
	for _, want := range wants {
		if slices.Contains(paused, want.Queue) && !slices.Contains(list, want.Queue) {
			list = append(list, want.Queue)
		}
	}
	return list
}

// enter takes what a claiming exchange holds until its transaction ends, where
// several may write at once: its process, so that it is not swept meanwhile, and
// its own id, so that it is not repeated before it has ended. It tells whether
// it has been made before.
func (t *txn) enter(ctx context.Context, r *bellhop.ExchangeRequest) (seen bool, err error) {
	if !t.store.Shared || r.Process.IsZero() {
		return false, nil
	}
	if err := t.Query(ctx, holdProcess, func(row Row) error { return row.Scan(new(uid)) }, r.Process[:]); err != nil || !claims(r) {
		return false, err
	}
	n, err := t.Exec(ctx, addExchange, r.ID[:], t.now)
	if err != nil || n > 0 {
		return false, err
	}
	err = t.Query(ctx, holdMade, func(row Row) error { seen = true; return row.Scan(new(uid)) }, r.ID[:])
	if err == nil && !seen {
		err = fmt.Errorf("what exchange %v had claimed has ended at this moment: %w", r.ID, ErrAgain)
	}
	return seen, err
}

// claims reports whether an exchange asks for jobs.
func claims(r *bellhop.ExchangeRequest) bool {
	return !r.Process.IsZero() && r.Limit > 0 && len(r.Wants) > 0
}

func (t *txn) count(ctx context.Context, st *Stmt, args ...any) (int64, error) {
	var n num
	err := t.Query(ctx, st, func(r Row) error { return r.Scan(&n) }, args...)
	return int64(n), err
}

// paused returns the names of all paused queues.
func (t *txn) paused(ctx context.Context) (names []string, err error) {
	err = t.Query(ctx, pausedQueues, func(r Row) error {
		var name text
		err := r.Scan(&name)
		names = append(names, string(name))
		return err
	})
	return names, err
}

// claims returns what the exchange has claimed before, or claims.
func (t *txn) claims(ctx context.Context, r *bellhop.ExchangeRequest, seen bool, paused []string) ([]bellhop.Claim, error) {
	if seen {
		claims, err := t.repeat(ctx, r)
		if err != nil || len(claims) > 0 {
			return claims, err
		}
	}
	c := &claimer{txn: t, request: r, row: newRow(), known: slices.Sorted(slices.Values(r.Kinds))}
	c.key = strings.Join(c.known, "\x00")
	for _, want := range r.Wants {
		if slices.Contains(paused, want.Queue) {
			continue
		}
		if err := c.want(ctx, want); err != nil {
			return nil, err
		}
	}
	if len(c.claims) == 0 {
		return nil, nil
	}
	t.after = append(t.after, func() { t.store.refs.put(c.ids, c.refs) })
	if !t.store.Shared { // else it has been added before
		_, err := t.Exec(ctx, addExchange, r.ID[:], t.now)
		return c.claims, err
	}
	if lister, ok := t.store.Dialect.(ClaimLister); ok {
		jobs := make(Numbers, len(c.refs))
		for i := range c.refs {
			jobs[i] = c.refs[i].job
		}
		return c.claims, lister.ListClaims(ctx, t, r.ID, r.Process, t.now, jobs)
	}
	return c.claims, nil
}

// repeat returns what an exchange has claimed and what is still held, in the order of its reply.
func (t *txn) repeat(ctx context.Context, r *bellhop.ExchangeRequest) ([]bellhop.Claim, error) {
	type numbered struct {
		bellhop.Claim
		want   int
		number num
	}
	var all []numbered
	row := newRow()
	err := t.Query(ctx, madeClaims, func(result Row) error {
		if err := result.Scan(row.all()...); err != nil {
			return err
		}
		if bellhop.ID(row.process) != r.Process {
			return nil
		}
		c, damage := row.newClaim()
		t.doubt(c, damage)
		want := slices.IndexFunc(r.Wants, func(w bellhop.Want) bool { return w.Queue == c.Job.Queue })
		all = append(all, numbered{c, want, row.number})
		return nil
	}, r.ID[:])
	if err != nil || len(all) == 0 {
		return nil, err
	}
	slices.SortFunc(all, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.want, b.want), cmp.Compare(a.Job.Priority, b.Job.Priority),
			a.Place.Due.Compare(b.Place.Due), cmp.Compare(a.number, b.number))
	})
	claims := make([]bellhop.Claim, len(all))
	for i := range all {
		claims[i] = all[i].Claim
	}
	return claims, nil
}

// cancelled returns the process's claims that are to be cancelled.
func (t *txn) cancelled(ctx context.Context, process bellhop.ID) (tokens []bellhop.Token, err error) {
	err = t.Query(ctx, cancels, func(r Row) error {
		var id, exchange uid
		var claim num
		err := r.Scan(&id, &claim, &exchange)
		tokens = append(tokens, bellhop.Token{JobID: bellhop.ID(id), Number: int64(claim), Exchange: bellhop.ID(exchange)})
		return err
	}, process[:])
	return tokens, err
}

// nextDue returns how long until a scheduled job is due: 0 if one is, -1 if none is scheduled.
func (t *txn) nextDue(ctx context.Context, look dueLook) (time.Duration, error) {
	due, err := t.count(ctx, nextDue, look.from)
	t.after = append(t.after, func() { t.store.dues.end(look, t.now, due) })
	return t.until(due), err
}

// until returns how long it is until a moment: 0 if it has come, -1 if there is none.
func (t *txn) until(due int64) time.Duration {
	if due == 0 {
		return -1
	}
	return max(0, time.Duration(due-t.now)*time.Microsecond)
}
