package pgxoutbox_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/outbox/pgxoutbox"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { testservers.Main(m) }

var greet = bellhop.Define[string]("test.greet")

// A transaction of pgx enqueues, in every way in which pgx can send statements; the relay works through a pool of database/sql that is
// made of the same pgxpool.
func TestWithin(t *testing.T) {
	address := testservers.Postgres(t).Database(t)
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			ctx := t.Context()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			pool, err := pgxpool.New(ctx, address+"&default_query_exec_mode="+mode)
			must(err)
			defer pool.Close()
			db := stdlib.OpenDBFromPool(pool)
			defer db.Close()
			client, err := bellhop.NewClient(memory.New())
			must(err)
			defer client.Close()
			box, err := outbox.New(client, outbox.PostgreSQL)
			must(err)
			must(box.Create(ctx, db))

			drafts := make([]bellhop.Draft, 50)
			for i := range drafts {
				drafts[i] = greet.New(`'"\ 💡` + strings.Repeat("x", i))
			}
			enqueue := func(commit bool) []bellhop.Receipt {
				tx, err := pool.BeginTx(ctx, pgx.TxOptions{})
				must(err)
				receipts, err := bellhop.Enqueue(ctx, pgxoutbox.Within(box, tx), drafts...)
				must(err)
				if commit {
					must(tx.Commit(ctx))
				} else {
					must(tx.Rollback(ctx))
				}
				return receipts
			}
			enqueue(false)
			receipts := enqueue(true)

			relay, err := outbox.NewRelay(box, db, outbox.Config{})
			must(err)
			running, stop := context.WithCancel(ctx)
			done := make(chan error)
			go func() { done <- relay.Run(running) }()
			for deadline := time.Now().Add(20 * time.Second); relay.Stats().Moved < 50 && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond) // polled, with a deadline
			}
			stop()
			must(<-done)
			if s := relay.Stats(); s.Moved != 50 || s.SetAside != 0 {
				t.Fatalf("%+v", s)
			}
			for i, r := range receipts {
				job, err := client.Get(ctx, r.ID)
				must(err)
				if want := `"'\"\\ 💡` + strings.Repeat("x", i) + `"`; string(job.Args) != want {
					t.Errorf("arguments %s, want %s", job.Args, want)
				}
			}
			_, err = greet.Enqueue(ctx, pgxoutbox.Within(box, nil), "x")
			if err == nil || !strings.Contains(err.Error(), "transaction is nil") {
				t.Errorf("error %v", err)
			}
		})
	}
}
