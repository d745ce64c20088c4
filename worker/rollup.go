package worker

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
	"github.com/gobellhop/bellhop/internal/rollup"
)

const (
	// mergeTimeout bounds the merging of one round, which takes many small calls.
	mergeTimeout = 4 * storeTimeout
	// lastWordTimeout bounds what a worker that has shut down still writes about its last seconds.
	lastWordTimeout = 2 * time.Second
)

// rollups counts what attempts come to, and keeps it for charts: see package rollup. It has a loop of its own, because merging may
// take longer than jobs that are due should wait.
type rollups struct {
	store    bellhop.Store
	recorder *rollup.Recorder
	writer   *rollup.Writer
	loop     *loop.Loop
	begun    bool // it was noted which version has begun
}

func newRollups(w *Worker) *rollups {
	r := &rollups{recorder: rollup.NewRecorder(), store: owing{w.store, w.owe}}
	r.writer = rollup.NewWriter(r.store, r.recorder, w.now)
	r.loop = loop.New("rollup", w.rollupRound, loop.Options{Jitter: 0.05, OnPanic: w.onPanic})
	return r
}

// count counts an outcome that the store has taken.
func (w *Worker) count(c *bellhop.Claim, o *bellhop.Outcome) {
	at := o.Ended
	if at.IsZero() {
		at = w.now()
	}
	w.rollups.recorder.Outcome(c, o, at)
}

// rollupRound writes what was counted since the last round, if anything was, and merges what is over.
func (w *Worker) rollupRound(ctx context.Context) time.Duration {
	write := func(ctx context.Context) error { return w.rollups.writer.Write(ctx) }
	for _, part := range []struct {
		do      func(context.Context) error
		timeout time.Duration
	}{{w.noteVersion, storeTimeout}, {write, storeTimeout}, {w.rollups.writer.Merge, mergeTimeout}} {
		ctx, cancel := context.WithTimeout(ctx, part.timeout)
		err := part.do(ctx)
		if err != nil {
			w.trouble.note(ctx, w.log, bellhop.OpRecords, err)
		}
		cancel()
		if err != nil {
			return rollup.Every
		}
	}
	w.trouble.over(bellhop.OpRecords)
	return rollup.Every
}

// noteVersion notes, once, that this version of the program has begun: charts show it if it is news.
func (w *Worker) noteVersion(ctx context.Context) error {
	if w.rollups.begun {
		return nil
	}
	alive, err := w.rollups.store.Processes(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	me := w.process
	w.mu.Unlock()
	if err := rollup.Begun(ctx, w.rollups.store, &me, alive, w.now()); err != nil {
		return err
	}
	w.rollups.begun = true
	return nil
}

// lastWord writes what was counted last. If no other process lives, windows under way are merged at once: who comes next may
// come too late for it.
func (w *Worker) lastWord(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastWordTimeout)
	defer cancel()
	alive, err := w.store.Processes(ctx)
	if err == nil {
		err = w.rollups.writer.Close(ctx, len(alive) <= 1)
	}
	if err != nil {
		w.log.Warn("the last seconds are missing in metrics", bellhop.AttrError, err.Error())
	}
}

// owing is the store as rollups see it: the polls are put off for what they ask of it, see polls.
type owing struct {
	bellhop.Store
	owe func()
}

// Records implements [bellhop.Store].
func (s owing) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	s.owe()
	return s.Store.Records(ctx, q)
}

// Put implements [bellhop.Store].
func (s owing) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	s.owe()
	return s.Store.Put(ctx, writes)
}

// Processes implements [bellhop.Store].
func (s owing) Processes(ctx context.Context) ([]bellhop.ProcessStatus, error) {
	s.owe()
	return s.Store.Processes(ctx)
}

// Unwrap returns the store itself.
func (s owing) Unwrap() bellhop.Store { return s.Store }
