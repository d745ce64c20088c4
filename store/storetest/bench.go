package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// benchAll measures the hot path. The time of one operation is that of one job,
// and jobs/s says the same the other way round. With -benchtime=1x each
// benchmark runs once with little to do, to show that it works.
func benchAll(b *testing.B, h Harness) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("enqueue/store/callers=%d", callers), func(b *testing.B) { benchEnqueue(b, h, callers) })
		b.Run(fmt.Sprintf("enqueue/client/callers=%d", callers), func(b *testing.B) { benchClient(b, h, callers) })
	}
	b.Run("enqueue/bulk=1000", func(b *testing.B) { benchBulk(b, h) })
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("drain/exchange=%d", size), func(b *testing.B) { benchDrain(b, h, size, 0, benchKind) })
	}
	b.Run("drain/behind 100000 of unknown kinds", func(b *testing.B) { benchDrain(b, h, 100, 100_000, "bench.unknown") })
	b.Run("drain/backlog=200000", func(b *testing.B) { benchDrain(b, h, 100, 200_000, benchKind) })
	b.Run("enqueue and work", func(b *testing.B) { benchSustained(b, h) })
}

const benchKind = "bench.job"

// benchArgs is as much as a usual job carries.
type benchArgs struct {
	User    int64  `json:"user"`
	Address string `json:"address"`
	Subject string `json:"subject"`
}

var (
	benchDefinition = bellhop.Define[benchArgs](benchKind)
	benchValue      = benchArgs{4711, "somebody@example.org", "your order of three things"}
	benchBytes      = []byte(`{"user":4711,"address":"somebody@example.org","subject":"your order of three things"}`)
)

func benchJob(kind string) *bellhop.Job {
	return &bellhop.Job{ID: bellhop.NewID(), Kind: kind, Queue: bellhop.DefaultQueue, Args: benchBytes, Attempts: bellhop.DefaultAttempts}
}

// rate reports jobs in a second.
func rate(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s") }

// benchCallers makes b.N calls from a number of goroutines.
func benchCallers(b *testing.B, callers int, call func() error) {
	var team crew
	var made atomic.Int64
	b.ResetTimer()
	for range callers {
		team.Go("caller", func() error {
			for made.Add(1) <= int64(b.N) {
				if err := call(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	team.wait(b)
	b.StopTimer()
	rate(b)
}

// benchEnqueue: single enqueues by the store's verb, each durable when it returns.
func benchEnqueue(b *testing.B, h Harness, callers int) {
	s, ctx := h.New(b), b.Context()
	benchCallers(b, callers, func() error {
		_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{benchJob(benchKind)}})
		return err
	})
}

// benchClient: the same as programs do it, with encoding, checks and batching.
func benchClient(b *testing.B, h Harness, callers int) {
	ctx := b.Context()
	client, err := bellhop.NewClient(h.New(b))
	must(b, err)
	b.Cleanup(func() { _ = client.Close() }) // the harness closes the store as well
	benchCallers(b, callers, func() error {
		_, err := benchDefinition.Enqueue(ctx, client, benchValue)
		return err
	})
}

// benchBulk: 1000 jobs in a call.
func benchBulk(b *testing.B, h Harness) {
	s, ctx := h.New(b), b.Context()
	b.ResetTimer()
	must(b, benchLoad(ctx, s, b.N, benchKind))
	b.StopTimer()
	rate(b)
}

// benchLoad enqueues n jobs, 1000 in a call.
func benchLoad(ctx context.Context, s bellhop.Store, n int, kind string) error {
	for n > 0 {
		jobs := make([]*bellhop.Job, min(n, 1000))
		for i := range jobs {
			jobs[i] = benchJob(kind)
		}
		for _, own := range byPart(s, jobs) {
			if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: own}); err != nil {
				return err
			}
		}
		n -= len(jobs)
	}
	return nil
}

// benchHand is a process that asks for jobs of the benchmark.
func benchHand(ctx context.Context, s bellhop.Store) (*hand, error) {
	w, err := newHand(ctx, s, longLease, bellhop.DefaultQueue)
	w.kinds = []string{benchKind}
	return w, err
}

// benchDrain: one process works b.N jobs off that are there already, in
// exchanges of size outcomes and as many claims. Others of the given kind were
// enqueued before them.
func benchDrain(b *testing.B, h Harness, size, before int, kind string) {
	s, ctx := h.New(b), b.Context()
	must(b, benchLoad(ctx, s, before, kind))
	must(b, benchLoad(ctx, s, b.N, benchKind))
	w, err := benchHand(ctx, s)
	must(b, err)
	b.ResetTimer()
	var outcomes []bellhop.Outcome
	for left := b.N; left > 0 || len(outcomes) > 0; {
		reply, err := w.exchange(ctx, min(size, left), outcomes...)
		must(b, err)
		if left > 0 && len(reply.Claims) == 0 {
			b.Fatalf("%d jobs are left, and none was claimed", left)
		}
		left -= len(reply.Claims)
		outcomes = allSucceeded(reply.Claims)
	}
	b.StopTimer()
	rate(b)
}

// benchSustained: four callers enqueue b.N jobs while two processes work them off.
func benchSustained(b *testing.B, h Harness) {
	s := h.New(b)
	ctx, done := context.WithCancel(b.Context())
	defer done()
	var made, worked atomic.Int64
	var team crew
	var finished sync.Once
	b.ResetTimer()
	for range 4 {
		team.Go("caller", func() error {
			for made.Add(1) <= int64(b.N) {
				if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{benchJob(benchKind)}}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 2 {
		team.Go("process", func() error {
			w, err := benchHand(ctx, s)
			if err != nil {
				return err
			}
			var outcomes []bellhop.Outcome
			for worked.Load() < int64(b.N) {
				reply, err := w.exchange(ctx, 100, outcomes...)
				if err != nil {
					if errors.Is(err, context.Canceled) {
						return nil
					}
					return err
				}
				worked.Add(int64(len(outcomes)))
				outcomes = allSucceeded(reply.Claims)
				if len(outcomes) == 0 {
					benchPause(ctx)
				}
			}
			finished.Do(done)
			return nil
		})
	}
	team.wait(b)
	b.StopTimer()
	rate(b)
}

// benchPause keeps a process that found nothing from asking all the time, as a
// worker's natural batching does.
func benchPause(ctx context.Context) {
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
