package postgres

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// The ends of claims go in arrays: plain successes, of which most are alike in all
// but their jobs and times, by a short statement, all others by one that has a column for everything.
var (
	// endPlain ends claims with nothing to say but that they succeeded. What they
	// have in common comes once; alike is where an end's exchange stands among the few there are.
	endPlain = sqlstore.Define("end plain", `with n as materialized (select {now} + ? as now),
		d as materialized (delete from bellhop_running r
			using (select unnest(?::bigint[]) as job, unnest(?::bigint[]) as started, unnest(?::bigint[]) as ended, unnest(?::smallint[]) as alike) o
			where r.job = o.job and r.claim = ?::bigint and r.exchange = (?::uuid[])[o.alike]
			returning r.job, r.generation, r.due, r.claimed_at, r.process, r.exchange, r.progress, o.started, o.ended),
		f as (insert into bellhop_finished (job, state, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect, progress,
				claimed_at, started, ended, number, process, exchange)
			select job, 5, (select now from n), (select now from n) + ?::bigint, due, generation, ?::bigint, ?::int, ?::int, ?::int, 0, progress,
				claimed_at, started, ended, ?::int, process, exchange from d)
		select count(*), null::text[] from d`)

	// endAny ends claims by whatever has come of them.
	endAny = sqlstore.Define("end", `with n as materialized (select {now} + ? as now),
		d as materialized (delete from bellhop_running r
			using unnest(?::bigint[], ?::bigint[], ?::uuid[], ?::int[], ?::int[], ?::int[], ?::int[], ?::bigint[], ?::bigint[], ?::bigint[],
				?::smallint[], ?::smallint[], ?::smallint[], ?::bigint[], ?::text[], ?::bytea[], ?::text[], ?::bytea[])
				as o (job, claim, exchange, attempt, failures, crashes, number, keep, started, ended, outcome, state, suspect, wait, reason, result, failure, log)
			where r.job = o.job and r.claim = o.claim and r.exchange = o.exchange
			returning r.job, r.claim, r.generation, r.due, r.claimed_at, r.process, r.exchange, r.progress, r.queue, r.cancel,
				o.attempt, o.failures, o.crashes, o.number, o.keep, o.started, o.ended, o.outcome, o.state, o.suspect, o.wait, o.result, o.failure, o.log,
				coalesce(o.reason, case when o.outcome = ? then r.reason end) as reason),
		a as (insert into bellhop_attempts (job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure, log)
			select job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure, log from d where state <> 5),
		t as (delete from bellhop_attempts x using d where x.job = d.job and x.claim <= d.claim - ?),
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
			from d join bellhop_jobs j on j.job = d.job where d.state = 3),
		k as (delete from bellhop_unique_keys u using d where u.job = d.job and d.state >= 5)
		select count(*), array_agg(distinct queue) filter (where state = 3) from d`)
)

// ends are the outcomes of one call, sorted by the statements that take them.
type ends struct {
	plain  []*plainEnds
	others columns
}

// mostPlain is how many statements for plain ends a call makes at most. Further kinds
// of them, which only jobs with many retries have, go with the others.
const mostPlain = 3

func sortEnds(list []sqlstore.End) *ends {
	s := &ends{}
	for i := range list {
		e := &list[i]
		if p := s.plainFor(e, len(list)-i); p != nil {
			p.add(e)
		} else {
			s.others.add(e)
		}
	}
	return s
}

// plainFor returns where a plain end goes; nil if it is none, or one of too many kinds.
// Most often all that are left to sort go there.
func (s *ends) plainFor(e *sqlstore.End, left int) *plainEnds {
	if !isPlain(e) {
		return nil
	}
	c := commonOf(e.Outcome)
	for _, p := range s.plain {
		if p.common == c {
			return p
		}
	}
	if len(s.plain) == mostPlain {
		return nil
	}
	if len(s.plain) > 0 {
		left = 0
	}
	p := &plainEnds{
		common: c, jobs: make(longs, 0, left), started: make(longs, 0, left), ended: make(longs, 0, left), alike: make([]int16, 0, left),
	}
	s.plain = append(s.plain, p)
	return p
}

// requests are the statements for the ends.
func (s *ends) requests(offset int64, ended func(pgx.Rows) error) (list []request) {
	for _, p := range s.plain {
		list = append(list, request{endPlain, p.args(offset), ended})
	}
	if len(s.others.jobs) > 0 {
		list = append(list, request{endAny, s.others.args(offset), ended})
	}
	return list
}

// isPlain reports whether an end is a success with nothing to say.
func isPlain(e *sqlstore.End) bool {
	o := e.Outcome
	return o.Kind == bellhop.OutcomeSucceeded && !o.Suspect && o.Reason == "" && len(o.Result) == 0 && o.Failure == nil && len(o.Log) == 0 && !e.Keyed &&
		o.Token.Number <= bellhop.KeptAttempts
}

// common is what plain ends have in common that go by one statement.
type common struct {
	claim, keep                        long
	attempt, failures, crashes, number int32
}

func commonOf(o *bellhop.Outcome) common {
	return common{long(o.Token.Number), keepOf(o), int32(o.Attempt), int32(o.Failures), int32(o.Crashes), int32(o.Number)}
}

// keepOf returns in microseconds how long the job is kept; null for ever.
func keepOf(o *bellhop.Outcome) long {
	if o.Keep < 0 {
		return null
	}
	return long(o.Keep / time.Microsecond)
}

// plainEnds are plain ends as arrays.
type plainEnds struct {
	common
	jobs, started, ended longs
	alike                []int16
	exchanges            [][16]byte
}

func (p *plainEnds) add(e *sqlstore.End) {
	o := e.Outcome
	exchange := uuid(o.Token.Exchange)
	at := slices.Index(p.exchanges, exchange)
	if at < 0 {
		at = len(p.exchanges)
		p.exchanges = append(p.exchanges, exchange)
	}
	p.jobs, p.started, p.ended = append(p.jobs, long(e.Job)), append(p.started, moment(o.Started)), append(p.ended, moment(o.Ended))
	p.alike = append(p.alike, int16(at+1))
}

func (p *plainEnds) args(offset int64) []any {
	return []any{
		offset, p.jobs, p.started, p.ended, p.alike, &p.claim, p.exchanges,
		&p.keep, &p.claim, p.attempt, p.failures, p.crashes, p.number,
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
