package mysql_test

import (
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/rowtest"
)

// A row that cannot be read costs its own job and no other.
func TestDamagedRow(t *testing.T) {
	open := func(t *testing.T) bellhop.Store { return newStore(t) }
	exec := func(t *testing.T, s bellhop.Store, statement string, id bellhop.ID) {
		address, _ := opened.Load(s)
		_, err := raw(t, address.(string)).ExecContext(t.Context(), strings.Replace(statement, "ID", "?", 1), id[:])
		must(t, err)
	}
	rowtest.Damage(t, open, exec)
	rowtest.Failure(t, open(t), exec)
}
