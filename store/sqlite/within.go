package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	modernc "modernc.org/sqlite"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Within returns an enqueuer whose jobs come into being if and when tx commits,
// and in which an attempt can be completed together with the caller's own
// changes:
//
//	tx, err := db.BeginTx(ctx, nil) // db opened with _txlock=immediate
//	receipt, err := SendWelcome.Enqueue(ctx, sqlite.Within(client, tx), args)
//	err = tx.Commit()
//
// The transaction must be one on the store's own file. It must be an immediate
// one: a deferred one can fail when it first writes, after others have written,
// and is refused with [bellhop.ErrDeferredTx]. That is the one error of a busy
// database that a caller may see. If an attempt that is completed has lost its
// claim, the transaction is rolled back, and the error matches [bellhop.ErrStale].
//
// If the store was opened by its address, the caller's pool must use the same
// driver, modernc.org/sqlite: two libraries in one process do not see each
// other's locks. With another driver, make the store with [New].
//
// Events and wake-ups cannot know of the commit; a worker finds the job at its
// next look.
func Within(client *bellhop.Client, tx *sql.Tx) *bellhop.Bound {
	return sqlstore.Bind(client, "sqlite.Within", tx == nil, func(s *Store) bellhop.TxStore { return s.within(tx) })
}

func (s *Store) within(tx *sql.Tx) *within {
	return &within{
		store: s, tx: tx,
		enqueue: s.pool.Within(tx, s.StepOf(bellhop.OpEnqueue)),
		finish:  s.pool.Within(tx, s.StepOf(bellhop.OpExchange)),
	}
}

// within is a transaction of the caller.
type within struct {
	store   *Store
	tx      *sql.Tx
	enqueue sqlstore.Tx // tx, for each of the two operations
	finish  sqlstore.Tx
	mu      sync.Mutex
	checked bool
}

// Enqueue implements [bellhop.TxStore].
func (w *within) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	err = w.do(ctx, func() error {
		receipts, err = w.store.EnqueueIn(ctx, w.enqueue, r)
		return err
	})
	return receipts, err
}

// Finish implements [bellhop.TxStore].
func (w *within) Finish(ctx context.Context, o bellhop.Outcome) error {
	err := w.do(ctx, func() error {
		return w.store.FinishIn(ctx, w.finish, o)
	})
	if errors.Is(err, bellhop.ErrStale) {
		if e := w.tx.Rollback(); e != nil && !errors.Is(e, sql.ErrTxDone) {
			return errors.Join(err, e)
		}
	}
	return err
}

// do runs fn as a whole or not at all.
func (w *within) do(ctx context.Context, fn func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.checked {
		if err := w.check(ctx); err != nil {
			return w.busy(err)
		}
		w.checked = true
	}
	if _, err := w.tx.ExecContext(ctx, "savepoint bellhop"); err != nil {
		return w.busy(err)
	}
	if err := fn(); err != nil {
		// The error counts; if the context has ended, going back still must not fail.
		_, back := w.tx.ExecContext(context.WithoutCancel(ctx), "rollback to bellhop; release bellhop")
		if back != nil {
			// SQLite has rolled everything back by itself, as it does on a full disk:
			// what the caller still does must not be committed piece by piece.
			_ = w.tx.Rollback()
		}
		return w.busy(err)
	}
	_, err := w.tx.ExecContext(ctx, "release bellhop")
	return w.busy(err)
}

// busy turns the error of a busy database into the one that says why.
func (w *within) busy(err error) error {
	if err == nil || errors.Is(err, bellhop.ErrDeferredTx) {
		return err
	}
	switch codeOf(err) {
	case codeBusy, codeLocked:
		return fmt.Errorf("sqlite.Within: %w: %w", bellhop.ErrDeferredTx, err)
	}
	return err
}

// check finds out whether the transaction is one on our file, through a library
// that sees our locks, and whether it holds the write lock.
func (w *within) check(ctx context.Context) error {
	var file string
	if err := w.tx.QueryRowContext(ctx, `select file from pragma_database_list where name = 'main'`).Scan(&file); err != nil {
		return fmt.Errorf("sqlite.Within: %w", err)
	}
	if !sameFile(file, w.store.settings.path) {
		return fmt.Errorf("sqlite.Within: the transaction is on %q, the store on %q: open the same file for both", file, w.store.settings.path)
	}
	if !w.store.theirs {
		var one int
		if err := w.tx.QueryRowContext(ctx, "select "+mark+"()").Scan(&one); err != nil {
			return fmt.Errorf("sqlite.Within: the transaction goes through another SQLite library than the store, and they would not see each other's locks: make the store with sqlite.New on your own pool: %w", err)
		}
	}
	if free, err := w.store.probeWriter(ctx); err != nil || free {
		if free {
			err = fmt.Errorf("sqlite.Within: %w", bellhop.ErrDeferredTx)
		}
		return err
	}
	// Somebody writes. If it is not this transaction, this fails.
	_, err := w.tx.ExecContext(ctx, takeWriteLock.Text)
	return err
}

// mark is an SQL function that exists in our own copy of the library only.
const mark = "bellhop_same_library"

func init() {
	modernc.MustRegisterDeterministicScalarFunction(mark, 0, func(*modernc.FunctionContext, []driver.Value) (driver.Value, error) {
		return int64(1), nil
	})
}

// probeWriter reports whether nobody holds the write lock, which it looks for
// through a connection of its own. If none can be had it reports false.
func (s *Store) probeWriter(ctx context.Context) (free bool, err error) {
	db, err := s.probe.open(s)
	if db == nil || err != nil {
		return false, err
	}
	if s.theirs {
		// A pool without room has only the connection of the transaction itself.
		if stats := db.Stats(); stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections {
			return false, nil
		}
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	var patience int
	if err := conn.QueryRowContext(ctx, "pragma busy_timeout").Scan(&patience); err != nil {
		return false, err
	}
	if _, err := conn.ExecContext(ctx, "pragma busy_timeout = 0"); err != nil {
		return false, err
	}
	if _, err = conn.ExecContext(ctx, "begin immediate"); err == nil {
		free = true
		_, err = conn.ExecContext(context.WithoutCancel(ctx), "rollback")
	} else if codeOf(err) == codeBusy {
		err = nil
	}
	_, e := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("pragma busy_timeout = %d", patience))
	return free, errors.Join(err, e)
}

// prober has a connection of its own to look whether somebody writes.
type prober struct {
	mu sync.Mutex
	db *sql.DB
}

func (p *prober) open(s *Store) (*sql.DB, error) {
	if s.theirs {
		return s.writer, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db == nil {
		db, err := pool(s.settings.path, nil, 1)
		if err != nil {
			return nil, err
		}
		p.db = db
	}
	return p.db, nil
}

func (p *prober) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db != nil {
		_ = p.db.Close()
		p.db = nil
	}
}
