package sqlite_test

import (
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/store/storetest"
)

var update = flag.Bool("update", false, "write schema.sql anew")

// schemaOf returns the statements that make a file's tables and indexes.
func schemaOf(t *testing.T, path string) string {
	t.Helper()
	rows, err := raw(t, path, "").QueryContext(t.Context(), `select sql from sqlite_master where sql is not null order by tbl_name, type desc, name`)
	must(t, err)
	defer rows.Close()
	var b strings.Builder
	b.WriteString("-- The newest schema, for review. Made by: go test ./store/sqlite -run TestSchemaDump -update\n\n")
	for rows.Next() {
		var text string
		must(t, rows.Scan(&text))
		b.WriteString(text + ";\n\n")
	}
	must(t, rows.Err())
	return b.String()
}

// schema.sql shows what the migrations come to.
func TestSchemaDump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	openAt(t, path)
	got := schemaOf(t, path)
	if *update {
		must(t, os.WriteFile("schema.sql", []byte(got), 0o600))
	}
	want, err := os.ReadFile("schema.sql")
	must(t, err)
	if got != string(want) {
		t.Errorf("schema.sql is not what the migrations make; run the test with -update and look at the difference:\n%s", got)
	}
}

// populate leaves a job in each of the eight states, with history, and one of everything else.
func populate(t *testing.T, s *sqlite.Store, db *sql.DB) {
	t.Helper()
	ctx, p := t.Context(), testProcess()
	_, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	jobs := testJobs(8)
	jobs[6].Queue, jobs[7].Queue = "other", "other"
	jobs[7].Delay = time.Hour
	jobs[5].UniqueKey = "key"
	_, err = s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs, Puts: []bellhop.RecordWrite{{Space: "s", Key: "k", Expect: bellhop.ExpectAny, TTL: time.Hour}}})
	must(t, err)
	reply, err := s.Exchange(ctx, request(p, 6))
	must(t, err)
	r := request(p, 0)
	for i, kind := range []bellhop.OutcomeKind{
		bellhop.OutcomeSucceeded, bellhop.OutcomeDiscarded, bellhop.OutcomeCancelled, bellhop.OutcomeDead, bellhop.OutcomeRetry,
	} {
		r.Outcomes = append(r.Outcomes, bellhop.Outcome{Token: reply.Claims[i].Token, Kind: kind, Keep: time.Hour, Attempt: 1, Number: 1})
	}
	_, err = s.Exchange(ctx, r)
	must(t, err)
	must(t, s.Pause(ctx, "third", true))
	run(t, db, `insert into bellhop_blocked (job, queue, due, waits) select job, queue, due, 1 from bellhop_scheduled limit 1`)
	run(t, db, `delete from bellhop_scheduled where job in (select job from bellhop_blocked)`)
	for state := bellhop.StateScheduled; state <= bellhop.StateDead; state++ {
		if n, err := storetest.CountAll(ctx, s, bellhop.Filter{States: bellhop.States(state)}, 100); n != 1 || err != nil {
			t.Fatalf("%d jobs are %v, %v; want 1", n, state, err)
		}
	}
}

// Every step goes up, down and up again, with rows of all kinds, and the schema is the same after it.
func TestMigrateUpDownUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	before := schemaOf(t, path)
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	for version := newest - 1; version >= 0; version-- {
		populate(t, s, raw(t, path, ""))
		var steps []bellhop.MigrationStep
		must(t, s.MigrateTo(t.Context(), version, func(step bellhop.MigrationStep) { steps = append(steps, step) }))
		have, _, err := s.Schema(t.Context())
		if err != nil || have != version || len(steps) != newest-version || !steps[0].Down {
			t.Fatalf("down to %d: version %d, steps %v, %v", version, have, steps, err)
		}
		if version == 0 {
			if left := schemaOf(t, path); strings.Count(left, "CREATE ") != 1 {
				t.Errorf("of the schema this is left:\n%s", left)
			}
		}
		must(t, s.MigrateTo(t.Context(), newest, nil))
		if after := schemaOf(t, path); after != before {
			t.Errorf("down to %d and up again: the schema is another:\n%s", version, after)
		}
	}
	if err := s.MigrateTo(t.Context(), newest+1, nil); err == nil {
		t.Error("there is a version above the newest")
	}
}

// The printed statements make the same schema as the migrations do.
func TestMigrationSQL(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, filepath.Join(dir, "jobs.db"))
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	up, err := s.MigrationSQL(0, newest)
	must(t, err)
	by := filepath.Join(dir, "hand.db")
	db := raw(t, by, "")
	run(t, db, up)
	if schemaOf(t, by) != schemaOf(t, filepath.Join(dir, "jobs.db")) {
		t.Errorf("the printed statements make another schema:\n%s", schemaOf(t, by))
	}
	must(t, openAt(t, by).Close()) // it is taken for migrated
	down, err := s.MigrationSQL(newest, 0)
	must(t, err)
	run(t, db, down)
	if left := schemaOf(t, by); strings.Count(left, "CREATE ") != 1 {
		t.Errorf("of the schema this is left:\n%s", left)
	}
	if _, err := s.MigrationSQL(0, newest+1); err == nil {
		t.Error("there are statements for a version above the newest")
	}
}

// A step that was made by another program is not built upon.
func TestMigrationChecksum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	must(t, openAt(t, path).Close())
	run(t, raw(t, path, ""), `update bellhop_schema set checksum = 'other'`)
	_, err := sqlite.Open(t.Context(), "sqlite:"+path)
	if err == nil || !strings.Contains(err.Error(), "was made by another program") {
		t.Fatal(err)
	}
}

// A migration that was interrupted goes on: each step is there as a whole or not at all.
func TestMigrationInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	db := raw(t, path, "_pragma=journal_mode(wal)")
	run(t, db, `create table bellhop_counters (x)`) // in the way of the first step
	if _, err := sqlite.Open(t.Context(), "sqlite:"+path); err == nil {
		t.Fatal("the step did not fail")
	}
	run(t, db, `drop table bellhop_counters`)
	openAt(t, path)
}
