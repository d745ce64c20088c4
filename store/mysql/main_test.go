package mysql_test

import (
	"sync"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/mysql"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// opened are the addresses of the test stores.
var opened sync.Map

// newStore opens a store in a new database.
func newStore(t testing.TB) *mysql.Store {
	t.Helper()
	return openAt(t, testservers.MariaDB(t).Database(t)+"?migrate=auto")
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
