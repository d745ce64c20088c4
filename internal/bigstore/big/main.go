// Command big fills a store with very many jobs, and measures what looking at it takes while a worker runs at full speed:
//
//	go run ./internal/bigstore/big fill ADDRESS            # ten million jobs and more; -part 10 for a tenth; and two weeks of metrics
//	go run ./internal/bigstore/big history ADDRESS         # the metrics alone, up to now
//	go run ./internal/bigstore/big look ADDRESS            # medians; -busy=false without a worker
//	go run ./internal/bigstore/big pages ADDRESS           # of the dashboard's pages
//	go run ./internal/bigstore/big commands ADDRESS        # of the commands that list something; -bellhop PATH
//	go run ./internal/bigstore/big cost ADDRESS            # what watched pages cost each job; -server PID counts the server in
//
// The schema must be there and empty; a fill that was interrupted goes on. No job of those passes through here; the worker has a queue of its own.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bigstore"
	_ "github.com/gobellhop/bellhop/store/all"
	"github.com/gobellhop/bellhop/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: big fill|history|look|pages|commands|cost [flags] ADDRESS")
	}
	flags := flag.NewFlagSet("big", flag.ContinueOnError)
	part := flags.Int("part", 1, "fill only one part of so many")
	times := flags.Int("times", 5, "look so many times")
	busy := flags.Bool("busy", true, "have a worker run beside")
	only := flags.String("only", "", "only looks, pages or commands with this in their name")
	server := flags.Int("server", 0, "the id of the store's server process, whose CPU time is part of the cost")
	program := flags.String("bellhop", "bellhop", "the program whose commands are measured")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("big: name one address")
	}
	client, err := bellhop.Open(ctx, flags.Arg(0))
	if err != nil {
		return err
	}
	defer client.Close()
	switch args[0] {
	case "fill":
		if err := fill(ctx, client, flags.Arg(0), bigstore.Full.Part(*part)); err != nil {
			return err
		}
		return history(ctx, client)
	case "history":
		return history(ctx, client)
	case "look", "pages", "commands", "cost":
		var ended atomic.Int64
		if *busy || args[0] == "cost" {
			defer work(ctx, client, &ended)()
		}
		switch args[0] {
		case "pages":
			return pages(ctx, client, *times, *only)
		case "commands":
			return commands(ctx, client, flags.Arg(0), *program, *times, *only)
		case "cost":
			return cost(ctx, client, *times, *server, &ended)
		}
		return look(ctx, client, *times, *only)
	}
	return fmt.Errorf("big: %s: want fill, history, look, pages, commands or cost", args[0])
}

func fill(ctx context.Context, client *bellhop.Client, address string, size bigstore.Size) error {
	begin := time.Now()
	told := func(jobs int) {
		if jobs%500_000 == 0 {
			fmt.Printf("%d of %d jobs, %.0f s\n", jobs, size.Total(), time.Since(begin).Seconds())
		}
	}
	scheme, rest, _ := strings.Cut(address, ":")
	dialect, isSQL := bigstore.Dialects[scheme]
	if !isSQL {
		return bigstore.FillByVerbs(ctx, client.Store(), size, told)
	}
	db, err := openSQL(scheme, rest, address)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range dialect.Session() {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	have := 0
	if err := conn.QueryRowContext(ctx, "select coalesce(max(job), 0) from bellhop_jobs").Scan(&have); err != nil {
		return err
	}
	return dialect.Fill(ctx, size, have, func(ctx context.Context, statements ...string) error { return execute(ctx, conn, statements) }, told)
}

// history writes metrics up to now. What was written before is written over, as far as it is of the same times.
func history(ctx context.Context, client *bellhop.Client) error {
	begin, said := time.Now(), time.Now()
	records, bytes := 0, 0
	say := func() {
		fmt.Printf("%d records of metrics, %d MB, %.0f s\n", records, bytes>>20, time.Since(begin).Seconds())
	}
	err := bigstore.History(bigstore.Full).Fill(ctx, client.Store(), func(r, b int) {
		if records, bytes = r, b; time.Since(said) > 10*time.Second {
			said = time.Now()
			say()
		}
	})
	say()
	return err
}

func execute(ctx context.Context, conn *sql.Conn, statements []string) error {
	if len(statements) == 1 {
		_, err := conn.ExecContext(ctx, statements[0])
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// openSQL opens a database by the address of a store on it, past the store.
func openSQL(scheme, rest, address string) (*sql.DB, error) {
	if scheme == "sqlite" {
		path, _, _ := strings.Cut(rest, "?")
		return sql.Open("sqlite", path)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("big: %s", bellhop.MaskAddress(address))
	}
	u.RawQuery = ""
	if scheme == "postgres" {
		return sql.Open("pgx", u.String())
	}
	return sql.Open("mysql", fmt.Sprintf("%s@tcp(%s)%s", u.User, u.Host, u.Path))
}

// work keeps a worker busy with jobs that do nothing, and counts them, until what it returns is called.
func work(ctx context.Context, client *bellhop.Client, n *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	def := bellhop.Define[int]("bigstore.nothing", bellhop.Queue("bigstore"))
	w := worker.New(client, worker.Config{Queues: worker.Queues{"bigstore": 100}})
	w.Handle(def.With(func(context.Context, int) error { n.Add(1); return nil }))
	ended := make(chan struct{}, 2)
	go func() { _ = w.Run(ctx); ended <- struct{}{} }()
	go func() {
		jobs := make([]int, 1000)
		for ctx.Err() == nil {
			_, _ = def.EnqueueMany(ctx, client, jobs)
		}
		ended <- struct{}{}
	}()
	return func() { cancel(); <-ended; <-ended }
}

func look(ctx context.Context, client *bellhop.Client, times int, only string) error {
	for _, l := range bigstore.Looks() {
		if !strings.Contains(l.Name, only) {
			continue
		}
		median, saw, err := l.Median(ctx, client, times)
		if err != nil {
			return err
		}
		fmt.Printf("%8.1f ms  %-32s %s\n", median.Seconds()*1000, l.Name, saw)
	}
	return nil
}
