package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// carrier is what statements go through: a connection, or a transaction of the caller.
type carrier interface {
	exec(ctx context.Context, sql string, args []any) (int64, error)
	query(ctx context.Context, sql string, args []any, scan func(sqlstore.Row) error) error
	// batch runs one statement n times, and tells after each how many rows it changed.
	batch(ctx context.Context, sql string, n int, args func(i int) []any, changed func(i int, rows int64)) error
}

// tx is a [sqlstore.Tx].
type tx struct {
	db   *database
	on   carrier
	step sqlstore.Step
	now  int64
}

var readClock = sqlstore.Define("clock", `select {now}`)

// begin begins a transaction and asks for the server's clock, in one round trip.
func (t *tx) begin(ctx context.Context, how string) error {
	batch := &pgx.Batch{}
	batch.Queue(how)
	if t.db.local {
		batch.Queue(setLocally)
	}
	batch.Queue(t.db.dialect.SQL(readClock)).QueryRow(func(row pgx.Row) error { return row.Scan(&t.now) })
	err := t.on.(onConn).SendBatch(ctx, batch).Close()
	t.now += t.db.offset.Load()
	return err
}

// Now implements [sqlstore.Tx].
func (t *tx) Now(ctx context.Context) (int64, error) {
	if t.now != 0 {
		return t.now, nil
	}
	err := t.on.query(ctx, t.db.dialect.SQL(readClock), nil, func(r sqlstore.Row) error { return r.Scan(&t.now) })
	t.now += t.db.offset.Load()
	return t.now, err
}

// named runs one step under its name.
func (t *tx) named(ctx context.Context, name string, fn func() error) error {
	if t.step != nil {
		if err := t.step(ctx, name, false); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if t.step != nil {
		return t.step(ctx, name, true)
	}
	return nil
}

// native turns the parameters for lists into arrays.
func native(args []any) []any {
	for i, a := range args {
		switch v := a.(type) {
		case sqlstore.Texts:
			args[i] = []string(v)
		case sqlstore.Numbers:
			args[i] = []int64(v)
		}
	}
	return args
}

// Exec implements [sqlstore.Tx].
func (t *tx) Exec(ctx context.Context, st *sqlstore.Stmt, args ...any) (n int64, err error) {
	err = t.named(ctx, st.Name, func() error {
		n, err = t.on.exec(ctx, t.db.dialect.SQL(st), native(args))
		return err
	})
	return n, err
}

// Query implements [sqlstore.Tx].
func (t *tx) Query(ctx context.Context, st *sqlstore.Stmt, scan func(sqlstore.Row) error, args ...any) error {
	return t.named(ctx, st.Name, func() error { return t.on.query(ctx, t.db.dialect.SQL(st), native(args), scan) })
}

// Each implements [sqlstore.Tx].
func (t *tx) Each(ctx context.Context, st *sqlstore.Stmt, n int, args func(i int, row []any) []any, changed []int64) error {
	if n == 0 {
		return nil
	}
	return t.named(ctx, st.Name, func() error {
		return t.on.batch(ctx, t.db.dialect.SQL(st), n, func(i int) []any { return native(args(i, nil)) }, func(i int, rows int64) {
			if changed != nil {
				changed[i] = rows
			}
		})
	})
}

// Rows implements [sqlstore.Tx]: one statement for each row, all in one round trip.
func (t *tx) Rows(ctx context.Context, st *sqlstore.Stmt, n int, args func(i int, row []any) []any, tail ...any) (total int64, err error) {
	changed := make([]int64, n)
	err = t.Each(ctx, st, n, func(i int, row []any) []any { return append(args(i, row), tail...) }, changed)
	for _, rows := range changed {
		total += rows
	}
	return total, err
}

// request runs one statement of a pipeline by itself.
func (t *tx) request(ctx context.Context, r request) error {
	rows, err := t.on.(onConn).Query(ctx, t.db.dialect.SQL(r.st), r.args...)
	if err != nil {
		return err
	}
	return each(rows, r.scan)
}

// pgxer is what a connection and a transaction of pgx have in common.
type pgxer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// onConn is a [carrier] of pgx. Where a caller's connections do not ask the server
// for the types of parameters, because of their query mode, each statement does so
// by itself, and none go together.
type onConn struct {
	pgxer
	alone bool
}

// asksNot reports whether statements go without asking for the types of their parameters.
func asksNot(c *pgx.ConnConfig) bool {
	mode := c.DefaultQueryExecMode
	return mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
}

// Query is that of pgx.
func (c onConn) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if c.alone && len(args) > 0 {
		args = append([]any{pgx.QueryExecModeCacheDescribe}, args...)
	}
	return c.pgxer.Query(ctx, sql, args...)
}

func (c onConn) exec(ctx context.Context, sql string, args []any) (int64, error) {
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	rows.Close()
	return rows.CommandTag().RowsAffected(), rows.Err()
}

func (c onConn) query(ctx context.Context, sql string, args []any, scan func(sqlstore.Row) error) error {
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	return each(rows, func(r pgx.Rows) error { return scan(r) })
}

// perBatch is how many runs of a statement go in one round trip.
const perBatch = 500

func (c onConn) batch(ctx context.Context, sql string, n int, args func(i int) []any, changed func(i int, rows int64)) error {
	for i := 0; i < n && c.alone; i++ {
		rows, err := c.exec(ctx, sql, args(i))
		if err != nil {
			return err
		}
		changed(i, rows)
	}
	for first := 0; first < n && !c.alone; first += perBatch {
		batch := &pgx.Batch{}
		last := min(first+perBatch, n)
		for i := first; i < last; i++ {
			batch.Queue(sql, args(i)...)
		}
		results := c.SendBatch(ctx, batch)
		for i := first; i < last; i++ {
			tag, err := results.Exec()
			if err != nil {
				_ = results.Close()
				return err
			}
			changed(i, tag.RowsAffected())
		}
		if err := results.Close(); err != nil {
			return err
		}
	}
	return nil
}
