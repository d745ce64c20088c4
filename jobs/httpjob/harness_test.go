package httpjob

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench runs single attempts of real jobs: enqueued, claimed, handled, settled.
type bench struct {
	t       *testing.T
	client  *bellhop.Client
	sender  *sender
	handler bellhop.Handler
	meta    map[string]string
	before  int // failures before this attempt
	claim   *bellhop.Claim
	ctx     context.Context
}

func newBench(t *testing.T, c Config) *bench {
	t.Helper()
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSender(c)
	if err != nil {
		t.Fatal(err)
	}
	s.random = func() float64 { return 0 }
	t.Cleanup(func() {
		s.transport.CloseIdleConnections()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t: t, client: client, sender: s, handler: s.handler(c.Definition), ctx: t.Context()}
}

// local returns a bench that may call the loopback servers of tests.
func local(t *testing.T, c Config) *bench {
	c.AllowPrivateAddresses = true
	return newBench(t, c)
}

// do enqueues a job and runs one attempt of it.
func (b *bench) do(a Args) bellhop.Outcome {
	b.t.Helper()
	var opts []bellhop.Option
	for k, v := range b.meta {
		opts = append(opts, bellhop.Meta(k, v))
	}
	if _, err := Request.Enqueue(b.t.Context(), b.client, a, opts...); err != nil {
		b.t.Fatal(err)
	}
	b.claim = b.take()
	return b.again()
}

func (b *bench) take() *bellhop.Claim {
	b.t.Helper()
	process := bellhop.Process{ID: bellhop.NewID()}
	if _, err := b.client.Store().Beat(b.t.Context(), &bellhop.Beat{Process: process, Lease: time.Minute}); err != nil {
		b.t.Fatal(err)
	}
	reply, err := b.client.Store().Exchange(b.t.Context(), &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: process.ID, Limit: 1, Kinds: []string{Kind},
		Wants: []bellhop.Want{{Queue: bellhop.DefaultQueue, Count: 1}},
	})
	if err != nil || len(reply.Claims) != 1 {
		b.t.Fatalf("claimed %v, %v", reply, err)
	}
	return &reply.Claims[0]
}

// again runs one attempt of the claimed job, as a worker would.
func (b *bench) again() bellhop.Outcome {
	b.t.Helper()
	b.claim.Place.Failures = b.before
	run := bellhop.NewRun(b.client, b.claim, time.Now)
	ctx := run.Attach(b.ctx)
	if b.claim.Job.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.claim.Job.Timeout, bellhop.ErrTimeout)
		defer cancel()
	}
	err := b.handler.Run(ctx, b.claim.Job.Args)
	return b.claim.Settle(b.handler.Policy(), bellhop.Return{
		Err: err, Cause: context.Cause(ctx), Started: run.Started(), Ended: time.Now(), Result: run.Result(),
	})
}

// expect checks an outcome and that its message has all the parts.
func expect(t *testing.T, o bellhop.Outcome, want bellhop.OutcomeKind, parts ...string) {
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

func result(t *testing.T, o bellhop.Outcome) Result {
	t.Helper()
	var r Result
	if err := json.Unmarshal(o.Result, &r); err != nil {
		t.Fatalf("result %q: %v", o.Result, err)
	}
	return r
}

// recorder is a server that answers with a function and keeps the requests.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func record(t *testing.T, answer http.HandlerFunc) *recorder {
	t.Helper()
	return recordOn(t, answer, (*httptest.Server).Start)
}

func recordOn(t *testing.T, answer http.HandlerFunc, start func(*httptest.Server)) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body strings.Builder
		if _, err := bufio.NewReader(req.Body).WriteTo(&body); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		r.requests, r.bodies = append(r.requests, req), append(r.bodies, body.String())
		r.mu.Unlock()
		answer(w, req)
	}))
	start(r.Server)
	t.Cleanup(r.Close)
	return r
}

// last returns the newest request and how many there were.
func (r *recorder) last(t *testing.T) (*http.Request, string, int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.requests)
	if n == 0 {
		t.Fatal("the server saw no request")
	}
	return r.requests[n-1], r.bodies[n-1], n
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// peer is a server below HTTP: it reads one request of each connection and
// does with the connection what talk says, then closes it. gone ends with the test.
func peer(t *testing.T, talk func(c net.Conn, gone <-chan struct{})) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close() //nolint:errcheck // the other side may be gone
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					talk(c, gone)
				}
			})
		}
	})
	t.Cleanup(func() {
		close(gone)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}
