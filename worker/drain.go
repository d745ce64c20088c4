package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// drain ends the worker: see [Worker.Run].
func (w *Worker) drain() error {
	deadline := time.Now().Add(w.config.Shutdown)
	grace := time.NewTimer(w.config.Grace)
	defer grace.Stop()

	w.mu.Lock()
	w.draining = true
	w.handBackAll()
	running := w.held.running
	if running == 0 {
		w.setQuiet()
	}
	w.mu.Unlock()
	w.wakeExchange()
	w.log.Info("worker is shutting down", "running", running, "grace", w.config.Grace.String())

	select {
	case <-w.quiet:
	case <-grace.C:
	case <-w.hurry:
	}
	if soon := time.Now().Add(w.config.Shutdown - w.config.Grace); soon.Before(deadline) {
		deadline = soon // hurried: what follows the grace takes no longer than without
	}
	w.mu.Lock()
	for _, a := range w.held.attempts {
		a.ctx.stop(bellhop.ErrShutdown, time.Now())
	}
	w.mu.Unlock()
	end := time.NewTimer(time.Until(deadline))
	defer end.Stop()
	select {
	case <-w.quiet:
	case <-end.C:
	}
	return w.leave(deadline)
}

// setQuiet says that nothing runs any more. Called under w.mu.
func (w *Worker) setQuiet() {
	select {
	case <-w.quiet:
	default:
		close(w.quiet)
	}
}

// leave stops the loops, hands in what is left, and takes the process out of
// the store. With a handler still running, the process stays to the end of its
// lease, so that nobody takes the job while it may still act.
func (w *Worker) leave(deadline time.Time) error {
	w.duties.Stop()
	w.control.Stop()
	w.rollups.loop.Stop()
	w.endJoins(deadline)
	for _, l := range w.lanes {
		l.loop.Stop()
	}
	w.heartbeat.Stop()
	ctx, cancel := context.WithDeadline(w.base, time.Now().Add(max(time.Until(deadline), time.Second)))
	defer cancel()
	w.mu.Lock()
	w.alive = true // if the store does not think so, its answer says it
	w.mu.Unlock()
	left := w.flush(ctx)
	if left == nil {
		w.lastWord(ctx)
	}
	w.mu.Lock()
	deaf := w.held.running
	w.mu.Unlock()
	if deaf > 0 {
		err := fmt.Errorf("worker: %d handlers did not listen to their context within %v; their jobs are left to the lease", deaf, w.config.Shutdown)
		if left != nil {
			err = fmt.Errorf("%w; and the store was out of reach: %w", err, left)
		}
		return err
	}
	for left == nil {
		err := w.beat(ctx, true, w.beatTimeout())
		if err == nil || errors.Is(err, bellhop.ErrProcessGone) {
			break
		}
		left = w.again(ctx, bellhop.OpBeat, err)
	}
	if left != nil {
		return fmt.Errorf("worker: shut down with the store out of reach; held jobs are left to the lease: %w", left)
	}
	w.log.Info("worker stopped", bellhop.AttrProcess, w.config.Name)
	return nil
}

// flush hands in the outcomes that are left, until ctx ends: first those of
// calls without a reply, and the first lane whatever else there is.
func (w *Worker) flush(ctx context.Context) error {
	for _, l := range slices.Backward(w.lanes) {
		if err := w.flushLane(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) flushLane(ctx context.Context, l *lane) error {
	for {
		c, _ := w.nextCall(l, false)
		if c == nil {
			w.mu.Lock()
			n := len(w.outbox.later.outcomes)
			w.mu.Unlock()
			if n == 0 || !l.first {
				return nil
			}
			if err := w.again(ctx, bellhop.OpExchange, fmt.Errorf("%d outcomes: %w: a part of the store is out of reach, or a transaction holds their claims", n, bellhop.ErrUnavailable)); err != nil {
				return err
			}
			continue
		}
		reply, err := w.send(ctx, c)
		switch {
		case errors.Is(err, bellhop.ErrProcessGone):
			// Outcomes need no living process, only their tokens.
			c.request.Process = bellhop.ID{}
			c.request.Wants = nil
		case err == nil:
			w.answered(l, c, reply)
		default:
			if err := w.again(ctx, bellhop.OpExchange, err); err != nil {
				return err
			}
		}
	}
}

// again waits a little after an error, or returns it if the time is over.
func (w *Worker) again(ctx context.Context, op bellhop.Op, err error) error {
	w.trouble.note(ctx, w.log, op, err)
	wait := time.NewTimer(loop.Jitter(100*time.Millisecond, 0.5))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return err
	case <-wait.C:
		return nil
	}
}
