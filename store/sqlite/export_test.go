package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Dialect is for tests of statements.
var Dialect sqlstore.Dialect = dialect{}

// FinishWithin finishes as [Within] does.
func FinishWithin(ctx context.Context, s *Store, tx *sql.Tx, o bellhop.Outcome) error {
	return s.within(tx).Finish(ctx, o)
}

// WithMaxLog bounds the write-ahead log, so that a test need not write so much.
func WithMaxLog(bytes int64) Option { return func(s *settings) { s.maxLog = bytes } }

// LogWait is how long the log is left alone after the last vain try to start it again. Only for a store to which nobody writes just now.
func LogWait(s *Store) time.Duration { return s.Database.(*sqlstore.Pool).Gate.(*logKeeper).wait }

// Reading begins a transaction that reads, through the reading pool.
func Reading(ctx context.Context, s *Store) (*sql.Tx, error) {
	return s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
}
