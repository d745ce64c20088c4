// Package observe watches what goes on in a process, for the packages that turn it into metrics and traces: the calls to a store ([Store]),
// and the events of jobs ([Count]).
//
// A job passes through it unchanged: each verb is handed on to the store behind, and when it has returned, a function is told
// which it was, how long it took, and how it ended.
package observe

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
)

// A Watcher is told of each call before it begins. It returns the context for the call, and the function to tell of its end; nil if
// it does not want to know.
type Watcher func(ctx context.Context, op bellhop.Op) (context.Context, func(took time.Duration, err error))

// Store returns a store that hands all calls on to s and tells the watcher. Abilities of s are found through it by [bellhop.As].
func Store(s bellhop.Store, watch Watcher) bellhop.Store { return &watched{s, watch} }

type watched struct {
	bellhop.Store
	watch Watcher
}

// Unwrap returns the store behind, for [bellhop.As].
func (w *watched) Unwrap() bellhop.Store { return w.Store }

// call makes one call and tells of it.
func call[T any](ctx context.Context, w *watched, op bellhop.Op, do func(context.Context) (T, error)) (T, error) {
	ctx, done := w.watch(ctx, op)
	if done == nil {
		return do(ctx)
	}
	began := time.Now()
	v, err := do(ctx)
	done(time.Since(began), err)
	return v, err
}

// run is call for verbs that return nothing but an error.
func run(ctx context.Context, w *watched, op bellhop.Op, do func(context.Context) error) error {
	_, err := call(ctx, w, op, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
	return err
}

func (w *watched) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	return call(ctx, w, bellhop.OpEnqueue, func(ctx context.Context) ([]bellhop.Receipt, error) { return w.Store.Enqueue(ctx, r) })
}

func (w *watched) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	return call(ctx, w, bellhop.OpExchange, func(ctx context.Context) (*bellhop.ExchangeReply, error) { return w.Store.Exchange(ctx, r) })
}

func (w *watched) Report(ctx context.Context, reports []bellhop.Report) ([]bellhop.Refusal, error) {
	return call(ctx, w, bellhop.OpReport, func(ctx context.Context) ([]bellhop.Refusal, error) { return w.Store.Report(ctx, reports) })
}

func (w *watched) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	return call(ctx, w, bellhop.OpBeat, func(ctx context.Context) (*bellhop.BeatReply, error) { return w.Store.Beat(ctx, b) })
}

func (w *watched) Sweep(ctx context.Context, limit int) ([]bellhop.Claim, error) {
	return call(ctx, w, bellhop.OpSweep, func(ctx context.Context) ([]bellhop.Claim, error) { return w.Store.Sweep(ctx, limit) })
}

func (w *watched) Promote(ctx context.Context, limit int) (n int, next time.Duration, err error) {
	n, err = call(ctx, w, bellhop.OpPromote, func(ctx context.Context) (int, error) {
		var err error
		n, next, err = w.Store.Promote(ctx, limit)
		return n, err
	})
	return n, next, err
}

func (w *watched) Prune(ctx context.Context, limit int) (int, error) {
	return call(ctx, w, bellhop.OpPrune, func(ctx context.Context) (int, error) { return w.Store.Prune(ctx, limit) })
}

func (w *watched) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	return call(ctx, w, bellhop.OpAct, func(ctx context.Context) (*bellhop.ActReply, error) { return w.Store.Act(ctx, r) })
}

func (w *watched) Get(ctx context.Context, ids []bellhop.ID) ([]bellhop.Snapshot, error) {
	return call(ctx, w, bellhop.OpGet, func(ctx context.Context) ([]bellhop.Snapshot, error) { return w.Store.Get(ctx, ids) })
}

func (w *watched) List(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
	return call(ctx, w, bellhop.OpList, func(ctx context.Context) (*bellhop.Listing, error) { return w.Store.List(ctx, q) })
}

func (w *watched) Count(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
	return call(ctx, w, bellhop.OpCount, func(ctx context.Context) (*bellhop.Counted, error) { return w.Store.Count(ctx, q) })
}

func (w *watched) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	return call(ctx, w, bellhop.OpStats, func(ctx context.Context) ([]bellhop.QueueStats, error) { return w.Store.Stats(ctx, limit) })
}

func (w *watched) Processes(ctx context.Context) ([]bellhop.ProcessStatus, error) {
	return call(ctx, w, bellhop.OpProcesses, func(ctx context.Context) ([]bellhop.ProcessStatus, error) { return w.Store.Processes(ctx) })
}

func (w *watched) Pause(ctx context.Context, queue string, paused bool) error {
	return run(ctx, w, bellhop.OpPause, func(ctx context.Context) error { return w.Store.Pause(ctx, queue, paused) })
}

func (w *watched) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	return call(ctx, w, bellhop.OpRecords, func(ctx context.Context) ([]bellhop.Record, error) { return w.Store.Records(ctx, q) })
}

func (w *watched) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	return run(ctx, w, bellhop.OpPut, func(ctx context.Context) error { return w.Store.Put(ctx, writes) })
}

func (w *watched) Ping(ctx context.Context) (time.Time, error) {
	return call(ctx, w, bellhop.OpPing, func(ctx context.Context) (time.Time, error) { return w.Store.Ping(ctx) })
}
