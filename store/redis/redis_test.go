package redis_test

import (
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/storetest"
)

func TestMain(m *testing.M) { testservers.Main(m) }

var harness = storetest.Harness{
	New:     func(t testing.TB) bellhop.Store { return newStore(t, testservers.Redis(t).Address) },
	Reopen:  func(t testing.TB, s bellhop.Store) bellhop.Store { return reopen(t, s) },
	Advance: advance,
}

func TestStore(t *testing.T) { storetest.Run(t, harness) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, harness) }
