package worker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	_ "github.com/gobellhop/bellhop/store/all"
	"github.com/gobellhop/bellhop/store/storetest"
)

// benchText makes the arguments 48 bytes long.
const benchText = "twenty-three letters---"

// benchStores are the stores that the benchmarks run on, each new and empty.
// One that lives in a server is measured without the server's processor time.
var benchStores = []struct {
	name    string
	address func(testing.TB) string
}{
	{"memory", func(testing.TB) string { return "memory:" }},
	{"sqlite", func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "jobs.db") }},
	{"postgres", func(tb testing.TB) string { return testservers.Postgres(tb).Database(tb) + "&migrate=auto" }},
	{"mysql", func(tb testing.TB) string { return testservers.MariaDB(tb).Database(tb) + "?migrate=auto" }},
	{"redis", func(tb testing.TB) string {
		return testservers.Redis(tb).Database(tb) + "?namespace=bench-" + bellhop.NewID().String()
	}},
}

func benchClient(b *testing.B, address string) *bellhop.Client {
	b.Helper()
	client, err := bellhop.Open(b.Context(), address, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := client.Close(); err != nil {
			b.Error(err)
		}
	})
	return client
}

// BenchmarkDrain measures jobs that do nothing, from ready to done: one
// worker, 100 at once, no timeout, no listener.
func BenchmarkDrain(b *testing.B) {
	for _, store := range benchStores {
		b.Run(store.name, func(b *testing.B) { drain(b, benchClient(b, store.address(b))) })
	}
}

// BenchmarkExchanges is BenchmarkDrain with different numbers of exchanges under
// way at once, and a way to the store and back of 0 and 2 ms: what a store's
// Capabilities.Exchanges is chosen by.
func BenchmarkExchanges(b *testing.B) {
	for _, store := range benchStores {
		for _, trip := range []time.Duration{0, 2 * time.Millisecond} {
			for _, n := range []int{1, 2, 3, 4} {
				b.Run(fmt.Sprintf("%s/%v/%d", store.name, trip, n), func(b *testing.B) {
					s := storetest.NewSlow(benchClient(b, store.address(b)).Store(), func(bellhop.Op) time.Duration { return trip })
					client, err := bellhop.NewClient(&wide{storetest.Pass{Store: s}, n}, bellhop.Logger(slog.New(slog.DiscardHandler)))
					if err != nil {
						b.Fatal(err)
					}
					drain(b, client)
				})
			}
		}
	}
}

// drain enqueues b.N jobs and measures how a worker works them off.
func drain(b *testing.B, client *bellhop.Client) {
	b.Helper()
	args := make([]item, 0, 10_000)
	for n := 0; n < b.N; n += len(args) {
		args = args[:min(cap(args), b.N-n)]
		for i := range args {
			args[i] = item{N: 1_000_000 + n + i, Text: benchText}
		}
		if _, err := job.EnqueueMany(b.Context(), client, args); err != nil {
			b.Fatal(err)
		}
	}
	var runs atomic.Int64
	all := make(chan struct{})
	w := New(client, Config{Queues: Queues{"default": 100}})
	w.Handle(job.With(func(context.Context, item) error {
		if runs.Add(1) == int64(b.N) {
			close(all)
		}
		return nil
	}))
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	go func() { done <- w.Run(ctx) }()
	<-all
	stop() // the drain hands in the last outcomes
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	cpu = cpuTime() - cpu
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
	left, err := client.Count(b.Context(), bellhop.Filter{States: bellhop.AllStates &^ bellhop.States(bellhop.StateSucceeded)}, 10)
	if err != nil || left > 0 {
		b.Fatalf("%d jobs are not done; %v", left, err)
	}
}

// BenchmarkEnqueueSingly measures single enqueues from 64 goroutines.
func BenchmarkEnqueueSingly(b *testing.B) {
	for _, store := range benchStores {
		b.Run(store.name, func(b *testing.B) {
			client := benchClient(b, store.address(b))
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range 64 {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if _, err := job.Enqueue(b.Context(), client, item{N: 1_000_000 + int(n), Text: benchText}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkLatency measures one job after the other on an idle store, from the
// call that enqueues it to its handler: by the worker's own client, and by another
// one, as from another process. Where nothing wakes a worker across processes, that is half a poll.
func BenchmarkLatency(b *testing.B) {
	for _, store := range benchStores {
		for _, across := range []bool{false, true} {
			name := map[bool]string{false: "within", true: "across"}[across]
			if across && store.name == "memory" {
				continue // it lives in one process
			}
			b.Run(store.name+"/"+name, func(b *testing.B) {
				address := store.address(b)
				client := benchClient(b, address)
				sender := client
				if across {
					sender = benchClient(b, address)
				}
				started := make(chan time.Time)
				w := New(client, Config{Queues: Queues{"default": 10}})
				w.Handle(job.With(func(context.Context, item) error { started <- time.Now(); return nil }))
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- w.Run(ctx) }()
				pause := 10 * time.Millisecond
				if across && store.name == "mysql" {
					pause = DefaultPoll // its workers poll: a job that came just after the last would wait longest
				}
				one := func() time.Duration {
					time.Sleep(5*time.Millisecond + rand.N(pause)) // so that the store is idle, and out of step
					at := time.Now()
					if _, err := job.Enqueue(b.Context(), sender, item{Text: benchText}); err != nil {
						b.Fatal(err)
					}
					return (<-started).Sub(at)
				}
				for range 5 {
					one() // until connections stand
				}
				var waits []time.Duration
				for b.Loop() {
					waits = append(waits, one())
				}
				stop()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				slices.Sort(waits)
				b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
			})
		}
	}
}
