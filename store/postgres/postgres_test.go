package postgres_test

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/postgres"
	"github.com/gobellhop/bellhop/store/storetest"
)

var harness = storetest.Harness{
	New:     func(t testing.TB) bellhop.Store { return newStore(t) },
	Reopen:  func(t testing.TB, s bellhop.Store) bellhop.Store { return reopen(t, s) },
	Advance: func(s bellhop.Store, d time.Duration) { s.(*postgres.Store).Advance(d) },
}

func TestStore(t *testing.T) { keepPools(t); storetest.Run(t, harness) }

func BenchmarkStore(b *testing.B) { keepPools(b); storetest.Bench(b, harness) }
