package bellhop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Run is one attempt as its handler sees it; [FromContext] returns it. Its
// methods may be called from any goroutine of the handler, and do nothing of
// use once the handler has returned.
type Run struct {
	claim  *Claim
	client *Client
	now    func() time.Time
	ctx    runContext             // what Attach returns; here to spare an allocation
	log    atomic.Pointer[runLog] // nil until the handler logs

	mu        sync.Mutex
	started   time.Time
	progress  []byte
	result    []byte
	fresh     bool // progress has not been taken by the worker yet
	completed bool
	keepLog   bool  // also if the attempt succeeds
	logFrom   int32 // the level from which lines are in the log
}

// NewRun makes the run of a claim whose handler starts at started. Workers and
// test kits call it; now is the store's clock as the process reckons it.
func NewRun(client *Client, claim *Claim, started time.Time, now func() time.Time) *Run {
	return &Run{claim: claim, client: client, now: now, started: started}
}

type runKey struct{}

// runContext is a context that carries a run.
type runContext struct {
	context.Context
	run *Run
}

func (c *runContext) Value(key any) any {
	if key == (runKey{}) {
		return c.run
	}
	return c.Context.Value(key)
}

// Attach returns a context that carries the run. It is called once, before the
// run is used.
func (r *Run) Attach(ctx context.Context) context.Context {
	r.ctx = runContext{ctx, r}
	return &r.ctx
}

// FromContext returns the run that a handler's context belongs to, or nil
// outside a handler.
func FromContext(ctx context.Context) *Run {
	r, _ := ctx.Value(runKey{}).(*Run)
	return r
}

// Job returns the job. It must not be changed.
func (r *Run) Job() *Job { return r.claim.Job }

// Attempt returns which start of the handler this is; the first is 1.
func (r *Run) Attempt() int { return r.claim.Place.Attempt + 1 }

// Failures returns how often the job has failed before.
func (r *Run) Failures() int { return r.claim.Place.Failures }

// Token returns the claim's token. Its Number only ever grows over a job's
// life: an outside system that keeps the highest number it has seen can refuse
// what a stale attempt sends.
func (r *Run) Token() Token { return r.claim.Token }

// Client returns the worker's client, for enqueueing further jobs.
func (r *Run) Client() *Client { return r.client }

// Started returns when the handler was started, by the store's clock as the process reckons it.
func (r *Run) Started() time.Time { return r.started }

// SetProgress says how far the attempt has come: done of total, in units of the
// handler's choice, and a few words (at most 256 bytes). A total of 0 means that
// the end is not known. It costs nothing: the worker writes the newest progress
// about once a second.
func (r *Run) SetProgress(done, total int64, note string) {
	p := Progress{Done: done, Total: total, Note: note}.encode()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress, r.fresh = p, true
}

// TakeProgress returns progress that was set since it was last taken, or nil. The worker calls it.
func (r *Run) TakeProgress() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fresh {
		return nil
	}
	r.fresh = false
	return r.progress
}

// SetResult leaves v behind, as JSON, for those who ask for the job when it has
// succeeded: at most [MaxResult] bytes. A later call replaces it.
func (r *Run) SetResult(v any) error {
	if err := ValidStrings(v); err != nil {
		return asInvalid("result", err)
	}
	data, err := json.Marshal(v)
	if err == nil {
		data, err = openSeals(data)
	}
	if err != nil {
		return invalid("result", "%v", err)
	}
	if len(data) > MaxResult {
		return invalid("result", "%d bytes are more than the limit of %d: store the data and keep its id", len(data), MaxResult)
	}
	if err := ValidateJSON(data); err != nil {
		return asInvalid("result", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result = data
	return nil
}

// Result returns what SetResult left, or nil. The worker calls it.
func (r *Run) Result() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result
}

// Complete records the success of this attempt inside the caller's
// transaction, which bound stands for: the job succeeds if, and only if, that
// transaction commits, together with whatever else the transaction did.
//
// If the claim is stale, Complete returns [ErrStale] and the transaction can no
// longer commit. After the handler has returned, the store's word counts: if it
// holds the completion, the job has succeeded whatever was returned; if the
// transaction did not commit, a handler that returned nil is recorded as failed
// with "completion was not committed".
//
// Where the transaction is not one on the store's database, as with an outbox,
// Complete returns [ErrUnsupported] and has begun nothing: what the handler
// returns decides, as if it had not been called.
func (r *Run) Complete(ctx context.Context, bound *Bound) error {
	if bound == nil {
		return invalid("complete", "the transaction is nil; want what a Within function returns")
	}
	r.mu.Lock()
	o := r.claim.Settle(Policy{}, Return{Started: r.started, Ended: r.now(), Result: r.result})
	r.mu.Unlock()
	r.putLog(&o, false)
	before := r.setCompleted(true) // before the call: the claim may end with it
	err := bound.tx.Finish(ctx, o)
	if errors.Is(err, ErrUnsupported) {
		r.setCompleted(before)
	}
	if err != nil {
		return fmt.Errorf("bellhop: complete in the caller's transaction: %w", err)
	}
	return nil
}

func (r *Run) setCompleted(is bool) (before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.completed = r.completed, is
	return before
}

// Completed reports whether Complete was called, and could have been done. The
// worker then lets the store's word count.
func (r *Run) Completed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.completed
}

// ErrNotCommitted is the failure of an attempt that called [Run.Complete],
// returned nil, and whose transaction did not commit.
var ErrNotCommitted = errors.New("completion was not committed")

// Key returns a key for name that is the same in all attempts and generations
// of the handler's job, and different for every other job or name: what a
// remote service wants as an idempotency key. It has the form of a UUID. Key
// panics outside a handler, where there is no job to name.
func Key(ctx context.Context, name string) string {
	r := FromContext(ctx)
	if r == nil {
		panic("bellhop: Key was called with a context that is not a handler's")
	}
	return IDFromKey("bellhop key "+r.claim.Job.ID.String(), name).String()
}
