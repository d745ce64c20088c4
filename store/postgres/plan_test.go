package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop/store/internal/sqlstore"
	"github.com/gobellhop/bellhop/store/postgres"
)

// small are the tables that a statement may scan: they have few rows at any time.
var small = []string{"bellhop_running", "bellhop_queues", "bellhop_processes", "bellhop_schema", "bellhop_counters", "bellhop_exchanges"}

// planOf returns the plan of a statement, the generic one that the store's sessions use.
func planOf(t *testing.T, conn *pgx.Conn, sql string, parameters int) string {
	t.Helper()
	_, err := conn.Exec(t.Context(), "deallocate all")
	must(t, err)
	_, err = conn.Exec(t.Context(), "prepare looked as "+sql)
	must(t, err)
	execute := "explain (costs off) execute looked"
	if parameters > 0 {
		execute += "(" + strings.TrimSuffix(strings.Repeat("null, ", parameters), ", ") + ")"
	}
	rows, err := conn.Query(t.Context(), execute, pgx.QueryExecModeSimpleProtocol)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return strings.Join(lines, "\n")
}

// session is a connection with the parameters that the store's have.
func session(t *testing.T, s *postgres.Store, conn *pgx.Conn) {
	t.Helper()
	for _, p := range postgres.Parameters {
		_, err := conn.Exec(t.Context(), "select set_config($1, $2, false)", p[0], p[1])
		must(t, err)
	}
}

// No statement looks at all rows of a table that grows, and those on the path of
// every job go by the index that has their order; with a hundred thousand jobs in
// the tables and with none, whatever the planner was told of them.
func TestPlans(t *testing.T) {
	for _, jobs := range []int{0, 100_000} {
		t.Run(fmt.Sprintf("%d jobs", jobs), func(t *testing.T) {
			if testing.Short() && jobs > 0 {
				jobs = 10_000
			}
			s, conn, name := migrated(t)
			session(t, s, conn)
			if jobs > 0 {
				populate(t, conn, name, jobs)
				_, err := conn.Exec(context.Background(), "analyze")
				must(t, err)
			}
			hot := map[*sqlstore.Stmt]bool{}
			for _, st := range postgres.Hot {
				hot[st] = true
			}
			for _, st := range append(sqlstore.Statements(), postgres.Hot...) {
				sql := s.SQL(st)
				if strings.Contains(st.Name, " rows") || st.Name == "add plain successes" { // never sent to PostgreSQL
					continue
				}
				n := 0
				for strings.Contains(sql, fmt.Sprintf("$%d", n+1)) {
					n++
				}
				for _, line := range strings.Split(planOf(t, conn, sql, n), "\n") {
					switch line := strings.TrimLeft(line, " ->"); {
					case strings.HasPrefix(line, "Seq Scan on ") && !mayScan(line):
						t.Errorf("%s: %s", st.Name, line)
					case hot[st] && (strings.HasPrefix(line, "Hash ") || strings.HasPrefix(line, "Merge ") || strings.HasPrefix(line, "Sort")):
						t.Errorf("%s is on the path of every job: %s", st.Name, line)
					}
				}
			}
			claim := planOf(t, conn, s.SQL(postgres.Hot[5]), 15)
			for _, want := range []string{
				"Index Scan using bellhop_ready_pkey on bellhop_ready r",
				"Index Cond: ((queue = u.queue) AND (priority = l.priority) AND (ROW(due, job) > ROW(l.due, l.job)))",
				"Tid Scan on bellhop_ready", "Index Scan using bellhop_jobs_pkey on bellhop_jobs j",
			} {
				if !strings.Contains(claim, want) {
					t.Errorf("the plan of a claim is\n%s\nwant in it\n%s", claim, want)
				}
			}
		})
	}
}

// A row of ready is inserted and deleted and never changed: a claim deletes the row
// that it has locked by its place, and takes what it has read there for what is deleted.
func TestReadyNeverChanges(t *testing.T) {
	seen := false
	for _, st := range append(sqlstore.Statements(), postgres.Hot...) {
		seen = seen || strings.Contains(st.Text, "delete from bellhop_ready")
		if strings.Contains(st.Text, "update bellhop_ready") {
			t.Errorf("%s: %s", st.Name, st.Text)
		}
	}
	if !seen {
		t.Error("no statement deletes from ready")
	}
}

func mayScan(line string) bool {
	for _, name := range small {
		if strings.Contains(line, name) {
			return true
		}
	}
	return false
}
