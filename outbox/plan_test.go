package outbox_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/outbox"
)

// A look walks along an index, whether much waits or much is kept beside, and whether or not the database has statistics.
func TestPlan(t *testing.T) {
	for name, rows := range map[string]struct{ waiting, kept int }{"much is kept": {1, 20_000}, "much waits": {20_000, 1}} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				for place, n := range []int{rows.waiting, rows.kept} {
					_, err := r.db.ExecContext(r.ctx, fmt.Sprintf("insert into bellhop_outbox (id, format, job, args, written_at, place) "+
						"select '01a213c5-626d-7567-90af-6cce86a7b68a', 1, '{}', '1', 0, %d from (%s) n", place, many(r.dialect, n)))
					r.must(err)
				}
				for _, analyze := range []string{"", map[outbox.Dialect]string{
					outbox.PostgreSQL: "analyze bellhop_outbox", outbox.MySQL: "analyze table bellhop_outbox", outbox.SQLite: "analyze",
				}[r.dialect]} {
					if analyze != "" {
						rows, err := r.db.QueryContext(r.ctx, analyze)
						r.must(err)
						r.must(rows.Close())
					}
					explain := "explain "
					if r.dialect == outbox.SQLite {
						explain = "explain query plan "
					}
					plan := r.text(explain+r.box.LookSQL(1000), 5)
					index := strings.Contains(plan, "bellhop_outbox_place") || strings.Contains(plan, "bellhop_outbox_waiting") ||
						rows.kept == 1 && strings.Contains(plan, "PRIMARY KEY") // which has the order too
					if !index || strings.Contains(plan, "Sort") || strings.Contains(plan, "filesort") || strings.Contains(plan, "TEMP B-TREE") {
						t.Errorf("after %q the look goes\n%s", analyze, plan)
					}
				}
			})
		})
	}
}

// many returns a query with n rows.
func many(d outbox.Dialect, n int) string {
	if d == outbox.PostgreSQL {
		return fmt.Sprintf("select generate_series(1, %d)", n)
	}
	// MariaDB bounds recursion to 1,000 rows.
	return fmt.Sprintf("with recursive c (i) as (select 1 union all select i + 1 from c where i < 200) select a.i from c a cross join c b limit %d", n)
}

// text returns all that a query says.
func (r *rig) text(query string, args ...any) string {
	r.t.Helper()
	rows, err := r.db.QueryContext(r.ctx, query, args...)
	r.must(err)
	defer rows.Close()
	columns, err := rows.Columns()
	r.must(err)
	var b strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		r.must(rows.Scan(into...))
		for _, v := range values {
			b.WriteString(v.String + " ")
		}
		b.WriteString("\n")
	}
	r.must(rows.Err())
	return b.String()
}
