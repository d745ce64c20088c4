// Package jobtest runs single attempts of built-in kinds of jobs, for their tests. A job passes through a [Bench] as through a
// worker, without one: it is enqueued, claimed, handled and settled, each when the test says so.
package jobtest

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// Bench runs attempts of one handler's jobs.
type Bench struct {
	T       *testing.T
	Client  *bellhop.Client
	Handler bellhop.Handler
	// Failures is how often the job has failed before the attempt.
	Failures int
	// Claim is the newest claim.
	Claim *bellhop.Claim
	// Ctx is what attempts run under. Default: the test's.
	Ctx context.Context
}

// New returns a bench on a store, which is closed when the test ends.
func New(t *testing.T, store bellhop.Store, h bellhop.Handler) *Bench {
	t.Helper()
	client, err := bellhop.NewClient(store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Bench{T: t, Client: client, Handler: h, Ctx: t.Context()}
}

// Do enqueues a job and runs one attempt of it.
func (b *Bench) Do(job bellhop.Draft) bellhop.Outcome {
	b.T.Helper()
	if _, err := bellhop.Enqueue(b.T.Context(), b.Client, job); err != nil {
		b.T.Fatal(err)
	}
	b.Take()
	return b.Again()
}

// Take claims the next job.
func (b *Bench) Take() {
	b.T.Helper()
	store, process := b.Client.Store(), bellhop.Process{ID: bellhop.NewID()}
	if _, err := store.Beat(b.T.Context(), &bellhop.Beat{Process: process, Lease: time.Minute}); err != nil {
		b.T.Fatal(err)
	}
	reply, err := store.Exchange(b.T.Context(), &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: process.ID, Limit: 1, Kinds: []string{b.Handler.Kind()},
		Wants: []bellhop.Want{{Queue: bellhop.DefaultQueue, Count: 1}},
	})
	if err != nil || len(reply.Claims) != 1 {
		b.T.Fatalf("claimed %v, %v", reply, err)
	}
	b.Claim = &reply.Claims[0]
}

// Again runs one attempt of the claimed job, as a worker would, and returns what it comes to.
func (b *Bench) Again() bellhop.Outcome {
	b.T.Helper()
	b.Claim.Place.Failures = b.Failures
	run := bellhop.NewRun(b.Client, b.Claim, time.Now(), time.Now)
	ctx := run.Attach(b.Ctx)
	if b.Claim.Job.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.Claim.Job.Timeout, bellhop.ErrTimeout)
		defer cancel()
	}
	err := b.Handler.Run(ctx, b.Claim.Job.Args)
	return b.Claim.Settle(b.Handler.Policy(), bellhop.Return{
		Err: err, Cause: context.Cause(ctx), Started: run.Started(), Ended: time.Now(), Result: run.Result(),
	})
}

// NobodyAt returns an address, on this machine, at which nobody listens.
func NobodyAt(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().(*net.TCPAddr)
}

// Expect checks an outcome, and that its message is one line with all the parts.
func Expect(t *testing.T, o bellhop.Outcome, want bellhop.OutcomeKind, parts ...string) {
	t.Helper()
	text := ""
	if o.Failure != nil {
		text = o.Failure.Message
	}
	if o.Kind != want {
		t.Fatalf("the outcome is %v (%s), want %v", o.Kind, text, want)
	}
	if strings.Contains(text, "\n") {
		t.Errorf("the message has more than one line: %q", text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the message %q lacks %q", text, part)
		}
	}
}

// Result reads the result that an attempt has left behind.
func Result[T any](t *testing.T, o bellhop.Outcome) (r T) {
	t.Helper()
	if err := json.Unmarshal(o.Result, &r); err != nil {
		t.Fatalf("result %q: %v", o.Result, err)
	}
	return r
}
