package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/worker"
)

var shipOrder = bellhop.Define[int64]("order.ship")

// Orders and jobs are in one file. An order is placed together with the job that ships it, and shipped together with the end of that
// job: however often the process dies, it is shipped once.
func ExampleWithin() {
	if err := placeAndShip(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// order 1 is shipped, its job has succeeded
}

func placeAndShip() error {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	store, err := sqlite.New(ctx, db)
	if err != nil {
		return err
	}
	client, err := bellhop.NewClient(store, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := db.ExecContext(ctx, "create table orders (id integer primary key, state text)"); err != nil {
		return err
	}

	var receipt bellhop.Receipt
	err = within(ctx, db, func(tx *sql.Tx) (err error) {
		if _, err = tx.ExecContext(ctx, "insert into orders values (1, 'placed')"); err == nil {
			receipt, err = shipOrder.Enqueue(ctx, sqlite.Within(client, tx), 1)
		}
		return err
	})
	if err != nil {
		return err
	}

	w := worker.New(client, worker.Config{Queues: worker.Queues{"default": 1}})
	w.Handle(shipOrder.With(func(ctx context.Context, order int64) error {
		defer stop()
		return within(ctx, db, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "update orders set state = 'shipped' where id = ?", order); err != nil {
				return err
			}
			return bellhop.FromContext(ctx).Complete(ctx, sqlite.Within(client, tx))
		})
	}))
	if err := w.Run(ctx); err != nil {
		return err
	}
	var state string
	if err := db.QueryRow("select state from orders where id = 1").Scan(&state); err != nil {
		return err
	}
	job, err := client.Get(context.Background(), receipt.ID)
	if err != nil {
		return err
	}
	fmt.Printf("order 1 is %s, its job has %s\n", state, job.Place.State)
	return nil
}

func within(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
