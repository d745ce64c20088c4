package memory_test

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/storetest"
)

var clock = bellhop.NewManualClock(time.Now())

var harness = storetest.Harness{New: func(t testing.TB) bellhop.Store {
	s := memory.New(memory.WithClock(clock))
	t.Cleanup(func() { _ = s.Close() })
	return s
}, Reopen: func(_ testing.TB, s bellhop.Store) bellhop.Store { return s }, Advance: func(_ bellhop.Store, d time.Duration) { clock.Advance(d) }}

func TestStore(t *testing.T)      { storetest.Run(t, harness) }
func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness) }
