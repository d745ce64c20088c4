package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// An exchange is a few statements, sent in one round trip: those of its ends, and
// these. None needs an earlier one's rows in Go.
var (
	// holdExchange lets no sweep pass and no repeat of the exchange begin before it has ended.
	holdExchange = sqlstore.Define("hold exchange",
		`select pg_advisory_xact_lock(hashtextextended(?::text, 0)) from bellhop_processes where id = ? and gone_at is null for key share`)

	// claimJobs claims from each wanted queue in turn, priority by priority. A
	// lane is one priority of one queue, from its lower bound on. The limit of a
	// lane is a literal, because the plan depends on it; the offset keeps the look
	// at pauses before the look at jobs, which locks them. A row of ready never
	// changes while it is there: the one that was read and locked is the one that is deleted.
	// The counters of a job that was never claimed are not sent: see [cells.counters].
	// Its job is found by "between" for the reason that ends.go tells. The lists of
	// earlier exchanges that have come to their end go at the same time: see lists.go.
	claimJobs = sqlstore.Define("claim", `with n as materialized (select {now} + ? as now),
		c as materialized (
			select x.* from (select * from unnest(?::text[], ?::int[], ?::int[]) as u (queue, want, n)
					where not exists (select 1 from bellhop_queues s where s.name = u.queue and s.paused = 1) offset 0) w
				cross join lateral (
					select q.* from unnest(?::int[], ?::smallint[], ?::bigint[], ?::bigint[]) as l (n, priority, due, job)
						cross join lateral (
							select r.ctid, r.job, r.queue, r.claim + 1 as claim, r.due, r.generation, r.attempt, r.failures, r.crashes, r.suspect, r.cancel
							from bellhop_ready r
							where r.queue = w.queue and r.priority = l.priority and (r.due, r.job) > (l.due, l.job) and r.kind = any(?::text[])
							order by r.due, r.job limit 10000 for update skip locked) q
					where l.n = w.n
					limit w.want) x
			where exists (select 1 from bellhop_processes p where p.id = ? and p.gone_at is null)
				and not exists (select 1 from bellhop_exchanges e where e.id = ?)
			limit ?),
		d as (delete from bellhop_ready where ctid = any(array(select ctid from c))),
		i as (insert into bellhop_running
			(job, queue, exchange, process, claimed_at, claim, due, generation, attempt, failures, crashes, suspect, cancel)
			select job, queue, ?, ?, (select now from n), claim, due, generation, attempt, failures, crashes, suspect, cancel from c),
		e as (insert into bellhop_exchanges (id, process, made_at, jobs) select ?, ?, now, (select array_agg(job) from c) from n where exists (select 1 from c)),
		s as (delete from bellhop_exchanges x using (select unnest(?::uuid[]) as id, unnest(?::bigint[]) as made) g
			where x.id between g.id and g.id and x.made_at between g.made and g.made)
		select c.job, j.id, j.kind, c.queue, j.priority, j.args, j.run_at, j.attempts, j.timeout_ns, j.retention_ns, j.unique_key, j.tags, j.meta,
			j.enqueued_at, c.due, case when c.claim = 1 and (c.generation | c.attempt | c.failures | c.crashes | c.suspect | c.cancel) = 0 then null
				else concat_ws(' ', c.generation, c.claim, c.attempt, c.failures, c.crashes, c.suspect, c.cancel) end
		from c join bellhop_jobs j on j.job between c.job and c.job`)

	lookAround = sqlstore.Define("look around", `select {now} + ?,
		exists (select 1 from bellhop_processes where id = ? and gone_at is null),
		exists (select 1 from bellhop_exchanges where id = ?),
		(select count(*) from bellhop_queues where paused = 1 and name = any(?::text[])),
		(select count(*) from bellhop_running where process = ? and cancel = 1),
		coalesce((select min(due) from bellhop_scheduled where due >= ?), 0),
		(extract(epoch from clock_timestamp() - now()) * 1000000)::bigint`)
)

// Exchange implements [sqlstore.Swift].
func (d *database) Exchange(ctx context.Context, step sqlstore.Step, r *bellhop.ExchangeRequest, ends []sqlstore.End, due int64) (*sqlstore.Exchanged, error) {
	x := &exchange{r: r, offset: d.offset.Load(), order: make(map[string]int, len(r.Wants)), names: map[string]string{}}
	claims := !r.Process.IsZero() && r.Limit > 0 && len(r.Wants) > 0
	if claims {
		new, err := d.learn(ctx, r)
		if err != nil {
			return nil, err
		}
		if !new { // it works first
			d.bite(ctx, r)
		}
	}
	var requests []request
	if claims {
		requests = append(requests, request{holdExchange, []any{r.ID.String(), uuid(r.Process)}, nothing})
	}
	requests = append(requests, requestsFor(ends, x.offset, x.ended)...)
	began, turn := time.Now(), d.lists.begin()
	var lanes *looks
	var spent spent
	if claims {
		spent = d.lists.take(r.ID)
		lanes = d.lanes.begin(r, slices.ContainsFunc(ends, handsBack))
		x.expect(min(r.Limit, len(ends)))
		requests = append(requests, x.claim(lanes, spent))
	}
	requests = append(requests, request{lookAround, []any{x.offset, uuid(r.Process), uuid(r.ID), wanted(r.Wants), uuid(r.Process), due}, x.lookedAround})
	err := d.pipeline(ctx, step, requests)
	d.lists.end(turn, spent, r, ends, &x.done, err)
	var found *sqlstore.Exchanged
	took := time.Since(began)
	if err == nil {
		x.finish()
		x.done.Seen = x.seen && len(x.done.Claims) == 0
		took = time.Duration(x.took) * time.Microsecond
		if x.done.Alive && !x.done.Seen { // else it was not looked for jobs
			found = &x.done
		}
	}
	if claims {
		d.share(ctx, d.lanes.end(lanes, found, r.Limit, took), x.done.Now)
	}
	switch codeOf(err) {
	case codeLock, codeUnique:
		return nil, sqlstore.ErrCareful
	}
	if err != nil {
		return nil, err
	}
	return &x.done, nil
}

// expect makes room for so many claims: a worker that is busy gets about as many as it hands in ends.
func (x *exchange) expect(n int) {
	if n > 0 {
		x.done.Claims, x.done.Jobs = make([]bellhop.Claim, 0, n), make([]int64, 0, n)
	}
}

// handsBack reports whether a job will be ready again in its old turn.
func handsBack(e sqlstore.End) bool { return e.Kind.To() == bellhop.StateReady }

func nothing(pgx.Rows) error { return nil }

// wanted returns the names of the queues.
func wanted(wants []bellhop.Want) []string {
	names := make([]string, len(wants))
	for i, w := range wants {
		names[i] = w.Queue
	}
	return names
}

func uuid(id bellhop.ID) [16]byte { return id }

// exchange is an exchange under way.
type exchange struct {
	r      *bellhop.ExchangeRequest
	offset int64
	order  map[string]int    // of the queues
	names  map[string]string // kinds and queues that have been read
	cells  cells
	seen   bool
	took   int64 // the server, in microseconds
	done   sqlstore.Exchanged
}

func (x *exchange) ended(rows pgx.Rows) error {
	var n int
	var woken []string
	err := rows.Scan(&n, &woken)
	x.done.Ended += n
	x.done.Woken = append(x.done.Woken, woken...)
	return err
}

func (x *exchange) lookedAround(rows pgx.Rows) error {
	return rows.Scan(&x.done.Now, &x.done.Alive, &x.seen, &x.done.Paused, &x.done.Cancel, &x.done.NextDue, &x.took)
}

// claim returns the statement that claims.
func (x *exchange) claim(l *looks, s spent) request {
	r := x.r
	queues, wants, numbers := make([]string, len(r.Wants)), make([]int32, len(r.Wants)), make([]int32, len(r.Wants))
	for i, w := range r.Wants {
		queues[i], wants[i], numbers[i] = w.Queue, int32(min(max(w.Count, 0), math.MaxInt32)), int32(i)
		if _, twice := x.order[w.Queue]; !twice {
			x.order[w.Queue] = i
		}
	}
	limit := int32(min(r.Limit, math.MaxInt32))
	return request{claimJobs, []any{
		x.offset, queues, wants, numbers, l.wants, l.priorities, l.dues, l.jobs, r.Kinds, uuid(r.Process), uuid(r.ID), limit,
		uuid(r.ID), uuid(r.Process), uuid(r.ID), uuid(r.Process), s.ids, s.made,
	}, x.claimed}
}

func (x *exchange) claimed(rows pgx.Rows) error {
	j, c := &bellhop.Job{}, &x.cells
	c.begin(rows)
	job := c.integer()
	j.ID, j.Kind, j.Queue, j.Priority, j.Args = c.id(), x.name(c.text()), x.name(c.text()), int(c.integer()), c.blob()
	if at, is := c.maybe(); is {
		j.RunAt = time.UnixMicro(at).UTC()
	}
	j.Attempts, j.Timeout, j.Retention, j.UniqueKey = int(c.integer()), time.Duration(c.integer()), time.Duration(c.integer()), string(c.text())
	tags, meta := c.text(), c.text()
	j.EnqueuedAt = sqlstore.At(c.integer())
	p := bellhop.Place{
		State: bellhop.StateRunning, Process: x.r.Process, Exchange: x.r.ID,
		Due: sqlstore.At(c.integer()),
	}
	c.counters(&p)
	if c.err != nil {
		return c.err
	}
	damage := sqlstore.ReadTexts(j, tags, meta)
	claim := bellhop.Claim{Token: bellhop.Token{JobID: j.ID, Number: p.Claim, Exchange: x.r.ID}, Job: j, Place: p}
	x.done.Jobs = append(x.done.Jobs, job)
	x.done.Claims = append(x.done.Claims, claim)
	if damage != nil {
		x.done.Damaged = append(x.done.Damaged, sqlstore.Damaged(claim, damage))
	}
	return nil
}

// name returns a kind or a queue as a string; the same one for all rows.
func (x *exchange) name(text []byte) string {
	name, known := x.names[string(text)]
	if !known {
		name = string(text)
		x.names[name] = name
	}
	return name
}

// finish puts the claims in the order in which they are to start, which most are
// in already, and gives them their time.
func (x *exchange) finish() {
	now := sqlstore.At(x.done.Now)
	for i := range x.done.Claims {
		x.done.Claims[i].Place.ClaimedAt = now
	}
	if !sort.IsSorted(x) {
		sort.Sort(x)
	}
}

// Len implements [sort.Interface].
func (x *exchange) Len() int { return len(x.done.Claims) }

// Less implements [sort.Interface].
func (x *exchange) Less(i, k int) bool {
	a, b := &x.done.Claims[i], &x.done.Claims[k]
	if a.Job.Queue != b.Job.Queue {
		return x.order[a.Job.Queue] < x.order[b.Job.Queue]
	}
	return cmp.Or(cmp.Compare(a.Job.Priority, b.Job.Priority), a.Place.Due.Compare(b.Place.Due), cmp.Compare(x.done.Jobs[i], x.done.Jobs[k])) < 0
}

// Swap implements [sort.Interface].
func (x *exchange) Swap(i, k int) {
	x.done.Claims[i], x.done.Claims[k] = x.done.Claims[k], x.done.Claims[i]
	x.done.Jobs[i], x.done.Jobs[k] = x.done.Jobs[k], x.done.Jobs[i]
}

// kindsKey is what a set of kinds is known by.
func kindsKey(kinds []string) string { return strings.Join(kinds, "\x00") }
