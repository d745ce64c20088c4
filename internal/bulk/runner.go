package bulk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// Bite is the most jobs that one step of an operation changes.
	Bite = 1000
	// DefaultBound is the bound of an operation if none is given.
	DefaultBound = 1_000_000
	// MaxBound is the greatest bound.
	MaxBound = 100_000_000
	// MaxRunning is how many operations may run at once in a store.
	MaxRunning = 20
	// CountedTo is how far the jobs of an operation are counted before it begins.
	CountedTo = 100_000
	// Kept is how long an operation is kept after its last change.
	Kept = 30 * 24 * time.Hour
)

// ErrBusy says that as many operations run as may.
var ErrBusy = fmt.Errorf("bulk: %d operations are running: wait until one has ended, or stop one", MaxRunning)

// Options are the settings of a [Runner]; the zero value is ready for use.
type Options struct {
	// Ended is told of each operation that came to its end here, in the operation's goroutine. Default nil: nobody.
	Ended func(ctx context.Context, o *Operation)
	// Logger tells of trouble. Default nil: the client's.
	Logger *slog.Logger
}

// Runner starts operations, works at them, and takes over those whose process is gone. Make it with [New] and end it with
// [Runner.Close]. Its methods may be called from any goroutine.
type Runner struct {
	client *bellhop.Client
	store  bellhop.Store
	log    *slog.Logger
	ended  func(ctx context.Context, o *Operation)
	name   string // of this process, as an owner

	lease   time.Duration // after a beat, before others take over
	pace    float64       // rest after a bite, in parts of its duration
	counted time.Duration // for counting at the start
	retry   time.Duration // after a call that failed, doubled up to the lease

	bites chan struct{} // holds one: operations of a process take turns

	mu     sync.Mutex
	closed bool
	looked time.Time       // when abandoned operations were looked for last
	life   context.Context // ends with Drain
	end    context.CancelFunc
	mine   map[string]bool // operations that run here
	all    sync.WaitGroup
}

// New returns a runner. It has no goroutine of its own until it is asked for something.
func New(client *bellhop.Client, opts Options) *Runner {
	if opts.Logger == nil {
		opts.Logger = client.Logger()
	}
	r := &Runner{
		client: client, store: client.Store(), log: opts.Logger, ended: opts.Ended, name: bellhop.NewID().String(),
		lease: 30 * time.Second, pace: 1, counted: 2 * time.Second, retry: time.Second,
		bites: make(chan struct{}, 1), mine: map[string]bool{},
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// Look takes over abandoned operations in the background, if the last look was longer ago than half their lease; else it does
// nothing. It is for callers that do something else anyway, such as showing a page. It costs one read of a space of records that is
// empty unless operations run.
func (r *Runner) Look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || !r.looked.IsZero() && time.Since(r.looked) < r.lease/2 {
		return
	}
	r.looked = time.Now()
	r.all.Add(1)
	go func() {
		defer r.all.Done()
		ctx, cancel := context.WithTimeout(r.life, r.lease/2)
		defer cancel()
		if err := r.takeOver(ctx); err != nil && r.life.Err() == nil {
			r.log.Warn("abandoned bulk operations could not be looked for", bellhop.AttrError, err)
		}
	}()
}

// Drain ends the work of this process at its operations after the bites under way, and returns at once. Other processes take the
// operations over without delay.
func (r *Runner) Drain() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
}

// Close is [Runner.Drain], and returns when the last bite has ended.
func (r *Runner) Close() {
	r.Drain()
	r.all.Wait()
}

// Request asks for an operation.
type Request struct {
	Action bellhop.Action
	// Filter selects the jobs; [Narrow] is applied to it. Seen is nil, or shows what [redact.Sight] does.
	Filter bellhop.Filter
	// Bound is the most jobs to change: 1 to [MaxBound]; 0 means [DefaultBound].
	Bound int
	// By says who wants it, Reason why; both are kept with the operation and with each job.
	By, Reason string
}

// Start begins an operation in this process and returns it as it begins. It costs a bounded count and a few writes. The error
// matches [ErrBusy] if too many run.
func (r *Runner) Start(ctx context.Context, q Request) (*Operation, error) {
	f, err := Narrow(q.Action, q.Filter)
	if err != nil {
		return nil, err
	}
	if q.Bound == 0 {
		q.Bound = DefaultBound
	}
	if q.Bound < 1 || q.Bound > MaxBound {
		return nil, fmt.Errorf("bulk: the bound %d is out of range: want 1 to %d", q.Bound, MaxBound)
	}
	running, err := r.store.Records(ctx, &bellhop.RecordQuery{Space: spaceRunning, Limit: MaxRunning})
	if err != nil {
		return nil, fmt.Errorf("bulk: look for running operations: %w", err)
	}
	if len(running) >= MaxRunning {
		return nil, ErrBusy
	}
	now, err := r.store.Ping(ctx)
	if err != nil {
		return nil, fmt.Errorf("bulk: ask the store for the time: %w", err)
	}
	o := &Operation{
		ID: newID(now), Action: q.Action, Filter: f, Shown: f.Seen != nil, Bound: q.Bound, State: Running,
		By: bellhop.CleanText(q.By, 128), Reason: bellhop.CleanText(q.Reason, 400), StartedAt: now, Owner: r.name, BeatAt: now,
	}
	o.Total, o.Capped = r.count(ctx, f, min(q.Bound, CountedTo))
	if !r.hold(o.ID) {
		return nil, fmt.Errorf("bulk: start an operation: %w", bellhop.ErrClosed)
	}
	if err := r.create(ctx, o); err != nil {
		r.drop(o.ID)
		return nil, err
	}
	first := *o
	go r.run(o, r.clockFrom(now))
	return &first, nil
}

// count counts for a while. What it cannot find out the operation will.
func (r *Runner) count(ctx context.Context, f bellhop.Filter, limit int) (n int, capped bool) {
	ctx, cancel := context.WithTimeout(ctx, r.counted)
	defer cancel()
	n, err := r.client.Count(ctx, f, limit)
	return n, err != nil || n >= limit
}

// hold marks an operation as one that runs here, for run; false if it does already, or the runner is closed.
func (r *Runner) hold(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.mine[id] {
		return false
	}
	r.mine[id] = true
	r.all.Add(1)
	return true
}

func (r *Runner) drop(id string) {
	r.mu.Lock()
	delete(r.mine, id)
	r.mu.Unlock()
	r.all.Done()
}

// Stop asks an operation to end after the bite under way. Asking again, or after its end, is a success.
func (r *Runner) Stop(ctx context.Context, id, by string) (*Operation, error) {
	return r.change(ctx, id, func(o *Operation) error {
		if o.Ended() || o.StopBy != "" {
			return errUnneeded
		}
		o.StopBy = bellhop.CleanText(by, 128)
		if o.StopBy == "" {
			o.StopBy = "unknown"
		}
		return nil
	})
}

// takeOver goes on with the operations that nobody works at any more.
func (r *Runner) takeOver(ctx context.Context) error {
	running, err := r.store.Records(ctx, &bellhop.RecordQuery{Space: spaceRunning})
	if err != nil || len(running) == 0 {
		return err
	}
	now, err := r.store.Ping(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for i := range running {
		errs = append(errs, r.adopt(ctx, running[i].Key, now))
	}
	return errors.Join(errs...)
}

// adopt makes an operation this process's own if nobody else's, and goes on with it.
func (r *Runner) adopt(ctx context.Context, id string, now time.Time) error {
	if !r.hold(id) {
		return nil
	}
	o, err := r.change(ctx, id, func(o *Operation) error {
		switch {
		case o.Ended():
			return errUnneeded
		case o.Owner != "" && now.Sub(o.BeatAt) < r.lease:
			return errOthers
		case o.Owner != "":
			o.Takeovers++
		}
		o.Owner, o.BeatAt = r.name, now
		return nil
	})
	switch {
	case errors.Is(err, errOthers):
		r.drop(id)
		return nil
	case errors.Is(err, bellhop.ErrNotFound) && now.Sub(startOf(id)) < r.lease: // its process may be between the two writes
		r.drop(id)
		return nil
	case errors.Is(err, bellhop.ErrNotFound) || err == nil && o.Ended(): // its process died there, or after the end
		r.drop(id)
		return r.unlist(ctx, id)
	case err != nil:
		r.drop(id)
		return err
	}
	go r.run(o, r.clockFrom(now))
	return nil
}

// clockFrom returns a clock that shows now and goes on.
func (r *Runner) clockFrom(now time.Time) func() time.Time {
	since := time.Now()
	return func() time.Time { return now.Add(time.Since(since)) }
}
