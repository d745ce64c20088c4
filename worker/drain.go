package worker

import (
	"context"
	"errors"
	"fmt"
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
	w.handBack("the worker is shutting down", func(*attempt) bool { return false })
	running := w.held.running
	if running == 0 {
		w.setQuiet()
	}
	w.mu.Unlock()
	w.exchange.Wake()
	w.log.Info("worker is shutting down", "running", running, "grace", w.config.Grace.String())

	select {
	case <-w.quiet:
	case <-grace.C:
	case <-w.hurry:
	}
	w.mu.Lock()
	for _, a := range w.held.attempts {
		a.stop(bellhop.ErrShutdown, time.Now())
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
	for _, l := range []*loop.Loop{w.duties, w.control, w.exchange, w.heartbeat} {
		l.Stop()
	}
	ctx, cancel := context.WithDeadline(w.base, time.Now().Add(max(time.Until(deadline), time.Second)))
	defer cancel()
	w.mu.Lock()
	w.alive = true // if the store does not think so, its answer says it
	w.mu.Unlock()
	left := w.flush(ctx)
	w.mu.Lock()
	deaf := w.held.running
	w.mu.Unlock()
	if deaf > 0 {
		return fmt.Errorf("worker: %d handlers did not listen to their context within %v; their jobs are left to the lease", deaf, w.config.Shutdown)
	}
	if err := w.beat(ctx, true); err != nil && !errors.Is(err, bellhop.ErrProcessGone) {
		left = errors.Join(left, err)
	}
	if left != nil {
		return fmt.Errorf("worker: shut down with the store out of reach; held jobs are left to the lease: %w", left)
	}
	w.log.Info("worker stopped", bellhop.AttrProcess, w.config.Name)
	return nil
}

// flush hands in the outcomes that are left, until ctx ends.
func (w *Worker) flush(ctx context.Context) error {
	for {
		c := w.nextCall(false)
		if c == nil {
			return nil
		}
		reply, err := w.store.Exchange(ctx, &c.request)
		switch {
		case errors.Is(err, bellhop.ErrProcessGone):
			// Outcomes need no living process, only their tokens.
			c.request.Process = bellhop.ID{}
			c.request.Wants = nil
		case err == nil:
			w.answered(c, reply)
		case ctx.Err() != nil:
			return err
		default:
			w.trouble.note(w.log, bellhop.OpExchange, err)
			select {
			case <-ctx.Done():
				return err
			case <-time.After(loop.Jitter(100*time.Millisecond, 0.5)):
			}
		}
	}
}
