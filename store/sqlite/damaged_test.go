package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/rowtest"
)

// A row that cannot be read costs its own job and no other.
func TestDamagedRow(t *testing.T) {
	paths := map[bellhop.Store]string{}
	open := func(t *testing.T) bellhop.Store {
		path := filepath.Join(t.TempDir(), "jobs.db")
		s := openAt(t, path)
		paths[s] = path
		return s
	}
	exec := func(t *testing.T, s bellhop.Store, statement string, id bellhop.ID) {
		_, err := raw(t, paths[s], "").ExecContext(t.Context(), strings.Replace(statement, "ID", "?", 1), id[:])
		must(t, err)
	}
	rowtest.Damage(t, open, exec)
	rowtest.Failure(t, open(t), exec)
}
