package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/store/storetest"
)

// opened is how the test stores were opened.
var opened sync.Map

type opening struct {
	path  string
	clock *bellhop.ManualClock
	pool  bool // through a pool of the test's own
}

// newFile opens a store in a new file.
func newFile(t testing.TB, clock *bellhop.ManualClock) *sqlite.Store {
	return openFile(t, opening{path: filepath.Join(t.TempDir(), "jobs.db"), clock: clock})
}

// newPool makes a store on a pool of the test's own.
func newPool(t testing.TB, clock *bellhop.ManualClock) *sqlite.Store {
	return openFile(t, opening{path: filepath.Join(t.TempDir(), "jobs.db"), clock: clock, pool: true})
}

func openFile(t testing.TB, o opening) *sqlite.Store {
	t.Helper()
	var s *sqlite.Store
	var err error
	if o.pool {
		s, err = sqlite.New(t.Context(), raw(t, o.path, "_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)"), sqlite.WithClock(o.clock))
	} else {
		s, err = sqlite.Open(t.Context(), "sqlite:"+o.path, sqlite.WithClock(o.clock))
	}
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

// The contract holds as well when everything goes through the caller's pool.
func TestStoreOnTheCallersPool(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as TestStore")
	}
	h := harness
	h.New = func(t testing.TB) bellhop.Store { return newPool(t, bellhop.NewManualClock(time.Now())) }
	storetest.Run(t, h)
}
