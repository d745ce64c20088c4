package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// Pool is a [Database] on database/sql.
type Pool struct {
	// Writer begins writing transactions, Reader reading ones; they may be the same.
	Writer, Reader *sql.DB
	// Dialect expands statements.
	Dialect Dialect
	// Clock returns the store's clock in microseconds; it is asked once in each transaction.
	Clock func(ctx context.Context, tx Tx) (int64, error)
	// Gate, if not nil, is taken before each writing transaction.
	Gate Gate
	// First, if not nil, is the first statement of each writing transaction: one
	// that takes the database's write lock.
	First *Stmt
	// Begin, if not empty, begins a writing transaction, and says that Writer has one connection, which
	// nobody else uses, and lets one transaction through at a time: see [soleConn].
	Begin string
	// OnClose, if not nil, is what Close does.
	OnClose func() error

	writes, reads prepared
	sole          *soleConn // nil before Prepare, or without Begin
}

// Gate lets one writer through at a time.
type Gate interface {
	// Enter waits until it is the caller's turn, or ctx ends.
	Enter(ctx context.Context) error
	// Leave lets the next one through.
	Leave()
}

// prepared holds the statements prepared on one pool. They are prepared before
// the first transaction, because a pool of one connection has none to spare within one.
type prepared struct {
	mu    sync.RWMutex
	stmts map[*Stmt]*sql.Stmt
}

func (p *prepared) get(st *Stmt) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.stmts[st]
}

func (p *prepared) fill(ctx context.Context, db preparer, d Dialect) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stmts = make(map[*Stmt]*sql.Stmt, len(statements))
	for _, st := range statements {
		ready, err := db.PrepareContext(ctx, d.SQL(st))
		if err != nil {
			return wrapStatement(st, err)
		}
		p.stmts[st] = ready
	}
	return nil
}

func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range p.stmts {
		_ = st.Close()
	}
	p.stmts = nil
}

// Prepare prepares all statements. The schema must be there.
func (p *Pool) Prepare(ctx context.Context) (err error) {
	var writer preparer = p.Writer
	if p.Begin != "" {
		if p.sole, err = newSoleConn(ctx, p.Writer, p.Begin); err != nil {
			return err
		}
		writer = p.sole.conn
	}
	if err := p.writes.fill(ctx, writer, p.Dialect); err != nil || p.Reader == p.Writer {
		return err
	}
	return p.reads.fill(ctx, p.Reader, p.Dialect)
}

// Write implements [Database].
func (p *Pool) Write(ctx context.Context, step Step, fn func(Tx) error) error {
	if p.Gate != nil {
		if err := p.Gate.Enter(ctx); err != nil {
			return err
		}
		defer p.Gate.Leave()
	}
	return Again(ctx, p.Dialect, func() error { return p.run(ctx, step, p.Writer, &p.writes, false, fn) })
}

// ErrAgain says that what was read has changed meanwhile: the transaction is to
// be tried again.
var ErrAgain = errors.New("another transaction was in the way")

// inTheWay reports whether an error comes from another transaction.
func inTheWay(d Dialect, err error) bool {
	trouble, _ := d.Explain(err)
	return trouble == Conflict || trouble == Locked || errors.Is(err, ErrAgain)
}

// Again runs a transaction until no other is in the way, or ctx ends.
func Again(ctx context.Context, d Dialect, run func() error) error {
	for try := 1; ; try++ {
		err := run()
		if err == nil {
			return nil
		}
		if !inTheWay(d, err) || errors.Is(err, bellhop.ErrLocked) {
			return err
		}
		if waitErr := pause(ctx, try); waitErr != nil {
			return errors.Join(waitErr, err)
		}
	}
}

// Read implements [Database].
func (p *Pool) Read(ctx context.Context, step Step, fn func(Tx) error) error {
	kept := &p.reads
	if p.Reader == p.Writer {
		kept = &p.writes
	}
	return Again(ctx, p.Dialect, func() error { return p.run(ctx, step, p.Reader, kept, true, fn) })
}

// impatient turns the error of a lock that is held too long into one that is not
// tried again.
func (s *Store) impatient(err error) error {
	if err == nil {
		return nil
	}
	if trouble, explained := s.Dialect.Explain(err); trouble == Locked {
		return fmt.Errorf("%w: %w", bellhop.ErrLocked, explained)
	}
	return err
}

// pause waits a little before the next try: 1 ms at first, 100 ms at most, with jitter.
func pause(ctx context.Context, try int) error {
	wait := min(time.Millisecond<<min(try-1, 10), 100*time.Millisecond)
	timer := time.NewTimer(wait/2 + rand.N(wait))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (p *Pool) run(ctx context.Context, step Step, db *sql.DB, kept *prepared, read bool, fn func(Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &poolTx{pool: p, kept: kept, step: step, quiet: !read}
	release := func() {}
	begin := func() (err error) {
		if p.sole != nil && !read {
			t.tx, err = p.sole.start(ctx)
			return err
		}
		t.tx, release, err = start(ctx, db, read)
		return err
	}
	if read {
		err = begin()
	} else {
		err = t.named(ctx, "begin", begin)
	}
	defer func() { release() }()
	if err != nil {
		if t.tx != nil {
			_ = t.tx.Rollback()
		}
		return err
	}
	done := false
	defer func() {
		if !done { // an error, or a panic: a failing rollback must not hide it
			_ = t.tx.Rollback()
		}
	}()
	if !read && p.First != nil {
		if _, err := t.Exec(ctx, p.First); err != nil {
			return err
		}
	}
	if err := fn(t); err != nil {
		return err
	}
	if read {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return t.named(ctx, "commit", func() error {
		done = true
		if err := t.tx.Commit(); err != nil {
			_ = t.tx.Rollback()
			return err
		}
		return nil
	})
}

// start begins a transaction on a connection that release gives back.
func start(ctx context.Context, db *sql.DB, read bool) (tx transaction, release func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, func() {}, err
	}
	// A transaction does not watch the context, because that costs a goroutine.
	// Reading must not take the write lock, even if the pool's transactions do.
	began, err := conn.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{ReadOnly: read})
	release = func() { _ = conn.Close() }
	if err != nil {
		return nil, release, err
	}
	return began, release, nil
}

// Close implements [Database].
func (p *Pool) Close() error {
	p.writes.close()
	p.reads.close()
	if p.sole != nil {
		p.sole.close()
	}
	if p.OnClose != nil {
		return p.OnClose()
	}
	return nil
}

// Within returns the caller's transaction as a [Tx].
func (p *Pool) Within(tx *sql.Tx, step Step) Tx {
	return &poolTx{pool: p, tx: tx, step: step}
}

// poolTx is a transaction of database/sql.
type poolTx struct {
	pool *Pool
	tx   transaction
	kept *prepared // nil in the caller's transaction
	// quiet statements do not watch the context either, which costs a goroutine
	// each: those of our writing transactions are short, so that it is enough to
	// look at the context between them.
	quiet bool
	step  Step
	stmts map[*Stmt]*sql.Stmt
	now   int64
}

// Now implements [Tx].
func (t *poolTx) Now(ctx context.Context) (now int64, err error) {
	if t.now == 0 {
		t.now, err = t.pool.Clock(ctx, t)
	}
	return t.now, err
}

// watched returns the context for a statement.
func (t *poolTx) watched(ctx context.Context) (context.Context, error) {
	if !t.quiet {
		return ctx, nil
	}
	return context.WithoutCancel(ctx), ctx.Err()
}

// named runs one step under its name.
func (t *poolTx) named(ctx context.Context, name string, fn func() error) error {
	if t.step == nil {
		return fn()
	}
	if err := t.step(ctx, name, false); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return t.step(ctx, name, true)
}

// stmt returns the statement prepared on the transaction's connection.
func (t *poolTx) stmt(ctx context.Context, st *Stmt) (*sql.Stmt, error) {
	if ready := t.stmts[st]; ready != nil {
		return ready, nil
	}
	var ready *sql.Stmt
	if t.kept != nil {
		if onPool := t.kept.get(st); onPool != nil {
			ready = t.tx.StmtContext(ctx, onPool)
		}
	}
	if ready == nil {
		var err error
		if ready, err = t.tx.PrepareContext(ctx, t.pool.Dialect.SQL(st)); err != nil {
			return nil, err
		}
	}
	if t.stmts == nil {
		t.stmts = map[*Stmt]*sql.Stmt{}
	}
	t.stmts[st] = ready
	return ready, nil
}

func (t *poolTx) Exec(ctx context.Context, st *Stmt, args ...any) (n int64, err error) {
	err = t.named(ctx, st.Name, func() error {
		ctx, err := t.watched(ctx)
		if err != nil {
			return err
		}
		ready, err := t.stmt(ctx, st)
		if err != nil {
			return err
		}
		result, err := ready.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, wrapStatement(st, err)
}

// eachCheck is how many runs of one statement pass between two looks at the context.
const eachCheck = 64

func (t *poolTx) Each(ctx context.Context, st *Stmt, n int, args func(i int, row []any) []any, changed []int64) error {
	if n == 0 {
		return nil
	}
	err := t.named(ctx, st.Name, func() error {
		ready, err := t.stmt(ctx, st)
		if err != nil {
			return err
		}
		quiet := context.WithoutCancel(ctx) // else the driver starts a goroutine for each run
		var row []any
		for i := range n {
			if i%eachCheck == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			row = args(i, row[:0])
			result, err := ready.ExecContext(quiet, row...)
			if err != nil {
				return err
			}
			if changed != nil {
				if changed[i], err = result.RowsAffected(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return wrapStatement(st, err)
}

func (t *poolTx) Rows(ctx context.Context, st *Stmt, n int, args func(i int, row []any) []any, tail ...any) (changed int64, err error) {
	if n == 0 {
		return 0, nil
	}
	err = t.named(ctx, st.Name, func() error {
		quiet := context.WithoutCancel(ctx)
		var row []any
		i := 0
		for _, bulk := range st.bulk {
			for ; n-i >= bulk.rows; i += bulk.rows {
				if err := ctx.Err(); err != nil {
					return err
				}
				ready, err := t.stmt(ctx, bulk.stmt)
				if err != nil {
					return err
				}
				row = row[:0]
				for k := range bulk.rows {
					row = args(i+k, row)
				}
				result, err := ready.ExecContext(quiet, append(row, tail...)...)
				if err != nil {
					return err
				}
				more, err := result.RowsAffected()
				if err != nil {
					return err
				}
				changed += more
			}
		}
		return nil
	})
	return changed, wrapStatement(st, err)
}

func (t *poolTx) Query(ctx context.Context, st *Stmt, scan func(Row) error, args ...any) error {
	err := t.named(ctx, st.Name, func() error {
		ctx, err := t.watched(ctx)
		if err != nil {
			return err
		}
		ready, err := t.stmt(ctx, st)
		if err != nil {
			return err
		}
		rows, err := ready.QueryContext(ctx, args...)
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
	})
	return wrapStatement(st, err)
}

func wrapStatement(st *Stmt, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", st.Name, err)
}
