package peer

import (
	"context"
	"database/sql"
	"time"

	"github.com/mikestefanello/backlite"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func init() {
	drop := Contender{
		Name: "backlite-drop", Store: "sqlite", Title: "backlite, finished jobs dropped", Family: "backlite", Module: "github.com/mikestefanello/backlite",
		Settings:    "500 workers, one connection, synchronous=FULL, " + driverName + ", no Retention; bulk: Add of 1000",
		BulkCallers: 1, BulkSize: 1000, Open: openBacklite(sqliteFull, 500, false),
	}
	keep := drop
	keep.Name, keep.Title, keep.Keeps = "backlite", "backlite", true
	keep.Settings = "500 workers, one connection, synchronous=FULL, " + driverName + ", Retention with data; bulk: Add of 1000"
	keep.Open = openBacklite(sqliteFull, 500, true)
	normal := keep
	normal.Name, normal.Title, normal.Weaker = "backlite-normal", "backlite, synchronous=NORMAL", true
	normal.Settings = "as backlite, but synchronous=NORMAL as its guide's address leads to: the last commits may be lost with the machine"
	normal.Open = openBacklite(sqliteGuide, 500, true)
	plain := keep
	plain.Name, plain.Title, plain.Default, plain.Weaker = "backlite-default", "backlite, defaults", true, true
	plain.Settings = "as its guide: 10 workers, synchronous=NORMAL"
	plain.Open = openBacklite(sqliteGuide, 10, true)
	add(keep, drop, normal, plain)
}

// backliteArgs keeps finished tasks, backliteDropped does not: with backlite that is a matter of the type.
type (
	backliteArgs    Args
	backliteDropped Args
)

// Config is what backlite asks of a task.
func (backliteArgs) Config() backlite.QueueConfig {
	return backlite.QueueConfig{
		Name: "bench", MaxAttempts: 25, Timeout: time.Minute, Backoff: time.Second,
		Retention: &backlite.Retention{Duration: 24 * time.Hour, Data: &backlite.RetainData{}},
	}
}

// Config is what backlite asks of a task.
func (backliteDropped) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "bench", MaxAttempts: 25, Timeout: time.Minute, Backoff: time.Second}
}

type backliteSession struct {
	db     *sql.DB
	client *backlite.Client
	keeps  bool
	run    func(int)
}

func openBacklite(parameters string, workers int, keeps bool) func(context.Context, drill.Order) (Session, error) {
	return func(_ context.Context, o drill.Order) (Session, error) {
		db, err := openSQLite(o.Address, parameters, 1)
		if err != nil {
			return nil, err
		}
		s := &backliteSession{db: db, keeps: keeps}
		s.client, err = backlite.NewClient(backlite.ClientConfig{
			DB: db, NumWorkers: workers, ReleaseAfter: 10 * time.Minute, CleanupInterval: time.Hour,
		})
		if err == nil {
			if keeps {
				s.client.Register(backlite.NewQueue(func(_ context.Context, a backliteArgs) error { s.run(a.N - Base); return nil }))
			} else {
				s.client.Register(backlite.NewQueue(func(_ context.Context, a backliteDropped) error { s.run(a.N - Base); return nil }))
			}
			err = s.client.Install()
		}
		if err != nil {
			_ = db.Close()
			return nil, err
		}
		return s, nil
	}
}

func (s *backliteSession) task(number int) backlite.Task {
	if s.keeps {
		return backliteArgs(argsOf(number))
	}
	return backliteDropped(argsOf(number))
}

func (s *backliteSession) Enqueue(ctx context.Context, number int) error {
	_, err := s.client.Add(s.task(number)).Ctx(ctx).Save()
	return err
}

func (s *backliteSession) EnqueueBulk(ctx context.Context, first, n int) error {
	tasks := make([]backlite.Task, n)
	for i := range tasks {
		tasks[i] = s.task(first + i)
	}
	_, err := s.client.Add(tasks...).Ctx(ctx).Save()
	return err
}

func (s *backliteSession) Work(ctx context.Context, run func(int)) (func() error, error) {
	s.run = run
	s.client.Start(ctx)
	return func() error {
		// Stopped in the midst of its work it would wait for tasks that nobody takes any more.
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		s.client.Stop(ctx)
		return nil
	}, nil
}

func (s *backliteSession) Left(context.Context) (int, error) {
	return count(s.db, `select count(*) from backlite_tasks`)
}

func (s *backliteSession) Check(ctx context.Context) (waiting, kept int, err error) {
	if waiting, err = s.Left(ctx); err == nil {
		kept, err = count(s.db, `select count(*) from backlite_tasks_completed where succeeded = 1`)
	}
	return waiting, kept, err
}

func (s *backliteSession) Close() error { return s.db.Close() }
