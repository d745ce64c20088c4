package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// opened is how the test stores were opened.
var opened sync.Map

type opening struct {
	path  string
	clock *bellhop.ManualClock
}

// newFile opens a store in a new file.
func newFile(t testing.TB, clock *bellhop.ManualClock) *sqlite.Store {
	return openFile(t, opening{filepath.Join(t.TempDir(), "jobs.db"), clock})
}

func openFile(t testing.TB, o opening) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), "sqlite:"+o.path, sqlite.WithClock(o.clock))
	if err != nil {
		t.Fatal(err)
	}
	opened.Store(s, o)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reopen opens the file of a store that is left as it is.
func reopen(t testing.TB, s bellhop.Store) *sqlite.Store {
	o, _ := opened.Load(s)
	return openFile(t, o.(opening))
}

func clockOf(s bellhop.Store) *bellhop.ManualClock {
	o, _ := opened.Load(s)
	return o.(opening).clock
}
