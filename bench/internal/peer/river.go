package peer

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func init() {
	best := Contender{
		Name: "river", Store: "postgres", Title: "River", Family: "river", Module: "github.com/riverqueue/river", Keeps: true,
		Settings: "2000 workers, FetchCooldown 2 ms, FetchPollInterval 10 ms, FetchOnlyKnownKinds, pool of 20 connections; " +
			"bulk: InsertManyFast (COPY) of 1000 from 4 goroutines; it has no setting to drop finished jobs at once",
		BulkCallers: 4, BulkSize: 1000,
		Open: openRiver(20, river.Config{
			Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2000}, drill.Paused: {MaxWorkers: 2000}},
			FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 10 * time.Millisecond, FetchOnlyKnownKinds: true,
		}),
	}
	plain := best
	plain.Name, plain.Title, plain.Default = "river-default", "River, defaults", true
	plain.Settings = "100 workers as in its guide, all else at defaults (FetchCooldown 100 ms), pool at pgx's default"
	plain.Open = openRiver(0, river.Config{Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}}})
	add(best, plain)
}

type riverArgs Args

func (riverArgs) Kind() string { return "bench" }

type riverUnknown Args

func (riverUnknown) Kind() string { return drill.Unknown }

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	run func(int)
}

func (w *riverWorker) Work(_ context.Context, job *river.Job[riverArgs]) error {
	w.run(job.Args.N - Base)
	return nil
}

type riverSession struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	worker *riverWorker
}

func openRiver(connections int32, cfg river.Config) func(context.Context, drill.Order) (Session, error) {
	return func(ctx context.Context, o drill.Order) (Session, error) {
		poolConfig, err := pgxpool.ParseConfig(o.Address)
		if err != nil {
			return nil, err
		}
		if connections > 0 {
			poolConfig.MaxConns = connections
		}
		pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
		if err != nil {
			return nil, err
		}
		s := &riverSession{pool: pool, worker: &riverWorker{}}
		if s.client, err = s.open(ctx, cfg); err != nil {
			pool.Close()
			return nil, err
		}
		return s, nil
	}
}

func (s *riverSession) open(ctx context.Context, cfg river.Config) (*river.Client[pgx.Tx], error) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
	driver := riverpgxv5.New(s.pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, s.worker)
	cfg.Workers, cfg.Logger, cfg.SkipUnknownJobCheck = workers, quiet, true
	return river.NewClient(driver, &cfg)
}

func (s *riverSession) Enqueue(ctx context.Context, number int) error {
	_, err := s.client.Insert(ctx, riverArgs(argsOf(number)), nil)
	return err
}

func (s *riverSession) EnqueueBulk(ctx context.Context, first, n int) error {
	params := make([]river.InsertManyParams, n)
	for i := range params {
		params[i].Args = riverArgs(argsOf(first + i))
	}
	_, err := s.client.InsertManyFast(ctx, params)
	return err
}

// EnqueueMarked puts jobs that are not to be worked.
func (s *riverSession) EnqueueMarked(ctx context.Context, mark string, first, n int) error {
	params := make([]river.InsertManyParams, n)
	for i := range params {
		params[i].Args = riverArgs(argsOf(first + i))
		switch mark {
		case drill.Paused:
			params[i].InsertOpts = &river.InsertOpts{Queue: drill.Paused}
		case drill.Future:
			params[i].InsertOpts = &river.InsertOpts{ScheduledAt: time.Now().Add(time.Hour)}
		case drill.Unknown:
			params[i].Args = riverUnknown(argsOf(first + i))
		}
	}
	if _, err := s.client.InsertManyFast(ctx, params); err != nil || mark != drill.Paused {
		return err
	}
	// The queue's row, which a first worker would make, is where River keeps the pause.
	_, err := s.pool.Exec(ctx, `insert into river_queue (name, paused_at, updated_at) values ($1, now(), now())
		on conflict (name) do update set paused_at = now()`, drill.Paused)
	return err
}

func (s *riverSession) Work(ctx context.Context, run func(int)) (func() error, error) {
	s.worker.run = run
	if err := s.client.Start(ctx); err != nil {
		return nil, err
	}
	return func() error { return s.client.Stop(ctx) }, nil
}

func (s *riverSession) Left(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from (select from river_job where state = 'running' limit 1) r`).Scan(&n)
	return n, err
}

func (s *riverSession) Check(ctx context.Context) (waiting, kept int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) filter (where state in ('available', 'running') and kind = 'bench' and queue = 'default'),
		count(*) filter (where state = 'completed') from river_job`).Scan(&waiting, &kept)
	return waiting, kept, err
}

func (s *riverSession) Close() error { s.pool.Close(); return nil }
