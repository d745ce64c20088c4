package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

const claimedCols = `due, generation, attempt, failures, crashes, suspect, cancel`

// The range of a claim: one priority of one queue, from the lower bound to the
// last candidate, the kinds that the process knows.
const (
	claimFrom = `r.queue = ? and r.priority = ? and (r.due, r.job) > (?, ?) and r.kind in ({list})`
	claimTo   = claimFrom + ` and (r.due, r.job) <= (?, ?)`
)

var (
	processAlive = define("process alive", `select count(*) from bellhop_processes where id = ? and gone_at is null`)
	exchangeSeen = define("exchange seen", `select count(*) from bellhop_exchanges where id = ?`)
	addExchange  = define("add exchange", `insert into bellhop_exchanges (id, made_at) values (?, ?) on conflict do nothing`)
	pausedQueues = define("paused queues", `select name from bellhop_queues where paused = 1`)
	nextPriority = define("next priority", `select min(priority) from bellhop_ready where queue = ? and priority > ?`)
	claimable    = define("claimable", `select `+jobColumns+`, r.due, r.generation, r.claim, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
		from bellhop_ready r cross join bellhop_jobs j where `+claimFrom+` and j.job = r.job order by r.due, r.job limit ?`)
	readyToRunning = define("ready to running", `insert into bellhop_running
		(job, queue, exchange, process, claimed_at, claim, `+claimedCols+`)
		select r.job, r.queue, ?, ?, ?, r.claim + 1, r.due, r.generation, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
		from bellhop_ready r where `+claimTo)
	endReady   = define("end ready", `delete from bellhop_ready as r where `+claimTo)
	skipped    = define("skipped", `select due, job from bellhop_ready where queue = ? and priority = ? order by due, job limit 1 offset 256`)
	lastReady  = define("last ready", `select due, job from bellhop_ready where queue = ? and priority = ? order by due desc, job desc limit 1`)
	madeClaims = define("claims of exchange", `select `+jobColumns+`, `+placeRunning.columns+`
		from bellhop_running p cross join bellhop_jobs j where p.exchange = ? and j.job = p.job`)
	cancels = define("cancels", `select j.id, p.claim, p.exchange from bellhop_running p cross join bellhop_jobs j
		where p.process = ? and p.cancel = 1 and j.job = p.job order by j.id`)
	nextDue = define("next due", `select min(due) from bellhop_scheduled`)
)

// Exchange implements [bellhop.Store].
func (s *Store) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (reply *bellhop.ExchangeReply, err error) {
	var gone bool
	err = s.write(ctx, bellhop.OpExchange, func(ctx context.Context, t *txn) (err error) {
		reply, gone, err = t.exchange(ctx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if gone {
		return reply, fmt.Errorf("%s: process %v: %w", s.label(bellhop.OpExchange), r.Process, bellhop.ErrProcessGone)
	}
	return reply, nil
}

func (t *txn) exchange(ctx context.Context, r *bellhop.ExchangeRequest) (reply *bellhop.ExchangeReply, gone bool, err error) {
	reply = &bellhop.ExchangeReply{}
	if err := t.put(ctx, r.Puts); err != nil {
		return nil, false, err
	}
	if reply.Refused, err = t.settle(ctx, r.Outcomes); err != nil {
		return nil, false, err
	}
	paused, err := t.paused(ctx)
	if err != nil {
		return nil, false, err
	}
	if !r.Process.IsZero() {
		alive, err := t.count(ctx, processAlive, r.Process[:])
		if err != nil {
			return nil, false, err
		}
		gone = alive == 0
	}
	if !gone && !r.Process.IsZero() && r.Limit > 0 && len(r.Wants) > 0 {
		if reply.Claims, err = t.claims(ctx, r, paused); err != nil {
			return nil, false, err
		}
	}
	reply.Signals, err = t.signals(ctx, r, paused)
	return reply, gone, err
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
func (t *txn) claims(ctx context.Context, r *bellhop.ExchangeRequest, paused []string) ([]bellhop.Claim, error) {
	seen, err := t.count(ctx, exchangeSeen, r.ID[:])
	if err != nil {
		return nil, err
	}
	if seen > 0 {
		claims, err := t.repeat(ctx, r)
		if err != nil || len(claims) > 0 {
			return claims, err
		}
	}
	c := &claimer{txn: t, request: r, row: newRow(), kinds: list(r.Kinds)}
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
	_, err = t.Exec(ctx, addExchange, r.ID[:], t.now)
	return c.claims, err
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
		c, err := row.newClaim()
		want := slices.IndexFunc(r.Wants, func(w bellhop.Want) bool { return w.Queue == c.Job.Queue })
		all = append(all, numbered{c, want, row.number})
		return err
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

// claimer takes jobs for an exchange.
type claimer struct {
	*txn
	request *bellhop.ExchangeRequest
	kinds   string
	row     *row
	claims  []bellhop.Claim
	ids     []bellhop.ID
	refs    []jobRef
	last    position // of the last claim
}

// want claims from one queue, priority by priority.
func (c *claimer) want(ctx context.Context, want bellhop.Want) error {
	left := min(want.Count, c.request.Limit-len(c.claims))
	for priority := int64(math.MinInt32); left > 0; {
		var next *int64
		err := c.Query(ctx, nextPriority, func(r Row) error { return r.Scan(&next) }, want.Queue, priority)
		if err != nil || next == nil {
			return err
		}
		priority = *next
		n, err := c.lane(ctx, lane{want.Queue, priority, c.kinds}, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// lane claims at most limit jobs of one priority of a queue.
func (c *claimer) lane(ctx context.Context, l lane, limit int) (int, error) {
	from, full := c.store.bounds.start(l)
	began, before := time.Now(), len(c.claims)
	if err := c.candidates(ctx, l, from, limit); err != nil {
		return 0, err
	}
	took := time.Since(began)
	n := len(c.claims) - before
	if n > 0 {
		to := c.last
		_, err := c.Exec(ctx, readyToRunning, c.request.ID[:], c.request.Process[:], c.now,
			l.queue, l.priority, from.due, from.job, c.kinds, to.due, to.job)
		if err != nil {
			return 0, err
		}
		if _, err := c.Exec(ctx, endReady, l.queue, l.priority, from.due, from.job, c.kinds, to.due, to.job); err != nil {
			return 0, err
		}
	}
	return n, c.remember(ctx, l, from, full, took, n == limit)
}

// candidates reads the next jobs of a lane as claims.
func (c *claimer) candidates(ctx context.Context, l lane, from position, limit int) error {
	r, dest := c.row, append(c.row.job[:len(c.row.job):len(c.row.job)], c.row.place[1:9]...)
	r.claimedAt, r.process, r.exchange = num(c.now), uid(c.request.Process), uid(c.request.ID)
	r.state, r.reason, r.progress = num(bellhop.StateRunning), "", nil
	return c.Query(ctx, claimable, func(result Row) error {
		if err := result.Scan(dest...); err != nil {
			return err
		}
		r.claim++
		claim, err := r.newClaim()
		if err != nil {
			return err
		}
		c.claims = append(c.claims, claim)
		c.ids = append(c.ids, claim.Job.ID)
		c.refs = append(c.refs, jobRef{int64(r.number), r.uniqueKey != ""})
		c.last = position{int64(r.due), int64(r.number)}
		return nil
	}, l.queue, l.priority, from.due, from.job, c.kinds, limit)
}

// remember sets the lane's lower bound, if many jobs of unknown kinds stand before it.
func (c *claimer) remember(ctx context.Context, l lane, from position, full bool, took time.Duration, enough bool) error {
	to := position{}
	read := func(r Row) error {
		var due, job num
		err := r.Scan(&due, &job)
		to = position{int64(due), int64(job)}
		return err
	}
	if !c.store.LowerBounds {
		if err := c.Query(ctx, skipped, read, l.queue, l.priority); err != nil {
			return err
		}
		if to == (position{}) || enough && !to.before(c.last) {
			c.after = append(c.after, func() { c.store.bounds.forget(l) })
			return nil
		}
	}
	if to = c.last; !enough {
		to = from
		if err := c.Query(ctx, lastReady, read, l.queue, l.priority); err != nil {
			return err
		}
	}
	c.after = append(c.after, func() { c.store.bounds.set(l, to, full, took) })
	return nil
}

// signals tells the process what has changed.
func (t *txn) signals(ctx context.Context, r *bellhop.ExchangeRequest, paused []string) (bellhop.Signals, error) {
	sig := bellhop.Signals{Now: at(t.now)}
	for _, want := range r.Wants {
		if slices.Contains(paused, want.Queue) && !slices.Contains(sig.Paused, want.Queue) {
			sig.Paused = append(sig.Paused, want.Queue)
		}
	}
	var err error
	if !r.Process.IsZero() {
		if sig.Cancel, err = t.cancelled(ctx, r.Process); err != nil {
			return sig, err
		}
	}
	sig.NextDue, err = t.nextDue(ctx)
	return sig, err
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
func (t *txn) nextDue(ctx context.Context) (time.Duration, error) {
	due, err := t.count(ctx, nextDue)
	if err != nil || due == 0 {
		return -1, err
	}
	return max(0, time.Duration(due-t.now)*time.Microsecond), nil
}

// lane is one priority of one queue, as seen by a process that knows certain kinds.
type lane struct {
	queue    string
	priority int64
	kinds    string
}

// position is a place in the order of a lane.
type position struct{ due, job int64 }

var head = position{due: math.MinInt64}

func (p position) before(o position) bool {
	return p.due < o.due || p.due == o.due && p.job < o.job
}

// bounds remembers for each lane up to where there is nothing to claim, so that
// a claim does not look again at what it has passed over. What appears before
// the bound meanwhile is found by full looks, which take at most a twentieth of the time.
type bounds struct {
	mu sync.Mutex
	m  map[lane]*bound
}

type bound struct {
	position
	nextLook time.Time
	pause    time.Duration
}

const maxBounds = 10_000

// start returns from where to look, and whether that is a full look.
func (b *bounds) start(l lane) (from position, full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.m[l]; e != nil && time.Now().Before(e.nextLook) {
		return e.position, false
	}
	return head, true
}

func (b *bounds) set(l lane, to position, full bool, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.m[l]
	if e == nil {
		if b.m == nil || len(b.m) >= maxBounds {
			b.m = map[lane]*bound{}
		}
		e = &bound{}
		b.m[l], full = e, true
	}
	e.position = to
	if full {
		e.nextLook = time.Now().Add(min(max(20*took, 50*time.Millisecond), 10*time.Second))
	}
}

func (b *bounds) forget(l lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, l)
}
