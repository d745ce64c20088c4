package postgres

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Advance moves the server's clock on, as this store sees it.
func (s *Store) Advance(d time.Duration) { s.database.offset.Add(d.Microseconds()) }

// Advanced is by how much it was moved on.
func (s *Store) Advanced() time.Duration {
	return time.Duration(s.database.offset.Load()) * time.Microsecond
}

// Pool is the pool that the store is on.
func (s *Store) Pool() *pgxpool.Pool { return s.database.pool }

// OpenOn is [Open] on a pool that was made for the same address, or on a new one if
// it is nil, and leaves it open in the end.
func OpenOn(ctx context.Context, address string, pool *pgxpool.Pool) (*Store, *pgxpool.Pool, error) {
	set, config, err := parse(address)
	if err == nil && pool == nil {
		pool, err = pgxpool.NewWithConfig(ctx, config)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := start(ctx, set, pool, false)
	return s, pool, err
}

// FinishWithin finishes as [Within] does.
func FinishWithin(ctx context.Context, s *Store, tx pgx.Tx, o bellhop.Outcome) error {
	return (&within{store: s, on: onConn{tx, asksNot(tx.Conn().Config())}}).Finish(ctx, o)
}

// FinishWithinSQL finishes as [WithinSQL] does.
func FinishWithinSQL(ctx context.Context, s *Store, tx *sql.Tx, o bellhop.Outcome) error {
	return (&within{store: s, on: onSQL{tx}}).Finish(ctx, o)
}

// SQL returns a statement as it is sent.
func (s *Store) SQL(st *sqlstore.Stmt) string { return s.database.dialect.SQL(st) }

// Channel is what processes on the store's schema notify each other by.
func (s *Store) Channel() string { return s.sender.channel }

// SchemaName is where the tables are.
func (s *Store) SchemaName() string { return s.settings.schema }

// Isolation returns the level at which statements in a pipeline run.
func (s *Store) Isolation(ctx context.Context) (level string, err error) {
	show := sqlstore.Compose("isolation", "show transaction_isolation")
	err = s.database.pipeline(ctx, nil, []request{{show, nil, func(rows pgx.Rows) error { return rows.Scan(&level) }}})
	return level, err
}

// Hot are the statements on the path of every job.
var Hot = []*sqlstore.Stmt{addNewJobs, addNewSorted, holdExchange, endPlain, endAny, claimJobs, lookAround, lookBehind, readHeads}

// Parameters are those that our sessions run with.
var Parameters = parameters

// ListMissing and CountMissing look for what is running and in no list.
var ListMissing, CountMissing = listMissing, countMissing

// Bound is from when on the store looks in a lane; 0 if it does not know.
func (s *Store) Bound(queue string, kinds []string, priority int) (due int64) {
	l := &s.database.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.m[laneSet{queue, kindsKey(kinds)}]; b != nil {
		due = b.at[priority-bellhop.MinPriority].due
	}
	return due
}

// ShareHeads does what follows from many claims.
func (s *Store) ShareHeads(ctx context.Context) {
	l := &s.database.lanes
	var heads sharedHeads
	l.mu.Lock()
	for set, b := range l.m {
		for p := range b.claimed {
			b.claimed[p] = shareEvery
		}
		heads = b.share(heads, set)
	}
	l.mu.Unlock()
	s.database.share(ctx, heads, time.Now().UnixMicro())
}
