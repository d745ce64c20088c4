package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/internal/rowtest"
	"github.com/gobellhop/bellhop/store/postgres"
)

// A row that cannot be read costs its own job and no other.
func TestDamagedRow(t *testing.T) {
	open := func(t *testing.T) bellhop.Store { return newStore(t) }
	exec := func(t *testing.T, s bellhop.Store, statement string, id bellhop.ID) {
		conn := connect(t.Context(), t, testservers.Postgres(t).Address)
		defer conn.Close(context.Background())
		_, err := conn.Exec(t.Context(), "set search_path = "+pgx.Identifier{s.(*postgres.Store).SchemaName()}.Sanitize())
		must(t, err)
		_, err = conn.Exec(t.Context(), strings.Replace(statement, "ID", "$1", 1), id.String())
		must(t, err)
	}
	rowtest.Damage(t, open, exec)
	rowtest.Failure(t, open(t), exec)
}
