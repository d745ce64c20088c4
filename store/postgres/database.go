package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// parameters are those that our sessions run with. The planner's choices are
// pinned: each statement has an index made for it, and what the planner believes
// of tables that are empty one moment and full the next is mostly wrong. No batch
// waits long for a lock, and no transaction of ours stays open over a dead host.
var parameters = [][2]string{
	{"lock_timeout", "300ms"},
	{"idle_in_transaction_session_timeout", "10s"},
	{"default_transaction_isolation", "read committed"}, // also if the role or the database says otherwise
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
	{"enable_hashjoin", "off"},
	{"enable_mergejoin", "off"},
	{"enable_material", "off"},
	{"enable_memoize", "off"},
	{"max_parallel_workers_per_gather", "0"},
	{"jit", "off"},
	{"plan_cache_mode", "force_generic_plan"},
	{"TimeZone", "UTC"},
}

// setLocally is a statement that sets the parameters until the transaction ends,
// for pools that are not ours and for poolers, whose sessions are not ours.
var setLocally = func() string {
	sql, comma := "select ", ""
	for _, p := range parameters {
		sql += fmt.Sprintf("%sset_config('%s', '%s', true)", comma, p[0], p[1])
		comma = ", "
	}
	return sql
}()

// database runs transactions on a pool of connections.
type database struct {
	pool    *pgxpool.Pool
	name    string // of the schema
	dialect dialect
	// local says that the sessions are not ours: each transaction sets what it needs.
	local bool
	// alone says that the caller's sessions are such that statements cannot go together.
	alone bool
	// seats are taken by all calls but the beats, so that one connection is left for these.
	seats  chan struct{}
	lanes  lanes
	lists  lists
	offset atomic.Int64           // tests move the server's clock on by it
	where  atomic.Pointer[string] // see place
	shut   func()
}

const (
	beginWriting = "begin isolation level read committed read write"
	beginReading = "begin isolation level repeatable read read only"
)

// urgent marks the context of a call that takes no seat.
type urgent struct{}

// acquire returns a connection, and what gives it back.
func (d *database) acquire(ctx context.Context) (*pgxpool.Conn, func(), error) {
	seated := ctx.Value(urgent{}) == nil
	if seated {
		select {
		case d.seats <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, sqlstore.Unchanged(ctx.Err())
		}
	}
	leave := func() {
		if seated {
			<-d.seats
		}
	}
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		leave()
		return nil, nil, sqlstore.Unchanged(err)
	}
	return conn, func() { conn.Release(); leave() }, nil
}

// Write implements [sqlstore.Database].
func (d *database) Write(ctx context.Context, step sqlstore.Step, fn func(sqlstore.Tx) error) error {
	return sqlstore.Again(ctx, d.dialect, func() error { return d.run(ctx, step, beginWriting, fn) })
}

// Read implements [sqlstore.Database].
func (d *database) Read(ctx context.Context, step sqlstore.Step, fn func(sqlstore.Tx) error) error {
	return sqlstore.Again(ctx, d.dialect, func() error { return d.run(ctx, step, beginReading, fn) })
}

func (d *database) run(ctx context.Context, step sqlstore.Step, begin string, fn func(sqlstore.Tx) error) (err error) {
	conn, release, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	t := &tx{db: d, on: onConn{conn.Conn(), d.alone}, step: step}
	if begin == beginReading {
		err = t.begin(ctx, begin)
	} else {
		err = t.named(ctx, "begin", func() error { return t.begin(ctx, begin) })
	}
	done := false
	defer func() {
		if !done { // an error, or a panic: a failing rollback must not hide it
			d.rollback(ctx, conn.Conn(), err)
		}
	}()
	if err != nil {
		return err
	}
	if err = fn(t); err != nil {
		return err
	}
	if begin == beginReading {
		_, err = conn.Exec(ctx, "commit")
		done = err == nil
		return err
	}
	err = t.named(ctx, "commit", func() error {
		tag, err := conn.Exec(ctx, "commit")
		if err == nil && tag.String() != "COMMIT" {
			err = errors.New("the server rolled the transaction back instead of committing it")
		}
		done = err == nil
		return err
	})
	return err
}

// rollback ends a failed transaction. A server that takes no writes any more is
// not the one to stay connected with.
func (d *database) rollback(ctx context.Context, conn *pgx.Conn, because error) {
	ctx, cancel := anyway(ctx)
	defer cancel()
	if codeOf(because) == codeReadOnly {
		_ = conn.Close(ctx)
	}
	if !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' {
		if _, err := conn.Exec(ctx, "rollback"); err != nil {
			_ = conn.Close(ctx)
		}
	}
}

// Close implements [sqlstore.Database].
func (d *database) Close() error {
	d.shut()
	return nil
}

// request is one statement of a pipeline. scan is called for each row of its result.
type request struct {
	st   *sqlstore.Stmt
	args []any
	scan func(pgx.Rows) error
}

// pipeline runs statements in one transaction and, unless fault tests step
// through them, in one round trip.
func (d *database) pipeline(ctx context.Context, step sqlstore.Step, requests []request) error {
	if step != nil || d.alone {
		return d.run(ctx, step, beginWriting, func(t sqlstore.Tx) error {
			own := t.(*tx)
			for _, r := range requests {
				if err := own.named(ctx, r.st.Name, func() error { return own.request(ctx, r) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	conn, release, err := d.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	batch := &pgx.Batch{}
	if d.local {
		batch.Queue(beginWriting)
		batch.Queue(setLocally)
	}
	for i := range requests {
		batch.Queue(d.dialect.SQL(requests[i].st), requests[i].args...)
	}
	if d.local {
		batch.Queue("commit")
	}
	if err = d.collect(conn.SendBatch(ctx, batch), requests); err != nil {
		d.rollback(ctx, conn.Conn(), err)
		if certain(err) {
			err = sqlstore.Unchanged(err)
		}
	}
	return err
}

// collect reads the results of a pipeline.
func (d *database) collect(results pgx.BatchResults, requests []request) (err error) {
	defer func() {
		if e := results.Close(); err == nil {
			err = e
		}
	}()
	skip := func(n int) {
		for range n {
			if err == nil {
				_, err = results.Exec()
			}
		}
	}
	if d.local {
		skip(2)
	}
	for i := range requests {
		if err != nil {
			return err
		}
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			err = each(rows, requests[i].scan)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", requests[i].st.Name, err)
		}
	}
	if d.local {
		skip(1)
	}
	return err
}

// each reads a result to its end.
func each(rows pgx.Rows, scan func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

var _ sqlstore.Swift = (*database)(nil)

// beatable lets beats pass the calls that wait for a connection.
func beatable(ctx context.Context) context.Context { return context.WithValue(ctx, urgent{}, true) }

// Beat implements [bellhop.Store].
func (s *Store) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	return s.Store.Beat(beatable(ctx), b)
}
