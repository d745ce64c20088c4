package worker

import (
	"context"
	"log/slog"
	"sync"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// tellOutcome counts an outcome that the store has applied, emits its event and
// logs it: successes at debug level, what a person should see at warning level.
func (w *Worker) tellOutcome(c *bellhop.Claim, o *bellhop.Outcome) {
	w.count(c, o)
	level := slog.LevelDebug
	switch o.Kind {
	case bellhop.OutcomeRetry, bellhop.OutcomeCancelled, bellhop.OutcomeDiscarded:
		level = slog.LevelInfo
	case bellhop.OutcomeDead, bellhop.OutcomeSwept:
		level = slog.LevelWarn
	}
	logs := w.log.Enabled(context.Background(), level)
	if !logs && !w.client.Listening() {
		return
	}
	e := bellhop.Event{
		Type: o.Kind.Event(), JobID: o.Token.JobID, Kind: c.Job.Kind, Queue: c.Job.Queue, To: o.Kind.To(), At: w.now(),
		Claim: o.Token.Number, Attempt: o.Attempt, Failures: o.Failures, Wait: o.Wait, Failure: o.Failure,
	}
	if !o.Started.IsZero() {
		e.Waited, e.Took = max(o.Started.Sub(c.Place.Due), 0), max(o.Ended.Sub(o.Started), 0)
	}
	w.client.Emit(e)
	if logs {
		w.log.LogAttrs(context.Background(), level, "job "+e.Type.String(), logAttrs(&e, o)...)
	}
}

func logAttrs(e *bellhop.Event, o *bellhop.Outcome) []slog.Attr {
	attrs := []slog.Attr{
		slog.String(bellhop.AttrJob, e.JobID.String()), slog.String(bellhop.AttrKind, e.Kind),
		slog.String(bellhop.AttrQueue, e.Queue), slog.Int(bellhop.AttrAttempt, e.Attempt),
		slog.Duration(bellhop.AttrWaited, e.Waited), slog.Duration(bellhop.AttrTook, e.Took),
	}
	if e.Wait > 0 {
		attrs = append(attrs, slog.Duration(bellhop.AttrWait, e.Wait))
	}
	if o.Reason != "" {
		attrs = append(attrs, slog.String("reason", o.Reason))
	}
	if e.Failure != nil {
		attrs = append(attrs, slog.String(bellhop.AttrClass, e.Failure.Class), slog.String(bellhop.AttrError, e.Failure.Message))
	}
	return attrs
}

// tellClaim emits the event of a claim.
func (w *Worker) tellClaim(c *bellhop.Claim) {
	w.client.Emit(bellhop.Event{
		Type: bellhop.EventClaimed, JobID: c.Token.JobID, Kind: c.Job.Kind, Queue: c.Job.Queue, To: bellhop.StateRunning, At: w.now(),
		Claim: c.Token.Number, Attempt: c.Place.Attempt, Failures: c.Place.Failures,
	})
}

// tellStale tells of an attempt whose claim is no longer the job's.
func (w *Worker) tellStale(c *bellhop.Claim) {
	w.rollups.recorder.Stale(c, w.now())
	w.client.Emit(bellhop.Event{
		Type: bellhop.EventSwept, JobID: c.Token.JobID, Kind: c.Job.Kind, Queue: c.Job.Queue, At: w.now(), Claim: c.Token.Number, Stale: true,
	})
	w.log.Warn("an attempt has lost its claim; what it says is not believed", bellhop.AttrJob, c.Token.JobID.String(),
		bellhop.AttrKind, c.Job.Kind, bellhop.AttrQueue, c.Job.Queue, bellhop.AttrClaim, c.Token.Number)
}

// troubles tell of the operations that fail, each for itself.
type troubles struct {
	mu  sync.Mutex
	ops map[bellhop.Op]*loop.Trouble
}

// note says that an operation failed.
func (t *troubles) note(ctx context.Context, log *slog.Logger, op bellhop.Op, err error) {
	t.mu.Lock()
	one := t.ops[op]
	if one == nil {
		one = loop.NewTrouble(log, "the store does not answer; the worker goes on trying", "the store answers again", bellhop.AttrOp, string(op))
		if t.ops == nil {
			t.ops = map[bellhop.Op]*loop.Trouble{}
		}
		t.ops[op] = one
	}
	t.mu.Unlock()
	one.Note(ctx, err)
}

// over says that an operation works again, if it did not.
func (t *troubles) over(op bellhop.Op) {
	t.mu.Lock()
	one := t.ops[op]
	t.mu.Unlock()
	if one != nil {
		one.Over()
	}
}
