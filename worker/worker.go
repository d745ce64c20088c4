package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// Middleware goes round every attempt. It must call next at most once, with the
// context it was given or one made from it, and may change what next returns.
type Middleware func(ctx context.Context, run *bellhop.Run, next func(context.Context) error) error

// Worker claims jobs of some queues and runs their handlers.
type Worker struct {
	client *bellhop.Client
	store  bellhop.Store
	log    *slog.Logger
	config Config
	err    error // what is wrong with the config; told by Run

	handlers map[string]*bellhop.Handler
	kinds    []string
	started  atomic.Bool
	hurry    chan struct{} // closed by Hurry
	once     sync.Once

	trouble troubles
	// progressed is when progress was last written; the control loop's own.
	progressed time.Time
	// rivals is how many other living processes work what this one works.
	rivals atomic.Int64
	// offset is how far the store's clock is ahead of the local one, in nanoseconds.
	offset atomic.Int64

	// lanes make the exchanges; the first one polls.
	lanes                      []*lane
	unjoin                     func() // ends what lets enqueues claim for the worker
	heartbeat, duties, control *loop.Loop
	rollups                    *rollups
	// leaseUntil is until when the store surely holds the process alive. Later
	// its claims may be others', so it begins nothing before a beat has got through.
	leaseUntil atomic.Pointer[time.Time]

	mu       sync.Mutex
	held     held
	process  bellhop.Process
	alive    bool // the store has heard of the process
	draining bool
	quiet    chan struct{} // closed when draining and nothing runs
	outbox   outbox
	due      time.Time // of the next scheduled job, by the local clock; zero if none is known
	polls    polls
	wakes    uint64 // wake-ups so far
	plenty   bool   // the last exchange brought all that it was asked for
	// emptyUntil is when a wake-up may lead to an exchange again, see emptyPause;
	// askAt is when those that have come may, zero if at once.
	emptyUntil, askAt time.Time
	beats             int // that reached the store in a row
	samples           []sample
	remote            remote

	// The duties loop's own: what it does, and when it promotes what is due; zero if nothing is.
	chores    []*chore
	promoteAt time.Time
	// base is what handlers' contexts come from, and clock the time that they see: now.
	base  context.Context
	clock func() time.Time
}

// New returns a worker that waits for handlers and Run. What is wrong with the
// config is told by Run. It panics if the client is nil.
func New(client *bellhop.Client, config Config) *Worker {
	if client == nil {
		panic("worker: New: the client is nil: want one of bellhop.Open")
	}
	config, err := config.withDefaults()
	w := &Worker{
		client: client, store: client.Store(), log: client.Logger(), config: config, err: err,
		handlers: map[string]*bellhop.Handler{}, hurry: make(chan struct{}), quiet: make(chan struct{}), unjoin: func() {},
	}
	w.held = newHeld(config, time.Now())
	w.polls.every = config.Poll
	w.clock = w.now
	opts := loop.Options{Jitter: 0.1, OnPanic: w.onPanic}
	for i := range max(w.store.Capabilities().Exchanges, 1) {
		w.lanes = append(w.lanes, w.newLane(i))
	}
	w.heartbeat = loop.New("heartbeat", w.beatRound, opts)
	w.duties = loop.New("duties", w.dutiesRound, loop.Options{OnPanic: w.onPanic})
	w.control = loop.New("control", w.controlRound, opts)
	w.rollups = newRollups(w)
	return w
}

// Handle adds handlers, before Run. It panics if a kind has one already, a handler
// is empty, or the worker runs: these are mistakes in the program.
func (w *Worker) Handle(handlers ...bellhop.Handler) {
	for _, h := range handlers {
		switch _, taken := w.handlers[h.Kind()]; {
		case h.Kind() == "":
			panic("worker: Handle: an empty Handler{} was given; handlers are made by Definition.With")
		case w.started.Load():
			panic(fmt.Sprintf("worker: Handle: the handler of %s comes too late: the worker runs already", h.Kind()))
		case taken:
			panic(fmt.Sprintf("worker: Handle: the kind %s has a handler already", h.Kind()))
		}
		w.handlers[h.Kind()] = &h
	}
}

// Run works until ctx ends, and then drains: it claims nothing more, hands back
// at once what has not started, waits Grace for running jobs, cancels their
// contexts with [bellhop.ErrShutdown], and returns when they have returned or
// Shutdown is over. Jobs cut short are ready again for others; jobs that do not
// listen are left to their lease.
//
// Run returns an error if the config is wrong, there is no handler, or the
// store cannot be reached at the start; and after a drain, if jobs were left
// behind. Later faults of the store are borne: Run goes on trying.
func (w *Worker) Run(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	if len(w.handlers) == 0 {
		return errors.New("worker: there is no handler: call Handle before Run")
	}
	if w.started.Swap(true) {
		return errors.New("worker: Run was called before; make a new worker")
	}
	w.kinds = slices.Sorted(maps.Keys(w.handlers))
	w.base = context.WithoutCancel(ctx)
	w.mu.Lock()
	w.begin()
	w.beats = beatsToSweep - 1 // a process that has just begun was not cut off
	slots := w.held.slots
	w.mu.Unlock()
	// The first beat has no lease to keep: it may take as long as any call. If ctx ends meanwhile, there is a drain as ever.
	if err := w.beat(w.base, false, storeTimeout); err != nil {
		return fmt.Errorf("worker: cannot begin: %w", err)
	}
	if n, ok := bellhop.As[bellhop.Notifier](w.store); ok {
		stop := n.Notify(w.wake)
		defer stop()
	}
	if j, ok := bellhop.As[bellhop.Joiner](w.store); ok {
		w.unjoin = j.Join(w.offer)
	}
	for _, l := range w.lanes {
		l.loop.Start(w.base)
	}
	for _, l := range []*loop.Loop{w.heartbeat, w.duties, w.control, w.rollups.loop} {
		l.Start(w.base)
	}
	w.log.Info("worker started", bellhop.AttrProcess, w.config.Name, "queues", slices.Sorted(maps.Keys(w.config.Queues)), "slots", slots)
	<-ctx.Done()
	return w.drain()
}

// Hurry ends the grace of a drain at once: running jobs are cancelled, and have
// what Shutdown leaves after Grace to return. Before the context of Run has
// ended it means that there will be no grace.
func (w *Worker) Hurry() { w.once.Do(func() { close(w.hurry) }) }

// SetConcurrency changes how many jobs of a queue run at once, from the next
// start on; jobs that run are left alone. While somebody has set another number
// from elsewhere (bellhop queues concurrency), that one holds. The error names an
// unknown queue or a number out of range.
func (w *Worker) SetConcurrency(queue string, n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.held.queues[queue]
	if q == nil || n < 1 || n > 100_000 {
		return fmt.Errorf("worker: %d jobs at once of queue %.128q: want a queue of this worker, and 1 to 100000", n, queue)
	}
	if w.setOwn(queue, n) {
		return nil
	}
	w.held.resize(q, n)
	for _, a := range w.held.startable() {
		go w.work(a)
	}
	w.wakeExchange()
	return nil
}

// Ready reports why the worker cannot be relied on just now, or nil: it has not
// begun, it drains, or its loops have not come round for two leases.
func (w *Worker) Ready() error {
	w.mu.Lock()
	draining := w.draining
	w.mu.Unlock()
	switch {
	case draining:
		return errors.New("the worker is shutting down")
	case w.heartbeat.Last().IsZero() || w.lanes[0].loop.Last().IsZero():
		return errors.New("the worker has not begun")
	}
	return w.standstill()
}

// Alive reports that the worker's loops stand still, which a new process would
// mend, or nil. It never touches the store, and a store that is away is no
// standstill: see [Worker.Ready] for that. It is meant for liveness probes and watchdogs.
func (w *Worker) Alive() error {
	w.mu.Lock()
	draining := w.draining
	w.mu.Unlock()
	if draining || w.heartbeat.Last().IsZero() || w.lanes[0].loop.Last().IsZero() {
		return nil
	}
	return w.standstill()
}

func (w *Worker) standstill() error {
	for _, l := range []*loop.Loop{w.lanes[0].loop, w.heartbeat} {
		if age := time.Since(l.Last()); age > 2*w.config.Lease {
			return fmt.Errorf("a loop of the worker has not come round for %v", age.Round(time.Second))
		}
	}
	return nil
}

// begin begins a new incarnation. Called under w.mu.
func (w *Worker) begin() {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	w.process = bellhop.Process{
		ID: bellhop.NewID(), Name: w.config.Name, Host: host, PID: os.Getpid(), Version: w.config.Version,
		StartedAt: time.Now().UTC().Truncate(time.Microsecond),
		Queues:    slices.Sorted(maps.Keys(w.config.Queues)), Kinds: w.kinds, Slots: w.held.slots,
	}
	w.alive = false
}

// now is the store's clock as this process reckons it.
func (w *Worker) now() time.Time { return w.storeTime(time.Now()) }

// storeTime returns what the store's clock shows at a local time.
func (w *Worker) storeTime(local time.Time) time.Time {
	return local.Add(time.Duration(w.offset.Load())).UTC().Round(time.Microsecond)
}

// heard notes what the store's clock showed between two local moments.
func (w *Worker) heard(store, before, after time.Time) {
	if !store.IsZero() {
		w.offset.Store(int64(store.Sub(before.Add(after.Sub(before) / 2))))
	}
}

// wake is called when a queue may have become worth asking; "" means any. The
// other processes that are woken by the same job ask at other moments: see Worker.spread.
func (w *Worker) wake(name string) {
	w.mu.Lock()
	any := false
	w.wakes++
	for _, q := range w.held.order {
		if name == "" || q.name == name {
			q.short, q.woken, any = false, w.wakes, true
		}
	}
	if any && w.askAt.IsZero() {
		if d := w.spread(); d > 0 {
			w.askAt = time.Now().Add(d)
		}
	}
	w.mu.Unlock()
	if any {
		w.wakeExchange()
	}
}

func (w *Worker) onPanic(name string, v any, stack []byte) {
	w.log.Error("a loop of the worker panicked; it goes on", "loop", name, "panic", fmt.Sprint(v), "stack", string(stack))
}
