package partition_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/store/storetest"
)

func TestMain(m *testing.M) { testservers.Main(m) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness(partition.ByKey, nil, memories)) }

var clock = bellhop.NewManualClock(time.Now())

// medium opens the part with the given name: each time the same data, if it keeps any.
type medium func(t testing.TB, name string) bellhop.Store

// memories keep nothing that could be opened again.
func memories(testing.TB) medium {
	return func(testing.TB, string) bellhop.Store { return memory.New(memory.WithClock(clock)) }
}

// files are those of a new folder. They take their time, and add what opening again
// has to say; so they are left out where that is not asked for.
func files(t testing.TB) medium {
	if testing.Short() || strings.Contains(t.Name(), "/decorators/") {
		t.Skip("parts in memory are enough")
	}
	dir := t.TempDir()
	return func(t testing.TB, name string) bellhop.Store {
		s, err := sqlite.Open(t.Context(), "sqlite:"+filepath.Join(dir, name+".db"), sqlite.WithClock(clock))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// opened is how the test stores were opened.
var opened sync.Map

type opening struct {
	by     partition.By
	pins   map[string]string
	medium medium
}

// newStore makes a partition of three parts.
func newStore(t testing.TB, by partition.By, pins map[string]string, m medium) *partition.Store {
	t.Helper()
	s := newPartition(t, by, pins, m, "a", "b", "c")
	opened.Store(s, opening{by, pins, m})
	return s
}

// reopen leaves s as it is and opens its parts again, unless they are in memory.
func reopen(t testing.TB, s bellhop.Store) bellhop.Store {
	t.Helper()
	if !s.Capabilities().Shared {
		return s
	}
	o, _ := opened.Load(s)
	own := o.(opening)
	return newStore(t, own.by, own.pins, own.medium)
}

// newMemory makes a partition of stores in memory.
func newMemory(t testing.TB, by partition.By, pins map[string]string, names ...string) *partition.Store {
	t.Helper()
	return newPartition(t, by, pins, memories(t), names...)
}

func newPartition(t testing.TB, by partition.By, pins map[string]string, m medium, names ...string) *partition.Store {
	t.Helper()
	c := partition.Config{By: by, Pins: pins}
	for _, name := range names {
		c.Parts = append(c.Parts, partition.Part{Name: name, Store: m(t, name)})
	}
	s, err := partition.New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.WaitForParts() // a disk that stalls must not leave a part out
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
