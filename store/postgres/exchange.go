package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// An exchange is five statements at most, sent in one round trip. None needs an
// earlier one's rows in Go.
var (
	// holdExchange lets no sweep pass and no repeat of the exchange begin before it has ended.
	holdExchange = sqlstore.Define("hold exchange",
		`select pg_advisory_xact_lock(hashtextextended(?::text, 0)) from bellhop_processes where id = ? and gone_at is null for key share`)

	// endPlain ends claims with nothing to say but that they succeeded. What is
	// the same for many is sent once, in short arrays, and alike is where it stands in them.
	endPlain = sqlstore.Define("end plain", `with n as materialized (select {now} + ? as now),
		d as materialized (delete from bellhop_running r
			using (select unnest(?::bigint[]) as job, unnest(?::bigint[]) as claim, unnest(?::bigint[]) as started, unnest(?::bigint[]) as ended,
				unnest(?::smallint[]) as alike) o
			where r.job = o.job and r.claim = o.claim and r.exchange = (?::uuid[])[o.alike]
			returning r.job, r.claim, r.generation, r.due, r.claimed_at, r.process, r.exchange, r.progress, o.started, o.ended, o.alike),
		f as (insert into bellhop_finished (job, state, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect, progress,
				claimed_at, started, ended, number, process, exchange)
			select job, 5, (select now from n), (select now from n) + (?::bigint[])[alike], due, generation, claim,
				(?::int[])[alike], (?::int[])[alike], (?::int[])[alike], 0, progress,
				claimed_at, started, ended, (?::int[])[alike], process, exchange from d)
		select count(*), null::text[] from d`)

	// endAny ends claims by whatever has come of them.
	endAny = sqlstore.Define("end", `with n as materialized (select {now} + ? as now),
		d as materialized (delete from bellhop_running r
			using unnest(?::bigint[], ?::bigint[], ?::uuid[], ?::int[], ?::int[], ?::int[], ?::int[], ?::bigint[], ?::bigint[], ?::bigint[],
				?::smallint[], ?::smallint[], ?::smallint[], ?::bigint[], ?::text[], ?::bytea[], ?::text[])
				as o (job, claim, exchange, attempt, failures, crashes, number, keep, started, ended, outcome, state, suspect, wait, reason, result, failure)
			where r.job = o.job and r.claim = o.claim and r.exchange = o.exchange
			returning r.job, r.claim, r.generation, r.due, r.claimed_at, r.process, r.exchange, r.progress, r.queue, r.cancel,
				o.attempt, o.failures, o.crashes, o.number, o.keep, o.started, o.ended, o.outcome, o.state, o.suspect, o.wait, o.result, o.failure,
				coalesce(o.reason, case when o.outcome = ? then r.reason end) as reason),
		a as (insert into bellhop_attempts (job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure)
			select job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure from d where state <> 5),
		t as (delete from bellhop_attempts x using d where x.job = d.job and x.claim <= d.claim - ?),
		f as (insert into bellhop_finished
			(job, state, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect, reason, progress, result,
				claimed_at, started, ended, number, process, exchange)
			select job, state, now, now + keep, due, generation, claim, attempt, failures, crashes, suspect, reason, progress, result,
				case when state = 5 then claimed_at end, case when state = 5 then started end, case when state = 5 then ended end,
				case when state = 5 then number end, case when state = 5 then process end, case when state = 5 then exchange end
			from d cross join n where state in (5, 6, 7)),
		x as (insert into bellhop_dead
			(job, queue, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect, reason, progress, result)
			select job, queue, now, now + keep, due, generation, claim, attempt, failures, crashes, suspect, reason, progress, result
			from d cross join n where state = 8),
		s as (insert into bellhop_scheduled
			(job, queue, due, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress)
			select job, queue, now + wait, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress
			from d cross join n where state = 1),
		b as (insert into bellhop_ready
			(job, queue, priority, kind, due, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress)
			select d.job, d.queue, j.priority, j.kind, due, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress
			from d join bellhop_jobs j on j.job = d.job where d.state = 3),
		k as (delete from bellhop_unique_keys u using d where u.job = d.job and d.state >= 5)
		select count(*), array_agg(distinct queue) filter (where state = 3) from d`)

	// claimJobs claims from each wanted queue in turn, priority by priority. A
	// lane is one priority of one queue, from its lower bound on. The limit of a
	// lane is a literal, because the plan depends on it; the offset keeps the look
	// at pauses before the look at jobs, which locks them.
	claimJobs = sqlstore.Define("claim", `with n as materialized (select {now} + ? as now),
		d as materialized (delete from bellhop_ready r where r.ctid = any(array(
			select x.ctid from (select * from unnest(?::text[], ?::int[], ?::int[]) as u (queue, want, n)
					where not exists (select 1 from bellhop_queues s where s.name = u.queue and s.paused = 1) offset 0) w
				cross join lateral (
					select q.ctid from unnest(?::int[], ?::smallint[], ?::bigint[], ?::bigint[]) as l (n, priority, due, job)
						cross join lateral (
							select c.ctid from bellhop_ready c
							where c.queue = w.queue and c.priority = l.priority and (c.due, c.job) > (l.due, l.job) and c.kind = any(?::text[])
							order by c.due, c.job limit 10000 for update skip locked) q
					where l.n = w.n
					limit w.want) x
			where exists (select 1 from bellhop_processes p where p.id = ? and p.gone_at is null)
				and not exists (select 1 from bellhop_exchanges e where e.id = ?)
			limit ?))
			returning r.job, r.queue, r.claim + 1 as claim, r.due, r.generation, r.attempt, r.failures, r.crashes, r.suspect, r.cancel),
		i as (insert into bellhop_running
			(job, queue, exchange, process, claimed_at, claim, due, generation, attempt, failures, crashes, suspect, cancel)
			select job, queue, ?, ?, (select now from n), claim, due, generation, attempt, failures, crashes, suspect, cancel from d),
		e as (insert into bellhop_exchanges (id, made_at) select ?, now from n where exists (select 1 from d))
		select d.job, j.id, j.kind, j.queue, j.priority, j.args, j.run_at, j.attempts, j.timeout_ns, j.retention_ns, j.unique_key, j.tags, j.meta,
			j.enqueued_at, d.due, d.generation, d.claim, d.attempt, d.failures, d.crashes, d.suspect, d.cancel
		from d join bellhop_jobs j on j.job = d.job`)

	lookAround = sqlstore.Define("look around", `select {now} + ?,
		exists (select 1 from bellhop_processes where id = ? and gone_at is null),
		exists (select 1 from bellhop_exchanges where id = ?),
		(select count(*) from bellhop_queues where paused = 1 and name = any(?::text[])),
		(select count(*) from bellhop_running where process = ? and cancel = 1),
		coalesce((select min(due) from bellhop_scheduled where due >= ?), 0)`)
)

// Exchange implements [sqlstore.Swift].
func (d *database) Exchange(ctx context.Context, step sqlstore.Step, r *bellhop.ExchangeRequest, ends []sqlstore.End, due int64) (*sqlstore.Exchanged, error) {
	x := &exchange{r: r, offset: d.offset.Load(), order: make(map[string]int, len(r.Wants)), names: map[string]string{}}
	claims := !r.Process.IsZero() && r.Limit > 0 && len(r.Wants) > 0
	var requests []request
	if claims {
		requests = append(requests, request{holdExchange, []any{r.ID.String(), uuid(r.Process)}, nothing})
	}
	requests = x.end(requests, ends)
	began := time.Now()
	var lanes *looks
	if claims {
		lanes = d.lanes.begin(r, slices.ContainsFunc(ends, handsBack))
		requests = append(requests, x.claim(lanes))
	}
	requests = append(requests, request{lookAround, []any{x.offset, uuid(r.Process), uuid(r.ID), wanted(r.Wants), uuid(r.Process), due}, x.lookedAround})
	err := d.pipeline(ctx, step, requests)
	switch codeOf(err) {
	case codeLock, codeUnique:
		return nil, sqlstore.ErrCareful
	}
	if err != nil {
		return nil, err
	}
	x.finish()
	x.done.Seen = x.seen && len(x.done.Claims) == 0
	if claims && x.done.Alive && !x.done.Seen { // else it was not looked for jobs
		d.lanes.end(lanes, &x.done, r.Limit, time.Since(began))
	}
	return &x.done, nil
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
	done   sqlstore.Exchanged
}

// end adds the statements that end claims.
func (x *exchange) end(requests []request, ends []sqlstore.End) []request {
	var plain, others columns
	for i := range ends {
		if e := &ends[i]; isPlain(e) {
			plain.add(e, false)
		} else {
			others.add(e, true)
		}
	}
	if len(plain.jobs) > 0 {
		requests = append(requests, request{endPlain, plain.alike(x.offset), x.ended})
	}
	if len(others.jobs) > 0 {
		args := append(others.args(x.offset), others.outcomes, others.states, others.suspects, others.waits, others.reasons, others.results, others.failed,
			int16(bellhop.OutcomeCancelled), int64(bellhop.KeptAttempts))
		requests = append(requests, request{endAny, args, x.ended})
	}
	return requests
}

// isPlain reports whether an end is a success with nothing to say.
func isPlain(e *sqlstore.End) bool {
	o := e.Outcome
	return o.Kind == bellhop.OutcomeSucceeded && !o.Suspect && o.Reason == "" && len(o.Result) == 0 && o.Failure == nil && !e.Keyed &&
		o.Token.Number <= bellhop.KeptAttempts
}

// columns are outcomes as arrays.
type columns struct {
	jobs, claims, started, ended         longs
	exchanges                            [][16]byte
	attempts, failures, crashes, numbers []int32
	keeps                                longs
	outcomes, states, suspects           []int16
	waits                                longs
	reasons                              []*string
	results                              [][]byte
	failed                               []*string
}

func (c *columns) add(e *sqlstore.End, all bool) {
	o := e.Outcome
	c.jobs = append(c.jobs, long(e.Job))
	c.claims = append(c.claims, long(o.Token.Number))
	c.exchanges = append(c.exchanges, o.Token.Exchange)
	c.attempts = append(c.attempts, int32(o.Attempt))
	c.failures = append(c.failures, int32(o.Failures))
	c.crashes = append(c.crashes, int32(o.Crashes))
	c.numbers = append(c.numbers, int32(o.Number))
	c.started = append(c.started, moment(o.Started))
	c.ended = append(c.ended, moment(o.Ended))
	keep := null // for ever
	if o.Keep >= 0 {
		keep = long(o.Keep / time.Microsecond)
	}
	c.keeps = append(c.keeps, keep)
	if !all {
		return
	}
	c.outcomes = append(c.outcomes, int16(o.Kind))
	c.states = append(c.states, int16(o.Kind.To()))
	var suspect int16
	if o.Suspect {
		suspect = 1
	}
	c.suspects = append(c.suspects, suspect)
	c.waits = append(c.waits, long(o.Wait/time.Microsecond))
	c.reasons = append(c.reasons, e.Reason())
	c.results = append(c.results, noBytes(o.Result))
	c.failed = append(c.failed, e.Failure())
}

func (c *columns) args(offset int64) []any {
	return []any{offset, c.jobs, c.claims, c.exchanges, c.attempts, c.failures, c.crashes, c.numbers, c.keeps, c.started, c.ended}
}

// alike returns the arguments for endPlain.
func (c *columns) alike(offset int64) []any {
	type profile struct {
		exchange                           [16]byte
		keep                               long
		attempt, failures, crashes, number int32
	}
	known := map[profile]int16{}
	var one columns
	alike := make([]int16, len(c.jobs))
	for i := range alike {
		p := profile{c.exchanges[i], c.keeps[i], c.attempts[i], c.failures[i], c.crashes[i], c.numbers[i]}
		at := known[p]
		if at == 0 {
			one.exchanges, one.keeps = append(one.exchanges, p.exchange), append(one.keeps, c.keeps[i])
			one.attempts, one.failures = append(one.attempts, p.attempt), append(one.failures, p.failures)
			one.crashes, one.numbers = append(one.crashes, p.crashes), append(one.numbers, p.number)
			at = int16(len(one.exchanges))
			known[p] = at
		}
		alike[i] = at
	}
	return []any{
		offset, c.jobs, c.claims, c.started, c.ended, alike, one.exchanges, one.keeps, one.attempts, one.failures, one.crashes, one.numbers,
	}
}

func noBytes(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
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
	return rows.Scan(&x.done.Now, &x.done.Alive, &x.seen, &x.done.Paused, &x.done.Cancel, &x.done.NextDue)
}

// claim returns the statement that claims.
func (x *exchange) claim(l *looks) request {
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
		uuid(r.ID), uuid(r.Process), uuid(r.ID),
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
		Due: sqlstore.At(c.integer()), Generation: int(c.integer()), Claim: c.integer(), Attempt: int(c.integer()),
		Failures: int(c.integer()), Crashes: int(c.integer()), Suspect: c.integer() != 0, CancelRequested: c.integer() != 0,
	}
	if c.err != nil {
		return c.err
	}
	if err := sqlstore.Decode(tags, &j.Tags); err != nil {
		return fmt.Errorf("tags of job %s: %w", j.ID, err)
	}
	if err := sqlstore.Decode(meta, &j.Meta); err != nil {
		return fmt.Errorf("metadata of job %s: %w", j.ID, err)
	}
	x.done.Jobs = append(x.done.Jobs, job)
	x.done.Claims = append(x.done.Claims, bellhop.Claim{
		Token: bellhop.Token{JobID: j.ID, Number: p.Claim, Exchange: x.r.ID}, Job: j, Place: p,
	})
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
