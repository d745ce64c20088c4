package partition_test

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
)

func TestMain(m *testing.M) { testservers.Main(m) }

var clock = bellhop.NewManualClock(time.Now())

// newMemory makes a partition of stores in memory with the given names.
func newMemory(t testing.TB, by partition.By, pins map[string]string, names ...string) *partition.Store {
	t.Helper()
	c := partition.Config{By: by, Pins: pins}
	for _, name := range names {
		c.Parts = append(c.Parts, partition.Part{Name: name, Store: memory.New(memory.WithClock(clock))})
	}
	s, err := partition.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
