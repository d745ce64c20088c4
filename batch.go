package bellhop

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	batchJobs    = 1000             // jobs of several callers that go together
	worthwhile   = 16               // jobs from which on a second call to a serial store is worth its cost
	batchBytes   = 4 << 20          // bytes of arguments that go together
	storeTimeout = 30 * time.Second // no call to a store waits longer than this
)

// batchers has a batcher for each part of the store: calls for one part go
// together, and do not wait for another part.
type batchers struct {
	router Router // nil for a store of one part
	parts  []*batcher
}

func newBatchers(store Store) *batchers {
	b := &batchers{parts: []*batcher{newBatcher(store)}}
	if router, ok := As[Router](store); ok {
		b.router = router
		for range router.Parts()[1:] {
			b.parts = append(b.parts, newBatcher(store))
		}
	}
	return b
}

// enqueue sends the jobs with others of their part. Jobs of several parts are refused.
func (b *batchers) enqueue(ctx context.Context, jobs []*Job) ([]Receipt, error) {
	part := 0
	if b.router != nil {
		var err error
		if part, err = PartOf(b.router, jobs); err != nil {
			return nil, err
		}
	}
	return b.parts[part].enqueue(ctx, jobs)
}

// close refuses further calls and waits for those under way.
func (b *batchers) close() {
	for _, part := range b.parts {
		part.close()
	}
}

// batcher lets the calls that arrive while a commit is under way go together
// with the next. No timer is involved: a lone call goes at once, and under load
// batches grow by themselves to what one commit's time brings in.
//
// A goroutine of the batcher sends what waits, since a caller may go away before
// the store has answered. One who cannot, and whom nobody waits with, sends his
// jobs himself: handing them over would cost more than the rest of the way to
// the store, because it wakes another processor there and back.
type batcher struct {
	store   Store
	writers int
	serial  bool

	mu       sync.Mutex
	waiting  []*enqueueCall
	jobs     int // of the calls that wait
	underWay int // jobs that are being sent
	active   int // goroutines that send what waits
	// locked are calls of which the store said [ErrLocked], and patient the goroutines that send
	// them, each alone: they wait for somebody's transaction, and nobody else waits for them.
	locked  []*enqueueCall
	patient int
	closed  bool
	idle    sync.Cond // signalled when active and patient have fallen to 0
}

// enqueueCall is one caller's jobs on their way through a batch.
type enqueueCall struct {
	jobs     []*Job
	sent     bool // and not known to have failed; guarded by batcher.mu
	receipts []Receipt
	err      error
	done     chan struct{}
}

func newBatcher(store Store) *batcher {
	able := store.Capabilities()
	b := &batcher{store: store, writers: max(able.Writers, 1), serial: able.Serial}
	b.idle.L = &b.mu
	return b
}

// enqueue returns after the commit that holds its jobs. A caller whose context
// ends before its jobs were sent has enqueued nothing; after that it gets an
// [*UnknownError].
func (b *batcher) enqueue(ctx context.Context, jobs []*Job) ([]Receipt, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("bellhop: enqueue: %w", ended(ctx))
	}
	call := &enqueueCall{jobs: jobs, done: make(chan struct{})}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, fmt.Errorf("bellhop: enqueue: the client is %w", ErrClosed)
	}
	if len(b.waiting) == 0 && b.active < b.writers && ctx.Done() == nil && !b.serial {
		b.active++
		call.sent = true
		b.mu.Unlock()
		b.sendAlone(call)
		<-call.done // he may have been set aside
		return call.receipts, call.err
	}
	b.waiting = append(b.waiting, call)
	b.jobs += len(jobs)
	if b.active == 0 || b.active < b.writers && b.jobs >= b.least() {
		b.active++
		go b.run()
	}
	b.mu.Unlock()

	select {
	case <-call.done:
		return call.receipts, call.err
	case <-ctx.Done():
	}
	if b.withdraw(call) {
		return nil, fmt.Errorf("bellhop: enqueue: nothing was enqueued: %w", ended(ctx))
	}
	select { // it may have ended meanwhile, and then the answer is known
	case <-call.done:
		return call.receipts, call.err
	default:
		return nil, unknown(jobs, ended(ctx))
	}
}

// ended returns the error of a context that has ended, with its cause if it was given one.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func unknown(jobs []*Job, err error) error {
	e := &UnknownError{Err: err}
	for _, j := range jobs {
		e.IDs = append(e.IDs, j.ID)
	}
	return e
}

// withdraw takes a call back that was not sent yet.
func (b *batcher) withdraw(call *enqueueCall) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if call.sent {
		return false
	}
	if i := slices.Index(b.waiting, call); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.jobs -= len(call.jobs)
	}
	if i := slices.Index(b.locked, call); i >= 0 {
		b.locked = slices.Delete(b.locked, i, i+1)
	}
	return true
}

// share is how many jobs one call takes. Calls to a serial store are equally large: while it works on one, those who
// were answered make the next.
func (b *batcher) share() int {
	if !b.serial || b.writers == 1 {
		return batchJobs
	}
	return min(batchJobs, max(worthwhile, (b.jobs+b.underWay+b.writers-1)/b.writers))
}

// least is how many jobs must wait for a call to go beside others.
func (b *batcher) least() int {
	if b.serial {
		return b.share()
	}
	return 1
}

// run sends batches until nobody waits, or too few for a call beside others.
func (b *batcher) run() {
	for {
		if b.serial {
			runtime.Gosched() // those who were just answered may have more
		}
		calls, jobs := b.next()
		if calls == nil {
			return
		}
		b.send(calls)
		b.mu.Lock()
		b.underWay -= jobs
		b.mu.Unlock()
	}
}

// sendAlone sends the caller's own call, which nobody else can take or withdraw, and leaves what waits then to a goroutine,
// also when the store panics: the caller may go on, and nobody else was in the call.
func (b *batcher) sendAlone(call *enqueueCall) {
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.waiting) > 0 {
			go b.run()
			return
		}
		b.active--
		b.idle.Broadcast()
	}()
	b.send([]*enqueueCall{call})
}

// next takes the calls that go together, and returns them with the number of their jobs; nil if none is to go, and then
// the runner has ended.
func (b *batcher) next() (calls []*enqueueCall, jobs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 || b.active > 1 && b.jobs < b.least() {
		b.active--
		b.idle.Broadcast()
		return nil, 0
	}
	n, size, most := 0, 0, b.share()
	for _, c := range b.waiting {
		for _, j := range c.jobs {
			size += len(j.Args)
		}
		if n > 0 && (jobs+len(c.jobs) > most || size > batchBytes) {
			break
		}
		c.sent = true
		jobs += len(c.jobs)
		n++
	}
	b.jobs, b.underWay = b.jobs-jobs, b.underWay+jobs
	calls = b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if len(b.waiting) == 0 {
		b.waiting = nil
	}
	return calls, jobs
}

// send enqueues the calls together. If the store refuses the batch for what is
// in it, the halves go by themselves, and so on, so that nobody fails for
// another's job, and one bad job costs a few commits more, not one for each call.
func (b *batcher) send(calls []*enqueueCall) {
	all := calls[0].jobs
	if len(calls) > 1 {
		all = make([]*Job, 0, len(calls))
		for _, c := range calls {
			all = append(all, c.jobs...)
		}
	}
	receipts, err := b.call(all, true)
	if len(calls) == 1 && errors.Is(err, ErrLocked) {
		b.setAside(calls[0])
		return
	}
	if err != nil && len(calls) > 1 && !undecided(err) && !errors.Is(err, ErrUnavailable) {
		half := len(calls) / 2
		if errors.Is(err, ErrLocked) {
			half = keylessFirst(calls)
		}
		b.send(calls[:half])
		b.send(calls[half:])
		return
	}
	answer(calls, receipts, err)
}

// keylessFirst divides calls of which one waits for a lock: first those without
// unique keys, which is what locks are about, and if that divides nothing, in halves.
func keylessFirst(calls []*enqueueCall) (half int) {
	keyed := func(j *Job) bool { return j.UniqueKey != "" }
	for i, c := range calls {
		if !slices.ContainsFunc(c.jobs, keyed) {
			calls[i], calls[half] = calls[half], c
			half++
		}
	}
	if half == 0 || half == len(calls) {
		half = len(calls) / 2
	}
	return half
}

// setAside lets a call wait for somebody's transaction without anybody waiting for
// the call. Nothing of it was taken, so it may be withdrawn again.
func (b *batcher) setAside(call *enqueueCall) {
	b.mu.Lock()
	defer b.mu.Unlock()
	call.sent = false
	b.locked = append(b.locked, call)
	if b.patient < b.writers {
		b.patient++
		go b.runLocked()
	}
}

// runLocked sends the calls that were set aside, one after the other, until there is none.
func (b *batcher) runLocked() {
	for call := b.nextLocked(); call != nil; call = b.nextLocked() {
		receipts, err := b.call(call.jobs, false)
		answer([]*enqueueCall{call}, receipts, err)
	}
}

// nextLocked takes a call that was set aside; nil if there is none, and then the runner has ended.
func (b *batcher) nextLocked() *enqueueCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.locked) == 0 {
		b.patient--
		b.idle.Broadcast()
		return nil
	}
	call := b.locked[0]
	b.locked = slices.Delete(b.locked, 0, 1)
	call.sent = true
	return call
}

// answer tells the callers what came of the jobs that they sent together.
func answer(calls []*enqueueCall, receipts []Receipt, err error) {
	for _, c := range calls {
		switch {
		case err == nil:
			c.receipts, receipts = receipts[:len(c.jobs):len(c.jobs)], receipts[len(c.jobs):]
		case undecided(err):
			c.err = unknown(c.jobs, err)
		default:
			c.err = fmt.Errorf("bellhop: enqueue: %w", err)
		}
		close(c.done)
	}
}

// undecided reports whether the jobs may be there in spite of the error.
func undecided(err error) bool {
	if errors.Is(err, ErrUnchanged) {
		return false
	}
	return errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func (b *batcher) call(jobs []*Job, shared bool) (receipts []Receipt, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	receipts, err = b.store.Enqueue(ctx, &EnqueueRequest{Jobs: jobs, Shared: shared})
	if err == nil && len(receipts) != len(jobs) {
		return nil, fmt.Errorf("the store returned %d receipts for %d jobs", len(receipts), len(jobs))
	}
	return receipts, err
}

// close refuses further calls and waits for those under way.
func (b *batcher) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for b.active > 0 || b.patient > 0 {
		b.idle.Wait()
	}
}
