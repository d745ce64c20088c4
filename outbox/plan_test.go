package outbox_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/outbox"
)

// A look goes by the index, however many moved rows are kept beside and whether or not the database has statistics.
func TestPlan(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const kept = 900
		r.tx(func(tx *sql.Tx) bool {
			for _, statement := range []string{
				fmt.Sprintf("insert into bellhop_outbox (id, format, job, args, written_at, place) select '%s', 1, '{}', '1', 0, 1 from (%s) n",
					"01a213c5-626d-7567-90af-6cce86a7b68a", many(r.dialect, kept)),
				"insert into bellhop_outbox (id, format, job, args, written_at, place) values ('01a213c5-626d-7567-90af-6cce86a7b68b', 1, '{}', '1', 0, 0)",
			} {
				_, err := tx.ExecContext(r.ctx, statement)
				r.must(err)
			}
			return true
		})
		for _, analyze := range []string{"", map[outbox.Dialect]string{
			outbox.PostgreSQL: "analyze bellhop_outbox", outbox.MySQL: "analyze table bellhop_outbox", outbox.SQLite: "analyze",
		}[r.dialect]} {
			if analyze != "" {
				rows, err := r.db.QueryContext(r.ctx, analyze)
				r.must(err)
				r.must(rows.Close())
			}
			explain := map[outbox.Dialect]string{outbox.PostgreSQL: "explain ", outbox.MySQL: "explain ", outbox.SQLite: "explain query plan "}[r.dialect]
			if plan := r.text(explain+r.box.LookSQL(1000), 0); !strings.Contains(plan, "bellhop_outbox_place") || strings.Contains(plan, "Sort") || strings.Contains(plan, "filesort") {
				t.Errorf("after %q the look goes\n%s", analyze, plan)
			}
		}
	})
}

// many returns a query with n rows.
func many(d outbox.Dialect, n int) string {
	if d == outbox.PostgreSQL {
		return fmt.Sprintf("select generate_series(1, %d)", n)
	}
	return fmt.Sprintf("with recursive c (i) as (select 1 union all select i + 1 from c where i < %d) select i from c", n)
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
