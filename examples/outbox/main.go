package main

import (
	"context"
	"database/sql"
	"log"

	_ "modernc.org/sqlite"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
	_ "github.com/gobellhop/bellhop/store/sqlite" // or store/redis
	"github.com/gobellhop/bellhop/worker"
)

// Order is what the shop keeps, and what the receipt is about.
type Order struct {
	ID    int64
	Total string
}

var MailReceipt = bellhop.Define[Order]("mail.receipt")

// place keeps an order and the job of its receipt: both, or neither.
func place(ctx context.Context, db *sql.DB, box *outbox.Outbox, total string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	result, err := tx.ExecContext(ctx, "insert into orders (total) values (?)", total)
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return err
	}
	if _, err := MailReceipt.Enqueue(ctx, box.Within(tx), Order{id, total}); err != nil {
		return err
	}
	return tx.Commit()
}

func run(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:shop.db?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "create table if not exists orders (id integer primary key, total text)"); err != nil {
		return err
	}
	client, err := bellhop.Open(ctx, "sqlite:jobs.db") // or redis://localhost:6379
	if err != nil {
		return err
	}
	box, err := outbox.New(client, outbox.SQLite)
	if err != nil {
		return err
	}
	if err := box.Create(ctx, db); err != nil {
		return err
	}
	relay, err := outbox.NewRelay(box, db, outbox.Config{})
	if err != nil {
		return err
	}
	go relay.Run(ctx)
	if err := place(ctx, db, box, "12.50"); err != nil {
		return err
	}
	w := worker.New(client, worker.Config{Queues: worker.Queues{"default": 10}})
	w.Handle(MailReceipt.With(func(_ context.Context, o Order) error {
		log.Printf("Order %d: %s, thank you", o.ID, o.Total)
		return nil
	}))
	return w.Run(ctx)
}

func main() { log.Fatal(run(context.Background())) }
