package mysql

import (
	"context"
	"database/sql"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Advance moves a store's clock on.
func Advance(s *Store, d time.Duration) { s.database.ahead.Add(d.Microseconds()) }

// Ahead returns by how much.
func Ahead(s *Store) time.Duration { return time.Duration(s.database.ahead.Load()) * time.Microsecond }

// ConfigOf returns the driver's configuration for an address.
func ConfigOf(address string) (*driver.Config, error) {
	t, err := parse(address)
	if err != nil {
		return nil, err
	}
	return t.config, nil
}

// Tables are the names of the tables, without their prefix.
var Tables = tables

// Statement returns a statement's text in the dialect, for tests of plans.
func Statement(st *sqlstore.Stmt) string { return translate(st).text }

// EnqueueWithin and FinishWithin do what [Within] does.
func EnqueueWithin(ctx context.Context, s *Store, tx *sql.Tx, jobs ...*bellhop.Job) ([]bellhop.Receipt, error) {
	return s.within(tx).Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
}

// FinishWithin finishes a job in a transaction of the caller.
func FinishWithin(ctx context.Context, s *Store, tx *sql.Tx, o bellhop.Outcome) error {
	return s.within(tx).Finish(ctx, o)
}
