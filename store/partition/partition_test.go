package partition_test

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/storetest"
)

func harness(by partition.By, pins map[string]string, medium func(t testing.TB) medium) storetest.Harness {
	return storetest.Harness{
		New:     func(t testing.TB) bellhop.Store { return newStore(t, by, pins, medium(t)) },
		Reopen:  func(t testing.TB, s bellhop.Store) bellhop.Store { return reopen(t, s) },
		Advance: func(_ bellhop.Store, d time.Duration) { clock.Advance(d) },
	}
}

func TestStore(t *testing.T) {
	t.Run("one part", func(t *testing.T) {
		storetest.Run(t, harness(partition.ByQueue, map[string]string{"*": "a"}, memories))
	})
	t.Run("by key", func(t *testing.T) { storetest.Run(t, harness(partition.ByKey, nil, memories)) })
	t.Run("on files", func(t *testing.T) { storetest.Run(t, harness(partition.ByKey, nil, files)) })
}
