package worker

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	_ "github.com/gobellhop/bellhop/store/sqlite"
)

// benchText makes the arguments 48 bytes long.
const benchText = "twenty-three letters---"

// benchStores are the addresses that the benchmarks run on.
func benchStores(b *testing.B) map[string]string {
	return map[string]string{"memory": "memory:", "sqlite": "sqlite:" + filepath.Join(b.TempDir(), "jobs.db")}
}

func benchClient(b *testing.B, address string) *bellhop.Client {
	b.Helper()
	client, err := bellhop.Open(b.Context(), address, bellhop.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))
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
	for name, address := range benchStores(b) {
		b.Run(name, func(b *testing.B) {
			client := benchClient(b, address)
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
		})
	}
}

// BenchmarkEnqueueSingly measures single enqueues from 64 goroutines.
func BenchmarkEnqueueSingly(b *testing.B) {
	for name, address := range benchStores(b) {
		b.Run(name, func(b *testing.B) {
			client := benchClient(b, address)
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

// BenchmarkLatency measures one job after the other, from the enqueue to its handler.
func BenchmarkLatency(b *testing.B) {
	for name, address := range benchStores(b) {
		b.Run(name, func(b *testing.B) {
			client := benchClient(b, address)
			started := make(chan time.Time)
			w := New(client, Config{Queues: Queues{"default": 10}})
			w.Handle(job.With(func(context.Context, item) error { started <- time.Now(); return nil }))
			ctx, stop := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			for b.Loop() {
				if _, err := job.Enqueue(b.Context(), client, item{Text: benchText}); err != nil {
					b.Fatal(err)
				}
				<-started
			}
			stop()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}
