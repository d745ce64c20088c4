package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/postgres"
	"github.com/gobellhop/bellhop/store/storetest"
)

var update = flag.Bool("update", false, "write schema.sql anew")

// described lists what a schema has, one thing a line.
const described = `
	with t as (select c.oid, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'r')
	select line from (
		select relname as t, 0 as part, a.attnum::text as what, format('table %s column %s %s%s%s%s', relname, attname, format_type(atttypid, atttypmod),
			case when attcollation <> 0 and attcollation <> 100 then ' collate ' || (select collname from pg_collation where oid = attcollation) else '' end,
			case when attnotnull then ' not null' else '' end, coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')) as line
		from t join pg_attribute a on a.attrelid = t.oid and attnum > 0 and not attisdropped left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
		union all
		select relname, 1, conname, format('table %s constraint %s %s', relname, conname, pg_get_constraintdef(k.oid)) from t join pg_constraint k on k.conrelid = t.oid
		union all
		select tablename, 2, indexname, replace(indexdef, quote_ident(schemaname) || '.', '') from pg_indexes where schemaname = $1
		union all
		select relname, 3, '', format('table %s with (%s)', relname, array_to_string(reloptions, ', ')) from t join pg_class using (oid, relname) where reloptions is not null
		union all
		select sequencename, 4, '', format('sequence %s', sequencename) from pg_sequences where schemaname = $1) l
	order by t, part, length(what), what`

func schemaOf(t testing.TB, conn *pgx.Conn, name string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), described, name)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return strings.Join(lines, "\n") + "\n"
}

// migrated opens a schema of its own for a test, and a connection of the administrator's.
func migrated(t testing.TB) (s *postgres.Store, conn *pgx.Conn, name string) {
	t.Helper()
	address := testservers.Postgres(t).Address
	name = "Migrations " + bellhop.NewID().String()[24:]
	s = open(t, testservers.With(address, "schema", name, "migrate", "auto"))
	conn = connect(t.Context(), t, address)
	t.Cleanup(func() {
		_ = conn.Close(context.Background())
		drop(t, address, name)
	})
	return s, conn, name
}

// schema.sql shows what the migrations come to.
func TestSchemaDump(t *testing.T) {
	_, conn, name := migrated(t)
	got := "-- The newest schema, for review. Made by: go test ./store/postgres -run TestSchemaDump -update\n\n" + schemaOf(t, conn, name)
	if *update {
		must(t, os.WriteFile("schema.sql", []byte(got), 0o600))
	}
	want, err := os.ReadFile("schema.sql")
	must(t, err)
	if got != string(want) {
		t.Errorf("schema.sql is not what the migrations make; run the test with -update and look at the difference:\n%s", got)
	}
}

// populate leaves jobs in each of the eight states, and one of everything else.
func populate(t testing.TB, conn *pgx.Conn, schema string, jobs int) {
	t.Helper()
	in := pgx.Identifier{schema}.Sanitize()
	const counters = `1000 + job, 1, 0, 1, 0, 0, 0`
	columns := `due, claim, generation, attempt, failures, crashes, suspect`
	sql := []string{
		`insert into S.bellhop_jobs (job, id, kind, queue, priority, attempts, unique_key, tags, meta, enqueued_at, args)
			select nextval('S.bellhop_job_numbers'), gen_random_uuid(), 'k', 'q', 0, 25, 'key ' || n, '["a"]', '{"b":"c"}', 1, '{}' from generate_series(1, ` + fmt.Sprint(jobs) + `) n`,
		`insert into S.bellhop_ready (job, queue, priority, kind, cancel, ` + columns + `) select job, queue, priority, kind, 0, ` + counters + ` from S.bellhop_jobs where job % 8 = 0`,
		`insert into S.bellhop_scheduled (job, queue, cancel, ` + columns + `) select job, queue, 0, ` + counters + ` from S.bellhop_jobs where job % 8 = 1`,
		`insert into S.bellhop_blocked (job, queue, cancel, ` + columns + `) select job, queue, 0, ` + counters + ` from S.bellhop_jobs where job % 8 = 2`,
		`insert into S.bellhop_running (job, queue, exchange, process, claimed_at, cancel, ` + columns + `)
			select job, queue, gen_random_uuid(), gen_random_uuid(), 1, 0, ` + counters + ` from S.bellhop_jobs where job % 8 = 3`,
		`insert into S.bellhop_exchanges (id, process, made_at, jobs) select exchange, process, 1, array[job] from S.bellhop_running`,
		`insert into S.bellhop_finished (job, state, finished_at, expires_at, ` + columns + `) select job, 1 + job % 8, 1, 2, ` + counters + ` from S.bellhop_jobs where job % 8 between 4 and 6`,
		`insert into S.bellhop_dead (job, queue, finished_at, ` + columns + `) select job, queue, 1, ` + counters + ` from S.bellhop_jobs where job % 8 = 7`,
		`insert into S.bellhop_attempts (job, claim, due, claimed_at, generation, number, outcome, process, exchange, failure)
			select job, 1, 1, 1, 0, 1, 1, gen_random_uuid(), gen_random_uuid(), '{"message":"m"}' from S.bellhop_jobs`,
		`insert into S.bellhop_unique_keys (unique_key, job) select unique_key, job from S.bellhop_jobs where job % 8 < 4`,
		`insert into S.bellhop_records (space, name, value, version) select 's', n::text, 'v', n from generate_series(1, 100) n`,
		`insert into S.bellhop_queues (name, paused) values ('third', 1)`,
	}
	for _, statement := range sql {
		_, err := conn.Exec(t.Context(), strings.ReplaceAll(strings.ReplaceAll(statement, `'S.`, `'`+strings.ReplaceAll(in, "'", "''")+`.`), "S.", in+"."))
		must(t, err)
	}
}

// Every step goes up, down and up again over a hundred thousand jobs in all
// states, and the schema is the same after it.
func TestMigrateUpDownUp(t *testing.T) {
	jobs := 100_000
	if testing.Short() {
		jobs = 5000
	}
	s, conn, name := migrated(t)
	before := schemaOf(t, conn, name)
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	populate(t, conn, name, jobs)
	for version := newest - 1; version >= 0; version-- {
		for state := bellhop.StateScheduled; state <= bellhop.StateDead; state++ {
			if n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{States: bellhop.States(state)}, jobs); n != jobs/8 || err != nil {
				t.Fatalf("%d jobs are %v, %v; want %d", n, state, err, jobs/8)
			}
		}
		var steps []bellhop.MigrationStep
		must(t, s.MigrateTo(t.Context(), version, func(step bellhop.MigrationStep) { steps = append(steps, step) }))
		have, _, err := s.Schema(t.Context())
		if err != nil || have != version || len(steps) != newest-version || !steps[0].Down {
			t.Fatalf("down to %d: version %d, steps %v, %v", version, have, steps, err)
		}
		if version == 0 {
			if left := schemaOf(t, conn, name); strings.Contains(strings.ReplaceAll(left, "bellhop_schema", ""), "bellhop_") {
				t.Errorf("of the schema this is left:\n%s", left)
			}
		}
		must(t, s.MigrateTo(t.Context(), newest, nil))
		if after := schemaOf(t, conn, name); after != before {
			t.Errorf("down to %d and up again: the schema is another:\n%s", version, after)
		}
	}
	if err := s.MigrateTo(t.Context(), newest+1, nil); err == nil {
		t.Error("there is a version above the newest")
	}
}

// The printed statements make the same schema as the migrations do.
func TestMigrationSQL(t *testing.T) {
	s, conn, name := migrated(t)
	want := schemaOf(t, conn, name)
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	for _, way := range [][2]int{{newest, 0}, {0, newest}} {
		sql, err := s.MigrationSQL(way[0], way[1])
		must(t, err)
		_, err = conn.Exec(t.Context(), sql)
		must(t, err)
	}
	if got := schemaOf(t, conn, name); got != want {
		t.Errorf("the printed statements make another schema:\n%s", got)
	}
	must(t, open(t, testservers.With(testservers.Postgres(t).Address, "schema", name)).Close()) // it is taken for migrated
	if _, err := s.MigrationSQL(0, newest+1); err == nil {
		t.Error("there are statements for a version above the newest")
	}
}

// A step that was made by another program is not built upon.
func TestMigrationChecksum(t *testing.T) {
	_, conn, name := migrated(t)
	_, err := conn.Exec(t.Context(), "update "+pgx.Identifier{name, "bellhop_schema"}.Sanitize()+" set checksum = 'other'")
	must(t, err)
	refused(t, testservers.With(testservers.Postgres(t).Address, "schema", name), "was made by another program")
}

// A newer schema is refused, whatever may be migrated, and an older one unless it may be; both versions are named.
func TestOtherSchemas(t *testing.T) {
	s, conn, name := migrated(t)
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	address := testservers.With(testservers.Postgres(t).Address, "schema", name)
	_, err = conn.Exec(t.Context(), "insert into "+pgx.Identifier{name, "bellhop_schema"}.Sanitize()+" values (77, 'later', 'x', 0)")
	must(t, err)
	for _, mode := range []string{"auto", "off"} {
		refused(t, testservers.With(address, "migrate", mode), bellhop.ErrSchemaNewer.Error(), "version 77", fmt.Sprint("knows ", newest))
	}
	_, err = conn.Exec(t.Context(), "delete from "+pgx.Identifier{name, "bellhop_schema"}.Sanitize()+" where version = 77")
	must(t, err)
	must(t, s.MigrateTo(t.Context(), newest-1, nil))
	refused(t, address, bellhop.ErrSchemaOlder.Error(), fmt.Sprint("version ", newest-1), "bellhop migrate up")
}

// A migration that was interrupted goes on: each step is there as a whole or not at all.
func TestMigrationInterrupted(t *testing.T) {
	s, conn, name := migrated(t)
	must(t, s.MigrateTo(t.Context(), 0, nil))
	inTheWay := pgx.Identifier{name, "bellhop_counters"}.Sanitize()
	_, err := conn.Exec(t.Context(), "create table "+inTheWay+" (x int)")
	must(t, err)
	address := testservers.With(testservers.Postgres(t).Address, "schema", name, "migrate", "auto")
	refused(t, address, "already exists")
	_, err = conn.Exec(t.Context(), "drop table "+inTheWay)
	must(t, err)
	must(t, open(t, address).Close())
}
