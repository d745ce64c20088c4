package sqlstore

import (
	"context"
	"database/sql"
)

// transaction is what a [Pool] needs of a [sql.Tx].
type transaction interface {
	preparer
	// StmtContext returns a statement, prepared on the pool, for this transaction.
	StmtContext(ctx context.Context, st *sql.Stmt) *sql.Stmt
	Commit() error
	Rollback() error
}

// preparer is what statements are prepared on: a pool, a connection, a transaction.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// soleConn is the one connection through which a program writes, held for good. It spares
// what a [sql.Tx] costs besides its statements: a goroutine that watches the context, which wakes
// another processor at the begin and at the end, and the texts of both, which the driver compiles each time.
// Whoever uses it is alone with it: the [Gate] lets one writer through.
type soleConn struct {
	conn                    *sql.Conn
	begin, commit, rollback *sql.Stmt
}

func newSoleConn(ctx context.Context, db *sql.DB, begin string) (*soleConn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &soleConn{conn: conn}
	for text, st := range map[string]**sql.Stmt{begin: &c.begin, "commit": &c.commit, "rollback": &c.rollback} {
		if *st, err = conn.PrepareContext(ctx, text); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *soleConn) close() {
	for _, st := range []*sql.Stmt{c.begin, c.commit, c.rollback} {
		if st != nil {
			_ = st.Close()
		}
	}
	_ = c.conn.Close()
}

// start begins a transaction.
func (c *soleConn) start(ctx context.Context) (transaction, error) {
	if _, err := c.begin.ExecContext(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return &soleTx{soleConn: c}, nil
}

// soleTx is a transaction of a sole connection.
type soleTx struct {
	*soleConn
	own []*sql.Stmt // prepared for this transaction alone
}

func (t *soleTx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	st, err := t.conn.PrepareContext(ctx, query)
	if err == nil {
		t.own = append(t.own, st)
	}
	return st, err
}

func (t *soleTx) StmtContext(_ context.Context, st *sql.Stmt) *sql.Stmt { return st }

func (t *soleTx) Commit() error   { return t.end(t.commit) }
func (t *soleTx) Rollback() error { return t.end(t.rollback) }

func (t *soleTx) end(with *sql.Stmt) error {
	for _, st := range t.own {
		_ = st.Close()
	}
	t.own = nil
	_, err := with.ExecContext(context.Background())
	return err
}

// Conn returns the connection that is held for writing, to be used by who is through the gate, or else one of
// the pool's; release gives it back.
func (p *Pool) Conn(ctx context.Context) (conn *sql.Conn, release func(), err error) {
	if p.sole != nil {
		return p.sole.conn, func() {}, nil
	}
	if conn, err = p.Writer.Conn(ctx); err != nil {
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close() }, nil
}

// Bare returns the pool as migrations use it: without its prepared statements, which need the schema, and
// with another first statement.
func (p *Pool) Bare(first *Stmt) *Pool {
	return &Pool{Writer: p.Writer, Reader: p.Reader, Dialect: p.Dialect, Clock: p.Clock, Gate: p.Gate, First: first, sole: p.sole}
}
