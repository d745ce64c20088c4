package httpjob

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/jobtest"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench runs single attempts of jobs.
type bench struct {
	*jobtest.Bench
	sender *sender
	meta   map[string]string
}

var expect = jobtest.Expect

func result(t *testing.T, o bellhop.Outcome) Result {
	t.Helper()
	return jobtest.Result[Result](t, o)
}

func newBench(t *testing.T, c Config) *bench {
	t.Helper()
	s, err := newSender(c)
	if err != nil {
		t.Fatal(err)
	}
	s.random = func() float64 { return 0 }
	t.Cleanup(s.transport.CloseIdleConnections)
	return &bench{Bench: jobtest.New(t, memory.New(), s.handler(c.Definition)), sender: s}
}

// local returns a bench that may call the loopback servers of tests.
func local(t *testing.T, c Config) *bench {
	c.AllowPrivateAddresses = true
	return newBench(t, c)
}

// do enqueues a job and runs one attempt of it.
func (b *bench) do(a Args) bellhop.Outcome {
	b.T.Helper()
	var opts []bellhop.Option
	for k, v := range b.meta {
		opts = append(opts, bellhop.Meta(k, v))
	}
	return b.Do(Request.New(a, opts...))
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
