package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Within returns an enqueuer whose jobs come into being if and when tx commits,
// and in which an attempt can be completed together with the caller's own
// changes:
//
//	tx, err := pool.Begin(ctx)
//	receipt, err := SendWelcome.Enqueue(ctx, postgres.Within(client, tx), args)
//	err = tx.Commit(ctx)
//
// The transaction must be one on the store's own database; it may be at any
// isolation level. If an attempt that is completed has lost its claim, an error
// is raised inside the transaction, so that it can no longer commit, and the
// error matches [bellhop.ErrStale].
//
// An error that matches [bellhop.ErrRetryTx] says that another transaction was in
// the way: roll back and do the whole of yours again. It cannot commit any more if
// an attempt was to be completed: from repeatable read on, a claim that was lost
// since the transaction's first statement shows in this way. After any other error
// nothing of the call that failed is left in it.
//
// Until the transaction ends, others who enqueue a job with the same unique key
// wait for it. Events and wake-ups cannot know of the commit; a worker finds the
// job at its next look.
func Within(client *bellhop.Client, tx pgx.Tx) *bellhop.Bound {
	const name = "postgres.Within"
	return sqlstore.Bind(client, name, tx == nil, func(s *Store) bellhop.TxStore {
		return &within{store: s, name: name, on: onConn{tx, asksNot(tx.Conn().Config())}}
	})
}

// WithinSQL is [Within] for a transaction of database/sql, with the driver
// github.com/jackc/pgx/v5/stdlib.
func WithinSQL(client *bellhop.Client, tx *sql.Tx) *bellhop.Bound {
	const name = "postgres.WithinSQL"
	return sqlstore.Bind(client, name, tx == nil, func(s *Store) bellhop.TxStore { return &within{store: s, name: name, on: onSQL{tx}} })
}

// within is a transaction of the caller.
type within struct {
	store   *Store
	name    string // of the function that the caller called
	on      carrier
	mu      sync.Mutex
	checked bool
}

// Enqueue implements [bellhop.TxStore].
func (w *within) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	if tx, ok := w.on.(onConn); ok && !tx.alone && len(r.Puts) == 0 && len(r.Jobs) > 0 {
		if receipts, err = w.enqueueNew(ctx, tx, r.Jobs); codeOf(err) != codeUnique {
			return receipts, err
		}
	}
	err = w.do(ctx, func() error {
		receipts, err = w.store.EnqueueIn(ctx, w.tx(bellhop.OpEnqueue), r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// enqueueNew takes jobs that are all new, in one round trip.
func (w *within) enqueueNew(ctx context.Context, tx onConn, jobs []*bellhop.Job) ([]bellhop.Receipt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.check(ctx); err != nil {
		return nil, err
	}
	d := w.store.database
	st, args := intakeOf(jobs, d.offset.Load())
	now := int64(0)
	batch := &pgx.Batch{}
	batch.Queue("savepoint bellhop")
	batch.Queue(d.dialect.SQL(st), args...).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	batch.Queue("release savepoint bellhop")
	if err := w.store.In(ctx, bellhop.OpEnqueue, func() error { return tx.SendBatch(ctx, batch).Close() }); err != nil {
		w.back(ctx)
		return nil, err
	}
	return sqlstore.ReceiptsOf(jobs, now), nil
}

// anyway returns a context for what must not be left out if ctx has ended, as that
// of an attempt does when its claim is lost.
func anyway(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// back takes back what has been done since the savepoint.
func (w *within) back(ctx context.Context) {
	ctx, cancel := anyway(ctx)
	defer cancel()
	if _, err := w.on.exec(ctx, "rollback to savepoint bellhop", nil); err == nil {
		_, _ = w.on.exec(ctx, "release savepoint bellhop", nil)
	}
}

// Finish implements [bellhop.TxStore].
func (w *within) Finish(ctx context.Context, o bellhop.Outcome) error {
	err := w.do(ctx, func() error { return w.store.FinishIn(ctx, w.tx(bellhop.OpExchange), o) })
	how := ""
	switch {
	case errors.Is(err, bellhop.ErrStale):
		how = raiseStale
	case errors.Is(err, bellhop.ErrRetryTx): // at repeatable read, a claim that is lost looks like any other that has changed
		how = raiseRetry
	default:
		return err
	}
	// From here on the transaction can only be rolled back.
	ctx, cancel := anyway(ctx)
	defer cancel()
	if _, e := w.on.exec(ctx, how, nil); e == nil {
		return errors.Join(err, fmt.Errorf("%s: the transaction could not be made to fail: roll it back", w.name))
	}
	return err
}

const (
	raiseStale = `do $$ begin raise exception 'bellhop: the claim is stale: the job has been taken back or finished'; end $$`
	raiseRetry = `do $$ begin raise exception 'bellhop: another transaction was in the way: do the whole of this one again'; end $$`
)

func (w *within) tx(op bellhop.Op) *tx {
	return &tx{db: w.store.database, on: w.on, step: w.store.StepOf(op)}
}

// do runs fn as a whole or not at all.
func (w *within) do(ctx context.Context, fn func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.check(ctx); err != nil {
		return err
	}
	if _, err := w.on.exec(ctx, "savepoint bellhop", nil); err != nil {
		return w.explain(err)
	}
	if err := fn(); err != nil {
		w.back(ctx)
		return err // which counts more than what may be wrong with going back
	}
	_, err := w.on.exec(ctx, "release savepoint bellhop", nil)
	return w.explain(err)
}

func (w *within) explain(err error) error {
	if err == nil {
		return nil
	}
	_, err = w.store.database.dialect.Explain(err)
	return fmt.Errorf("%s: %w", w.name, err)
}

// place tells one database with our tables in it from another.
const place = `select current_database() || ', table ' || coalesce(to_regclass($1)::oid::text, 'missing')`

// check finds out whether the transaction is one on the store's database.
func (w *within) check(ctx context.Context) error {
	if w.checked {
		return nil
	}
	ours, err := w.store.database.place(ctx)
	if err != nil {
		return w.explain(err)
	}
	var theirs string
	err = w.on.query(ctx, place, []any{w.store.database.table()}, func(r sqlstore.Row) error { return r.Scan(&theirs) })
	if err == nil && theirs != ours {
		err = fmt.Errorf("the transaction is on another database than the store (%s, not %s): open the same for both", theirs, ours)
	}
	w.checked = err == nil
	return w.explain(err)
}

// table is that of the jobs.
func (d *database) table() string { return d.dialect.schema + "bellhop_jobs" }

// place returns where the store is. It never changes while the store is open.
func (d *database) place(ctx context.Context) (string, error) {
	if known := d.where.Load(); known != nil {
		return *known, nil
	}
	var where string
	if err := d.pool.QueryRow(ctx, place, d.table()).Scan(&where); err != nil {
		return "", err
	}
	d.where.Store(&where)
	return where, nil
}

// onSQL is a [carrier] of database/sql.
type onSQL struct{ *sql.Tx }

func (c onSQL) exec(ctx context.Context, sql string, args []any) (int64, error) {
	result, err := c.ExecContext(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c onSQL) query(ctx context.Context, sql string, args []any, scan func(sqlstore.Row) error) error {
	rows, err := c.QueryContext(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c onSQL) batch(ctx context.Context, sql string, n int, args func(i int) []any, changed func(i int, rows int64)) error {
	st, err := c.PrepareContext(ctx, sql)
	if err != nil {
		return err
	}
	defer st.Close()
	for i := range n {
		result, err := st.ExecContext(ctx, args(i)...)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return err
		}
		changed(i, rows)
	}
	return nil
}
