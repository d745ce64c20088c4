package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// pooled is a pooler, the address of a new database through it, and a way to connect there.
func pooled(t *testing.T, s *testservers.Server) (*Pooler, func(parameters string) *pgx.Conn) {
	t.Helper()
	address := s.Database(t)
	p := NewPooler(t, address)
	return p, func(parameters string) *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), p.Through(address)+"&default_query_exec_mode=exec"+parameters)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test may have closed it
		return conn
	}
}

func run(t *testing.T, on interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, sql string, args ...any,
) {
	t.Helper()
	if _, err := on.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t *testing.T, on interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, sql string, args ...any,
) (v T) {
	t.Helper()
	if err := on.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// refused sees that err is PostgreSQL's error of this code.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	if server, ok := errors.AsType[*pgconn.PgError](err); !ok || server.Code != code {
		t.Errorf("got %v, want SQLSTATE %s", err, code)
	}
}

const pid = "SELECT pg_backend_pid()"

func TestPoolerSwapsConnections(t *testing.T) {
	p, connect := pooled(t, testservers.Postgres(t))
	conn := connect("")
	last := uint32(0)
	for range 20 {
		now := value[uint32](t, conn, pid)
		if now == last {
			t.Errorf("process %d twice in a row", now)
		}
		last = now
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := value[uint32](t, tx, pid)
	for range 5 {
		if now := value[uint32](t, tx, pid); now != first {
			t.Errorf("process %d and %d in one transaction", first, now)
		}
	}
	if _, err := tx.Exec(t.Context(), "SELECT 1/0"); err == nil {
		t.Error("no error")
	}
	_, err = tx.Exec(t.Context(), "SELECT 1")
	refused(t, err, "25P02") // a failed transaction is one still
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if n := p.Transactions(); n != 21 {
		t.Errorf("%d transactions were counted", n)
	}
}

func TestPoolerLosesTheSession(t *testing.T) {
	_, connect := pooled(t, testservers.Postgres(t))
	conn := connect("")
	run(t, conn, "PREPARE one AS SELECT 1")
	_, err := conn.Exec(t.Context(), "EXECUTE one")
	refused(t, err, "26000")
	run(t, conn, "SET lock_timeout = '7s'")
	if got := value[string](t, conn, "SHOW lock_timeout"); got != "0" {
		t.Errorf("lock_timeout is %s in the next transaction", got)
	}
	run(t, conn, "CREATE TEMPORARY TABLE mine (n integer)")
	_, err = conn.Exec(t.Context(), "SELECT * FROM mine")
	refused(t, err, "42P01")
	if value[bool](t, conn, "SELECT pg_try_advisory_lock(1)"); value[bool](t, conn, "SELECT pg_try_advisory_lock(1)") {
		t.Error("the session's lock is the client's still")
	}
	run(t, conn, "LISTEN news")
	run(t, conn, "NOTIFY news")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if n, err := conn.WaitForNotification(ctx); err == nil {
		t.Errorf("heard %q", n.Channel)
	}
}

// A driver that keeps its statements prepared, as pgx does unless it is told not to, fails before long.
func TestPoolerAndPreparedStatements(t *testing.T) {
	_, connect := pooled(t, testservers.Postgres(t))
	conn := connect("&default_query_exec_mode=cache_statement")
	var err error
	for n := 0; n < 10 && err == nil; n++ {
		_, err = conn.Exec(t.Context(), "SELECT $1::int", n)
	}
	refused(t, err, "26000")
}

func TestPoolerFollows(t *testing.T) {
	_, connect := pooled(t, testservers.Postgres(t))
	a, b := connect("&application_name=a&timezone=Asia/Tokyo"), connect("&application_name=b")
	run(t, b, "SET datestyle = 'German'")
	for range 5 {
		for conn, want := range map[*pgx.Conn][3]string{a: {"a", "Asia/Tokyo", "ISO, MDY"}, b: {"b", "Asia/Kathmandu", "German, DMY"}} {
			for i, name := range []string{"application_name", "timezone", "datestyle"} {
				if got := value[string](t, conn, "SHOW "+name); got != want[i] {
					t.Errorf("%s is %q, want %q", name, got, want[i])
				}
			}
		}
	}
	if got := a.PgConn().ParameterStatus("TimeZone"); got != "Asia/Tokyo" {
		t.Errorf("the client was told of the time zone %q", got)
	}
}

func TestPoolerRefusesParameters(t *testing.T) {
	s := testservers.Postgres(t)
	p := NewPooler(t, s.Address)
	for parameter, code := range map[string]string{"lock_timeout=5s": "08P01", "options=-c%20lock_timeout%3D5s": "08P01", "sslmode=require": ""} {
		_, err := pgx.Connect(t.Context(), p.Through(s.Address)+"&"+parameter)
		if err == nil {
			t.Errorf("%s was accepted", parameter)
		} else if code != "" {
			refused(t, err, code)
		}
	}
	_, err := pgx.Connect(t.Context(), p.Through("postgres://postgres@x/nowhere?sslmode=disable"))
	refused(t, err, "3D000")
}

// Many requests under way at once, COPY and errors in the middle: what is answered where stays in step.
func TestPoolerPipelines(t *testing.T) {
	_, connect := pooled(t, testservers.Postgres(t))
	conn := connect("")
	run(t, conn, "CREATE TABLE numbers (n integer PRIMARY KEY)")
	for range 20 {
		var batch pgx.Batch
		for n := range 100 {
			batch.Queue("SELECT $1::int", n)
		}
		results := conn.SendBatch(t.Context(), &batch)
		for n := range 100 {
			var got int
			if err := results.QueryRow().Scan(&got); err != nil || got != n {
				t.Fatalf("got %d, %v, want %d", got, err, n)
			}
		}
		if err := results.Close(); err != nil {
			t.Fatal(err)
		}
	}
	rows := make([][]any, 10_000)
	for n := range rows {
		rows[n] = []any{n}
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := tx.CopyFrom(t.Context(), pgx.Identifier{"numbers"}, []string{"n"}, pgx.CopyFromRows(rows)); n != 10_000 || err != nil {
		t.Fatalf("copied %d rows, %v", n, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var batch pgx.Batch
	batch.Queue("INSERT INTO numbers VALUES (10000)")
	batch.Queue("INSERT INTO numbers VALUES (5)")
	refused(t, conn.SendBatch(t.Context(), &batch).Close(), "23505")
	if n := value[int](t, conn, "SELECT count(*) FROM numbers"); n != 10_000 {
		t.Errorf("%d rows after a batch that failed", n)
	}
	run(t, connect("&default_query_exec_mode=simple_protocol"), "INSERT INTO numbers VALUES ($1)", 10_000)
}

func TestPoolerCancels(t *testing.T) {
	_, connect := pooled(t, testservers.Postgres(t))
	conn := connect("")
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT pg_sleep(30)")
		done <- err
	}()
	for {
		// The request may come before the statement; it is repeated until it has met it.
		if err := conn.PgConn().CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			refused(t, err, "57014")
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// More clients than connections, all at once: each transaction is carried out, once and whole.
func TestPoolerUnderLoad(t *testing.T) {
	p, connect := pooled(t, testservers.Postgres(t))
	first := connect("")
	run(t, first, "CREATE TABLE pairs (client integer, n integer)")
	const clients, each = 40, 25
	var all sync.WaitGroup
	for c := range clients {
		conn := connect("")
		all.Go(func() {
			for n := range each {
				err := pgx.BeginFunc(context.Background(), conn, func(tx pgx.Tx) error {
					for range 2 {
						if _, err := tx.Exec(context.Background(), "INSERT INTO pairs VALUES ($1, $2)", c, n); err != nil {
							return err
						}
					}
					if n%5 == 0 {
						return errBye
					}
					return nil
				})
				if err != nil && !errors.Is(err, errBye) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got := value[string](t, first, "SELECT count(*) || ' ' || count(DISTINCT (client, n)) FROM pairs")
	if want := fmt.Sprint(clients*each*4/5*2, " ", clients*each*4/5); got != want {
		t.Errorf("rows and pairs are %s, want %s", got, want)
	}
	if n := p.Transactions(); n != clients*each+2 {
		t.Errorf("%d transactions", n)
	}
}

// A client that leaves in the middle leaves nothing behind.
func TestPoolerClientLeaves(t *testing.T) {
	_, connect := pooled(t, testservers.Postgres(t))
	conn := connect("")
	run(t, conn, "CREATE TABLE left_open (n integer)")
	run(t, conn, "BEGIN; LOCK TABLE left_open; INSERT INTO left_open VALUES (1)")
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := value[int](t, connect(""), "SELECT count(*) FROM left_open"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// While the server is away transactions fail; when it is back, a client that had none under way goes on.
func TestPoolerOutlivesTheServer(t *testing.T) {
	s := testservers.StartPostgres(t, "fsync=off")
	_, connect := pooled(t, s)
	busy, idle := connect(""), connect("")
	run(t, idle, "SELECT 1")
	run(t, busy, "BEGIN")
	s.Kill()
	if _, err := busy.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a dead server has answered")
	}
	s.Start()
	run(t, idle, "SELECT 1")
	run(t, connect(""), "SELECT 1")
}
