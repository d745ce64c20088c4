package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/postgres"
	"github.com/gobellhop/bellhop/store/storetest"
)

// refused opens a store, which must fail, in one line, with all that is wanted in it.
func refused(t *testing.T, address string, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := bellhop.OpenStore(ctx, address)
	if err == nil {
		_ = s.Close()
		t.Errorf("%s was opened", address)
		return
	}
	if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error holds the password, or several lines: %q", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error is %q; want %q in it", err, w)
		}
	}
}

// What cannot be opened is refused in one line that says what to do.
func TestOpenRefusals(t *testing.T) {
	server := testservers.StartPostgres(t)
	admin := connect(t.Context(), t, server.Address)
	defer admin.Close(context.Background())
	for _, sql := range []string{`create role guest login password 'hunter2'`, `create schema "private"`} {
		_, err := admin.Exec(t.Context(), sql)
		must(t, err)
	}
	address := testservers.With(server.Address, "migrate", "auto")
	at := func(user *url.Userinfo, database string) string {
		u, err := url.Parse(address)
		must(t, err)
		u.User, u.Path = user, "/"+database
		return u.String()
	}
	u, err := url.Parse(address)
	must(t, err)
	refused(t, at(u.User, "nowhere"), "no such database", "create it")
	refused(t, testservers.With(at(url.UserPassword("guest", "hunter2"), "postgres"), "schema", "private"), "docs/postgres.md")
	refused(t, at(url.UserPassword("guest", "hunter22"), "postgres"), "password is wrong")
	refused(t, testservers.With(server.Address, "schema", "empty"), "bellhop migrate up", `schema "empty"`)
	refused(t, testservers.With(address, "migrate", "perhaps"), "migrate=", "auto, off or only")
	refused(t, testservers.With(address, "pooler", "statement"), "pooler=", "transaction")
	refused(t, testservers.With(address, "schema", strings.Repeat("x", 64)), "63 bytes")
	refused(t, testservers.With(address, "colour", "blue"), "colour")
	refused(t, "postgres://postgres:hunter2@127.0.0.1:1/x?connect_timeout=2", "cannot be reached")
	refused(t, "postgres://postgres:hunter2@127.0.0.1:port/x", "cannot be read")
	refused(t, testservers.With(address, "listen", "postgres://postgres:hunter2@127.0.0.1:port/x"), "listen=", "cannot be read")
	if _, err := postgres.New(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "the pool is nil") {
		t.Errorf("without a pool: %v", err)
	}
}

// Whatever a schema is called, and whatever stands before it in the search path.
func TestSchemaNames(t *testing.T) {
	server := testservers.Postgres(t)
	for _, name := range []string{"Job Store", `a"b'c?d`, "größe", "select"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, testservers.With(server.Address, "schema", name, "migrate", "auto"))
			defer drop(t, server.Address, name)
			use(t, s)
			must(t, s.Close())
		})
	}
}

func drop(t testing.TB, address, schema string) {
	conn := connect(context.Background(), t, address)
	defer conn.Close(context.Background())
	_, err := conn.Exec(context.Background(), "drop schema "+pgx.Identifier{schema}.Sanitize()+" cascade")
	must(t, err)
}

// use has a job run.
func use(t testing.TB, s bellhop.Store) {
	t.Helper()
	claim := claimOne(t, s)
	o := claim.Settle(bellhop.Policy{}, bellhop.Return{})
	reply, err := s.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{o}})
	must(t, err)
	if len(reply.Refused) > 0 || stateOf(t, s, claim.Token.JobID) != bellhop.StateSucceeded {
		t.Errorf("refused: %v", reply.Refused)
	}
}

// Pools of the caller may have any settings: the contract holds as well.
func TestCallersPool(t *testing.T) {
	for name, set := range map[string]func(c *pgxpool.Config){
		"serializable and elsewhere": func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
			c.ConnConfig.RuntimeParams["TimeZone"] = "Pacific/Chatham"
			c.ConnConfig.RuntimeParams["search_path"] = "pg_temp"
			c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
		},
		"simple protocol": func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol },
		"exec":            func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec },
	} {
		t.Run(name, func(t *testing.T) {
			pool := poolWith(t, schema(t), set)
			h := storetest.Harness{Advance: harness.Advance, New: func(t testing.TB) bellhop.Store { return newOn(t, pool, schema(t)) }}
			h.Reopen = func(t testing.TB, s bellhop.Store) bellhop.Store {
				address, _ := addresses.Load(s)
				again := newOn(t, pool, address.(string))
				again.Advance(s.(*postgres.Store).Advanced())
				return again
			}
			if testing.Short() || name != "serializable and elsewhere" {
				use(t, h.New(t))
				return
			}
			storetest.RunQuick(t, h)
		})
	}
}

func onPool(t testing.TB, address string, set func(c *pgxpool.Config)) *postgres.Store {
	t.Helper()
	return newOn(t, poolWith(t, address, set), address)
}

// poolWith makes a pool of a caller's for the database of an address; it does for all its schemas.
func poolWith(t testing.TB, address string, set func(c *pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	q := u.Query()
	q.Del("schema")
	u.RawQuery = q.Encode()
	config, err := pgxpool.ParseConfig(u.String())
	must(t, err)
	set(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func newOn(t testing.TB, pool *pgxpool.Pool, address string) *postgres.Store {
	t.Helper()
	s, err := postgres.New(t.Context(), pool, postgres.WithSchema(schemaIn(t, address)))
	must(t, err)
	addresses.Store(s, address)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Two connections are enough for a hundred callers, and a beat comes through.
func TestSmallPool(t *testing.T) {
	s := open(t, testservers.With(schema(t), "pool_max_conns", "2"))
	process := testProcess(t, s)
	var group sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 2*hang)
	defer cancel()
	const callers = 100
	var calls atomic.Int64 // that have ended
	for range callers {
		group.Go(func() {
			for range 5 {
				_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(3)})
				calls.Add(1)
				if err != nil {
					t.Error(err)
				}
				_, err = s.Exchange(ctx, request(process, 2))
				calls.Add(1)
				if err != nil {
					t.Error(err)
				}
				_, err = s.List(ctx, &bellhop.Query{Limit: 3})
				calls.Add(1)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	longest := int64(0)
	for range 20 {
		before := calls.Load()
		_, err := s.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: process}, Lease: time.Hour})
		must(t, err)
		longest = max(longest, calls.Load()-before)
	}
	group.Wait()
	t.Logf("a beat has waited for %d calls", longest)
	if longest > 4*callers { // who waits for a connection comes in turn, and a beat may need one more than once
		t.Errorf("a beat has waited until %d calls of others had ended", longest)
	}
}

// Many processes may begin on an empty database at once.
func TestEightAtOnce(t *testing.T) {
	server := testservers.Postgres(t)
	for round := range 3 {
		name := fmt.Sprintf("begin %d %s", round, bellhop.NewID().String()[24:])
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				s, err := postgres.Open(t.Context(), testservers.With(server.Address, "schema", name, "migrate", "auto", "pool_max_conns", "2"))
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(func() error { _, err := s.Ping(t.Context()); return err }(), s.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		drop(t, server.Address, name)
	}
}
