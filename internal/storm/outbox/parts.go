//go:build unix

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/outboxdb"
	"github.com/gobellhop/bellhop/outbox"
	_ "github.com/gobellhop/bellhop/store/all" // the default store
)

// order is the kind of the storm. The store forgets a job as soon as it may.
var order = bellhop.Define[string]("storm.order", bellhop.Retention(time.Second))

// What a line of the ledger tells.
const (
	lineTried      = 't' // the job is about to be committed
	lineCommitted  = 'c' // the commit was confirmed
	lineRolledBack = 'r' // it was rolled back
	lineSettled    = 's' // a relay found so many rows that another had moved and could not delete
	lineBeaten     = 'b' // a relay was beaten to so many batches
)

// ledger is a file to which all processes append. Each line is one write, so no kill can tear it.
type ledger struct{ file *os.File }

func openLedger(path string) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return &ledger{file}, err
}

func (l *ledger) add(what byte, ids ...any) {
	for _, id := range ids {
		if _, err := fmt.Fprintf(l.file, "%c %v\n", what, id); err != nil {
			fmt.Fprintln(os.Stderr, "outbox storm: the ledger cannot be written:", err)
			os.Exit(3)
		}
	}
}

// partMain is the life of a child process.
func partMain(text string) int {
	var p part
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		go func() { // the judge holds the other end: when it dies, so do we
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(4)
		}()
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = p.live(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "outbox storm:", err)
		return 1
	}
	return 0
}

func (p part) live(ctx context.Context) error {
	l, err := openLedger(p.Ledger)
	if err != nil {
		return err
	}
	db, dialect, err := outboxdb.Open(p.From)
	if err != nil {
		return err
	}
	defer db.Close()
	log := bellhop.Logger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if p.Relay {
		client, err := bellhop.Open(ctx, p.Store, log)
		if err != nil {
			return err
		}
		defer client.Close()
		return relay(ctx, client, db, dialect, l)
	}
	client, err := outbox.NewClient(log)
	if err != nil {
		return err
	}
	box, err := outbox.New(client, dialect)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := produce(ctx, box, db, dialect, l); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "outbox storm: produce:", err) // the database may be busy, or down
		}
		time.Sleep(time.Duration(rand.Int64N(int64(10 * time.Millisecond)))) // a random moment is the point
	}
	return nil
}

// relay moves jobs, and notes what it has found.
func relay(ctx context.Context, client *bellhop.Client, db *sql.DB, dialect outbox.Dialect, l *ledger) error {
	box, err := outbox.New(client, dialect)
	if err != nil {
		return err
	}
	r, err := outbox.NewRelay(box, db, outbox.Config{Batch: 20, Poll: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	go func() {
		var told outbox.Stats
		for ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond) // polled: a kill may come before the end
			s := r.Stats()
			if n := s.Settled - told.Settled; n > 0 {
				l.add(lineSettled, n)
			}
			if n := s.Beaten - told.Beaten; n > 0 {
				l.add(lineBeaten, n)
			}
			told = s
		}
	}()
	return r.Run(ctx)
}

// produce writes a few orders with their jobs in one transaction, and commits it or rolls it back.
func produce(ctx context.Context, box *outbox.Outbox, db *sql.DB, dialect outbox.Dialect, l *ledger) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	insert := "insert into storm_orders (id) values (?)"
	if dialect == outbox.PostgreSQL {
		insert = "insert into storm_orders (id) values ($1)"
	}
	var ids []any
	for range 1 + rand.IntN(5) {
		id := bellhop.NewID()
		_, err := tx.ExecContext(ctx, insert, id.String())
		if err == nil {
			_, err = order.Enqueue(ctx, box.Within(tx), id.String(), bellhop.WithID(id))
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		ids = append(ids, id)
	}
	if rand.IntN(4) == 0 {
		err := tx.Rollback()
		l.add(lineRolledBack, ids...)
		return err
	}
	l.add(lineTried, ids...)
	if err := tx.Commit(); err != nil {
		return err
	}
	l.add(lineCommitted, ids...)
	return nil
}
