package mysql_test

import (
	"database/sql"
	"flag"
	"os"
	"strings"
	"testing"
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
