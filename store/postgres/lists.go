package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Each exchange that makes claims lists their jobs in its row, which goes when none
// of them is running any more. What is running is looked for by these lists: rows
// that were deleted from bellhop_running stay in its index until no old snapshot can
// see them, and a look at all of it walks over every one. A list goes
//   - with the next exchange of this store, if all its claims were made and ended here,
//   - with a beat of its process, if they were ended by a transaction of a user or by
//     the statements that all databases share,
//   - or, when its process is gone, by pruning.
//
// Pruning also lists what is running and in no list, as a process of a release before
// these lists leaves it: nothing else would find it when that process dies.

// listed is what {running} stands for. The offset lets the planner begin with the
// lists only, whatever it believes of how many rows there are.
const listed = `bellhop_exchanges e cross join lateral unnest(e.jobs) as u (job)
	cross join lateral (select * from bellhop_running r where r.job between u.job and u.job and r.exchange = e.id offset 0) p`

// leadsTo are the rows of bellhop_running that a list e leads to, found likewise.
const leadsTo = `select 1 from unnest(e.jobs) as u (job)
	cross join lateral (select 1 from bellhop_running r where r.job between u.job and u.job and r.exchange = e.id offset 0) p`

var (
	// listClaims renews the time as well, so that nobody takes the row for what it was before.
	listClaims = sqlstore.Define("list claims", `insert into bellhop_exchanges as x (id, process, made_at, jobs) values (?, ?, ?, ?::bigint[])
		on conflict (id) do update set process = excluded.process, made_at = excluded.made_at, jobs = excluded.jobs
			where coalesce(x.process, excluded.process) = excluded.process`)
	oldLists = sqlstore.Define("old lists", `select id from bellhop_exchanges where process = ? and made_at < ?`)
	// A list that is locked cannot be renewed, and whatever it leads to is there for the next statement to see.
	holdLists = sqlstore.Define("hold lists", `select id from bellhop_exchanges where id = any(?::uuid[]) for update skip locked`)
	unlist    = sqlstore.Define("unlist", `delete from bellhop_exchanges e where id = any(?::uuid[]) and not exists (`+leadsTo+`)`)

	// missing are the jobs that are running and in no list.
	missing = `(select job, exchange from bellhop_running
		except select u.job, e.id from bellhop_exchanges e cross join lateral unnest(e.jobs) as u (job))`
	countMissing = sqlstore.Define("count missing in lists", `select count(*) from `+missing+` m`)
	// listMissing keeps the time of the last look, so that of all processes one looks. What another
	// has listed since this one's snapshot is not listed twice.
	listMissing = sqlstore.Define("list missing", `with g as (insert into bellhop_counters as c (name, value) values ('listed', ?)
			on conflict (name) do update set value = excluded.value where abs(excluded.value - c.value) >= ? returning 1)
		insert into bellhop_exchanges as x (id, process, made_at, jobs)
			select r.exchange, (array_agg(r.process))[1], min(r.claimed_at), array_agg(r.job)
			from `+missing+` m join bellhop_running r on r.job between m.job and m.job and r.exchange = m.exchange
			where (select count(*) from g) > 0 group by r.exchange order by r.exchange
		on conflict (id) do update set process = coalesce(x.process, excluded.process), jobs = x.jobs || array(select unnest(excluded.jobs) except select unnest(x.jobs))`)
)

// missingEvery is how often what is in no list is looked for. It is shorter than what
// an exchange is remembered for: those of older releases stay as long as they have claims.
const missingEvery = 30 * time.Second

// ListClaims implements [sqlstore.ClaimLister].
func (dialect) ListClaims(ctx context.Context, tx sqlstore.Tx, exchange, process bellhop.ID, now int64, jobs sqlstore.Numbers) error {
	n, err := tx.Exec(ctx, listClaims, uuid(exchange), uuid(process), now, jobs)
	if err == nil && n == 0 {
		err = fmt.Errorf("exchange %v was made by another process before: give each an id of its own", exchange)
	}
	return err
}

// Listed implements [sqlstore.ClaimLister].
func (dialect) Listed(ctx context.Context, tx sqlstore.Tx, process bellhop.ID, before int64) (exchanges []bellhop.ID, err error) {
	ids, err := idsOf(ctx, tx, oldLists, uuid(process), before)
	for _, id := range ids {
		exchanges = append(exchanges, id)
	}
	return exchanges, err
}

// idsOf returns what a statement selects, which is ids.
func idsOf(ctx context.Context, tx sqlstore.Tx, st *sqlstore.Stmt, args ...any) (ids [][16]byte, err error) {
	err = tx.Query(ctx, st, func(r sqlstore.Row) error {
		var id [16]byte
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	}, args...)
	return ids, err
}

// Unlist implements [sqlstore.ClaimLister].
func (dialect) Unlist(ctx context.Context, tx sqlstore.Tx, exchanges []bellhop.ID) error {
	ids := make([][16]byte, len(exchanges))
	for i, id := range exchanges {
		ids[i] = id
	}
	held, err := idsOf(ctx, tx, holdLists, ids)
	if err == nil && len(held) > 0 {
		_, err = tx.Exec(ctx, unlist, held)
	}
	return err
}

// ListMissing implements [sqlstore.ClaimLister].
func (dialect) ListMissing(ctx context.Context, tx sqlstore.Tx, now int64) error {
	_, err := tx.Exec(ctx, listMissing, now, missingEvery.Microseconds())
	return err
}

// lists knows how many claims are left of each exchange that was made here.
type lists struct {
	mu    sync.Mutex
	left  map[bellhop.ID]*list
	spent spent
	turn  int64 // grows with each exchange of which claims are counted
}

// list is one exchange's.
type list struct {
	made, turn int64
	left       int
}

// spent are exchanges of which nothing is left, as arrays for the claim. When they
// were made tells them from others that came by the same ids later.
type spent struct {
	ids  [][16]byte
	made longs
}

// maxLists is how many exchanges are kept in mind. Those of which a claim was ended
// elsewhere would stay for ever.
const maxLists = 10_000

// begin returns the turn at which an exchange begins: it ends claims of those only
// that were counted by then, whatever has been claimed under the same ids since.
func (l *lists) begin() (turn int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turn
}

// take returns the exchanges whose lists are to go, but not the one that is made:
// if that has been made before, it looks for its list.
func (l *lists) take(now bellhop.ID) spent {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spent
	l.spent = spent{}
	if i := slices.Index(s.ids, uuid(now)); i >= 0 {
		l.spent = spent{[][16]byte{s.ids[i]}, longs{s.made[i]}}
		s = spent{slices.Delete(s.ids, i, i+1), slices.Delete(s.made, i, i+1)}
	}
	return s
}

// end takes in what has become of an exchange that began at a turn: which lists have
// gone with it, if it had no error, what it has claimed and what it has ended.
func (l *lists) end(turn int64, gone spent, r *bellhop.ExchangeRequest, ends []sqlstore.End, done *sqlstore.Exchanged, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if len(l.spent.ids) < maxLists {
			l.spent = spent{append(l.spent.ids, gone.ids...), append(l.spent.made, gone.made...)}
		}
		return
	}
	if n := len(done.Claims); n > 0 {
		if l.left == nil || len(l.left) >= maxLists {
			l.left = map[bellhop.ID]*list{}
		}
		l.turn++
		l.left[r.ID] = &list{done.Now, l.turn, n}
	}
	sure := done.Ended == len(ends)
	for from, to := 0, 0; from < len(ends); from = to {
		id := ends[from].Token.Exchange
		for to = from; to < len(ends) && ends[to].Token.Exchange == id; to++ {
		}
		x := l.left[id]
		switch {
		case x == nil || x.turn > turn:
		case !sure: // some were ended before, and counted then or not
			delete(l.left, id)
		default:
			if x.left -= to - from; x.left == 0 {
				l.spent.ids, l.spent.made = append(l.spent.ids, id), append(l.spent.made, long(x.made))
				delete(l.left, id)
			}
		}
	}
}
