package sqlite_test

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/store/internal/plantest"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// small are the tables that a statement may scan: they have few rows at any time.
var small = []string{"bellhop_running", "bellhop_queues", "bellhop_processes", "bellhop_schema", "bellhop_counters", "bellhop_exchanges"}

// aliases of small tables, and of what is no table.
var aliases = map[string]string{
	"e": "bellhop_exchanges", "p": "bellhop_running", "c": "", "v": "", "json_each": "",
	// the queues of a place and their lanes, which are found one by one, and the first of them; as many rows as a count goes
	"q": "", "l": "", "f": "", "b": "",
	"w": "", // the newest rows, as many as a search looks at
}

// No statement looks at all rows of a table that grows, and none sorts them.
func TestPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	openAt(t, path)
	db := raw(t, path, "")
	for _, st := range sqlstore.Statements() {
		text := sqlite.Dialect.SQL(st)
		rows, err := db.QueryContext(t.Context(), "explain query plan "+text, make([]any, strings.Count(text, "?"))...)
		if err != nil {
			t.Errorf("%s: %v", st.Name, err)
			continue
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			words := strings.Fields(detail)
			switch {
			case strings.Contains(detail, "-ROW VALUES CLAUSE"), strings.Contains(detail, "CONSTANT ROW"):
			case words[0] == "SCAN" && !mayScan(words[1], text) && !strings.Contains(detail, "USING COVERING INDEX"):
				t.Errorf("%s: %s", st.Name, detail)
			case strings.Contains(detail, "AUTOMATIC"):
				t.Errorf("%s: %s", st.Name, detail)
			case strings.Contains(detail, "TEMP B-TREE") && hot[st.Name]:
				t.Errorf("%s is on the path of every job: %s", st.Name, detail)
			}
		}
		must(t, rows.Close())
	}
}

func mayScan(table, text string) bool {
	for _, name := range small {
		if table == name || aliases[table] == name && strings.Contains(text, name+" "+table) {
			return true
		}
	}
	name, known := aliases[table]
	return known && name == ""
}

// hot are the statements on the path of every job.
var hot = map[string]bool{
	"last job": true, "add job": true, "add ready": true, "look around": true, "next priority": true,
	"claimable": true, "ready to running": true, "end ready": true,
	"claimable, known kinds": true, "ready to running, known kinds": true, "end ready, known kinds": true,
	"add attempt": true, "add plain successes": true, "running to succeeded": true, "end succeeded": true,
	"running to finished": true, "end running": true, "due first": true, "scheduled to ready": true, "end scheduled": true,
}

// The statements of a claim and of promotion go by the index that has their order.
func TestPlansOfTheHotPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	openAt(t, path)
	db := raw(t, path, "")
	want := map[string]string{
		"claimable":              "SEARCH r USING PRIMARY KEY (queue=? AND priority=? AND (due,job)>(?,?))",
		"claimable, known kinds": "SEARCH r USING PRIMARY KEY (queue=? AND priority=? AND (due,job)>(?,?))",
		"ready to running":       "SEARCH r USING PRIMARY KEY (queue=? AND priority=? AND (due,job)>(?,?) AND (due,job)<(?,?))",
		"end ready":              "SEARCH r USING PRIMARY KEY (queue=? AND priority=? AND (due,job)>(?,?) AND (due,job)<(?,?))",
		"next priority":          "SEARCH bellhop_ready USING PRIMARY KEY (queue=? AND priority>?)",
		"due first":              "SEARCH bellhop_scheduled USING INDEX bellhop_scheduled_due (due>? AND due<?)",
		"scheduled to ready":     "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)",
		"next due":               "SEARCH bellhop_scheduled USING COVERING INDEX bellhop_scheduled_due (due>?)",
		"running to succeeded":   "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
		"end succeeded":          "SEARCH r USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
		"add attempt":            "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
		"expired finished":       "SEARCH bellhop_finished USING COVERING INDEX bellhop_finished_expires (expires_at<?)",
		"prune finished":         "SEARCH bellhop_finished USING INTEGER PRIMARY KEY (rowid=?)",
	}
	for _, st := range sqlstore.Statements() {
		line, ok := want[st.Name]
		if !ok {
			continue
		}
		delete(want, st.Name)
		text := sqlite.Dialect.SQL(st)
		rows, err := db.QueryContext(t.Context(), "explain query plan "+text, make([]any, strings.Count(text, "?"))...)
		must(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		must(t, rows.Close())
		if !strings.Contains(strings.Join(plan, "\n")+"\n", line+"\n") {
			t.Errorf("%s: the plan is\n%s\nwant in it\n%s", st.Name, strings.Join(plan, "\n"), line)
		}
	}
	for name := range want {
		t.Errorf("there is no statement %q", name)
	}
}

// few are statements that look at as many rows as they name, or as their limit says.
var few = regexp.MustCompile(`p\.job in \(\?|^select count\(\*\) from \(select 1 from bellhop_[a-z]+ limit`)

// Whatever conditions a search has, and on each of its pages, its statements go from number to number and sort nothing.
func TestPlansOfSearches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s, db := openAt(t, path), raw(t, path, "_pragma=synchronous(0)")
	plantest.Fill(t, "sqlite", func(ctx context.Context, statements ...string) error {
		_, err := db.ExecContext(ctx, "begin; "+strings.Join(statements, "; ")+"; commit")
		return err
	})
	for _, sent := range plantest.Statements(t, s.Store) {
		text := sqlite.Dialect.SQL(sent.Stmt)
		rows, err := db.QueryContext(t.Context(), "explain query plan "+text, sent.Args...)
		if err != nil {
			t.Fatalf("%s: %s: %v", sent.Search, text, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			scanned, scans := strings.CutPrefix(detail, "SCAN ")
			table, _, _ := strings.Cut(scanned, " ")
			if scans && !mayScan(table, text) && !few.MatchString(text) || strings.Contains(detail, "AUTOMATIC") ||
				strings.Contains(detail, "TEMP B-TREE") && !few.MatchString(text) {
				t.Errorf("%s: %s\nis sent as %s", sent.Search, detail, text)
			}
		}
		must(t, rows.Close())
	}
}
