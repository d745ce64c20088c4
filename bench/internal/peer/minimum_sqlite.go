package peer

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"

	_ "modernc.org/sqlite" // the driver in Go, which is ours

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func init() {
	least := Contender{
		Name: "minimum", Store: "sqlite", Title: "Hand-written minimum", Family: "minimum", Version: "in bench", Keeps: true,
		Settings: "ready, running, done and attempts tables, claim and acknowledge 1000 in one transaction of statements over json_each, one connection, " +
			"synchronous=FULL, modernc.org/sqlite; single enqueues are a commit each; bulk: 1000 in a statement",
		BulkCallers: 1, BulkSize: 1000, Open: openMinimumSQLite(true),
	}
	bare := least
	bare.Name, bare.Title, bare.Keeps = "minimum-drop", "Hand-written minimum that keeps nothing", false
	bare.Settings = "as the other, but acknowledging deletes the job and nothing is recorded"
	bare.Open = openMinimumSQLite(false)
	add(least, bare)
}

// minimumSQLite is a queue of a few tables: no retries, no due times, no leases.
type minimumSQLite struct {
	db    *sql.DB
	keeps bool
}

func openMinimumSQLite(keeps bool) func(context.Context, drill.Order) (Session, error) {
	return func(ctx context.Context, o drill.Order) (Session, error) {
		db, err := sql.Open("sqlite", "file:"+o.Address[len("sqlite:"):]+
			"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		_, err = db.ExecContext(ctx, `
			create table if not exists ready (id integer primary key, queue text not null, priority int not null, kind text not null, args blob not null);
			create table if not exists running (id integer primary key, queue text not null, priority int not null, kind text not null, args blob not null, claimed_at int not null);
			create table if not exists done (id integer primary key, queue text not null, priority int not null, kind text not null, args blob not null, finished_at int not null);
			create table if not exists attempts (id int not null, number int not null, claimed_at int not null, finished_at int not null, outcome int not null, primary key (id, number)) without rowid`)
		if err != nil {
			_ = db.Close()
			return nil, err
		}
		return &minimumSQLite{db: db, keeps: keeps}, nil
	}
}

func (s *minimumSQLite) Enqueue(ctx context.Context, number int) error {
	_, err := s.db.ExecContext(ctx, `insert into ready (id, queue, priority, kind, args) values (?, 'default', 0, 'bench', ?)`, number, encode(number))
	return err
}

func (s *minimumSQLite) EnqueueBulk(ctx context.Context, first, n int) error {
	all := make([]string, n)
	for i := range all {
		all[i] = string(encode(first + i))
	}
	list, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `insert into ready (id, queue, priority, kind, args) select ? + key, 'default', 0, 'bench', value from json_each(?)`, first, list)
	return err
}

const (
	sqliteClaim = `insert into running select id, queue, priority, kind, args, unixepoch() from ready order by id limit 1000 returning id, args`
	sqliteLeave = `delete from ready where id in (select value from json_each(?))`
	sqliteDone  = `insert into done select id, queue, priority, kind, args, unixepoch() from running where id in (select value from json_each(?))`
	sqliteTried = `insert into attempts select id, 1, claimed_at, unixepoch(), 1 from running where id in (select value from json_each(?))`
	sqliteEnded = `delete from running where id in (select value from json_each(?))`
)

func (s *minimumSQLite) Work(ctx context.Context, run func(int)) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	return workers(cancel, 1, func() error {
		held := []byte("[]")
		for {
			next, n, err := s.exchange(context.WithoutCancel(ctx), held, ctx.Err() == nil, run)
			if err != nil {
				return err
			}
			held = next
			switch {
			case n == 0 && ctx.Err() != nil:
				return nil
			case n == 0:
				rest(ctx)
			}
		}
	}), nil
}

// exchange acknowledges the jobs that are held and claims the next, in one transaction; then it runs them.
func (s *minimumSQLite) exchange(ctx context.Context, held []byte, claim bool, run func(int)) (next []byte, n int, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, 0, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if len(held) > 2 {
		acknowledge := []string{sqliteEnded}
		if s.keeps {
			acknowledge = []string{sqliteDone, sqliteTried, sqliteEnded}
		}
		for _, statement := range acknowledge {
			if _, err := tx.ExecContext(ctx, statement, held); err != nil {
				return nil, 0, err
			}
		}
	}
	var ids []int64
	var bodies [][]byte
	if claim {
		if ids, bodies, err = s.claim(ctx, tx); err != nil {
			return nil, 0, err
		}
	}
	if next, err = json.Marshal(ids); err != nil {
		return nil, 0, err
	}
	if len(ids) == 0 {
		next = []byte("[]")
	} else if _, err := tx.ExecContext(ctx, sqliteLeave, next); err != nil {
		return nil, 0, err
	}
	if err := tx.Commit(); err != nil {
		return nil, 0, err
	}
	for _, body := range bodies {
		if err := decode(body, run); err != nil {
			return nil, 0, err
		}
	}
	return next, len(ids), nil
}

func (s *minimumSQLite) claim(ctx context.Context, tx *sql.Tx) (ids []int64, bodies [][]byte, err error) {
	rows, err := tx.QueryContext(ctx, sqliteClaim)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var id int64
		var body sql.RawBytes
		if err := rows.Scan(&id, &body); err != nil {
			return nil, nil, err
		}
		ids, bodies = append(ids, id), append(bodies, bytes.Clone(body))
	}
	return ids, bodies, rows.Err()
}

func (s *minimumSQLite) Left(context.Context) (int, error) {
	return count(s.db, `select count(*) from (select 1 from running limit 1)`)
}

func (s *minimumSQLite) Check(context.Context) (waiting, kept int, err error) {
	if waiting, err = count(s.db, `select (select count(*) from ready) + (select count(*) from running)`); err == nil {
		kept, err = count(s.db, `select count(*) from done`)
	}
	return waiting, kept, err
}

func (s *minimumSQLite) Close() error { return s.db.Close() }
