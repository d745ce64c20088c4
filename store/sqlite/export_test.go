package sqlite

import (
	"context"
	"database/sql"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Dialect is for tests of statements.
var Dialect sqlstore.Dialect = dialect{}

// FinishWithin finishes as [Within] does.
func FinishWithin(ctx context.Context, s *Store, tx *sql.Tx, o bellhop.Outcome) error {
	return s.within(tx).Finish(ctx, o)
}
