package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// database runs transactions on a pool. It implements [sqlstore.Database].
type database struct {
	pool    *sql.DB
	own     bool // the sessions are set up by us; see session.go
	dialect *dialect
	// packet is how many bytes the server takes in one statement.
	packet int
	// last, if not empty, is run at the end of each writing transaction, whatever became of it.
	last string
	// seats are taken by all calls but the beats, so that these find a connection
	// whatever the others wait for. It is nil if the pool is the caller's.
	seats chan struct{}
	// ahead is by how many microseconds tests have moved the clock on.
	ahead atomic.Int64
}

// serverNow is the server's clock in microseconds since 1970, whatever the session's time zone is.
const serverNow = `timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))`

// opening is what begins a transaction, one statement after the other. A reading one sees one moment.
var (
	openWrite = []string{`set transaction isolation level read committed`, `start transaction`}
	openRead  = []string{`set transaction isolation level repeatable read`, `start transaction with consistent snapshot, read only`}
)

// Write implements [sqlstore.Database].
func (d *database) Write(ctx context.Context, step sqlstore.Step, fn func(sqlstore.Tx) error) error {
	return sqlstore.Again(ctx, d.dialect, func() error { return d.run(ctx, step, false, fn) })
}

// Read implements [sqlstore.Database].
func (d *database) Read(ctx context.Context, step sqlstore.Step, fn func(sqlstore.Tx) error) error {
	return sqlstore.Again(ctx, d.dialect, func() error { return d.run(ctx, step, true, fn) })
}

// Close implements [sqlstore.Database].
func (d *database) Close() error {
	if !d.own {
		return nil
	}
	return d.pool.Close()
}

func (d *database) run(ctx context.Context, step sqlstore.Step, read bool, fn func(sqlstore.Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	leave, err := d.sit(ctx)
	if err != nil {
		return err
	}
	defer leave()
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if d.last != "" {
		defer finally(ctx, conn, d.last)
	}
	t := &transaction{database: d, session: conn, conn: conn, step: step}
	done := false
	defer func() {
		if !done { // an error, or a panic
			giveUp(ctx, conn)
		}
		if code := codeOf(err); code == codeReadOnly || code == codeReadOnlyMode {
			discard(conn) // after a failover, a new one may lead to the new primary
		}
	}()
	if read {
		err = t.open(ctx, openRead)
	} else {
		err = t.named(ctx, "begin", func() error { return t.open(ctx, openWrite) })
	}
	if err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	commit := func() error {
		_, err := conn.ExecContext(ctx, "commit")
		done = err == nil
		return err
	}
	if read {
		return commit()
	}
	return t.named(ctx, "commit", commit)
}

// Look implements [sqlstore.Looker]. In a session that is not ours even a query by
// itself may begin a transaction.
func (d *database) Look(ctx context.Context, step sqlstore.Step, st *sqlstore.Stmt, scan func(sqlstore.Row) error, args ...any) (ahead int64, err error) {
	if !d.own {
		return d.ahead.Load(), d.Read(ctx, step, func(tx sqlstore.Tx) error { return tx.Query(ctx, st, scan, args...) })
	}
	leave, err := d.sit(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	t := &transaction{database: d, session: conn, conn: conn, step: step}
	return d.ahead.Load(), t.Query(ctx, st, scan, args...)
}

// urgent marks the context of a call that takes no seat.
type urgent struct{}

// Beat implements [bellhop.Store].
func (s *Store) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	return s.Store.Beat(context.WithValue(ctx, urgent{}, true), b)
}

// sit waits for a seat.
func (d *database) sit(ctx context.Context) (leave func(), err error) {
	if d.seats == nil || ctx.Value(urgent{}) != nil {
		return func() {}, nil
	}
	select {
	case d.seats <- struct{}{}:
		return func() { <-d.seats }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// giveUp ends a transaction without a commit.
func giveUp(ctx context.Context, conn *sql.Conn) { finally(ctx, conn, "rollback") }

// finally runs a statement that must not be left out; a connection on which it
// fails is not used again.
func finally(ctx context.Context, conn *sql.Conn, statement string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := conn.ExecContext(ctx, statement); err != nil {
		discard(conn)
	}
}

// discard makes the pool throw a connection away.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// session is what a transaction runs on: a connection of a pool, or the caller's own transaction.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// transaction is a transaction on a session. It implements [sqlstore.Tx].
type transaction struct {
	*database
	session session
	conn    *sql.Conn // nil if the transaction is the caller's
	step    sqlstore.Step
	now     int64
	// locking makes those reads lock whose answer must be newer than the snapshot
	// that the caller's transaction may have.
	locking bool
}

// open begins the transaction and reads the clock: in our own sessions in one round trip.
func (t *transaction) open(ctx context.Context, opening []string) error {
	if t.own {
		if &opening[0] == &openWrite[0] {
			opening = opening[1:] // our sessions are at read committed
		}
		return t.readClock(ctx, strings.Join(opening, "; ")+"; select "+serverNow)
	}
	for _, statement := range opening {
		if _, err := t.session.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return t.readTheirs(ctx)
}

func (t *transaction) readClock(ctx context.Context, query string, more ...any) error {
	rows, err := t.session.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(errors.New("the server does not tell its time"), rows.Err())
	}
	if err := rows.Scan(append([]any{&t.now}, more...)...); err != nil {
		return err
	}
	t.now += t.ahead.Load()
	return errors.Join(rows.Close(), rows.Err())
}

// readTheirs reads the clock in a session that is not ours, and refuses one in
// which bytes or values could change on their way.
func (t *transaction) readTheirs(ctx context.Context) error {
	var mode, charset string
	if err := t.readClock(ctx, `select `+serverNow+`, @@sql_mode, @@character_set_client`, &mode, &charset); err != nil {
		return err
	}
	return checkSession(mode, charset)
}

// checkSession refuses a session of the caller's pool that would alter what is stored.
func checkSession(mode, charset string) error {
	modes := strings.Split(strings.ToUpper(mode), ",")
	has := func(name string) bool {
		for _, m := range modes {
			if m == name {
				return true
			}
		}
		return false
	}
	switch {
	case !has("STRICT_TRANS_TABLES") && !has("STRICT_ALL_TABLES"):
		return fmt.Errorf("%w: the pool's sessions are not strict, so that values could be cut: add sql_mode=%%27TRADITIONAL%%27 to its DSN (sql_mode is %q)", errSession, mode)
	case has("EMPTY_STRING_IS_NULL"), has("ORACLE"), has("NO_BACKSLASH_ESCAPES") && has("ANSI"):
		return fmt.Errorf("%w: the pool's sessions read SQL in another way: set a plain sql_mode in its DSN (sql_mode is %q)", errSession, mode)
	case charset != "utf8mb4":
		return fmt.Errorf("%w: the pool's sessions speak %s: add charset=utf8mb4 to its DSN", errSession, charset)
	}
	return nil
}

// errSession says that a session of the caller's pool is not as it has to be.
var errSession = errors.New("the pool cannot be used")

// Now implements [sqlstore.Tx].
func (t *transaction) Now(ctx context.Context) (int64, error) {
	if t.now == 0 { // in the caller's transaction
		if err := t.readTheirs(ctx); err != nil {
			return 0, err
		}
	}
	return t.now, nil
}

// named runs one step under its name.
func (t *transaction) named(ctx context.Context, name string, fn func() error) error {
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

// Exec implements [sqlstore.Tx].
func (t *transaction) Exec(ctx context.Context, st *sqlstore.Stmt, args ...any) (n int64, err error) {
	err = t.named(ctx, st.Name, func() error {
		n, err = t.exec(ctx, t.dialect.compile(st), args)
		return err
	})
	return n, wrap(st, err)
}

func (t *transaction) exec(ctx context.Context, c *compiled, args []any) (int64, error) {
	args = c.arrange(args)
	if err := t.fits(c.text, args); err != nil {
		return 0, err
	}
	result, err := t.session.ExecContext(ctx, c.text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// together is how many runs of one statement go in one round trip, in our own sessions.
const together = 50

// Each implements [sqlstore.Tx].
func (t *transaction) Each(ctx context.Context, st *sqlstore.Stmt, n int, args func(i int, row []any) []any, changed []int64) error {
	if n == 0 {
		return nil
	}
	c := t.dialect.compile(st)
	err := t.named(ctx, st.Name, func() error {
		for first := 0; first < n; {
			var batch []any
			size, count := 0, 0
			for first+count < n && count < together {
				row := c.arrange(args(first+count, nil))
				more := len(c.text) + 2 + t.bytes(row)
				if count > 0 && size+more > t.packet {
					break
				}
				batch, size, count = append(batch, row...), size+more, count+1
			}
			counts, err := t.several(ctx, c.text, count, batch)
			if err != nil {
				return err
			}
			if changed != nil {
				copy(changed[first:], counts)
			}
			first += count
		}
		return nil
	})
	return wrap(st, err)
}

// several runs a statement a number of times, with the arguments of all runs one after the other.
func (t *transaction) several(ctx context.Context, text string, times int, args []any) ([]int64, error) {
	if t.conn != nil && t.own && times > 1 {
		return t.multi(ctx, strings.Repeat(text+"; ", times-1)+text, times, args)
	}
	counts := make([]int64, times)
	width := len(args) / times
	for i := range counts {
		n, err := t.exec(ctx, &compiled{text: text}, args[i*width:(i+1)*width])
		if err != nil {
			return nil, err
		}
		counts[i] = n
	}
	return counts, nil
}

// Rows implements [sqlstore.Tx].
func (t *transaction) Rows(ctx context.Context, st *sqlstore.Stmt, n int, args func(i int, row []any) []any, tail ...any) (changed int64, err error) {
	if n == 0 {
		return 0, nil
	}
	c := t.dialect.compile(st)
	err = t.named(ctx, st.Name, func() error {
		for first := 0; first < n; {
			var values []any
			size, count := len(c.text)+t.bytes(tail), 0
			for first+count < n && count < maxRows {
				before := len(values)
				values = args(first+count, values)
				more := len(c.row) + 2 + t.bytes(values[before:])
				if count > 0 && size+more > t.packet {
					values = values[:before]
					break
				}
				size, count = size+more, count+1
			}
			text := c.before + strings.Repeat(c.row+", ", count-1) + c.row + c.after
			more, err := t.exec(ctx, &compiled{text: text}, append(values, tail...))
			if err != nil {
				return err
			}
			changed, first = changed+more, first+count
		}
		return nil
	})
	return changed, wrap(st, err)
}

// maxRows is how many rows go into one statement.
const maxRows = 1000

// Query implements [sqlstore.Tx].
func (t *transaction) Query(ctx context.Context, st *sqlstore.Stmt, scan func(sqlstore.Row) error, args ...any) error {
	c := t.dialect.compile(st)
	err := t.named(ctx, st.Name, func() error {
		text := c.text
		if t.locking && c.locking != "" {
			text = c.locking
		}
		args := c.arrange(args)
		if err := t.fits(text, args); err != nil {
			return err
		}
		rows, err := t.session.QueryContext(ctx, text, args...)
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
	return wrap(st, err)
}

func wrap(st *sqlstore.Stmt, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", st.Name, err)
}
