// Package bigstore fills a store with very many jobs, so that what people look at can be measured on it. SQL databases are filled by
// set-based statements, some ten thousand jobs a second on a small machine; any other store through its own verbs. The jobs tell
// stories that could be true: most have succeeded, a few were given up, some are dead with one of twenty groups of errors, the newest
// wait in a thousand queues. No job ever runs: a worker beside them has queues of its own.
//
// The command big in this package fills a store by its address, and measures what looking at it takes.
package bigstore

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Size is how many jobs there are to be.
type Size struct {
	// Finished, Dead, Ready and Scheduled are how many jobs are in these places.
	Finished, Dead, Ready, Scheduled int
	// Queues and Kinds are over how many names they are spread.
	Queues, Kinds int
}

// Full is the size that a large installation has.
var Full = Size{Finished: 10_000_000, Dead: 200_000, Ready: 1_000_000, Scheduled: 50_000, Queues: 1000, Kinds: 50}

// Part returns the size divided by n, in as many queues.
func (s Size) Part(n int) Size {
	s.Finished, s.Dead, s.Ready, s.Scheduled = s.Finished/n, s.Dead/n, s.Ready/n, s.Scheduled/n
	return s
}

// Total is how many jobs there are in all.
func (s Size) Total() int { return s.Finished + s.Dead + s.Ready + s.Scheduled }

// Names of what the jobs have, for filters.
const (
	Queue = "queue-7" // a queue that has its part of all places
	Kind  = "kind-3"  // a kind that has
	Tag   = "rare"    // a tag of one job in ten thousand
	Error = "reason k"
)

// Dialect is how a database says what differs.
type Dialect struct {
	series, id, bytes, nth string
	// before runs in each session, and after at the end.
	before, after []string
}

// Dialects are those of the SQL stores, by the scheme of their addresses.
var Dialects = map[string]Dialect{
	"postgres": {
		series: "select i from generate_series(%d::bigint, %d::bigint) i", id: "lpad(to_hex(i), 32, '0')::uuid", bytes: "convert_to(%s, 'UTF8')", nth: "(i % 20 + 1)::integer",
		before: []string{"set synchronous_commit = off"},
		after:  []string{"select setval('bellhop_job_numbers', (select max(job) from bellhop_jobs))", "vacuum analyze"},
	},
	"mysql": {
		series: "select cast(seq as signed) as i from seq_%d_to_%d", id: "unhex(lpad(hex(i), 32, '0'))", bytes: "%s", nth: "i % 20 + 1",
		before: []string{"set sql_mode = 'PIPES_AS_CONCAT'", "set unique_checks = 0"},
		after: []string{
			"analyze table bellhop_jobs", "analyze table bellhop_finished", "analyze table bellhop_ready", "analyze table bellhop_scheduled",
			"analyze table bellhop_dead", "analyze table bellhop_attempts",
		},
	},
	"sqlite": {
		series: "with recursive s (i) as (select %d union all select i + 1 from s where i < %d) select i from s", id: "unhex(printf('%032x', i))",
		bytes: "cast(%s as blob)", nth: "i % 20 + 1", before: []string{"pragma synchronous = off", "pragma cache_size = -200000"},
	},
}

// Session returns what a session is to run before.
func (d Dialect) Session() []string { return d.before }

// bite is how many jobs one transaction inserts.
const bite = 50_000

// Fill inserts the jobs behind the number have, 0 for an empty schema: a fill that was ended goes on. exec runs statements in one transaction; those at the end, which may be no transaction,
// come alone. told is called with the number of jobs that are there.
func (d Dialect) Fill(ctx context.Context, size Size, have int, exec func(ctx context.Context, statements ...string) error, told func(jobs int)) error {
	age := 14 * 24 * time.Hour
	step := age.Microseconds() / int64(size.Total())
	begin := time.Now().Truncate(24 * time.Hour).Add(-age).UnixMicro()
	for from := have + 1; from <= size.Total(); from += bite {
		to := min(from+bite-1, size.Total())
		if err := exec(ctx, d.inserts(size, from, to, begin, step)...); err != nil {
			return fmt.Errorf("bigstore: jobs %d to %d: %w", from, to, err)
		}
		told(to)
	}
	for _, statement := range d.after {
		if err := exec(ctx, statement); err != nil {
			return fmt.Errorf("bigstore: %s: %w", statement, err)
		}
	}
	return nil
}

// inserts returns the statements for the jobs of some numbers. The newest jobs wait; among the older ones every so many is dead.
func (d Dialect) inserts(size Size, from, to int, begin, step int64) []string {
	ended := size.Finished + size.Dead
	every := ended / max(size.Dead, 1)
	series := fmt.Sprintf(d.series, from, to)
	values := strings.NewReplacer(
		"{series}", "("+series+") s", "{id}", d.id, "{at}", fmt.Sprintf("(%d + i * %d)", begin, step),
		"{queue}", fmt.Sprintf("'queue-' || (i * 7919 %% %d)", size.Queues), "{kind}", fmt.Sprintf("'kind-' || (i * 31 %% %d)", size.Kinds),
		"{args}", fmt.Sprintf(d.bytes, `('{"user":{"id":' || i || ',"mail":"user' || i || '@example.com"},"amount":' || (i % 1000) || '.50,"note":"an order like many others, of no interest"}')`),
		"{tags}", `case when i % 10000 = 17 then '["rare"]' when i % 7 = 0 then '["common"]' end`,
		"{finished}", fmt.Sprintf("i <= %d and i %% %d <> 0", ended, every), "{dead}", fmt.Sprintf("i <= %d and i %% %d = 0", ended, every),
		"{ready}", fmt.Sprintf("i > %d and i <= %d", ended, ended+size.Ready), "{scheduled}", fmt.Sprintf("i > %d", ended+size.Ready),
		"{kept}", fmt.Sprint((400 * 24 * time.Hour).Microseconds()),
		"{failure}", strings.Replace(`'{"class":"net.OpError","message":"dial 10.0.0.' || (i % 250) || ':25: reason ' || substr('abcdefghijklmnopqrst', {nth}, 1) || '"}'`, "{nth}", d.nth, 1),
	)
	var list []string
	for _, text := range []string{
		`insert into bellhop_jobs (job, id, kind, queue, priority, attempts, tags, enqueued_at, args)
			select i, {id}, {kind}, {queue}, i % 3 - 1, 25, {tags}, {at}, {args} from {series}`,
		`insert into bellhop_finished (job, state, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect,
			number, process, exchange, claimed_at, started, ended)
			select i, case when i % 100 < 97 then 5 when i % 100 < 99 then 6 else 7 end, {at} + 2000000 + i % 1000, {at} + {kept}, {at}, 0, 1, 1, 0, 0, 0,
			1, {id}, {id}, {at} + 1000000, {at} + 1000000, {at} + 2000000 from {series} where {finished}`,
		`insert into bellhop_dead (job, queue, finished_at, due, generation, claim, attempt, failures, crashes, suspect)
			select i, {queue}, {at} + 3000000, {at}, 0, 1, 1, 25, 0, 0 from {series} where {dead}`,
		`insert into bellhop_attempts (job, claim, generation, number, process, exchange, outcome, due, claimed_at, started, ended, failure)
			select i, 1, 0, 1, {id}, {id}, 5, {at}, {at}, {at}, {at} + 3000000, {failure} from {series} where {dead}`,
		`insert into bellhop_ready (queue, priority, due, job, kind) select {queue}, i % 3 - 1, {at}, i, {kind} from {series} where {ready}`,
		`insert into bellhop_scheduled (job, queue, due) select i, {queue}, {at} + {kept} from {series} where {scheduled}`,
	} {
		list = append(list, values.Replace(text))
	}
	return list
}
