package postgres_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/internal/plantest"
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
// every job go by the index that has their order, row by row; with a hundred thousand
// jobs in the tables and with none, whatever the planner was told of them. After a
// vacuum that may not remove what an old snapshot sees it is told of pages without rows.
func TestPlans(t *testing.T) {
	for _, c := range []struct {
		name string
		jobs int
		tell string // for each table of the schema, T
	}{
		{"0 jobs", 0, ""},
		{"100000 jobs", 100_000, "analyze T"},
		{"pages without rows", 0, "update pg_class set reltuples = 0, relpages = 100 where oid = 'T'::regclass"},
	} {
		t.Run(c.name, func(t *testing.T) {
			jobs := c.jobs
			if testing.Short() && jobs > 0 {
				jobs = 10_000
			}
			s, conn, name := migrated(t)
			session(t, s, conn)
			if jobs > 0 {
				populate(t, conn, name, jobs)
			}
			for table := range strings.FieldsSeq(tables + " schema counters") {
				_, err := conn.Exec(t.Context(), strings.ReplaceAll(c.tell, "T", pgx.Identifier{name, "bellhop_" + table}.Sanitize()))
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
				lines := strings.Split(planOf(t, conn, sql, n), "\n")
				for i, line := range lines {
					switch line := strings.TrimLeft(line, " ->"); {
					case hot[st] && strings.HasPrefix(line, "Index ") && strings.Contains(line, " using ") &&
						(i+1 == len(lines) || !strings.Contains(lines[i+1], "Index Cond: ")):
						t.Errorf("%s reads an index from end to end: %s", st.Name, line)
					case strings.HasPrefix(line, "Seq Scan on ") && !mayScan(line):
						t.Errorf("%s: %s", st.Name, line)
					case hot[st] && (strings.HasPrefix(line, "Hash ") || strings.HasPrefix(line, "Merge ") || strings.HasPrefix(line, "Sort")):
						t.Errorf("%s is on the path of every job: %s", st.Name, line)
					}
				}
			}
			claim := planOf(t, conn, s.SQL(postgres.Hot[5]), 18)
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

// However a server plans a claim, it returns no more than was asked for, in the order of the queue, and each job once.
func TestClaimsByAnyPlan(t *testing.T) {
	for _, settings := range []string{
		"enable_nestloop=off",
		"enable_indexscan=off enable_indexonlyscan=off enable_tidscan=off",
		"enable_nestloop=off enable_indexscan=off enable_tidscan=off enable_sort=off",
		"enable_hashjoin=on enable_mergejoin=on enable_material=on enable_memoize=on enable_seqscan=on enable_bitmapscan=on random_page_cost=100",
		"enable_hashjoin=on enable_nestloop=off enable_seqscan=on enable_indexscan=off plan_cache_mode=force_custom_plan join_collapse_limit=1",
	} {
		t.Run(settings, func(t *testing.T) {
			config, err := pgxpool.ParseConfig(as(t, testservers.Postgres(t).Address, runRole))
			must(t, err)
			for _, p := range postgres.Parameters {
				config.ConnConfig.RuntimeParams[p[0]] = p[1]
			}
			for setting := range strings.FieldsSeq(settings) {
				name, value, _ := strings.Cut(setting, "=")
				config.ConnConfig.RuntimeParams[name] = value
			}
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			must(t, err)
			t.Cleanup(pool.Close)
			s, _, err := postgres.OpenOn(t.Context(), schema(t), pool)
			must(t, err)
			t.Cleanup(func() { _ = s.Close() })
			claimInThrees(t, s)
		})
	}
}

// claimInThrees has eight processes claim all of a queue at once, three jobs at a time, and then one process another queue.
func claimInThrees(t *testing.T, s *postgres.Store) {
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(300)})
	must(t, err)
	var mu sync.Mutex
	var group sync.WaitGroup
	times := map[bellhop.ID]int{}
	claim := func(process bellhop.ID) (ids []bellhop.ID) {
		reply, err := s.Exchange(t.Context(), request(process, 3))
		if err != nil || len(reply.Claims) > 3 {
			t.Errorf("asked for 3, claimed %d: %v", len(reply.Claims), err)
			return nil
		}
		for _, c := range reply.Claims {
			ids = append(ids, c.Token.JobID)
		}
		return ids
	}
	for range 8 {
		process := testProcess(t, s)
		group.Go(func() {
			for ids := claim(process); len(ids) > 0; ids = claim(process) {
				mu.Lock()
				for _, id := range ids {
					times[id]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for id, n := range times {
		if n != 1 {
			t.Errorf("job %s was claimed %d times", id, n)
		}
	}
	last := testProcess(t, s)
	for len(claim(last)) > 0 { // what a claimer has passed over because another had it locked
	}
	jobs := testJobs(7)
	jobs[6].Priority = -1
	_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	got := slices.Concat(claim(last), claim(last), claim(last))
	want := []bellhop.ID{jobs[6].ID}
	for _, j := range jobs[:6] {
		want = append(want, j.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
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

// looked finds how many rows of a table a step of a plan has brought in each of its runs, or has passed over.
var looked = regexp.MustCompile(`(?: Scan .*actual rows=|Rows Removed by Filter: )(\d+)(?: loops=(\d+))?`)

// Whatever conditions a search has, and on each of its pages, no step of its statements looks at more rows than a search may: the
// server runs them by the plan that the store's sessions use, and tells how many rows it has looked at.
func TestPlansOfSearches(t *testing.T) {
	s, conn, name := migrated(t)
	_, err := conn.Exec(t.Context(), "select set_config('search_path', $1, false)", pgx.Identifier{name}.Sanitize())
	must(t, err)
	plantest.Fill(t, "postgres", func(ctx context.Context, statements ...string) error {
		_, err := conn.Exec(ctx, strings.Join(statements, "; "))
		return err
	})
	session(t, s, conn)
	for _, sent := range plantest.Statements(t, s.Store) {
		text := s.SQL(sent.Stmt)
		for _, line := range strings.Split(runPlan(t, conn, text, sent.Args), "\n") {
			for _, found := range looked.FindAllStringSubmatch(line, -1) {
				rows, err := strconv.Atoi(found[1])
				must(t, err)
				runs, _ := strconv.Atoi(found[2]) // none where rows were passed over
				if rows*max(runs, 1) > plantest.MostRows {
					t.Errorf("%s: %s\nis sent as %s", sent.Search, strings.TrimSpace(line), text)
				}
			}
			if step := strings.TrimLeft(line, " ->"); strings.HasPrefix(step, "Seq Scan on ") && !mayScan(step) {
				t.Errorf("%s: %s\nis sent as %s", sent.Search, step, text)
			}
		}
	}
}

// runPlan runs a statement by its generic plan and returns that, with the numbers of rows that were met.
func runPlan(t *testing.T, conn *pgx.Conn, sql string, args []any) string {
	t.Helper()
	_, err := conn.Exec(t.Context(), "deallocate all")
	must(t, err)
	_, err = conn.Exec(t.Context(), "prepare looked as "+sql)
	must(t, err)
	values, marks := []any{pgx.QueryExecModeSimpleProtocol}, make([]string, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case sqlstore.Texts:
			a = []string(v)
		case []byte: // an id
			a = fmt.Sprintf("%x", v)
		}
		values, marks[i] = append(values, a), fmt.Sprintf("$%d", i+1)
	}
	execute := "explain (analyze, buffers, costs off, timing off, summary off) execute looked"
	if len(args) > 0 {
		execute += "(" + strings.Join(marks, ", ") + ")"
	}
	rows, err := conn.Query(t.Context(), execute, values...)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return strings.Join(lines, "\n")
}
