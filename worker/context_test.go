package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
)

// begun returns the context of an attempt whose handler runs.
func begun(t *testing.T, base context.Context, timeout time.Duration) *attemptContext {
	t.Helper()
	c := &attemptContext{}
	if err := c.begin(base, time.Now(), timeout); err != nil {
		t.Fatal(err)
	}
	return c
}

type contextKey struct{}

// TestAttemptContextIsAContext compares it with a real one in all that a
// handler can do with it, whether it was asked before it is cancelled or after.
func TestAttemptContextIsAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := context.WithValue(t.Context(), contextKey{}, "value")
		for _, asked := range []bool{false, true} {
			c := begun(t, base, 0)
			if asked {
				select {
				case <-c.Done():
					t.Error("it is done before it was stopped")
				default:
				}
			}
			if c.Err() != nil || c.Value(contextKey{}) != "value" || context.Cause(c) != nil {
				t.Errorf("at first: error %v, cause %v", c.Err(), context.Cause(c))
			}
			if _, has := c.Deadline(); has {
				t.Error("it has a deadline")
			}
			child, cancel := context.WithCancel(c)
			c.stop(bellhop.ErrShutdown, time.Now())
			c.stop(bellhop.ErrCancelled, time.Now()) // the first counts
			<-c.Done()
			<-child.Done()
			for _, ctx := range []context.Context{c, child} {
				if ctx.Err() != context.Canceled || context.Cause(ctx) != bellhop.ErrShutdown {
					t.Errorf("stopped: error %v, cause %v", ctx.Err(), context.Cause(ctx))
				}
			}
			if cause := c.end(); cause != bellhop.ErrShutdown {
				t.Errorf("it ended for %v", cause)
			}
			cancel()
		}
	})
}

func TestAttemptContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := begun(t, t.Context(), 0)
		if cause := quick.end(); cause != nil || quick.Err() != context.Canceled {
			t.Errorf("a handler that never asked ended for %v, and later finds %v", cause, quick.Err())
		}
		<-quick.Done() // for a goroutine that outlives its handler
		late := begun(t, t.Context(), time.Minute)
		if due, has := late.Deadline(); !has || time.Until(due) != time.Minute {
			t.Errorf("its deadline is %v", due)
		}
		if !late.overSince(time.Now()).IsZero() {
			t.Error("it is over before its time")
		}
		<-late.Done()
		if late.Err() != context.DeadlineExceeded || !errors.Is(context.Cause(late), bellhop.ErrTimeout) || time.Since(late.overSince(time.Now())) != 0 {
			t.Errorf("timed out: error %v, cause %v", late.Err(), context.Cause(late))
		}
		if cause := late.end(); cause != bellhop.ErrTimeout {
			t.Errorf("it ended for %v", cause)
		}
	})
}

// TestAttemptContextStoppedBeforeItBegan keeps the handler from running.
func TestAttemptContextStoppedBeforeItBegan(t *testing.T) {
	c := &attemptContext{}
	c.stop(bellhop.ErrCancelled, time.Now())
	if err := c.begin(t.Context(), time.Now(), 0); err != bellhop.ErrCancelled {
		t.Errorf("begin returned %v", err)
	}
}
