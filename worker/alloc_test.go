package worker

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// TestAnAttemptAllocatesLittle counts the allocations of a job from ready to
// done, in the worker and in the store in memory, for a handler that does not ask
// for more. It is six; the collector's work is what a quick job mostly costs.
func TestAnAttemptAllocatesLittle(t *testing.T) {
	client, err := bellhop.NewClient(memory.New(), bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	const jobs = 20_000
	for range jobs / 1000 {
		args := make([]item, 1000)
		for i := range args {
			args[i] = item{N: 1_000_000 + i, Text: benchText}
		}
		if _, err := job.EnqueueMany(t.Context(), client, args); err != nil {
			t.Fatal(err)
		}
	}
	var runs atomic.Int64
	all := make(chan struct{})
	w := New(client, Config{Queues: Queues{"default": 100}})
	w.Handle(job.With(func(context.Context, item) error {
		if runs.Add(1) == jobs {
			close(all)
		}
		return nil
	}))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() { done <- w.Run(ctx) }()
	<-all
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := float64(after.Mallocs-before.Mallocs) / jobs; n > 10 {
		t.Errorf("%.1f allocations for each job, want at most ten", n)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
