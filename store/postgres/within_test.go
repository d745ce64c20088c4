package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/postgres"
	"github.com/gobellhop/bellhop/store/storetest"
	"github.com/gobellhop/bellhop/worker"
)

type welcome struct{ User int }

var sendWelcome = bellhop.Define[welcome]("mail.welcome")

// callerTx is a transaction of the caller, through either library.
type callerTx struct {
	within   func(c *bellhop.Client) *bellhop.Bound
	finish   func(ctx context.Context, o bellhop.Outcome) error
	exec     func(ctx context.Context, sql string) error
	commit   func(ctx context.Context) error
	rollback func(ctx context.Context) error
}

// worlds are the ways to come by a transaction, at all isolation levels.
func worlds(t *testing.T, test func(t *testing.T, s *postgres.Store, begin func() callerTx)) {
	for name, level := range map[string]pgx.TxIsoLevel{"read committed": pgx.ReadCommitted, "serializable": pgx.Serializable} {
		t.Run("pgx, "+name, func(t *testing.T) {
			s := newStore(t)
			pool := newPool(t, as(t, testservers.Postgres(t).Address, runRole))
			test(t, s, func() callerTx {
				tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
				must(t, err)
				return callerTx{
					func(c *bellhop.Client) *bellhop.Bound { return postgres.Within(c, tx) },
					func(ctx context.Context, o bellhop.Outcome) error { return postgres.FinishWithin(ctx, s, tx, o) },
					func(ctx context.Context, sql string) error { _, err := tx.Exec(ctx, sql); return err },
					tx.Commit, tx.Rollback,
				}
			})
		})
	}
	t.Run("database/sql", func(t *testing.T) {
		s := newStore(t)
		db, err := sql.Open("pgx", testservers.Postgres(t).Address)
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		test(t, s, func() callerTx {
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			return callerTx{
				func(c *bellhop.Client) *bellhop.Bound { return postgres.WithinSQL(c, tx) },
				func(ctx context.Context, o bellhop.Outcome) error { return postgres.FinishWithinSQL(ctx, s, tx, o) },
				func(ctx context.Context, sql string) error { _, err := tx.ExecContext(ctx, sql); return err },
				func(context.Context) error { return tx.Commit() }, func(context.Context) error { return tx.Rollback() },
			}
		})
	})
}

func newPool(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), address)
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func newClient(t testing.TB, s bellhop.Store) *bellhop.Client {
	t.Helper()
	c, err := bellhop.NewClient(s)
	must(t, err)
	return c
}

// Jobs exist if and when the caller's transaction commits, and the call is seen
// in it like any other statement.
func TestWithinEnqueue(t *testing.T) {
	worlds(t, func(t *testing.T, s *postgres.Store, begin func() callerTx) {
		client := newClient(t, s)
		for _, commit := range []bool{true, false} {
			tx := begin()
			receipt, err := sendWelcome.Enqueue(t.Context(), tx.within(client), welcome{42}, bellhop.UniqueKey("welcome 42"))
			must(t, err)
			later, err := sendWelcome.Enqueue(t.Context(), tx.within(client), welcome{43}, bellhop.In(time.Hour))
			must(t, err)
			if receipt.State != bellhop.StateReady || later.State != bellhop.StateScheduled {
				t.Errorf("receipts %+v, %+v", receipt, later)
			}
			end := tx.rollback
			if commit {
				end = tx.commit
			}
			must(t, end(t.Context()))
			found, err := s.Get(t.Context(), []bellhop.ID{receipt.ID, later.ID})
			must(t, err)
			if want := map[bool]int{true: 2, false: 0}[commit]; len(found) != want {
				t.Errorf("commit %v: found %d jobs", commit, len(found))
			}
			_, err = s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActDelete, IDs: []bellhop.ID{receipt.ID, later.ID}})
			must(t, err)
		}
	})
}

// A call that fails leaves nothing of itself in the caller's transaction, which goes on.
func TestWithinEnqueueFails(t *testing.T) {
	worlds(t, func(t *testing.T, s *postgres.Store, begin func() callerTx) {
		client := newClient(t, s)
		jobs := testJobs(1)
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
		must(t, err)
		tx := begin()
		one, err := sendWelcome.Enqueue(t.Context(), tx.within(client), welcome{1})
		must(t, err)
		if _, err = sendWelcome.Enqueue(t.Context(), tx.within(client), welcome{2}, bellhop.WithID(jobs[0].ID)); !errors.Is(err, bellhop.ErrIDTaken) {
			t.Fatal(err)
		}
		must(t, tx.commit(t.Context()))
		found, err := s.Get(t.Context(), []bellhop.ID{one.ID})
		must(t, err)
		n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{}, 100)
		must(t, err)
		if len(found) != 1 || n != 2 {
			t.Errorf("found %d, there are %d jobs", len(found), n)
		}
	})
}

// An attempt is completed with the caller's transaction, or not at all; a stale
// one makes it fail, whatever the caller does next.
func TestWithinFinish(t *testing.T) {
	worlds(t, func(t *testing.T, s *postgres.Store, begin func() callerTx) {
		claim := claimOne(t, s)
		o := claim.Settle(bellhop.Policy{}, bellhop.Return{})
		for _, commit := range []bool{false, true} {
			tx := begin()
			must(t, tx.finish(t.Context(), o))
			if commit {
				must(t, tx.commit(t.Context()))
			} else {
				must(t, tx.rollback(t.Context()))
			}
			want := bellhop.StateRunning
			if commit {
				want = bellhop.StateSucceeded
			}
			if got := stateOf(t, s, claim.Token.JobID); got != want {
				t.Errorf("commit %v: the job is %v", commit, got)
			}
		}
		stale := claimOne(t, s)
		tx := begin()
		must(t, tx.exec(t.Context(), "create temporary table gone (id int)"))
		o = stale.Settle(bellhop.Policy{}, bellhop.Return{})
		o.Token.Number++
		if err := tx.finish(t.Context(), o); !errors.Is(err, bellhop.ErrStale) {
			t.Fatalf("finishing under a stale token: %v", err)
		}
		if err := tx.exec(t.Context(), "select 1"); err == nil {
			t.Error("the transaction of a stale attempt goes on")
		}
		if err := tx.commit(t.Context()); err == nil {
			t.Error("the transaction of a stale attempt commits")
		}
		if got := stateOf(t, s, stale.Token.JobID); got != bellhop.StateRunning {
			t.Errorf("the job is %v", got)
		}
	})
}

// A stale attempt makes the transaction fail also if its context has ended, as it
// does when the worker hears that the claim is lost.
func TestWithinFinishWhoseContextEnds(t *testing.T) {
	worlds(t, func(t *testing.T, s *postgres.Store, begin func() callerTx) {
		claim := claimOne(t, s)
		stale := claim.Settle(bellhop.Policy{}, bellhop.Return{})
		stale.Token.Number++
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
			if done && statement == "recorded outcome" {
				cancel()
			}
			return nil
		})
		tx := begin()
		if err := tx.finish(ctx, stale); !errors.Is(err, bellhop.ErrStale) || ctx.Err() == nil {
			t.Fatalf("finishing under a stale token: %v, %v", err, ctx.Err())
		}
		if err := tx.commit(t.Context()); err == nil {
			t.Error("the transaction of a stale attempt commits")
		}
	})
}

// Ten handlers at once, each with a transaction of its own in which it enqueues and completes, share a pool of two connections with the
// store: none waits for a second connection while it holds the first, and beats come through between them.
func TestHandlersShareASmallPool(t *testing.T) {
	const jobs = 60
	s := onPool(t, schema(t), func(c *pgxpool.Config) { c.MaxConns = 2 })
	pool := s.Pool()
	client, err := bellhop.NewClient(s, bellhop.Logger(slog.New(slog.DiscardHandler)))
	must(t, err)
	w := worker.New(client, worker.Config{Queues: worker.Queues{"default": 10}, Beat: 300 * time.Millisecond, Lease: 3 * time.Second})
	follow := bellhop.Define[welcome]("mail.follow", bellhop.Queue("later"))
	w.Handle(sendWelcome.With(func(ctx context.Context, v welcome) error {
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		if _, err := follow.Enqueue(ctx, postgres.Within(client, tx), v); err != nil {
			return err
		}
		if err := bellhop.FromContext(ctx).Complete(ctx, postgres.Within(client, tx)); err != nil {
			return err
		}
		return tx.Commit(ctx)
	}))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	_, err = sendWelcome.EnqueueMany(ctx, client, make([]welcome, jobs))
	must(t, err)
	count := func(f bellhop.Filter) int {
		n, err := storetest.CountAll(t.Context(), s, f, 1000)
		must(t, err)
		return n
	}
	succeeded := bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}
	for count(succeeded) < jobs && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond) // nothing tells when all have ended
	}
	stop()
	must(t, <-done)
	if n, follows := count(succeeded), count(bellhop.Filter{Queues: []string{"later"}}); n != jobs || follows != jobs {
		t.Errorf("%d of %d jobs have succeeded, with %d that follow", n, jobs, follows)
	}
}

// A transaction that sees an old snapshot cannot tell a claim that was lost from
// one that has only changed: it can do nothing but begin again.
func TestWithinFinishBehindASnapshot(t *testing.T) {
	s := newStore(t)
	claim := claimOne(t, s)
	tx, err := newPool(t, testservers.Postgres(t).Address).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(t, err)
	_, err = tx.Exec(t.Context(), "select count(*) from pg_class") // takes its snapshot
	must(t, err)
	o := claim.Settle(bellhop.Policy{}, bellhop.Return{})
	_, err = s.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{claim.HandBack("swept")}})
	must(t, err)
	if err := postgres.FinishWithin(t.Context(), s, tx, o); !errors.Is(err, bellhop.ErrRetryTx) {
		t.Errorf("finishing what another has taken back since: %v; want ErrRetryTx", err)
	}
	if err := tx.Commit(t.Context()); err == nil {
		t.Error("the transaction of a stale attempt commits")
	}
}

// A deadlock inside the caller's transaction is the caller's to repeat.
func TestWithinConflict(t *testing.T) {
	s := newStore(t)
	client := newClient(t, s)
	pool := newPool(t, as(t, testservers.Postgres(t).Address, runRole))
	begin := func() pgx.Tx {
		tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.Serializable})
		must(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		_, err = tx.Exec(t.Context(), "select 1") // takes its snapshot
		must(t, err)
		return tx
	}
	a, b := begin(), begin()
	enqueue := func(tx pgx.Tx) error {
		_, err := sendWelcome.Enqueue(t.Context(), postgres.Within(client, tx), welcome{1}, bellhop.UniqueKey("one"))
		return err
	}
	must(t, enqueue(a))
	must(t, a.Commit(t.Context()))
	if err := enqueue(b); !errors.Is(err, bellhop.ErrRetryTx) {
		t.Errorf("enqueueing what another has committed since: %v; want ErrRetryTx", err)
	}
}

// What is not a transaction on the store is refused in one line.
func TestWithinRefusals(t *testing.T) {
	server := testservers.Postgres(t)
	s := newStore(t)
	elsewhere, err := newPool(t, server.Database(t)).Begin(t.Context())
	must(t, err)
	defer func() { _ = elsewhere.Rollback(context.Background()) }()
	other := memory.New()
	defer other.Close()
	for name, bound := range map[string]*bellhop.Bound{
		"another database than the store":            postgres.Within(newClient(t, s), elsewhere),
		`the client's store is "memory"`:             postgres.Within(newClient(t, other), elsewhere),
		"postgres.Within: the transaction is nil":    postgres.Within(newClient(t, s), nil),
		"postgres.WithinSQL: the transaction is nil": postgres.WithinSQL(newClient(t, s), nil),
	} {
		_, err := sendWelcome.Enqueue(t.Context(), bound, welcome{1})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q in the error, it is %v", name, err)
		}
	}
}

const testKind = "test.job"

func testJobs(n int) []*bellhop.Job {
	jobs := make([]*bellhop.Job, n)
	for i := range jobs {
		jobs[i] = &bellhop.Job{ID: bellhop.NewID(), Kind: testKind, Queue: "default", Attempts: 25, Args: []byte(`{"n":1}`)}
	}
	return jobs
}

func testProcess(t testing.TB, s bellhop.Store) bellhop.ID {
	t.Helper()
	p := bellhop.Process{ID: bellhop.NewID(), Name: "test"}
	_, err := s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	return p.ID
}

func request(process bellhop.ID, n int) *bellhop.ExchangeRequest {
	return &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: process, Limit: n, Kinds: []string{testKind}, Wants: []bellhop.Want{{Queue: "default", Count: n}},
	}
}

// claimOne enqueues a job and claims it.
func claimOne(t testing.TB, s bellhop.Store) bellhop.Claim {
	t.Helper()
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	reply, err := s.Exchange(t.Context(), request(testProcess(t, s), 1))
	must(t, err)
	if len(reply.Claims) != 1 {
		t.Fatalf("%d claims", len(reply.Claims))
	}
	return reply.Claims[0]
}

func stateOf(t testing.TB, s bellhop.Store, id bellhop.ID) bellhop.State {
	t.Helper()
	found, err := s.Get(t.Context(), []bellhop.ID{id})
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("job %s is not there", id)
	}
	return found[0].Place.State
}
