package rollup

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
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

// bigPage is the sums of kinds within queues of a number of jobs each.
func bigPage(queues, jobs int, seed uint64) page {
	rnd := rand.New(rand.NewPCG(seed, 1))
	p := page{}
	for q := range queues {
		for k := range bigKinds {
			sums := p.of(Series{fmt.Sprintf("tenant-%04d", q), fmt.Sprintf("orders.step%d", k)})
			for range jobs {
				sums.Succeeded++
				sums.Wait.Add(time.Duration(math.Exp(8+rnd.NormFloat64())) * time.Microsecond)
				sums.Run.Add(time.Duration(math.Exp(11+rnd.NormFloat64()/2)) * time.Microsecond)
			}
			sums.Retried = int64(rnd.IntN(2))
		}
	}
	return p
}

// fillBig writes two weeks of the big world, and returns how many bytes and records each level has.
func fillBig(tb testing.TB, store bellhop.Store, queues int) map[string][2]int {
	tb.Helper()
	now, err := store.Ping(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	size := map[string][2]int{}
	put := func(l *level, writes []bellhop.RecordWrite) {
		for _, w := range writes {
			have := size[l.name]
			size[l.name] = [2]int{have[0] + len(w.Value), have[1] + 1}
		}
		for some := range slices.Chunk(writes, 20) {
			if err := store.Put(tb.Context(), some); err != nil {
				tb.Fatal(err)
			}
		}
	}
	var failed failures
	for i := range 50 {
		failed.add(&FailureGroup{
			Fingerprint: fmt.Sprintf("%016x", i), Kind: "orders.step1", Class: "net.OpError", Pattern: "dial tcp <addr>: connection refused by <id>",
			Sample: "dial tcp 10.0.0.1:25: connection refused by x", Queues: []string{"tenant-0001"}, Count: 3, First: now, Last: now,
		})
	}
	for i := range levels {
		l := &levels[i]
		processes := 1
		if i == 0 {
			processes = bigProcesses
		}
		jobs := bigJobs * int(l.size/time.Minute) / processes
		var variants [][]bellhop.RecordWrite
		for v := range 2 {
			variants = append(variants, encodeWindow(l, begin, bigPage(queues, jobs, uint64(10*i+v)), &failed, begin))
		}
		last := l.window(now)
		if i > 0 {
			last = last.Add(-l.size)
		}
		for n, at := 0, last; now.Sub(at) < min(l.keep, Longest+time.Hour); n, at = n+1, at.Add(-l.size) {
			for p := range processes {
				writes := slices.Clone(variants[(n+p)%2])
				for k := range writes {
					shard := writes[k].Key[len(l.name)+1 : len(writes[k].Key)-len(windowForm)-1]
					writes[k].Key = l.key(shard, at)
					if i == 0 {
						writes[k].Key += fmt.Sprintf("/process-%d", p)
					}
					writes[k].Expect, writes[k].TTL = bellhop.ExpectAny, 30*24*time.Hour
				}
				put(l, writes)
			}
		}
	}
	return size
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
			for name, size := range fillBig(b, store, queues) {
				b.Logf("%s: %d MB in %d records", name, size[0]>>20, size[1])
			}
			one := Series{Queue: "tenant-0007"}
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
					{"counts", func(r *Reader, ctx context.Context, rng Range) error { _, err := r.Counts(ctx, rng); return err }},
					{"kinds of a queue", func(r *Reader, ctx context.Context, rng Range) error {
						_, err := r.Table(ctx, rng, ByKind, one)
						return err
					}},
					{"table", func(r *Reader, ctx context.Context, rng Range) error {
						_, err := r.Table(ctx, rng, ByQueue, Series{})
						return err
					}},
					{"failures", func(r *Reader, ctx context.Context, rng Range) error { _, err := r.Failures(ctx, rng, ""); return err }},
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
