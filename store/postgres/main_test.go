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
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/postgres"
)

// hang is when something that is waited for is taken never to come. It measures nothing: a machine that is slow for a minute is no
// fault of the store.
const hang = time.Minute

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
		s, err := postgres.Open(t.Context(), testservers.With(server.Address, "schema", name, "migrate", "auto"))
		must(t, err)
		must(t, s.Close())
		grant(t, server.Address, name)
	}
	t.Cleanup(func() {
		empty(t, server.Address, name)
		schemas.mu.Lock()
		defer schemas.mu.Unlock()
		schemas.free = append(schemas.free, name)
	})
	return as(t, testservers.With(server.Address, "schema", name), runRole)
}

// runRole is the role of daily work: all tests of the contract run under it. It
// has the grants that docs/postgres.md lists, and no others.
const runRole = "bellhop_test_app"

// grants are what the role of daily work needs; ROLE and SCHEMA stand for their names.
const grants = `
	grant usage on schema SCHEMA to ROLE;
	grant select on SCHEMA.bellhop_schema to ROLE;
	grant usage on sequence SCHEMA.bellhop_job_numbers to ROLE;
	grant select, insert, update, delete on
		SCHEMA.bellhop_jobs, SCHEMA.bellhop_ready, SCHEMA.bellhop_scheduled, SCHEMA.bellhop_blocked, SCHEMA.bellhop_running,
		SCHEMA.bellhop_finished, SCHEMA.bellhop_dead, SCHEMA.bellhop_attempts, SCHEMA.bellhop_unique_keys, SCHEMA.bellhop_exchanges,
		SCHEMA.bellhop_queues, SCHEMA.bellhop_processes, SCHEMA.bellhop_records, SCHEMA.bellhop_counters to ROLE;`

// makeRole passes over what another test program has done at the same moment.
const makeRole = `do $$ begin create role ROLE login password 'app'; exception when duplicate_object or unique_violation then null; end $$`

func grant(t testing.TB, address, schema string) {
	ctx := t.Context()
	conn := connect(ctx, t, address)
	defer conn.Close(ctx)
	names := strings.NewReplacer("SCHEMA", pgx.Identifier{schema}.Sanitize(), "ROLE", runRole)
	for _, sql := range []string{makeRole, grants} {
		_, err := conn.Exec(ctx, names.Replace(sql))
		must(t, err)
	}
}

// schemaIn returns the schema that an address names.
func schemaIn(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Query().Get("schema")
}

// as returns the address for another role.
func as(t testing.TB, address, role string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	u.User = url.UserPassword(role, "app")
	return u.String()
}

// cleaner is the administrator's connection that empties schemas, one at a time. A new one would cost more than that.
var cleaner struct {
	mu   sync.Mutex
	conn *pgx.Conn
}

func empty(t testing.TB, address, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	cleaner.mu.Lock()
	defer cleaner.mu.Unlock()
	if cleaner.conn == nil || cleaner.conn.IsClosed() {
		cleaner.conn = connect(ctx, t, address)
	}
	conn := cleaner.conn
	var b strings.Builder
	checkLists(t, conn, name)
	for _, table := range strings.Fields(tables) {
		fmt.Fprintf(&b, "delete from %q.bellhop_%s;", name, table)
	}
	fmt.Fprintf(&b, "delete from %q.bellhop_counters where name = 'listed' or name like 'head %%';", name) // by another test's clock
	_, err := conn.Exec(ctx, b.String())
	must(t, err)
}

func connect(ctx context.Context, t testing.TB, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, address)
	must(t, err)
	return conn
}

// kept are the pools that outlive the stores on them while a test says so: a new
// session costs the server as much as many a test.
var kept keeper

type keeper struct {
	mu    sync.Mutex
	pools map[string]*pgxpool.Pool // by address; nil if none are kept
}

func keepPools(t testing.TB) {
	kept.mu.Lock()
	kept.pools = map[string]*pgxpool.Pool{}
	kept.mu.Unlock()
	t.Cleanup(func() {
		kept.mu.Lock()
		defer kept.mu.Unlock()
		for _, pool := range kept.pools {
			pool.Close()
		}
		kept.pools = nil
	})
}

func (k *keeper) open(ctx context.Context, address string) (*postgres.Store, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pools == nil {
		return postgres.Open(ctx, address)
	}
	s, pool, err := postgres.OpenOn(ctx, address, k.pools[address])
	k.pools[address] = pool
	return s, err
}

// addresses are those of the stores that tests have opened.
var addresses sync.Map

func open(t testing.TB, address string) *postgres.Store {
	t.Helper()
	s, err := kept.open(t.Context(), address)
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
