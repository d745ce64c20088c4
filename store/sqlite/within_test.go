package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/store/storetest"
)

type welcome struct{ User int }

var sendWelcome = bellhop.Define[welcome]("mail.welcome")

const immediate = "_txlock=immediate&_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)"

// worlds are the two ways to have a store and a pool on one file.
func worlds(t *testing.T, test func(t *testing.T, s *sqlite.Store, db *sql.DB)) {
	t.Run("by address", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "jobs.db")
		s := openAt(t, path)
		test(t, s, raw(t, path, immediate))
	})
	t.Run("on the caller's pool", func(t *testing.T) {
		db := raw(t, filepath.Join(t.TempDir(), "jobs.db"), immediate)
		test(t, newOn(t, db), db)
	})
	t.Run("on a pool of one", func(t *testing.T) {
		db := raw(t, filepath.Join(t.TempDir(), "jobs.db"), immediate)
		db.SetMaxOpenConns(1)
		test(t, newOn(t, db), db)
	})
}

func newOn(t *testing.T, db *sql.DB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.New(t.Context(), db)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newClient(t *testing.T, s bellhop.Store) *bellhop.Client {
	t.Helper()
	c, err := bellhop.NewClient(s)
	must(t, err)
	return c
}

func run(t *testing.T, q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string, args ...any,
) {
	t.Helper()
	_, err := q.ExecContext(t.Context(), query, args...)
	must(t, err)
}

// Jobs exist if and when the caller's transaction commits.
func TestWithinEnqueue(t *testing.T) {
	worlds(t, func(t *testing.T, s *sqlite.Store, db *sql.DB) {
		client := newClient(t, s)
		run(t, db, `create table users (id integer)`)
		for _, commit := range []bool{true, false} {
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			run(t, tx, `insert into users values (42)`)
			receipt, err := sendWelcome.Enqueue(t.Context(), sqlite.Within(client, tx), welcome{42})
			must(t, err)
			if receipt.State != bellhop.StateReady {
				t.Errorf("receipt %+v", receipt)
			}
			if commit {
				must(t, tx.Commit())
			} else {
				must(t, tx.Rollback())
			}
			found, err := s.Get(t.Context(), []bellhop.ID{receipt.ID})
			must(t, err)
			if (len(found) == 1) != commit {
				t.Errorf("commit %v: found %d jobs", commit, len(found))
			}
		}
	})
}

// A call that fails leaves nothing of itself in the caller's transaction.
func TestWithinEnqueueFails(t *testing.T) {
	worlds(t, func(t *testing.T, s *sqlite.Store, db *sql.DB) {
		client, bound := newClient(t, s), (*bellhop.Bound)(nil)
		jobs := testJobs(2)
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs[1:]})
		must(t, err)
		tx, err := db.BeginTx(t.Context(), nil)
		must(t, err)
		bound = sqlite.Within(client, tx)
		one, err := sendWelcome.Enqueue(t.Context(), bound, welcome{1})
		must(t, err)
		_, err = sendWelcome.Enqueue(t.Context(), bound, welcome{2}, bellhop.WithID(jobs[1].ID))
		if !errors.Is(err, bellhop.ErrIDTaken) {
			t.Fatal(err)
		}
		must(t, tx.Commit())
		n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{}, 100)
		must(t, err)
		if found, err := s.Get(t.Context(), []bellhop.ID{one.ID}); n != 2 || err != nil || len(found) != 1 {
			t.Errorf("%d jobs, found %v, %v", n, found, err)
		}
	})
}

// A deferred transaction is refused.
func TestWithinDeferred(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jobs.db")
	s := openAt(t, path)
	deferred := raw(t, path, "_pragma=busy_timeout(100)")
	check := func(t *testing.T, client *bellhop.Client, tx *sql.Tx) {
		t.Helper()
		defer tx.Rollback()
		_, err := sendWelcome.Enqueue(t.Context(), sqlite.Within(client, tx), welcome{1})
		if !errors.Is(err, bellhop.ErrDeferredTx) {
			t.Errorf("%v, want %v", err, bellhop.ErrDeferredTx)
		}
	}
	t.Run("by address", func(t *testing.T) {
		tx, err := deferred.BeginTx(t.Context(), nil)
		must(t, err)
		check(t, newClient(t, s), tx)
	})
	t.Run("while another writes", func(t *testing.T) {
		writer, err := raw(t, path, immediate).BeginTx(t.Context(), nil)
		must(t, err)
		defer writer.Rollback()
		tx, err := deferred.BeginTx(t.Context(), nil)
		must(t, err)
		check(t, newClient(t, s), tx)
	})
	t.Run("on the caller's pool", func(t *testing.T) {
		db := raw(t, filepath.Join(dir, "other.db"), "_pragma=journal_mode(wal)")
		client := newClient(t, newOn(t, db))
		tx, err := db.BeginTx(t.Context(), nil)
		must(t, err)
		check(t, client, tx)
	})
}

// A pool may lead to a database in memory, if its connections have it in common.
func TestPoolInMemory(t *testing.T) {
	if _, err := sqlite.New(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "the pool is nil") {
		t.Errorf("without a pool: %v", err)
	}
	for _, tt := range []struct {
		name        string
		connections int
		ok          bool
	}{{":memory:", 0, false}, {":memory:", 2, false}, {":memory:", 1, true}, {"file:TestPoolInMemory?mode=memory&cache=shared", 0, true}} {
		db, err := sql.Open("sqlite", tt.name)
		must(t, err)
		defer db.Close()
		db.SetMaxOpenConns(tt.connections)
		s, err := sqlite.New(t.Context(), db)
		if ok := err == nil; ok != tt.ok || !ok && !strings.Contains(err.Error(), "SetMaxOpenConns(1)") {
			t.Errorf("%s with %d connections: %v", tt.name, tt.connections, err)
		}
		if err == nil {
			_, err = sendWelcome.Enqueue(t.Context(), newClient(t, s), welcome{1})
			must(t, err)
		}
	}
}

// A transaction on another file, or another store, is refused.
func TestWithinElsewhere(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "jobs.db"))
	tx, err := raw(t, filepath.Join(t.TempDir(), "other.db"), immediate).BeginTx(t.Context(), nil)
	must(t, err)
	defer tx.Rollback()
	_, err = sendWelcome.Enqueue(t.Context(), sqlite.Within(newClient(t, s), tx), welcome{1})
	if err == nil || !strings.Contains(err.Error(), "open the same file for both") {
		t.Error(err)
	}
	_, err = sendWelcome.Enqueue(t.Context(), sqlite.Within(newClient(t, memory.New()), tx), welcome{1})
	if !errors.Is(err, bellhop.ErrUnsupported) {
		t.Error(err)
	}
	_, err = sendWelcome.Enqueue(t.Context(), sqlite.Within(newClient(t, s), nil), welcome{1})
	if err == nil || !strings.Contains(err.Error(), "sqlite.Within: the transaction is nil") {
		t.Error(err)
	}
}

// An outcome is recorded with the caller's changes, or neither is.
func TestWithinFinish(t *testing.T) {
	worlds(t, func(t *testing.T, s *sqlite.Store, db *sql.DB) {
		run(t, db, `create table charges (job blob)`)
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
		must(t, err)
		p := testProcess()
		_, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
		must(t, err)
		reply, err := s.Exchange(t.Context(), request(p, 1))
		must(t, err)
		claim := reply.Claims[0]
		finish := func(token bellhop.Token) error {
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			defer tx.Rollback()
			run(t, tx, `insert into charges values (?)`, token.JobID[:])
			o := claim.Settle(bellhop.Policy{}, bellhop.Return{})
			o.Token = token
			if err := sqlite.FinishWithin(t.Context(), s, tx, o); err != nil {
				if commit := tx.Commit(); !errors.Is(commit, sql.ErrTxDone) {
					t.Errorf("after %v the commit returns %v", err, commit)
				}
				return err
			}
			return tx.Commit()
		}
		stale := claim.Token
		stale.Number++
		if err := finish(stale); !errors.Is(err, bellhop.ErrStale) {
			t.Errorf("a stale claim: %v", err)
		}
		must(t, finish(claim.Token))
		other := claim.Token
		other.Exchange = bellhop.NewID()
		if err := finish(other); !errors.Is(err, bellhop.ErrStale) {
			t.Errorf("after the end: %v", err)
		}
		var charges int
		must(t, db.QueryRowContext(t.Context(), `select count(*) from charges`).Scan(&charges))
		found, err := s.Get(t.Context(), []bellhop.ID{claim.Job.ID})
		must(t, err)
		if charges != 1 || found[0].Place.State != bellhop.StateSucceeded {
			t.Errorf("%d charges, the job is %v", charges, found[0].Place.State)
		}
	})
}
