package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// The ends of claims go in arrays: plain successes, of which most are alike in all
// but their jobs and times, by a short statement, all others by one that has a column for everything.
//
// Rows are found by "between a and a", which an index finds as it does "= a". But by
// "=" the planner could also go through all of the table, and through the arrays for each
// of its rows, and does so when it is told that the table has no rows: so it is after
// a vacuum that finds only deleted ones which an old snapshot still sees.
var (
	// endPlain ends claims with nothing to say but that they succeeded. What is
	// the same for many is sent once, in short arrays, and alike is where it stands in them.
	endPlain = sqlstore.Define("end plain", `with n as materialized (select {now} + ? as now),
		d as materialized (delete from bellhop_running r
			using (select unnest(?::bigint[]) as job, unnest(?::bigint[]) as claim, unnest(?::bigint[]) as started, unnest(?::bigint[]) as ended,
				unnest(?::smallint[]) as alike) o
			where r.job between o.job and o.job and r.claim = o.claim and r.exchange = (?::uuid[])[o.alike]
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
				?::smallint[], ?::smallint[], ?::smallint[], ?::bigint[], ?::text[], ?::bytea[], ?::text[], ?::bytea[])
				as o (job, claim, exchange, attempt, failures, crashes, number, keep, started, ended, outcome, state, suspect, wait, reason, result, failure, log)
			where r.job between o.job and o.job and r.claim = o.claim and r.exchange = o.exchange
			returning r.job, r.claim, r.generation, r.due, r.claimed_at, r.process, r.exchange, r.progress, r.queue, r.cancel,
				o.attempt, o.failures, o.crashes, o.number, o.keep, o.started, o.ended, o.outcome, o.state, o.suspect, o.wait, o.result, o.failure, o.log,
				coalesce(o.reason, case when o.outcome = ? then r.reason end) as reason),
		a as (insert into bellhop_attempts (job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure, log)
			select job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure, log from d where state <> 5),
		t as (delete from bellhop_attempts x using d where x.job between d.job and d.job and x.claim <= d.claim - ?),
		f as (insert into bellhop_finished
			(job, state, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect, reason, progress, result,
				claimed_at, started, ended, number, process, exchange, log)
			select job, state, now, now + keep, due, generation, claim, attempt, failures, crashes, suspect, reason, progress, result,
				case when state = 5 then claimed_at end, case when state = 5 then started end, case when state = 5 then ended end,
				case when state = 5 then number end, case when state = 5 then process end, case when state = 5 then exchange end,
				case when state = 5 then log end
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
			from d join bellhop_jobs j on j.job between d.job and d.job where d.state = 3),
		k as (delete from bellhop_unique_keys u using d where u.job between d.job and d.job and d.state >= 5)
		select count(*), array_agg(distinct queue) filter (where state = 3) from d`)
)

// requestsFor returns the statements for the ends of one call.
func requestsFor(list []sqlstore.End, offset int64, ended func(pgx.Rows) error) (requests []request) {
	plain, others := plainEnds{known: map[common]int16{}}, columns{}
	for i := range list {
		if e := &list[i]; isPlain(e) {
			plain.add(e)
		} else {
			others.add(e)
		}
	}
	if len(plain.jobs) > 0 {
		requests = append(requests, request{endPlain, plain.args(offset), ended})
	}
	if len(others.jobs) > 0 {
		requests = append(requests, request{endAny, others.args(offset), ended})
	}
	return requests
}

// isPlain reports whether an end is a success with nothing to say.
func isPlain(e *sqlstore.End) bool {
	o := e.Outcome
	return o.Kind == bellhop.OutcomeSucceeded && !o.Suspect && o.Reason == "" && len(o.Result) == 0 && o.Failure == nil && len(o.Log) == 0 && !e.Keyed &&
		o.Token.Number <= bellhop.KeptAttempts
}

// keepOf returns in microseconds how long the job is kept; null for ever.
func keepOf(o *bellhop.Outcome) long {
	if o.Keep < 0 {
		return null
	}
	return long(o.Keep / time.Microsecond)
}

// common is what many plain ends have alike.
type common struct {
	exchange                           [16]byte
	keep                               long
	attempt, failures, crashes, number int32
}

// plainEnds are plain ends as arrays: those with an element for each, and those
// that alike points into, with an element for each common that there is.
type plainEnds struct {
	jobs, claims, started, ended         longs
	alike                                []int16
	known                                map[common]int16
	exchanges                            [][16]byte
	keeps                                longs
	attempts, failures, crashes, numbers []int32
}

func (p *plainEnds) add(e *sqlstore.End) {
	o := e.Outcome
	c := common{o.Token.Exchange, keepOf(o), int32(o.Attempt), int32(o.Failures), int32(o.Crashes), int32(o.Number)}
	at := p.known[c]
	if at == 0 {
		p.exchanges, p.keeps = append(p.exchanges, c.exchange), append(p.keeps, c.keep)
		p.attempts, p.failures = append(p.attempts, c.attempt), append(p.failures, c.failures)
		p.crashes, p.numbers = append(p.crashes, c.crashes), append(p.numbers, c.number)
		at = int16(len(p.exchanges))
		p.known[c] = at
	}
	p.jobs, p.claims, p.alike = append(p.jobs, long(e.Job)), append(p.claims, long(o.Token.Number)), append(p.alike, at)
	p.started, p.ended = append(p.started, moment(o.Started)), append(p.ended, moment(o.Ended))
}

func (p *plainEnds) args(offset int64) []any {
	return []any{
		offset, p.jobs, p.claims, p.started, p.ended, p.alike, p.exchanges, p.keeps, p.attempts, p.failures, p.crashes, p.numbers,
	}
}

// columns are any ends as arrays.
type columns struct {
	jobs, claims, started, ended         longs
	exchanges                            [][16]byte
	attempts, failures, crashes, numbers []int32
	keeps                                longs
	outcomes, states, suspects           []int16
	waits                                longs
	reasons                              []*string
	results, logs                        [][]byte
	failed                               []*string
}

func (c *columns) add(e *sqlstore.End) {
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
	c.keeps = append(c.keeps, keepOf(o))
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
	c.logs = append(c.logs, noBytes(o.Log))
}

func (c *columns) args(offset int64) []any {
	return []any{
		offset, c.jobs, c.claims, c.exchanges, c.attempts, c.failures, c.crashes, c.numbers, c.keeps, c.started, c.ended,
		c.outcomes, c.states, c.suspects, c.waits, c.reasons, c.results, c.failed, c.logs,
		int16(bellhop.OutcomeCancelled), int64(bellhop.KeptAttempts),
	}
}

func noBytes(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
