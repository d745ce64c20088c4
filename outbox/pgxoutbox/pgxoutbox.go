// Package pgxoutbox is [outbox.Outbox.Within] for transactions of pgx. It is a package of its own so that programs on database/sql
// do not carry pgx along.
//
// A job passes through here once, on its way into the outbox's table. The relay's pool for a pgxpool.Pool is made by OpenDBFromPool of
// github.com/jackc/pgx/v5/stdlib.
package pgxoutbox

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
)

// Within returns an enqueuer whose jobs are written into the table by tx, and moved into the store when tx has committed.
// The outbox must be of the dialect [outbox.PostgreSQL].
func Within(box *outbox.Outbox, tx pgx.Tx) *bellhop.Bound {
	if tx == nil {
		return box.WithinFunc(nil)
	}
	return box.WithinFunc(func(ctx context.Context, statement string, args ...any) error {
		_, err := tx.Exec(ctx, statement, args...)
		return err
	})
}
