package bellhop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"
)

// Client enqueues jobs and looks after them. One client serves a whole program;
// it is safe for any number of goroutines.
type Client struct {
	store    Store
	set      settings
	batchers *batchers
	tally    *tally
}

// NewClient returns a client on an open store. [Open] is for addresses.
func NewClient(store Store, opts ...Option) (*Client, error) {
	if store == nil {
		return nil, invalid("store", "the store is nil")
	}
	defaults := settings{queue: DefaultQueue, attempts: DefaultAttempts, maxArgs: DefaultMaxArgs, logger: slog.Default()}
	set, err := defaults.with(atClient, opts)
	if err != nil {
		return nil, err
	}
	return &Client{store: store, set: set, batchers: newBatchers(store), tally: newTally(store)}, nil
}

// Store returns the client's store.
func (c *Client) Store() Store { return c.store }

// Logger returns where the client logs.
func (c *Client) Logger() *slog.Logger { return c.set.logger }

// Close waits for enqueues under way and closes the store.
func (c *Client) Close() error {
	c.batchers.close()
	c.tally.close()
	return c.store.Close()
}

// Enqueuer takes jobs: a [Client], or a [Bound] to take them in the caller's transaction.
type Enqueuer interface {
	submit(ctx context.Context, drafts []Draft) ([]Receipt, error)
}

// Enqueue hands over jobs of any kinds, all or none, at most [MaxBatch] and
// [MaxBatchBytes]. Receipts come in the order of the drafts. If one is refused,
// the error names it by its index and nothing is enqueued.
func Enqueue(ctx context.Context, e Enqueuer, drafts ...Draft) ([]Receipt, error) {
	if isNobody(e) {
		return nil, invalid("enqueuer", "it is nil; want a client, or what a Within function returns")
	}
	return e.submit(ctx, drafts)
}

// isNobody reports whether there is nothing behind an enqueuer. A client that was never set, such as a struct's field, is no nil Enqueuer.
func isNobody(e Enqueuer) bool {
	switch e := e.(type) {
	case *Client:
		return e == nil
	case *Bound:
		return e == nil
	}
	return e == nil
}

// EnqueueFunc enqueues jobs that have passed all checks.
type EnqueueFunc func(ctx context.Context, jobs []*Job) ([]Receipt, error)

// EnqueueMiddleware is called round each enqueue, with all jobs of the call. It
// may change their Meta, which is nil for a job without any, or refuse them with an
// error. It must call next at most once, with the same jobs, and return what next
// returned.
type EnqueueMiddleware func(ctx context.Context, jobs []*Job, next EnqueueFunc) ([]Receipt, error)

func (c *Client) submit(ctx context.Context, drafts []Draft) ([]Receipt, error) {
	return c.enqueue(ctx, drafts, c.batchers.enqueue)
}

// enqueue is the one path of every enqueue: check, middleware, store, events.
func (c *Client) enqueue(ctx context.Context, drafts []Draft, last EnqueueFunc) ([]Receipt, error) {
	jobs, err := c.prepare(drafts)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	next := func(ctx context.Context, jobs []*Job) ([]Receipt, error) {
		for i, j := range jobs {
			if err := checkMeta(j.Meta); err != nil { // middleware may have changed it
				return nil, atIndex(err, i)
			}
		}
		return last(ctx, jobs)
	}
	if len(c.set.middleware) == 0 {
		next = last
	}
	for _, m := range slices.Backward(c.set.middleware) {
		inner := next
		next = func(ctx context.Context, jobs []*Job) ([]Receipt, error) { return m(ctx, jobs, inner) }
	}
	receipts, err := next(ctx, jobs)
	if err != nil {
		return nil, err
	}
	if len(receipts) != len(jobs) {
		return nil, fmt.Errorf("bellhop: enqueue: the middleware returned %d receipts for %d jobs: it must return what next returned", len(receipts), len(jobs))
	}
	c.tally.add(jobs, receipts)
	if len(c.set.listeners) > 0 {
		for i, r := range receipts {
			if !r.Existing {
				c.Emit(Event{Type: EventEnqueued, JobID: r.ID, Kind: jobs[i].Kind, Queue: jobs[i].Queue, To: r.State})
			}
		}
	}
	return receipts, nil
}

// QueueOf returns the queue in which the draft's job would wait: that of the nearest level that names one.
func (c *Client) QueueOf(d Draft) (string, error) {
	s, err := c.set.with(atDefinition, d.base)
	if err == nil {
		s, err = s.with(atCall, d.opts)
	}
	return s.queue, err
}

// prepare makes jobs of drafts; the first that is refused is named by its index.
func (c *Client) prepare(drafts []Draft) ([]*Job, error) {
	if len(drafts) > MaxBatch {
		return nil, invalid("jobs", "%d jobs in one call are more than the limit of %d: split the call", len(drafts), MaxBatch)
	}
	jobs, size := make([]*Job, len(drafts)), 0
	for i, d := range drafts {
		j, err := d.job(c.set)
		if err != nil {
			if len(drafts) > 1 {
				err = atIndex(err, i)
			}
			return nil, err
		}
		jobs[i], size = j, size+len(j.Args)
	}
	if size > MaxBatchBytes {
		return nil, invalid("jobs", "%d bytes of arguments in one call are more than the limit of %d: split the call", size, MaxBatchBytes)
	}
	return jobs, nil
}

// atIndex says in an [*InvalidError] which job of the call it is about.
func atIndex(err error, i int) error {
	var inv *InvalidError
	if !errors.As(err, &inv) {
		return err
	}
	at := *inv
	at.Index = i
	return &at
}

// Emit tells the client's listeners of an event. Workers call it; a zero At is
// filled in. Panics of listeners are recovered and logged.
func (c *Client) Emit(e Event) {
	if len(c.set.listeners) == 0 {
		return
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	for _, fn := range c.set.listeners {
		c.tell(fn, e)
	}
}

func (c *Client) tell(fn func(Event), e Event) {
	defer func() {
		if v := recover(); v != nil {
			c.set.logger.Error("an event listener panicked", "event", e.Type.String(), "panic", safeText(v), "stack", string(debug.Stack()))
		}
	}()
	fn(e)
}

// Listening reports whether anybody listens to events, so that callers can
// spare themselves the making of them.
func (c *Client) Listening() bool { return len(c.set.listeners) > 0 }

// Bind returns an enqueuer whose jobs come into being when the transaction
// behind tx commits. The Within functions of the store packages call it.
func (c *Client) Bind(tx TxStore) *Bound { return &Bound{client: c, tx: tx} }

// Bound enqueues, and completes attempts, inside a transaction of the caller.
// Events are told when the statement has run, which is before the commit.
type Bound struct {
	client *Client
	tx     TxStore
}

func (b *Bound) submit(ctx context.Context, drafts []Draft) ([]Receipt, error) {
	return b.client.enqueue(ctx, drafts, func(ctx context.Context, jobs []*Job) ([]Receipt, error) {
		receipts, err := b.tx.Enqueue(ctx, &EnqueueRequest{Jobs: jobs})
		if err != nil {
			return nil, fmt.Errorf("bellhop: enqueue in the caller's transaction: %w", err)
		}
		return receipts, nil
	})
}
