package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
)

// Orders are in SQLite, jobs are elsewhere. A job is there if, and only if, its order was committed.
func Example() {
	if err := shop(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// moved 1 job: mail.receipt {"order":1}
}

var mailReceipt = bellhop.Define[map[string]int64]("mail.receipt")

func shop() error {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if _, err := db.ExecContext(ctx, "create table orders (id integer primary key)"); err != nil {
		return err
	}
	client, err := bellhop.NewClient(memory.New(), bellhop.Logger(slog.New(slog.DiscardHandler))) // or bellhop.Open, of Redis perhaps
	if err != nil {
		return err
	}
	defer client.Close()
	box, err := outbox.New(client, outbox.SQLite)
	if err != nil {
		return err
	}
	if err := box.Create(ctx, db); err != nil {
		return err
	}
	for _, pays := range []bool{true, false} { // the second customer changes his mind
		if err := order(ctx, db, box, pays); err != nil {
			return err
		}
	}
	relay, err := outbox.NewRelay(box, db, outbox.Config{})
	if err != nil {
		return err
	}
	ended := make(chan error)
	go func() { ended <- relay.Run(ctx) }()
	for s := relay.Stats(); s.Moved == 0 && s.Err == nil; s = relay.Stats() {
		time.Sleep(time.Millisecond) // between two looks at what the relay has done
	}
	jobs, err := client.List(ctx, bellhop.Query{})
	if err != nil {
		return err
	}
	for _, j := range jobs.Jobs {
		fmt.Printf("moved %d job: %s %s\n", len(jobs.Jobs), j.Kind, j.Args)
	}
	stop()
	return <-ended
}

func order(ctx context.Context, db *sql.DB, box *outbox.Outbox, pays bool) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	result, err := tx.ExecContext(ctx, "insert into orders default values")
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	if err != nil {
		return err
	}
	if _, err := mailReceipt.Enqueue(ctx, box.Within(tx), map[string]int64{"order": id}); err != nil || !pays {
		return err
	}
	return tx.Commit()
}
