package mysql_test

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/store/internal/plantest"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
	"github.com/gobellhop/bellhop/store/mysql"
)

// small are the tables that a statement may scan: they have few rows at any time.
var small = []string{"bellhop_running", "bellhop_queues", "bellhop_processes", "bellhop_schema", "bellhop_counters", "bellhop_exchanges", "bellhop_key_locks"}

// single are the statements for databases with a single writer; they are not used here.
var single = regexp.MustCompile(`^(last job|add ready|ready to running|end ready|add attempt|add plain successes|running to succeeded|end succeeded|end running|still held)(,|$)`)

// plainInsert are statements that look at nothing, whatever EXPLAIN says of them.
var plainInsert = regexp.MustCompile(`(?s)^insert .*\)\s+values `)

// mayScan are the statements that look at many rows because they are asked to:
// pages of a listing, and counts up to a limit.
var mayScan = regexp.MustCompile(`^(count|queues in)`)

// planTables are the tables of a statement by their aliases.
var planTables = regexp.MustCompile(`(bellhop_\w+)(?: (?:as )?([a-z]))?\b`)

// planOf returns a statement with values in it, of which the optimizer makes a plan.
func planOf(st *sqlstore.Stmt) string {
	text := mysql.Statement(st)
	text = strings.ReplaceAll(text, "json_table(?", "json_table('[1000, 2000, 3000]'")
	text = regexp.MustCompile(`(limit|offset) \?`).ReplaceAllString(text, "$1 100")
	return strings.ReplaceAll(text, "?", "'1'")
}

type planRow struct{ table, access, key, extra string }

func explain(t *testing.T, db *sql.DB, text string) (plan []planRow) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "explain "+text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, kind, table, access, possible, key, length, ref, count, extra sql.NullString
		must(t, rows.Scan(&id, &kind, &table, &access, &possible, &key, &length, &ref, &count, &extra))
		plan = append(plan, planRow{table.String, access.String, key.String, extra.String})
	}
	must(t, rows.Err())
	return plan
}

// No statement looks at all rows of a table that grows, with 100,000 jobs in it:
// InnoDB would lock what it looks at. Those on the path of every job go by
// primary key, or along the index that has their order, and sort nothing; also
// where there are so few rows that the optimizer would rather look at all of them.
func TestPlans(t *testing.T) {
	t.Run("2 jobs", func(t *testing.T) {
		s := newShop(t)
		s.claimed(t, testJobs(2)...)
		plans(t, s.db, true)
	})
	t.Run("100,000 jobs", func(t *testing.T) {
		address := newDatabase(t)
		openAt(t, address+"?migrate=auto")
		db := raw(t, address)
		populate(t, db)
		plans(t, db, false)
	})
}

func plans(t *testing.T, db *sql.DB, few bool) {
	for _, table := range mysql.Tables {
		rows, err := db.QueryContext(t.Context(), "analyze table bellhop_"+table)
		must(t, err)
		must(t, rows.Close())
	}
	want := map[string]planRow{
		"claimable":              {"r", "range", "PRIMARY", ""},
		"claimable, known kinds": {"r", "range", "PRIMARY", ""},
		"first of known kinds":   {"r", "range", "PRIMARY", ""},
		"these to running":       {"r", "eq_ref", "bellhop_ready_job", ""},
		"end these ready":        {"p", "eq_ref", "bellhop_ready_job", ""},
		"hold running":           {"r", "eq_ref", "PRIMARY", ""},
		"hold unlocked running":  {"r", "eq_ref", "PRIMARY", ""},
		"unlocked unique keys":   {"k", "ref", "bellhop_unique_keys_job", ""},
		"end these running":      {"p", "eq_ref", "PRIMARY", ""},
		"scheduled to ready":     {"p", "eq_ref", "PRIMARY", ""},
		"end scheduled":          {"p", "eq_ref", "PRIMARY", ""},
		"due first":              {"bellhop_scheduled", "range", "bellhop_scheduled_due", ""},
		"expired finished":       {"bellhop_finished", "range", "bellhop_finished_expires", ""},
		"prune jobs of finished": {"p", "eq_ref", "PRIMARY", ""},
		"oldest ready":           {"bellhop_ready", "range", "PRIMARY", ""},
		"next due by queue":      {"bellhop_scheduled", "range", "bellhop_scheduled_queue", ""},
	}
	for _, st := range sqlstore.Statements() {
		if single.MatchString(st.Name) || plainInsert.MatchString(mysql.Statement(st)) {
			continue
		}
		text := planOf(st)
		tables := map[string]string{}
		for _, m := range planTables.FindAllStringSubmatch(text, -1) {
			tables[m[1]], tables[m[2]] = m[1], m[1]
		}
		plan := explain(t, db, text)
		for _, row := range plan {
			table := tables[row.table]
			if row.access == "ALL" && !few && table != "" && !slices.Contains(small, table) && !mayScan.MatchString(st.Name) {
				t.Errorf("%s looks at all of %s: %+v", st.Name, table, row)
			}
		}
		w, ok := want[st.Name]
		if !ok {
			continue
		}
		delete(want, st.Name)
		if !slices.ContainsFunc(plan, func(r planRow) bool {
			return r.table == w.table && r.access == w.access && r.key == w.key && !strings.Contains(r.extra, "filesort")
		}) {
			t.Errorf("%s: the plan is %+v, want in it %+v", st.Name, plan, w)
		}
	}
	for name := range want {
		t.Errorf("there is no statement %q", name)
	}
}

// Whatever conditions a search has, and on each of its pages, no step of its statements looks at more rows than a search may: MariaDB
// runs them, and tells how many rows it has looked at.
func TestPlansOfSearches(t *testing.T) {
	address := newDatabase(t)
	s, db := openAt(t, address+"?migrate=auto"), raw(t, address)
	plantest.Fill(t, "mysql", func(ctx context.Context, statements ...string) error {
		_, err := db.ExecContext(ctx, "set sql_mode = 'PIPES_AS_CONCAT'; start transaction; "+strings.Join(statements, "; ")+"; commit")
		return err
	})
	for _, sent := range plantest.Statements(t, s.Store) {
		text := mysql.Statement(sent.Stmt)
		rows, err := db.QueryContext(t.Context(), "analyze "+text, sent.Args...)
		if err != nil {
			t.Fatalf("%s: %s: %v", sent.Search, text, err)
		}
		for rows.Next() {
			var id, kind, table, access, possible, key, length, ref, count, filtered, fits, extra sql.NullString
			var looked sql.NullFloat64 // on the average of its runs
			must(t, rows.Scan(&id, &kind, &table, &access, &possible, &key, &length, &ref, &count, &looked, &filtered, &fits, &extra))
			if looked.Float64 > plantest.MostRows {
				t.Errorf("%s: looks at %.0f rows of %s (%s by %s; %s)\nis sent as %s",
					sent.Search, looked.Float64, table.String, access.String, key.String, extra.String, text)
			}
			if strings.Contains(extra.String, "filesort") && !strings.Contains(text, "p.job in (") {
				t.Errorf("%s: sorts rows of %s (%s by %s; %s)\nis sent as %s", sent.Search, table.String, access.String, key.String, extra.String, text)
			}
		}
		must(t, rows.Close())
	}
}
