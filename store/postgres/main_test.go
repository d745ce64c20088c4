package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/postgres"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// schemas are those that no test uses at the moment. Making one takes a hundred
// times as long as emptying it.
var schemas struct {
	mu   sync.Mutex
	free []string
	made int
}

// tables are all but the schema's own.
const tables = "ready scheduled blocked running finished dead attempts unique_keys exchanges queues processes records jobs"

// schema returns the address of an empty schema in the shared server.
func schema(t testing.TB) string {
	t.Helper()
	server := testservers.Postgres(t)
	schemas.mu.Lock()
	defer schemas.mu.Unlock()
	var name string
	if n := len(schemas.free); n > 0 {
		name, schemas.free = schemas.free[n-1], schemas.free[:n-1]
	} else {
		schemas.made++
		name = fmt.Sprintf("test%d_%s", schemas.made, bellhop.NewID().String()[24:])
		s, err := postgres.Open(t.Context(), with(t, server.Address, "schema", name, "migrate", "auto"))
		must(t, err)
		must(t, s.Close())
	}
	t.Cleanup(func() {
		empty(t, server.Address, name)
		schemas.mu.Lock()
		defer schemas.mu.Unlock()
		schemas.free = append(schemas.free, name)
	})
	return with(t, server.Address, "schema", name)
}

func empty(t testing.TB, address, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn := connect(ctx, t, address)
	defer conn.Close(ctx)
	var b strings.Builder
	for _, table := range strings.Fields(tables) {
		fmt.Fprintf(&b, "delete from %q.bellhop_%s;", name, table)
	}
	_, err := conn.Exec(ctx, b.String())
	must(t, err)
}

func connect(ctx context.Context, t testing.TB, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, address)
	must(t, err)
	return conn
}

// with sets parameters of an address: name, value, name, value.
func with(t testing.TB, address string, parameters ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	q := u.Query()
	for i := 0; i < len(parameters); i += 2 {
		q.Set(parameters[i], parameters[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// addresses are those of the stores that tests have opened.
var addresses sync.Map

func open(t testing.TB, address string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), address)
	must(t, err)
	addresses.Store(s, address)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newStore(t testing.TB) *postgres.Store { return open(t, schema(t)) }

// reopen opens the schema of a store that is left as it is.
func reopen(t testing.TB, s bellhop.Store) *postgres.Store {
	address, _ := addresses.Load(s)
	again := open(t, address.(string))
	again.Advance(s.(*postgres.Store).Advanced())
	return again
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
