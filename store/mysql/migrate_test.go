package mysql_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/mysql"
	"github.com/gobellhop/bellhop/store/storetest"
)

var update = flag.Bool("update", false, "write schema.sql anew")

// schemaOf returns the statements that make a database's tables.
func schemaOf(t testing.TB, db *sql.DB) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("-- The newest schema, for review. Made by: go test ./store/mysql -run TestSchemaDump -update\n\n")
	rows, err := db.QueryContext(t.Context(), `select table_name from information_schema.tables where table_schema = database() order by table_name`)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var name, text string
		must(t, rows.Scan(&name))
		must(t, db.QueryRowContext(t.Context(), "show create table "+name).Scan(&name, &text))
		text, _, _ = strings.Cut(text, "\n) ENGINE=InnoDB") // what follows is the server's own taste
		b.WriteString(text + "\n) ENGINE=InnoDB;\n\n")
	}
	must(t, rows.Err())
	return b.String()
}

// schema.sql shows what the migrations come to.
func TestSchemaDump(t *testing.T) {
	address := newDatabase(t)
	openAt(t, address+"?migrate=auto")
	got := schemaOf(t, raw(t, address))
	if *update {
		must(t, os.WriteFile("schema.sql", []byte(got), 0o600))
	}
	want, err := os.ReadFile("schema.sql")
	must(t, err)
	if got != string(want) {
		t.Errorf("schema.sql is not what the migrations make; run the test with -update and look at the difference:\n%s", got)
	}
}

// Every step goes up, down and up again with 100,000 rows over all states, and
// the schema is the same after it.
func TestMigrateUpDownUp(t *testing.T) {
	address := newDatabase(t)
	s, db := openAt(t, address+"?migrate=auto"), raw(t, address)
	before := schemaOf(t, db)
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	for version := newest - 1; version >= 0; version-- {
		populate(t, db)
		if n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{States: bellhop.AllStates}, 200_000); n != 100_000 || err != nil {
			t.Fatalf("%d jobs, %v", n, err)
		}
		var steps []bellhop.MigrationStep
		must(t, s.MigrateTo(t.Context(), version, func(step bellhop.MigrationStep) { steps = append(steps, step) }))
		have, _, err := s.Schema(t.Context())
		if err != nil || have != version || len(steps) != newest-version || !steps[0].Down {
			t.Fatalf("down to %d: version %d, steps %v, %v", version, have, steps, err)
		}
		if version == 0 {
			if left := schemaOf(t, db); strings.Count(left, "CREATE ") != 1 {
				t.Errorf("of the schema this is left:\n%s", left)
			}
		}
		must(t, s.MigrateTo(t.Context(), newest, nil))
		if after := schemaOf(t, db); after != before {
			t.Errorf("down to %d and up again: the schema is another:\n%s", version, after)
		}
	}
	if err := s.MigrateTo(t.Context(), newest+1, nil); err == nil {
		t.Error("there is a version above the newest")
	}
}

// populate adds 100,000 jobs, an eighth of them in each of the eight states, with history.
func populate(t *testing.T, db *sql.DB) {
	t.Helper()
	run(t, db, `insert into bellhop_jobs (job, id, kind, queue, priority, attempts, enqueued_at, args)
		select seq, unhex(lpad(hex(seq), 32, '0')), 'k', 'q', 0, 25, seq, '{}' from seq_1_to_100000`)
	from := func(state string) string { return ` from bellhop_jobs where job % 8 ` + state }
	run(t, db, `insert into bellhop_ready (queue, priority, due, job, kind) select queue, priority, job, job, kind`+from(`= 0`))
	run(t, db, `insert into bellhop_scheduled (job, queue, due) select job, queue, job`+from(`= 1`))
	run(t, db, `insert into bellhop_blocked (job, queue, due) select job, queue, job`+from(`= 2`))
	run(t, db, `insert into bellhop_running (job, queue, exchange, process, claimed_at, due, generation, claim, attempt, failures, crashes, suspect, cancel)
		select job, queue, id, id, 1, 1, 0, 1, 1, 0, 0, 0, 0`+from(`= 3`))
	run(t, db, `insert into bellhop_dead (job, queue, finished_at, due, generation, claim, attempt, failures, crashes, suspect)
		select job, queue, 1, 1, 0, 1, 1, 1, 0, 0`+from(`= 4`))
	run(t, db, `insert into bellhop_finished (job, state, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect)
		select job, job % 8, 1, 1, 1, 0, 1, 1, 0, 0, 0`+from(`> 4`))
	run(t, db, `insert into bellhop_attempts (job, claim, generation, number, process, exchange, outcome, due, claimed_at)
		select job, 1, 0, 1, id, id, 1, 1, 1`+from(`> 3`))
}

// Wherever a migration is interrupted, the next one goes on from there, up and down.
func TestMigrationInterrupted(t *testing.T) {
	address := newDatabase(t)
	s, db := openAt(t, address+"?migrate=auto"), raw(t, address)
	want := schemaOf(t, db)
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	for _, down := range []bool{true, false} {
		from, to := 0, newest
		if down {
			from, to = newest, 0
		}
		text, err := s.MigrationSQL(from, to)
		must(t, err)
		statements := strings.Split(text, ";\n")
		every := 3
		if testing.Short() {
			every = 9
		}
		for n := 1; n < len(statements)-2; n += every { // the last is an empty line, the one before marks the step
			must(t, s.MigrateTo(t.Context(), from, nil))
			for _, statement := range statements[:n] {
				run(t, db, statement)
			}
			must(t, s.MigrateTo(t.Context(), to, nil))
			if got := schemaOf(t, db); !down && got != want {
				t.Fatalf("interrupted after %d statements, the schema is another:\n%s", n, got)
			}
		}
	}
}

// The printed statements make the same schema as the migrations do.
func TestMigrationSQL(t *testing.T) {
	first, second := newDatabase(t), newDatabase(t)
	s := openAt(t, first+"?migrate=auto")
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	up, err := s.MigrationSQL(0, newest)
	must(t, err)
	db := raw(t, second)
	run(t, db, up)
	if schemaOf(t, db) != schemaOf(t, raw(t, first)) {
		t.Errorf("the printed statements make another schema:\n%s", schemaOf(t, db))
	}
	must(t, openAt(t, second).Close()) // it is taken for migrated
}

// A step that was made by another program is not built upon.
func TestMigrationChecksum(t *testing.T) {
	address := newDatabase(t)
	must(t, openAt(t, address+"?migrate=auto").Close())
	run(t, raw(t, address), `update bellhop_schema set checksum = 'other'`)
	_, err := mysql.Open(t.Context(), address)
	if err == nil || !strings.Contains(err.Error(), "was made by another program") {
		t.Fatal(err)
	}
}

// A newer schema is refused, whatever may be migrated, and an older one unless it may be; both versions are named.
func TestOtherSchemas(t *testing.T) {
	address := newDatabase(t)
	s := openAt(t, address+"?migrate=auto")
	_, newest, err := s.Schema(t.Context())
	must(t, err)
	refused := func(query string, want error, words ...string) {
		t.Helper()
		other, err := mysql.Open(t.Context(), address+query)
		if err == nil {
			_ = other.Close()
		}
		for _, word := range words {
			if !errors.Is(err, want) || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error is %v; want %v, and %q in it", query, err, want, word)
			}
		}
	}
	run(t, raw(t, address), `insert into bellhop_schema values (77, 'later', 'x', 0)`)
	for _, query := range []string{"?migrate=auto", "?migrate=off"} {
		refused(query, bellhop.ErrSchemaNewer, "version 77", fmt.Sprint("knows ", newest))
	}
	run(t, raw(t, address), `delete from bellhop_schema where version = 77`)
	must(t, s.MigrateTo(t.Context(), newest-1, nil))
	refused("", bellhop.ErrSchemaOlder, fmt.Sprint("version ", newest-1), "bellhop migrate up")
}
