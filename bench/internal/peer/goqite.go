package peer

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"maragu.dev/goqite"
	"maragu.dev/goqite/jobs"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func init() {
	tuned := Contender{
		Name: "goqite", Store: "sqlite", Title: "goqite", Family: "goqite", Module: "maragu.dev/goqite",
		Settings:    "jobs.Runner, limit 10, poll 1 ms, one connection, synchronous=FULL, " + driverName + "; it deletes finished jobs; bulk: CreateTx, 100 in a transaction",
		BulkCallers: 1, BulkSize: 100, Open: openGoqite(sqliteFull, 10, time.Millisecond),
	}
	normal := tuned
	normal.Name, normal.Title, normal.Weaker = "goqite-normal", "goqite, synchronous=NORMAL", true
	normal.Settings = "as the other, but synchronous=NORMAL as its guide's address leads to: the last commits may be lost with the machine"
	normal.Open = openGoqite(sqliteGuide, 10, time.Millisecond)
	plain := tuned
	plain.Name, plain.Title, plain.Default, plain.Weaker = "goqite-default", "goqite, defaults", true, true
	plain.Settings = "as its guide: limit GOMAXPROCS, poll 100 ms, synchronous=NORMAL"
	plain.Open = openGoqite(sqliteGuide, 0, 0)
	add(tuned, normal, plain)
}

type goqiteSession struct {
	db    *sql.DB
	queue *goqite.Queue
	limit int
	poll  time.Duration
}

func openGoqite(parameters string, limit int, poll time.Duration) func(context.Context, drill.Order) (Session, error) {
	return func(ctx context.Context, o drill.Order) (Session, error) {
		db, err := openSQLite(o.Address, parameters, 1)
		if err != nil {
			return nil, err
		}
		n, err := count(db, `select count(*) from sqlite_master where name = 'goqite'`)
		if err == nil && n == 0 {
			var schema string
			if schema, err = goqiteSchema(ctx); err == nil {
				_, err = db.ExecContext(ctx, schema)
			}
		}
		if err != nil {
			_ = db.Close()
			return nil, err
		}
		// The timeout is how soon a job that is not done is given to others: more than a run takes.
		queue := goqite.New(goqite.NewOpts{DB: db, Name: "jobs", Timeout: 5 * time.Minute})
		return &goqiteSession{db: db, queue: queue, limit: limit, poll: poll}, nil
	}
}

// goqiteSchema reads the schema that goqite's users are to copy from its module.
func goqiteSchema(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "maragu.dev/goqite")
	cmd.Dir = os.Getenv(FolderVariable)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("looking for goqite's module: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "schema_sqlite.sql"))
	return string(data), err
}

func (s *goqiteSession) Enqueue(ctx context.Context, number int) error {
	_, err := jobs.Create(ctx, s.queue, "bench", goqite.Message{Body: encode(number)})
	return err
}

func (s *goqiteSession) EnqueueBulk(ctx context.Context, first, n int) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	for i := range n {
		if _, err := jobs.CreateTx(ctx, tx, s.queue, "bench", goqite.Message{Body: encode(first + i)}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *goqiteSession) Work(ctx context.Context, run func(int)) (func() error, error) {
	runner := jobs.NewRunner(jobs.NewRunnerOpts{Limit: s.limit, PollInterval: s.poll, Queue: s.queue, Extend: 4 * time.Minute})
	runner.Register("bench", func(_ context.Context, m []byte) error { return decode(m, run) })
	ctx, cancel := context.WithCancel(ctx)
	return workers(cancel, 1, func() error { runner.Start(ctx); return nil }), nil
}

func (s *goqiteSession) Left(context.Context) (int, error) {
	return count(s.db, `select count(*) from goqite`)
}

func (s *goqiteSession) Check(ctx context.Context) (waiting, kept int, err error) {
	waiting, err = s.Left(ctx)
	return waiting, 0, err
}

func (s *goqiteSession) Close() error { return s.db.Close() }
