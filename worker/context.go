package worker

import (
	"context"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// attemptContext is what a handler's context stands on: cancelled with a cause,
// and bounded by the job's timeout. Most handlers that are quick never look at
// their context, so the real one, which costs some allocations, is made when
// somebody first asks for it: for its end, or for a value, as [context.Cause]
// and the making of a child do.
type attemptContext struct {
	base context.Context

	mu       sync.Mutex
	begun    bool
	cause    error     // why it was stopped, once it was
	stopped  time.Time // when; zero if it was not
	deadline time.Time // when the timeout passes; zero if there is none

	real    context.Context // nil until somebody asks
	cancel  context.CancelCauseFunc
	release context.CancelFunc // of the timer; nil if there is none
}

// begin says that the handler is about to run. It returns why it must not, if
// the context was stopped before.
func (c *attemptContext) begin(base context.Context, now time.Time, timeout time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	c.base, c.begun = base, true
	if timeout > 0 {
		c.deadline = now.Add(timeout)
		c.make()
	}
	return nil
}

// stop cancels the context, unless it was stopped before.
func (c *attemptContext) stop(cause error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause, c.stopped = cause, now
	if c.real != nil {
		c.cancel(cause)
	}
}

// end frees what the context holds, when the handler has returned, and tells
// why it was cancelled while the handler ran; nil if it was not.
func (c *attemptContext) end() (cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cause = c.cause; c.real != nil {
		cause = context.Cause(c.real)
		c.cancel(nil)
		if c.release != nil {
			c.release()
		}
	}
	if c.cause == nil {
		c.cause = context.Canceled // for those who ask later
	}
	return cause
}

// overSince returns when the context was stopped or its timeout passed; zero if neither was yet.
func (c *attemptContext) overSince(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped.IsZero() && !c.deadline.After(now) {
		return c.deadline
	}
	return c.stopped
}

// ask returns the real context.
func (c *attemptContext) ask() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		c.make()
	}
	return c.real
}

// make makes the real context. Called under c.mu.
func (c *attemptContext) make() {
	c.real, c.cancel = context.WithCancelCause(c.base)
	if !c.deadline.IsZero() {
		c.real, c.release = context.WithDeadlineCause(c.real, c.deadline, bellhop.ErrTimeout)
	}
	if c.cause != nil {
		c.cancel(c.cause)
	}
}

// Deadline implements [context.Context].
func (c *attemptContext) Deadline() (time.Time, bool) { return c.ask().Deadline() }

// Done implements [context.Context].
func (c *attemptContext) Done() <-chan struct{} { return c.ask().Done() }

// Value implements [context.Context].
func (c *attemptContext) Value(key any) any { return c.ask().Value(key) }

// Err implements [context.Context]. It is what loops ask, and needs no real context.
func (c *attemptContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.real != nil:
		return c.real.Err()
	case c.cause != nil:
		return context.Canceled
	}
	return nil
}
