package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Within returns an enqueuer whose jobs come into being if and when tx commits,
// and in which an attempt can be completed together with the caller's own
// changes:
//
//	tx, err := db.BeginTx(ctx, nil)
//	receipt, err := SendWelcome.Enqueue(ctx, mysql.Within(client, tx), args)
//	err = tx.Commit()
//
// The transaction must be one of go-sql-driver/mysql on the store's own
// database; it may be at any isolation level. If an attempt that is completed has
// lost its claim, the transaction is rolled back, and the error matches
// [bellhop.ErrStale].
//
// An error that matches [bellhop.ErrRetryTx] says that another transaction was in
// the way: do the whole of yours again. After a deadlock the server has rolled it
// back, and so has Within; after any other error nothing of the call that failed is
// left in it.
//
// Until the transaction ends, others who enqueue a job with the same unique key
// wait for it. Events and wake-ups cannot know of the commit; a worker finds the
// job at its next look.
func Within(client *bellhop.Client, tx *sql.Tx) *bellhop.Bound {
	return sqlstore.Bind(client, "mysql.Within", tx == nil, func(s *Store) bellhop.TxStore { return s.within(tx) })
}

func (s *Store) within(tx *sql.Tx) *within { return &within{store: s, tx: tx} }

// within is a transaction of the caller.
type within struct {
	store   *Store
	tx      *sql.Tx
	mu      sync.Mutex
	checked bool
}

// Enqueue implements [bellhop.TxStore].
func (w *within) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	err = w.do(ctx, func() error {
		receipts, err = w.store.EnqueueIn(ctx, w.transaction(bellhop.OpEnqueue), r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// Finish implements [bellhop.TxStore].
func (w *within) Finish(ctx context.Context, o bellhop.Outcome) error {
	return w.do(ctx, func() error { return w.store.FinishIn(ctx, w.transaction(bellhop.OpExchange), o) })
}

func (w *within) transaction(op bellhop.Op) *transaction {
	return &transaction{database: w.store.database, session: w.tx, step: w.store.StepOf(op), locking: true}
}

// do runs fn as a whole or not at all.
func (w *within) do(ctx context.Context, fn func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.checked {
		if err := w.check(ctx); err != nil {
			return err
		}
		w.checked = true
	}
	if _, err := w.tx.ExecContext(ctx, "savepoint bellhop"); err != nil {
		return fmt.Errorf("mysql.Within: %w", w.store.database.explain(err))
	}
	err := fn()
	if err == nil {
		if _, err = w.tx.ExecContext(ctx, "release savepoint bellhop"); err == nil {
			return nil
		}
		err = fmt.Errorf("mysql.Within: %w", w.store.database.explain(err))
	}
	if errors.Is(err, bellhop.ErrStale) || w.undo(ctx) != nil {
		// After a deadlock the server has rolled everything back, and what the caller
		// still does would be committed piece by piece.
		if e := w.tx.Rollback(); e != nil && !errors.Is(e, sql.ErrTxDone) && errors.Is(err, bellhop.ErrStale) {
			return errors.Join(err, e)
		}
	}
	return err
}

// undo takes back what has been done since the savepoint. It fails if the server
// has ended the transaction.
func (w *within) undo(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // if the context has ended, going back still must not fail
	if _, err := w.tx.ExecContext(ctx, "rollback to savepoint bellhop"); err != nil {
		return err
	}
	_, err := w.tx.ExecContext(ctx, "release savepoint bellhop")
	return err
}

// check finds out whether the transaction is one on the store's database.
func (w *within) check(ctx context.Context) error {
	var theirs string
	if err := w.tx.QueryRowContext(ctx, place).Scan(&theirs); err != nil {
		return fmt.Errorf("mysql.Within: %w", w.store.database.explain(err))
	}
	if ours := w.store.server.place; theirs != ours {
		return fmt.Errorf("mysql.Within: the transaction is on another database than the store (%s, not %s): open the same for both", theirs, ours)
	}
	return nil
}

var _ sqlstore.Tx = (*transaction)(nil)
