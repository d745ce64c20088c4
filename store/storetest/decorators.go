package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// runDecorators runs the tests of the clauses through all decorators at once:
// what a store promises it keeps behind them. Short tests do this on stores in
// memory alone: it is the decorators that might fail here, and the clauses of each
// store have their own tests.
func runDecorators(t *testing.T, h Harness) {
	if testing.Short() && h.New(t).Capabilities().Shared {
		t.Skip("a store in memory is enough for short tests")
	}
	wrap := func(s bellhop.Store) bellhop.Store {
		return Pass{NewFaulty(NewSlow(s, func(bellhop.Op) time.Duration { return 0 }))}
	}
	peel := func(s bellhop.Store) bellhop.Store {
		for range 3 {
			s = s.(interface{ Unwrap() bellhop.Store }).Unwrap()
		}
		return s
	}
	behind := Harness{
		New:     func(t testing.TB) bellhop.Store { return wrap(h.New(t)) },
		Reopen:  func(t testing.TB, s bellhop.Store) bellhop.Store { return wrap(h.Reopen(t, peel(s))) },
		Advance: func(s bellhop.Store, d time.Duration) { h.Advance(peel(s), d) },
	}
	for _, g := range groups {
		for _, c := range g.tests {
			t.Run(g.name+"/"+c.name, func(t *testing.T) { c.run(newTry(t, behind)) })
		}
	}
}

// Pass is a decorator that adds nothing. What a store does it does through
// Pass as well; decorators that change one verb embed it.
type Pass struct{ bellhop.Store }

// Unwrap returns the store behind the decorator, for [bellhop.As].
func (p Pass) Unwrap() bellhop.Store { return p.Store }

// FaultMode says at which point of a call a fault strikes.
type FaultMode uint8

// The points at which [Faulty] breaks a call.
const (
	// Before: the store is not called, and the error is returned.
	Before FaultMode = iota + 1
	// After: the store is called, and its reply is thrown away for the error.
	After
	// Hang: the store is not called, and the call hangs until its context ends: a black hole.
	Hang
	// SwallowReply: the store is called, and the reply never comes: the call
	// hangs until its context ends.
	SwallowReply
)

// String returns the mode's name.
func (m FaultMode) String() string {
	switch m {
	case Before:
		return "before"
	case After:
		return "after"
	case Hang:
		return "hang"
	case SwallowReply:
		return "swallow reply"
	}
	return fmt.Sprintf("FaultMode(%d)", uint8(m))
}

// ErrFault is in the chain of the error that [Faulty] returns if it was given none.
var ErrFault = errors.New("a fault was injected")

// Always as a number of times makes a fault strike until [Faulty.Heal].
const Always = -1

// Faulty is a decorator that breaks calls on demand. It is safe for several
// goroutines; make one with [NewFaulty].
type Faulty struct {
	around
	mu     sync.Mutex
	faults map[bellhop.Op]*fault
	calls  map[bellhop.Op]int
	struck map[bellhop.Op]int
	hangs  map[bellhop.Op]int
	closed chan struct{}
	once   sync.Once
}

type fault struct {
	mode  FaultMode
	times int
	err   error
}

// NewFaulty returns a decorator of s that breaks nothing yet.
func NewFaulty(s bellhop.Store) *Faulty {
	f := &Faulty{
		faults: map[bellhop.Op]*fault{}, calls: map[bellhop.Op]int{},
		struck: map[bellhop.Op]int{}, hangs: map[bellhop.Op]int{}, closed: make(chan struct{}),
	}
	f.around = around{Pass{s}, f.strike}
	return f
}

// Fail makes the next calls of op fail, as many as times says ([Always] for no
// end), in place of what was set for op before. A nil err is [ErrFault] and
// [bellhop.ErrUnavailable]. Hang and SwallowReply do not use err: they return
// the context's.
func (f *Faulty) Fail(op bellhop.Op, mode FaultMode, times int, err error) {
	if err == nil {
		err = fmt.Errorf("%s %s: %w: %w", mode, op, ErrFault, bellhop.ErrUnavailable)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[op] = &fault{mode, times, err}
}

// FailAll is [Faulty.Fail] for every operation.
func (f *Faulty) FailAll(mode FaultMode, times int, err error) {
	for _, op := range bellhop.Ops {
		f.Fail(op, mode, times, err)
	}
}

// Heal ends the faults of the given operations; of all if none is given. Calls
// that hang already go on hanging.
func (f *Faulty) Heal(ops ...bellhop.Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(ops) == 0 {
		clear(f.faults)
	}
	for _, op := range ops {
		delete(f.faults, op)
	}
}

// Calls returns how many calls of op have begun.
func (f *Faulty) Calls(op bellhop.Op) int { return f.read(f.calls, op) }

// Struck returns how many calls of op were broken.
func (f *Faulty) Struck(op bellhop.Op) int { return f.read(f.struck, op) }

// Hanging returns how many calls of op hang just now.
func (f *Faulty) Hanging(op bellhop.Op) int { return f.read(f.hangs, op) }

// Close lets go of the calls that hang, with [bellhop.ErrClosed], and closes the store.
func (f *Faulty) Close() error {
	f.once.Do(func() { close(f.closed) })
	return f.Store.Close()
}

func (f *Faulty) read(counts map[bellhop.Op]int, op bellhop.Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return counts[op]
}

func (f *Faulty) next(op bellhop.Op) (fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	planned, ok := f.faults[op]
	if !ok || planned.times == 0 {
		return fault{}, false
	}
	if planned.times > 0 {
		planned.times--
	}
	f.struck[op]++
	return *planned, true
}

func (f *Faulty) strike(ctx context.Context, op bellhop.Op, call func() error) (bool, error) {
	planned, ok := f.next(op)
	if !ok {
		return true, call()
	}
	if planned.mode == After || planned.mode == SwallowReply {
		_ = call() // the answer is what gets lost
	}
	if planned.mode == Before || planned.mode == After {
		return false, planned.err
	}
	return false, f.hang(ctx, op)
}

func (f *Faulty) hang(ctx context.Context, op bellhop.Op) error {
	f.count(op, 1)
	defer f.count(op, -1)
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: %w", op, ErrFault, ctx.Err())
	case <-f.closed:
		return fmt.Errorf("%s: %w", op, bellhop.ErrClosed)
	}
}

func (f *Faulty) count(op bellhop.Op, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangs[op] += n
}

// Slow is a decorator that makes each call wait before it reaches the store.
// Make one with [NewSlow].
type Slow struct{ around }

// NewSlow returns a decorator of s whose calls take as much longer as delay
// says for the operation. A call whose context ends while it waits does not
// reach the store.
func NewSlow(s bellhop.Store, delay func(op bellhop.Op) time.Duration) *Slow {
	return &Slow{around{Pass{s}, func(ctx context.Context, op bellhop.Op, call func() error) (bool, error) {
		if d := delay(op); d > 0 {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-ctx.Done():
				return false, fmt.Errorf("%s: %w", op, ctx.Err())
			case <-timer.C:
			}
		}
		return true, call()
	}}}
}

// around leads every verb through one function. The function makes the call,
// or not, and tells whether the reply is to be kept.
type around struct {
	Pass
	do func(ctx context.Context, op bellhop.Op, call func() error) (keep bool, err error)
}

// Join implements [bellhop.Joiner] by asking for nothing: what is claimed has to come through Exchange here.
func (a *around) Join(func(ready []*bellhop.Job) *bellhop.Offer) (stop func()) { return func() {} }

func through[T any](ctx context.Context, a *around, op bellhop.Op, call func() (T, error)) (T, error) {
	var reply, none T
	keep, err := a.do(ctx, op, func() (err error) {
		reply, err = call()
		return err
	})
	if !keep {
		return none, err
	}
	return reply, err
}

func (a *around) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	return through(ctx, a, bellhop.OpEnqueue, func() ([]bellhop.Receipt, error) { return a.Store.Enqueue(ctx, r) })
}

func (a *around) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	return through(ctx, a, bellhop.OpExchange, func() (*bellhop.ExchangeReply, error) { return a.Store.Exchange(ctx, r) })
}

func (a *around) Report(ctx context.Context, reports []bellhop.Report) ([]bellhop.Refusal, error) {
	return through(ctx, a, bellhop.OpReport, func() ([]bellhop.Refusal, error) { return a.Store.Report(ctx, reports) })
}

func (a *around) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	return through(ctx, a, bellhop.OpBeat, func() (*bellhop.BeatReply, error) { return a.Store.Beat(ctx, b) })
}

func (a *around) Sweep(ctx context.Context, limit int) ([]bellhop.Claim, error) {
	return through(ctx, a, bellhop.OpSweep, func() ([]bellhop.Claim, error) { return a.Store.Sweep(ctx, limit) })
}

func (a *around) Promote(ctx context.Context, limit int) (int, time.Duration, error) {
	type reply struct {
		n    int
		next time.Duration
	}
	r, err := through(ctx, a, bellhop.OpPromote, func() (r reply, err error) {
		r.n, r.next, err = a.Store.Promote(ctx, limit)
		return r, err
	})
	return r.n, r.next, err
}

func (a *around) Prune(ctx context.Context, limit int) (int, error) {
	return through(ctx, a, bellhop.OpPrune, func() (int, error) { return a.Store.Prune(ctx, limit) })
}

func (a *around) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	return through(ctx, a, bellhop.OpAct, func() (*bellhop.ActReply, error) { return a.Store.Act(ctx, r) })
}

func (a *around) Get(ctx context.Context, ids []bellhop.ID) ([]bellhop.Snapshot, error) {
	return through(ctx, a, bellhop.OpGet, func() ([]bellhop.Snapshot, error) { return a.Store.Get(ctx, ids) })
}

func (a *around) List(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
	return through(ctx, a, bellhop.OpList, func() (*bellhop.Listing, error) { return a.Store.List(ctx, q) })
}

func (a *around) Count(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
	return through(ctx, a, bellhop.OpCount, func() (*bellhop.Counted, error) { return a.Store.Count(ctx, q) })
}

func (a *around) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	return through(ctx, a, bellhop.OpStats, func() ([]bellhop.QueueStats, error) { return a.Store.Stats(ctx, limit) })
}

func (a *around) Processes(ctx context.Context) ([]bellhop.ProcessStatus, error) {
	return through(ctx, a, bellhop.OpProcesses, func() ([]bellhop.ProcessStatus, error) { return a.Store.Processes(ctx) })
}

func (a *around) Pause(ctx context.Context, queue string, paused bool) error {
	_, err := through(ctx, a, bellhop.OpPause, func() (struct{}, error) { return struct{}{}, a.Store.Pause(ctx, queue, paused) })
	return err
}

func (a *around) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	return through(ctx, a, bellhop.OpRecords, func() ([]bellhop.Record, error) { return a.Store.Records(ctx, q) })
}

func (a *around) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	_, err := through(ctx, a, bellhop.OpPut, func() (struct{}, error) { return struct{}{}, a.Store.Put(ctx, writes) })
	return err
}

func (a *around) Ping(ctx context.Context) (time.Time, error) {
	return through(ctx, a, bellhop.OpPing, func() (time.Time, error) { return a.Store.Ping(ctx) })
}
