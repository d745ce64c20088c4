package rollup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	_ "github.com/gobellhop/bellhop/store/all"
)

// The big world: a thousand queues with three kinds each, of which every one has jobs in every minute, in four processes.
const (
	bigQueues    = 1000
	bigKinds     = 3
	bigProcesses = 4
	bigJobs      = 20 // of each kind in each queue in a minute: a thousand jobs a second in all
)

// stores are those on which rollups are read and written in tests, each new and empty.
var stores = []struct {
	name    string
	address func(testing.TB) string
}{
	{"memory", func(testing.TB) string { return "memory:" }},
	{"sqlite", func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "jobs.db") }},
	{"postgres", func(tb testing.TB) string { return testservers.Postgres(tb).Database(tb) + "&migrate=auto" }},
	{"mysql", func(tb testing.TB) string { return testservers.MariaDB(tb).Database(tb) + "?migrate=auto" }},
	{"redis", func(tb testing.TB) string {
		return testservers.Redis(tb).Database(tb) + "?namespace=rollup-" + bellhop.NewID().String()
	}},
	{"partition", func(tb testing.TB) string {
		dir := tb.TempDir()
		parts := fmt.Sprintf(`{"by":"queue","parts":[{"name":"one","address":"sqlite:%s/one.db"},{"name":"two","address":"sqlite:%[1]s/two.db"}]}`, dir)
		if err := os.WriteFile(filepath.Join(dir, "parts.json"), []byte(parts), 0o600); err != nil {
			tb.Fatal(err)
		}
		return "partition:" + filepath.Join(dir, "parts.json")
	}},
}

func openStore(tb testing.TB, address string) bellhop.Store {
	tb.Helper()
	client, err := bellhop.Open(tb.Context(), address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := client.Close(); err != nil {
			tb.Error(err)
		}
	})
	return client.Store()
}

// bigHistory is two weeks of the big world, with fifty groups of failures.
func bigHistory(queues int) *History {
	h := &History{Jobs: bigJobs, Processes: bigProcesses, Ago: Longest + time.Hour}
	for q := range queues {
		for k := range bigKinds {
			h.Series = append(h.Series, Series{fmt.Sprintf("tenant-%04d", q), fmt.Sprintf("orders.step%d", k)})
		}
	}
	for i := range 50 {
		h.Groups = append(h.Groups, FailureGroup{
			Fingerprint: fmt.Sprintf("%016x", i), Kind: "orders.step1", Class: "net.OpError", Pattern: "dial tcp <addr>: connection refused by <id>",
			Sample: "dial tcp 10.0.0.1:25: connection refused by x", Queues: []string{"tenant-0001"},
		})
	}
	return h
}

// BenchmarkBig measures reads of two weeks of the big world: with an empty cache, and again.
func BenchmarkBig(b *testing.B) {
	queues := bigQueues
	if testing.Short() {
		queues = 50
	}
	for _, s := range stores {
		b.Run(s.name, func(b *testing.B) {
			store := openStore(b, s.address(b))
			records, bytes := 0, 0
			if err := bigHistory(queues).Fill(b.Context(), store, func(r, b int) { records, bytes = r, b }); err != nil {
				b.Fatal(err)
			}
			b.Logf("%d MB in %d records", bytes>>20, records)
			one := Series{Queue: "tenant-0007"}
			table := func(q TableQuery) func(*Reader, context.Context, Range) error {
				return func(r *Reader, ctx context.Context, rng Range) error {
					_, err := r.Table(ctx, rng, q)
					return err
				}
			}
			for _, ago := range []time.Duration{5 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, Longest} {
				for _, read := range []struct {
					name string
					do   func(*Reader, context.Context, Range) error
				}{
					{"all", func(r *Reader, ctx context.Context, rng Range) error {
						_, err := r.Chart(ctx, rng, Series{})
						return err
					}},
					{"queue", func(r *Reader, ctx context.Context, rng Range) error { _, err := r.Chart(ctx, rng, one); return err }},
					{"kind", func(r *Reader, ctx context.Context, rng Range) error {
						_, err := r.Chart(ctx, rng, Series{Kind: "orders.step1"})
						return err
					}},
					{"counts", func(r *Reader, ctx context.Context, rng Range) error {
						_, err := r.Counts(ctx, rng, CountsQuery{By: ByQueue})
						return err
					}},
					{"counts of 50", func(r *Reader, ctx context.Context, rng Range) error {
						_, err := r.Counts(ctx, rng.Coarser(32), CountsQuery{By: ByQueue, Wanted: func(s Series) bool { return s.Queue < "tenant-0050" }})
						return err
					}},
					{"kinds of a queue", table(TableQuery{By: ByQueueAndKind, Only: one, Order: ByTime, Limit: 50})},
					{"queues of a kind", table(TableQuery{By: ByQueueAndKind, Only: Series{Kind: "orders.step1"}, Order: ByTime, Limit: 50})},
					{"kinds", table(TableQuery{By: ByKind, Order: ByTime, Limit: 50})},
					{"queues", table(TableQuery{By: ByQueue, Order: ByTime, Limit: 50})},
					{"all queues", table(TableQuery{By: ByQueue})},
					{"failures", func(r *Reader, ctx context.Context, rng Range) error {
						f, err := r.Failures(ctx, rng, "")
						if err != nil {
							return err
						}
						return r.Describe(ctx, rng, f.Groups[:min(len(f.Groups), 25)])
					}},
				} {
					b.Run(fmt.Sprintf("%v/%s", ago, read.name), func(b *testing.B) {
						var cold, cached []time.Duration
						for b.Loop() {
							r := NewReader(store)
							rng, err := r.Last(b.Context(), ago)
							if err != nil {
								b.Fatal(err)
							}
							for _, list := range []*[]time.Duration{&cold, &cached} {
								start := time.Now()
								if err := read.do(r, b.Context(), rng); err != nil {
									b.Fatal(err)
								}
								*list = append(*list, time.Since(start))
							}
						}
						median := func(list []time.Duration) float64 {
							slices.Sort(list)
							return float64(list[len(list)/2].Microseconds()) / 1000
						}
						b.ReportMetric(median(cold), "cold-ms")
						b.ReportMetric(median(cached), "cached-ms")
					})
				}
			}
		})
	}
}
