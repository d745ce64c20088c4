package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// Outbox writes jobs into a table of the user's database, inside the user's transactions. One value serves a whole
// program; it is safe for any number of goroutines.
type Outbox struct {
	client *bellhop.Client
	*table

	mu     sync.Mutex
	relays map[*Relay]bool // those to wake in this process
}

// Option sets up an [Outbox].
type Option func(*settings)

type settings struct{ schema, table string }

// Table names the table. Default: "bellhop_outbox". The name is quoted, so that capitals and spaces count: 1 to 50 bytes.
func Table(name string) Option { return func(s *settings) { s.table = name } }

// InSchema names the schema of the table: with MySQL the database, with SQLite an attached file. Default: none, which means the
// one that the connection finds by itself.
func InSchema(name string) Option { return func(s *settings) { s.schema = name } }

// New returns an outbox in a database of the given dialect. Jobs get the client's checks, defaults, middleware and events, and
// a [Relay] moves them into the client's store. A program that only enqueues, and is not to depend on the store, takes a client
// made by [NewClient].
func New(client *bellhop.Client, dialect Dialect, opts ...Option) (*Outbox, error) {
	if client == nil {
		return nil, errors.New("outbox: the client is nil: want one of bellhop.Open, or of outbox.NewClient")
	}
	t, err := tableOf(dialect, opts)
	if err != nil {
		return nil, err
	}
	return &Outbox{client: client, table: t, relays: map[*Relay]bool{}}, nil
}

func tableOf(dialect Dialect, opts []Option) (*table, error) {
	s := settings{table: "bellhop_outbox"}
	for _, opt := range opts {
		opt(&s)
	}
	return newTable(dialect, s.schema, s.table)
}

// Schema returns the statements that make the table, for those who keep their own migrations. They do nothing if the table is
// there already. The error says what is wrong with a name.
func Schema(dialect Dialect, opts ...Option) (string, error) {
	t, err := tableOf(dialect, opts)
	if err != nil {
		return "", err
	}
	return strings.Join(t.schema(), ";\n\n") + ";\n", nil
}

// Create makes the table, unless it is there. Any number of processes may do so at once.
func (o *Outbox) Create(ctx context.Context, db *sql.DB) (err error) {
	for try := range 5 {
		if err = o.create(ctx, db); err == nil || ctx.Err() != nil {
			break
		}
		// PostgreSQL's "if not exists" fails if another session makes the same thing at this moment.
		select {
		case <-ctx.Done():
		case <-time.After(loop.Jitter(10*time.Millisecond<<try, 1)):
		}
	}
	if err != nil {
		return fmt.Errorf("outbox: make the table %s: %w", o.bare, err)
	}
	return nil
}

func (o *Outbox) create(ctx context.Context, db *sql.DB) error {
	for _, statement := range o.schema() {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Check returns an error if the database does not answer, or the table cannot be read as it should be: it is not there, has other
// columns, or may not be read.
func (o *Outbox) Check(ctx context.Context, db *sql.DB) error {
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("outbox: the database does not answer: %w", err)
	}
	rows, err := db.QueryContext(ctx, "select seq, id, format, job, args, written_at, place, moved_at, reason from "+o.name+" where seq = 0")
	if err == nil {
		defer rows.Close()
		for rows.Next() { // its one row does not matter
		}
		err = rows.Err()
	}
	if err != nil {
		return fmt.Errorf("outbox: the table %s cannot be read (bellhop relay create makes it, bellhop relay schema prints how): %w", o.bare, err)
	}
	return nil
}

// Within returns an enqueuer whose jobs are written into the table by tx, and moved into the store when tx has committed:
//
//	tx, err := db.BeginTx(ctx, nil)
//	receipt, err := SendWelcome.Enqueue(ctx, box.Within(tx), args)
//	err = tx.Commit()
//
// The receipt tells the job's id. It tells no state, because the job is not in the store yet, and cannot tell whether the
// store will hold a job with that id or unique key already; that is decided when the job is moved. A delay counts from the call.
// With SQLite, begin the transaction as an immediate one (_txlock=immediate): the first write of a deferred one can fail.
//
// If an enqueue fails, nothing of it is left in the transaction; with PostgreSQL the transaction as a whole has failed.
//
// Attempts cannot be completed in the transaction, because the store is elsewhere: [bellhop.ErrUnsupported].
func (o *Outbox) Within(tx *sql.Tx) *bellhop.Bound {
	if tx == nil {
		return o.WithinFunc(nil)
	}
	return o.WithinFunc(func(ctx context.Context, statement string, args ...any) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
}

// WithinFunc is [Outbox.Within] for transactions of any other type. exec runs one statement in the transaction; its arguments
// are strings and []byte. Statements of one enqueue come one after the other.
func (o *Outbox) WithinFunc(exec func(ctx context.Context, statement string, args ...any) error) *bellhop.Bound {
	return o.client.Bind(&within{box: o, exec: exec})
}

// Wake lets the relays in this process look at once. It is worth calling after the commit of a transaction whose jobs are in a
// hurry; without it a relay looks more often for a while after an enqueue in its own process.
func (o *Outbox) Wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for r := range o.relays {
		r.hurry()
	}
}

func (o *Outbox) join(r *Relay) (leave func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.relays[r] = true
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.relays, r)
	}
}
