package memory_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/storetest"
)

func TestStore(t *testing.T) {
	var clocks sync.Map
	storetest.Run(t, storetest.Harness{New: func(t testing.TB) bellhop.Store {
		clock := bellhop.NewManualClock(time.Now())
		s := memory.New(memory.WithClock(clock))
		clocks.Store(s, clock)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}, Reopen: func(_ testing.TB, s bellhop.Store) bellhop.Store { return s }, Advance: func(s bellhop.Store, d time.Duration) {
		c, _ := clocks.Load(s)
		c.(*bellhop.ManualClock).Advance(d)
	}})
}
