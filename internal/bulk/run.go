package bulk

import (
	"context"
	"errors"
	"time"

	"github.com/gobellhop/bellhop"
)

// maxFailures is how often in a row a bite may fail for a reason other than a store that is out of reach.
const maxFailures = 3

// work is an operation under way in this process.
type work struct {
	*Runner
	op       *Operation // as this process knows it; the record may be a write behind
	now      func() time.Time
	saved    time.Time // when the record was written last, by the local clock
	unsaved  bool      // what the last bite came to is not written down
	failures int       // steps in a row that failed
}

// run works at an operation until it ends, the runner is closed, or another process has it.
func (r *Runner) run(o *Operation, now func() time.Time) {
	defer r.drop(o.ID)
	w := &work{Runner: r, op: o, now: now, saved: time.Now()}
	for !w.op.Ended() || w.unsaved {
		wait, err := w.step()
		if errors.Is(err, errOthers) || errors.Is(err, bellhop.ErrNotFound) {
			r.log.Info("a bulk operation is no longer this process's", "operation", o.ID, bellhop.AttrError, err)
			return
		}
		if err != nil {
			wait = min(r.retry<<min(w.failures, 5), r.lease/2)
			w.failures++
		}
		if !sleep(r.life, wait) {
			if !w.handBack() {
				return
			}
			break
		}
	}
	w.finish()
}

// step does one bite, and returns how long to leave the store alone. An error means that it is to be tried again.
func (w *work) step() (rest time.Duration, err error) {
	select {
	case w.bites <- struct{}{}:
		defer func() { <-w.bites }()
	case <-w.life.Done():
		return 0, nil
	}
	fence, err := w.fence()
	if err != nil || w.op.Ended() {
		return 0, err
	}
	began := time.Now()
	size := min(Bite, w.op.Bound-w.op.Done)
	reply, err := w.client.ActSome(w.life, bellhop.ActRequest{
		Action: w.op.Action, Filter: w.op.filter(), Limit: size, After: w.op.Cursor, Reason: w.reason(), Fence: fence,
	})
	if errors.Is(err, bellhop.ErrConflict) {
		return 0, nil // it was stopped, or is another's: the next fence tells
	}
	if err != nil {
		return 0, w.failed(err)
	}
	w.op.Done += len(reply.Changed) + len(reply.Signalled)
	w.op.Held += len(reply.Skipped)
	w.op.Cursor, w.op.Error = reply.Next, ""
	switch {
	case reply.Next == "":
		w.op.State = Done
	case w.op.Done >= w.op.Bound:
		w.op.State = Bounded
	}
	w.unsaved = true
	if err = w.save(); err == nil {
		w.failures = 0
	}
	return time.Duration(w.pace * float64(time.Since(began))), err
}

// fence returns what a bite is bound to: the version of the operation's record in which this process is its owner. However long this process
// stands still after that, the bite does nothing once another has written the record. It writes down first what is not yet, says
// that the process is alive if it has not for a while, and ends the operation if it is to stop.
func (w *work) fence() (*bellhop.Fence, error) {
	if w.unsaved || time.Since(w.saved) > w.lease/4 || w.op.StopBy != "" {
		if err := w.save(); err != nil || w.op.Ended() {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.life), w.lease/3)
	defer cancel()
	o, version, err := w.read(ctx, w.op.ID)
	switch {
	case err != nil:
		return nil, err
	case o.Owner != w.name || o.Ended():
		return nil, errOthers
	case o.StopBy != "":
		return nil, w.save()
	}
	return &bellhop.Fence{Space: space, Key: o.ID, Version: version}, nil
}

// reason is what is kept with each job.
func (w *work) reason() string {
	text := pasts[w.op.Action] + " by " + w.op.By
	if w.op.By == "" {
		text = pasts[w.op.Action]
	}
	if w.op.Reason != "" {
		text += ": " + w.op.Reason
	}
	return text
}

var pasts = [...]string{
	bellhop.ActRetry: "retried", bellhop.ActRunNow: "made ready", bellhop.ActCancel: "cancelled",
	bellhop.ActDiscard: "discarded", bellhop.ActDelete: "deleted",
}

// Past returns the action as what was done to a job: "retried", "made ready".
func Past(a bellhop.Action) string {
	if !a.Valid() {
		return a.String()
	}
	return pasts[a]
}

// failed writes down that a bite failed, and ends the operation if there is no hope. It returns the error if there is.
func (w *work) failed(err error) error {
	if w.life.Err() != nil {
		return err
	}
	hopeless := !errors.Is(err, bellhop.ErrUnavailable) && w.failures+1 >= maxFailures
	w.log.Warn("a bite of a bulk operation failed", "operation", w.op.ID, "hopeless", hopeless, bellhop.AttrError, err)
	w.op.Error = bellhop.CleanText(err.Error(), 400)
	if hopeless {
		w.op.State = Failed
	}
	w.unsaved = true
	if saving := w.save(); errors.Is(saving, errOthers) || saving == nil && w.op.Ended() {
		return saving
	}
	return err
}

// save writes how far the operation has come, and learns whether it is to stop. It writes values, not steps, so that it may be
// repeated after a reply was lost. It fails with errOthers if the operation is no longer this process's.
func (w *work) save() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.life), w.lease/3)
	defer cancel()
	o, err := w.change(ctx, w.op.ID, func(o *Operation) error {
		if o.Ended() && o.State == w.op.State && o.Cursor == w.op.Cursor {
			return errUnneeded // written before, by a call whose reply was lost
		}
		if o.Owner != w.name || o.Ended() {
			return errOthers
		}
		o.State, o.Done, o.Held, o.Cursor, o.Error = w.op.State, w.op.Done, w.op.Held, w.op.Cursor, w.op.Error
		o.Owner, o.BeatAt = w.op.Owner, w.now()
		if o.State == Running && o.StopBy != "" {
			o.State = Stopped
		}
		if o.Ended() {
			o.Owner, o.EndedAt = "", o.BeatAt
		}
		return nil
	})
	if err == nil {
		w.op, w.saved, w.unsaved = o, time.Now(), false
	}
	return err
}

// handBack leaves the operation to others, and reports whether it ended with that: its last bite was done, or it was to stop.
func (w *work) handBack() (ended bool) {
	w.op.Owner = ""
	err := w.save()
	if err != nil && !errors.Is(err, errOthers) {
		w.log.Warn("a bulk operation could not be handed back: it goes on when its time is over", "operation", w.op.ID, bellhop.AttrError, err)
	}
	return err == nil && w.op.Ended()
}

// finish tidies up after the end.
func (w *work) finish() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.life), w.lease)
	defer cancel()
	if err := w.unlist(ctx, w.op.ID); err != nil { // the next watch will
		w.log.Debug("an ended bulk operation is still listed as running", "operation", w.op.ID, bellhop.AttrError, err)
	}
	if w.ended != nil {
		w.ended(ctx, w.op)
	}
}

// sleep waits and reports whether to go on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
