package partition_test

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/storetest"
)

func harness(by partition.By, pins map[string]string) storetest.Harness {
	return storetest.Harness{
		New:     func(t testing.TB) bellhop.Store { return newMemory(t, by, pins, "a", "b", "c") },
		Reopen:  func(_ testing.TB, s bellhop.Store) bellhop.Store { return s },
		Advance: func(_ bellhop.Store, d time.Duration) { clock.Advance(d) },
	}
}

func TestOnePart(t *testing.T) {
	storetest.Run(t, harness(partition.ByQueue, map[string]string{"*": "a"}))
}
func TestByKey(t *testing.T)      { storetest.Run(t, harness(partition.ByKey, nil)) }
func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness(partition.ByKey, nil)) }
