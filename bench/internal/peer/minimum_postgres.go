package peer

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

// minimumBatch is how many jobs a hand-written worker claims and acknowledges at once; none gained by more.
const minimumBatch = 1000

func init() {
	least := Contender{
		Name: "minimum", Store: "postgres", Title: "Hand-written minimum", Family: "minimum", Version: "in bench", Keeps: true,
		Settings: "narrow ready and running tables, claim and acknowledge 1000 in one statement each, 2 connections; finished jobs go to a done " +
			"table and each attempt gets a row; bulk: COPY of 5000 from 2 connections",
		BulkCallers: 2, BulkSize: 5000,
		Open: openMinimumPostgres(true),
	}
	bare := least
	bare.Name, bare.Title, bare.Keeps = "minimum-drop", "Hand-written minimum that keeps nothing", false
	bare.Settings = "as the other, but acknowledging deletes the job and nothing is recorded"
	bare.Open = openMinimumPostgres(false)
	add(least, bare)
}

// minimumPostgres is a queue of three tables and two statements: no retries, no due times, no leases.
type minimumPostgres struct {
	pool  *pgxpool.Pool
	keeps bool
}

func openMinimumPostgres(keeps bool) func(context.Context, drill.Order) (Session, error) {
	return func(ctx context.Context, o drill.Order) (Session, error) {
		cfg, err := pgxpool.ParseConfig(o.Address)
		if err != nil {
			return nil, err
		}
		cfg.MaxConns = max(int32(o.Callers), 4)
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return nil, err
		}
		_, err = pool.Exec(ctx, `
			create table if not exists ready (id bigint primary key generated always as identity, queue text not null, priority int not null, kind text not null, args bytea not null);
			create table if not exists running (id bigint primary key, queue text not null, priority int not null, kind text not null, args bytea not null, claimed_at timestamptz not null);
			create table if not exists done (id bigint primary key, queue text not null, priority int not null, kind text not null, args bytea not null, finished_at timestamptz not null);
			create table if not exists attempts (id bigint not null, number int not null, claimed_at timestamptz not null, finished_at timestamptz not null, outcome int not null);
			create index if not exists attempts_id on attempts (id)`)
		if err != nil {
			pool.Close()
			return nil, err
		}
		return &minimumPostgres{pool: pool, keeps: keeps}, nil
	}
}

func (s *minimumPostgres) Enqueue(ctx context.Context, number int) error {
	_, err := s.pool.Exec(ctx, `insert into ready (queue, priority, kind, args) values ('default', 0, 'bench', $1)`, encode(number))
	return err
}

func (s *minimumPostgres) EnqueueBulk(ctx context.Context, first, n int) error {
	_, err := s.pool.CopyFrom(ctx, pgx.Identifier{"ready"}, []string{"queue", "priority", "kind", "args"},
		pgx.CopyFromSlice(n, func(i int) ([]any, error) { return []any{"default", 0, "bench", encode(first + i)}, nil }))
	return err
}

const (
	minimumClaim = `with d as (delete from ready where ctid = any(array(
			select ctid from ready order by id limit 1000 for update skip locked)) returning *)
		insert into running select id, queue, priority, kind, args, now() from d returning id, args`
	minimumKeep = `with d as (delete from running where id = any($1) returning *),
		f as (insert into done select id, queue, priority, kind, args, now() from d)
		insert into attempts select id, 1, claimed_at, now(), 1 from d`
	minimumDrop = `delete from running where id = any($1)`
)

func (s *minimumPostgres) Work(ctx context.Context, run func(int)) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	acknowledge := minimumDrop
	if s.keeps {
		acknowledge = minimumKeep
	}
	return workers(cancel, 2, func() error {
		for ctx.Err() == nil {
			rows, err := s.pool.Query(context.WithoutCancel(ctx), minimumClaim)
			if err != nil {
				return err
			}
			ids := make([]int64, 0, minimumBatch)
			var id int64
			var args []byte
			if _, err := pgx.ForEachRow(rows, []any{&id, &args}, func() error {
				ids = append(ids, id)
				return decode(args, run)
			}); err != nil {
				return err
			}
			if len(ids) == 0 {
				rest(ctx)
				continue
			}
			if _, err := s.pool.Exec(context.WithoutCancel(ctx), acknowledge, ids); err != nil {
				return err
			}
		}
		return nil
	}), nil
}

func (s *minimumPostgres) Left(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from (select from running limit 1) r`).Scan(&n)
	return n, err
}

func (s *minimumPostgres) Check(ctx context.Context) (waiting, kept int, err error) {
	err = s.pool.QueryRow(ctx, `select (select count(*) from ready) + (select count(*) from running), (select count(*) from done)`).Scan(&waiting, &kept)
	return waiting, kept, err
}

func (s *minimumPostgres) Close() error { s.pool.Close(); return nil }

// workers runs fn in n goroutines until cancel has been called, and returns what ends them.
func workers(cancel func(), n int, fn func() error) func() error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		wg.Go(func() { errs <- fn() })
	}
	return func() error {
		cancel()
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// rest is what a hand-written worker does when there is nothing to do.
func rest(ctx context.Context) {
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
	}
}
