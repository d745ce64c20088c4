package mysql_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/mysql"
)

// hang is when something that is waited for is taken never to come. It measures nothing: a machine that is slow for a minute is no
// fault of the store.
const hang = 2 * time.Minute

func TestMain(m *testing.M) {
	if part := os.Getenv(childEnv); part != "" {
		play(part)
	}
	testservers.Main(m)
}

// opened are the addresses of the test stores.
var opened sync.Map

// newStore opens a store in an empty database.
func newStore(t testing.TB) *mysql.Store {
	t.Helper()
	return openAt(t, spare.take(t))
}

func openAt(t testing.TB, address string) *mysql.Store {
	t.Helper()
	s, err := mysql.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	opened.Store(s, address)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reopen opens the database of a store that is left as it is.
func reopen(t testing.TB, s bellhop.Store) *mysql.Store {
	address, _ := opened.Load(s)
	again := openAt(t, address.(string))
	mysql.Advance(again, mysql.Ahead(s.(*mysql.Store)))
	return again
}

// newDatabase makes an empty database for a test that changes the schema, and returns its address.
func newDatabase(t testing.TB) string { return testservers.MariaDB(t).Database(t) }

// spare are migrated and empty databases: making the tables takes longer than most tests.
var spare databases

type databases struct {
	mu   sync.Mutex
	free []string // addresses
}

// take returns the address of an empty database with the schema in it.
func (d *databases) take(t testing.TB) (address string) {
	t.Helper()
	server := testservers.MariaDB(t)
	d.mu.Lock()
	if n := len(d.free); n > 0 {
		address, d.free = d.free[n-1], d.free[:n-1]
	}
	d.mu.Unlock()
	if address == "" {
		u, err := url.Parse(server.Address)
		must(t, err)
		u.Path = "/spare_" + strings.ToLower(rand.Text())
		address = u.String()
		admin := raw(t, server.Address)
		run(t, admin, "create database "+u.Path[1:])
		s, err := mysql.Open(t.Context(), address+"?migrate=auto")
		must(t, err)
		must(t, s.Close())
		run(t, admin, "grant select, insert, update, delete on "+u.Path[1:]+".* to 'runner'@'%' identified by 'runner'")
	}
	t.Cleanup(func() { d.give(t, address) })
	return asRunner(t, address)
}

// asRunner returns the address with the user that has the rights of the run role
// alone, as the documentation names them. All tests of the suite use it.
func asRunner(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	u.User = url.UserPassword("runner", "runner")
	return u.String()
}

// give empties a database and keeps it for the next test, once nobody uses it any more.
func (d *databases) give(t testing.TB, address string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	db := raw(t, address)
	defer db.Close()
	for left := 1; left > 0; {
		err := db.QueryRowContext(ctx, `select count(*) from information_schema.processlist where db = database() and id <> connection_id()`).Scan(&left)
		if err != nil {
			return // the server may be down, or the context has ended: the database is left behind
		}
	}
	var empty strings.Builder
	for _, table := range mysql.Tables {
		if table != "key_locks" && table != "counters" {
			empty.WriteString("delete from bellhop_" + table + "; ")
		}
	}
	if _, err := db.ExecContext(ctx, "start transaction; "+empty.String()+"commit"); err == nil {
		d.mu.Lock()
		d.free = append(d.free, address)
		d.mu.Unlock()
	}
}

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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
