package mysql_test

import (
	"database/sql"
	"flag"
	"os"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/mysql"
)

var update = flag.Bool("update", false, "write schema.sql anew")

// raw opens a pool of the test's own on the database of an address.
func raw(t testing.TB, address string, set ...func(*driver.Config)) *sql.DB {
	t.Helper()
	c, err := mysql.ConfigOf(address)
	must(t, err)
	c.MultiStatements, c.InterpolateParams = true, true
	for _, f := range set {
		f(c)
	}
	connector, err := driver.NewConnector(c)
	must(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func run(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
}

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
	address := testservers.MariaDB(t).Database(t)
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
