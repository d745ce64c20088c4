// Package loop is the kernel on which every background loop of a worker stands: do a bit, return the next wait.
//
// Each loop gives a [Func] that does one round of work and says how long to wait before the next. This package does the
// rest: it starts and stops the goroutine, sleeps, wakes early, spreads the waits, and goes on after a panic. A job meets
// it four times: the duties loop promotes it when it is due and sweeps it when its process is gone, the exchange loop claims
// it, the heartbeat loop keeps its claim alive, and the control loop tells it of a cancel.
package loop

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Never is the wait of a round that has nothing to do until [Loop.Wake] is called.
const Never time.Duration = math.MaxInt64

// The wait after a round that did not end well: firstBackoff, doubled for each such round in a row, up to lastBackoff.
const (
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
)

// ErrStopped is the cause ([context.Cause]) of the context of a [Func] once [Loop.Stop] was called.
var ErrStopped = errors.New("loop stopped")

// ErrGoexit is what OnPanic gets for a round that called [runtime.Goexit] instead of returning.
var ErrGoexit = errors.New("loop round called runtime.Goexit")

// Func does one round and returns how long to wait before the next: 0 or less means at once, [Never] means until
// woken. Its context ends when the loop is to stop; a round that ignores it delays [Loop.Stop].
type Func func(ctx context.Context) time.Duration

// Options are the settings of a [Loop]; the zero value is ready for use.
type Options struct {
	// Jitter lengthens each wait by a random part of at most this fraction, see [Jitter]. Default 0: none.
	Jitter float64
	// OnPanic is told of each round that panicked (v is the value) or called runtime.Goexit (v is ErrGoexit), in the
	// loop's own goroutine. Default nil: such a round is logged through slog.Default. If OnPanic panics itself,
	// that is logged and the loop goes on.
	OnPanic func(name string, v any, stack []byte)
}

// Loop calls a [Func] again and again in one goroutine. It has one life: Start, then Stop; to run again, make a new one.
// All methods may be called from any goroutine.
type Loop struct {
	name  string
	fn    Func
	opts  Options
	woken chan struct{}             // holds one wake at most
	done  chan struct{}             // closed when the goroutine is gone
	last  atomic.Pointer[time.Time] // end of the last good round

	mu      sync.Mutex
	started bool
	stopped bool
	cancel  context.CancelCauseFunc

	wait     time.Duration // before the next round; like failures, used by the loop's goroutine alone
	failures int           // rounds in a row that did not end well
}

// New returns a loop that waits for Start. The name is what OnPanic is told.
func New(name string, fn Func, opts Options) *Loop {
	return &Loop{name: name, fn: fn, opts: opts, woken: make(chan struct{}, 1), done: make(chan struct{})}
}

// Start begins the first round at once, in a new goroutine, which ends when ctx does or when Stop is called. After a Stop
// it does nothing. Starting a loop a second time is a mistake in the program and panics.
func (l *Loop) Start(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	if l.started {
		panic("loop: " + l.name + " was started twice; make a new loop instead")
	}
	l.started = true
	ctx, l.cancel = context.WithCancelCause(ctx)
	go l.run(ctx)
}

// Stop cancels the context of the round under way with the cause [ErrStopped] and returns when the loop's goroutine is
// gone; it waits as long as that round takes. Before Start, or called again, it is harmless. The loop's own Func must
// not call it: it would wait for itself.
func (l *Loop) Stop() {
	l.mu.Lock()
	l.stopped = true
	started := l.started
	if started {
		l.cancel(ErrStopped)
	}
	l.mu.Unlock()
	if started {
		<-l.done
	}
}

// Wake ends the present wait; during a round it means one more round at once. It never blocks, and several wakes before the
// next round count as one. The back-off after a panic is not cut short: the wake is served when it is over. Before Start and
// after Stop, Wake is harmless.
func (l *Loop) Wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// Last returns when the last round ended that neither panicked nor called Goexit; the zero time if there was none. A watchdog
// compares it with the longest time that a round and its wait may take.
func (l *Loop) Last() time.Time {
	if t := l.last.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// run is the life of the loop. A Goexit ends this goroutine, whatever we do; so another takes over on the way out.
func (l *Loop) run(ctx context.Context) {
	over := false
	defer func() {
		if over {
			close(l.done)
			return
		}
		go l.run(ctx)
	}()
	for l.sleep(ctx) {
		l.round(ctx)
	}
	over = true
}

// sleep waits for the next round and reports whether there is to be one.
func (l *Loop) sleep(ctx context.Context) bool {
	if l.wait <= 0 && ctx.Err() == nil { // at once, which is common: a timer would cost more than the round
		runtime.Gosched()
		select {
		case <-l.woken:
		default:
		}
		return true
	}
	var due <-chan time.Time // stays nil, which never fires, when the wait is Never
	if l.wait != Never {
		timer := time.NewTimer(l.wait)
		defer timer.Stop()
		due = timer.C
	}
	woken := l.woken
	if l.failures > 0 {
		woken = nil // a back-off is not cut short: a busy caller would turn it into a hot loop
	}
	select {
	case <-ctx.Done():
	case <-due:
	case <-woken:
	}
	select { // the round that begins now also serves a wake that came together with its time
	case <-l.woken:
	default:
	}
	return ctx.Err() == nil
}

// round calls the Func once and sets the wait that follows, however the call ends.
func (l *Loop) round(ctx context.Context) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = ErrGoexit
		}
		l.wait = min(firstBackoff<<min(l.failures, 5), lastBackoff)
		l.failures++
		l.report(v, debug.Stack())
	}()
	wait := l.fn(ctx)
	returned = true
	now := time.Now()
	l.last.Store(&now)
	l.failures = 0
	l.wait = Jitter(wait, l.opts.Jitter)
}

// report tells OnPanic, and survives it.
func (l *Loop) report(v any, stack []byte) {
	defer func() {
		if again := recover(); again != nil {
			slog.Error("a loop's OnPanic panicked", "loop", l.name, "panic", v, "again", again, "stack", string(stack))
		}
	}()
	if l.opts.OnPanic == nil {
		slog.Error("a loop panicked", "loop", l.name, "panic", v, "stack", string(stack))
		return
	}
	l.opts.OnPanic(l.name, v, stack)
}
