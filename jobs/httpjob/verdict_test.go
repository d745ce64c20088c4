package httpjob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/jobtest"
)

func TestStatusDecides(t *testing.T) {
	code := 0
	server := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
		if code != 204 && code != 304 {
			fmt.Fprintf(w, "line one\nand   two of %d", code) //nolint:errcheck // the client judges it
		}
	})
	b := local(t, Config{})
	want := map[bellhop.OutcomeKind][]int{
		bellhop.OutcomeSucceeded: {200, 201, 202, 204, 206, 226, 299},
		bellhop.OutcomeRetry:     {408, 425, 429, 500, 501, 502, 503, 504, 511, 599},
		bellhop.OutcomeDead:      {300, 304, 400, 401, 403, 404, 405, 409, 410, 413, 422, 451, 499, 600, 999},
	}
	for kind, codes := range want {
		for _, code = range codes {
			o := b.do(Args{URL: server.URL + "/hook?key=geheim"})
			switch {
			case kind == bellhop.OutcomeSucceeded:
				expect(t, o, kind)
			case code < 400:
				expect(t, o, kind, fmt.Sprintf("answered %d", code))
			default:
				expect(t, o, kind, fmt.Sprintf("POST %s/hook?key=xxxxx answered %d", server.URL, code), fmt.Sprintf(": line one and two of %d", code))
				if o.Failure.Class != "*httpjob.StatusError" {
					t.Errorf("the class is %s", o.Failure.Class)
				}
			}
		}
	}
}

func TestRulesSeeTheStatus(t *testing.T) {
	server := record(t, status(503))
	gone := func(err error) bool {
		var e *StatusError
		return errors.As(err, &e) && e.Status == 503
	}
	b := local(t, Config{Definition: Define(bellhop.DiscardOn(gone))})
	expect(t, b.do(Args{URL: server.URL}), bellhop.OutcomeDiscarded, "503 Service Unavailable")
}

func TestRetryAfterIsHonoured(t *testing.T) {
	header := http.Header{}
	server := record(t, func(w http.ResponseWriter, _ *http.Request) {
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(429)
	})
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after    string
		date     time.Time
		failures int
		random   float64
		want     time.Duration
	}{
		{"600", date, 0, 0, 600 * time.Second},
		{"1", date, 0, 0, 3 * time.Second}, // the backoff waits longer
		{"1", date, 0, 0.5, 15 * time.Second},
		{"60", date, 9, 0, 10_002 * time.Second},
		{"100000000000000000000", date, 0, 0, 24 * time.Hour},
		{date.Add(time.Hour).Format(http.TimeFormat), date, 0, 0, time.Hour},
		{date.Add(-time.Hour).Format(http.TimeFormat), date, 0, 0, 3 * time.Second},
		{"soon", date, 0, 0, 3 * time.Second},
		{"-5", date, 0, 0, 3 * time.Second},
	} {
		b := local(t, Config{})
		b.Failures = c.failures
		b.sender.random = func() float64 { return c.random }
		header = http.Header{"Retry-After": {c.after}, "Date": {c.date.Format(http.TimeFormat)}}
		o := b.do(Args{URL: server.URL})
		expect(t, o, bellhop.OutcomeRetry, "429 Too Many Requests")
		if o.Wait != c.want || o.Failures != c.failures+1 {
			t.Errorf("%q: wait %v after %d failures, want %v", c.after, o.Wait, o.Failures, c.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:00 GMT")
	f.Add("99999999999999999999999", "x")
	f.Add(" 7 ", "")
	f.Fuzz(func(t *testing.T, after, date string) {
		header := http.Header{"Retry-After": {after}, "Date": {date}}
		d, ok := retryAfter(header, time.Unix(946684000, 0))
		if d < 0 || d > maxRetryAfter || !ok && d != 0 {
			t.Errorf("%q, %q: %v, %v", after, date, d, ok)
		}
		if digits := strings.TrimSpace(after); digits != "" && strings.Trim(digits, "0123456789") == "" && !ok {
			t.Errorf("%q is not understood", after)
		}
	})
}

// hold says something and then holds the connection until the caller gives it up.
func hold(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, gone <-chan struct{}) {
		io.WriteString(c, text) //nolint:errcheck // broken by intention
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			io.Copy(io.Discard, c) //nolint:errcheck // its end is what counts
		}()
		select {
		case <-ended:
		case <-gone:
			c.Close() //nolint:errcheck // ends the copy
			<-ended
		}
	}
}

func TestBrokenPeers(t *testing.T) {
	answer := func(text string) func(net.Conn, <-chan struct{}) {
		return func(c net.Conn, _ <-chan struct{}) { io.WriteString(c, text) } //nolint:errcheck // broken by intention
	}
	const broken = "*httpjob.AnswerError"
	for name, c := range map[string]struct {
		talk    func(net.Conn, <-chan struct{})
		timeout int64
		want    string
		class   string
	}{
		"closes at once":          {answer(""), 0, "EOF", broken},
		"closes in the headers":   {answer("HTTP/1.1 200 OK\r\nContent-Le"), 0, "connection broken", broken},
		"closes in the body":      {answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), 0, "broke off after 3 bytes", broken},
		"closes in a chunk":       {answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), 0, "broke off after 2 bytes", broken},
		"is no HTTP server":       {answer("220 mail.example ESMTP geheim1\r\n"), 0, "malformed HTTP", broken},
		"bad chunks":              {answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 0, "broke off", broken},
		"endless headers":         {answer("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), 0, "", broken},
		"never answers":           {hold(""), 50, "no complete answer within 50ms", "timeout"},
		"never ends its headers":  {hold("HTTP/1.1 200 OK\r\nX-A: b\r\n"), 50, "no complete answer within 50ms", "timeout"},
		"does not end its answer": {hold("HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nabc"), 1000, "answered 503 Service Unavailable: abc", "*httpjob.StatusError"},
	} {
		t.Run(name, func(t *testing.T) {
			b := local(t, Config{})
			o := b.do(Args{URL: peer(t, c.talk), TimeoutMS: c.timeout, Headers: map[string]string{"X-Key": "geheim1"}})
			expect(t, o, bellhop.OutcomeRetry, c.want)
			if strings.Contains(o.Failure.Message, "geheim1") || o.Failure.Class != c.class {
				t.Errorf("failure %+v", o.Failure)
			}
		})
	}
}

// The service has taken a call that it has answered with 2xx: where its answer has no end (events, a slow drip), making the call
// again would do harm.
func TestAnswersWithoutAnEnd(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	for _, c := range []struct {
		name string
		body string
		ends error // why the attempt ends
	}{
		{"silent", "\r\ndata: 1\n", bellhop.ErrTimeout},
		{"less than was announced", "Content-Length: 100\r\n\r\ndata: 1\n", bellhop.ErrTimeout},
		{"chunks", "Transfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n", context.DeadlineExceeded},
		{"cut short by a shutdown", "\r\ndata: 1\n", bellhop.ErrShutdown},
		{"its own time limit", "\r\ndata: 1\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := local(t, Config{})
			a := Args{URL: peer(t, hold(head+c.body))}
			if c.ends == nil {
				a.TimeoutMS = 1000
			} else {
				ctx, cancel := context.WithCancelCause(t.Context())
				b.Ctx = ctx
				b.onSecondRead(func() { cancel(c.ends) })
			}
			o := b.do(a)
			expect(t, o, bellhop.OutcomeSucceeded)
			if r := result(t, o); r.Status != 200 || r.Body != "data: 1\n" || !r.Truncated {
				t.Errorf("the result is %+v", r)
			}
		})
	}
}

// onSecondRead calls fn when an answer is read beyond what came with its head, so that its status is known.
func (b *bench) onSecondRead(fn func()) {
	dial := b.sender.transport.DialContext
	b.sender.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &watched{Conn: conn, second: fn}, err
	}
}

// watched is a connection that tells of its second read.
type watched struct {
	net.Conn
	reads  atomic.Int32
	second func()
}

func (c *watched) Read(p []byte) (int, error) {
	if c.reads.Add(1) == 2 {
		c.second()
	}
	return c.Conn.Read(p)
}

// Failures are grouped by names that say what happened, and rules find what lies below.
func TestFailuresHaveTellingClasses(t *testing.T) {
	secure := recordOn(t, status(200), (*httptest.Server).StartTLS)
	plain := record(t, redirects("ftp://elsewhere.example"))
	for name, c := range map[string]struct {
		url, class string
	}{
		"nobody listens":        {"http://" + jobtest.NobodyAt(t).String(), "*httpjob.ConnectError"},
		"no TLS there":          {strings.Replace(plain.URL, "http:", "https:", 1), "*httpjob.ConnectError"},
		"unknown certificate":   {secure.URL, "x509.UnknownAuthorityError"},
		"unknown name":          {"http://shop.example/", "*net.DNSError"},
		"redirect to elsewhere": {plain.URL + "/302", "*httpjob.RedirectError"},
	} {
		t.Run(name, func(t *testing.T) {
			b := local(t, Config{})
			b.sender.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no name server")
			}}
			if o := b.do(Args{Method: "GET", URL: c.url}); o.Failure == nil || o.Failure.Class != c.class {
				t.Errorf("the outcome is %v, the failure %+v, want the class %s", o.Kind, o.Failure, c.class)
			}
		})
	}
	refused := func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
	b := local(t, Config{Definition: Define(bellhop.DiscardOn(refused))})
	expect(t, b.do(Args{URL: "http://" + jobtest.NobodyAt(t).String()}), bellhop.OutcomeDiscarded)
}

func TestNobodyThere(t *testing.T) {
	b := local(t, Config{})
	expect(t, b.do(Args{URL: "http://" + jobtest.NobodyAt(t).String()}), bellhop.OutcomeRetry, "refused")
	b.sender.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("no name server")
	}}
	expect(t, b.do(Args{URL: "http://shop.example/?key=geheim"}), bellhop.OutcomeRetry, "shop.example/?key=xxxxx failed", "lookup")
}

// What the context was cancelled for decides, as for every handler.
func TestContextEnds(t *testing.T) {
	for cause, want := range map[error]bellhop.OutcomeKind{
		bellhop.ErrShutdown: bellhop.OutcomeHandedBack, bellhop.ErrCancelled: bellhop.OutcomeCancelled, bellhop.ErrTimeout: bellhop.OutcomeRetry,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		b := local(t, Config{})
		b.Ctx = ctx
		server := record(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel(cause)
			<-r.Context().Done()
		})
		o := b.do(Args{URL: server.URL})
		if o.Kind != want || want == bellhop.OutcomeRetry && o.Failure.Class != "timeout" {
			t.Errorf("%v: outcome %v, failure %+v", cause, o.Kind, o.Failure)
		}
	}
}

func TestEndlessBody(t *testing.T) {
	url := peer(t, func(c net.Conn, _ <-chan struct{}) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
		for err == nil {
			_, err = io.WriteString(c, strings.Repeat("é", 500))
		}
	})
	r := result(t, local(t, Config{}).do(Args{URL: url}))
	if r.Status != 200 || !r.Truncated || r.Body != strings.Repeat("é", maxKept/2) {
		t.Errorf("status %d, truncated %v, %d bytes", r.Status, r.Truncated, len(r.Body))
	}
}

func TestResultIsKept(t *testing.T) {
	var contentType, body string
	server := record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Request-Id", "r1")
		w.Header().Set("Set-Cookie", "session=geheim")
		w.WriteHeader(201)
		io.WriteString(w, body) //nolint:errcheck // the client judges it
	})
	b := local(t, Config{})
	for _, c := range []struct {
		contentType, body, want string
		truncated               bool
	}{
		{"application/json", `{"id":7}`, `{"id":7}`, false},
		{"application/problem+json", `{}`, `{}`, false},
		{"text/plain; charset=utf-8", "a\x00b\x1b[31mc\xff", "abc\ufffd", false},
		{"text/html", strings.Repeat("x", maxKept), strings.Repeat("x", maxKept), false},
		{"text/html", "x" + strings.Repeat("é", maxKept), "x" + strings.Repeat("é", maxKept/2-1), true},
		{"image/png", "\x89PNG", "", false},
		{"nonsense/", "abc", "", false},
	} {
		contentType, body = c.contentType, c.body
		o := b.do(Args{URL: server.URL})
		expect(t, o, bellhop.OutcomeSucceeded)
		r := result(t, o)
		if r.Status != 201 || r.Body != c.want || r.Truncated != c.truncated || r.URL != "" || r.Headers["X-Request-Id"] != "r1" || r.Headers["Content-Type"] != c.contentType {
			t.Errorf("%s %.20q: %.80v", c.contentType, c.body, r)
		}
		if _, has := r.Headers["Set-Cookie"]; has {
			t.Error("a cookie is kept")
		}
	}
}

// An answer that is not too long is read to its end, and its connection serves the next call.
func TestConnectionsAreUsedAgain(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", maxRead-1)) //nolint:errcheck // the client judges it
	})
	b := local(t, Config{})
	remotes := map[string]bool{}
	for range 5 {
		expect(t, b.do(Args{URL: server.URL}), bellhop.OutcomeSucceeded)
		req, _, _ := server.last(t)
		remotes[req.RemoteAddr] = true
	}
	if len(remotes) != 1 {
		t.Errorf("5 calls used %d connections", len(remotes))
	}
}

func TestErrorsHideSecrets(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(400)
		fmt.Fprintf(w, "%s %s %s", r.URL.RawQuery, r.URL.Query().Get("b"), r.Header) //nolint:errcheck // the client judges it
	})
	o := local(t, Config{}).do(Args{
		URL:     server.URL + "/p?a=geheim1&b=%67eheim2&geheim3&c=",
		Headers: map[string]string{"Authorization": "Bearer geheim4", "Cookie": "s=geheim5; t=geheim6", "Accept": "text/plain"},
	})
	expect(t, o, bellhop.OutcomeDead, "/p?a=xxxxx&b=xxxxx&xxxxx&c=xxxxx answered 400", "text/plain")
	if strings.Contains(o.Failure.Message, "eheim") {
		t.Error(o.Failure.Message)
	}
}

// A job without any timeout is bounded all the same.
func TestJobWithoutTimeout(t *testing.T) {
	server := record(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	b := local(t, Config{Timeout: 50 * time.Millisecond})
	_, err := bellhop.Enqueue(t.Context(), b.Client, bellhop.RawJob(Kind, []byte(`{"url":"`+server.URL+`"}`)))
	if err != nil {
		t.Fatal(err)
	}
	b.Take()
	expect(t, b.Again(), bellhop.OutcomeRetry, "no complete answer within 50ms")
	if b.Claim.Job.Timeout != 0 {
		t.Errorf("the job has the timeout %v", b.Claim.Job.Timeout)
	}
}

func TestDefinitionsTimeout(t *testing.T) {
	server := record(t, status(200))
	b := local(t, Config{})
	expect(t, b.do(Args{URL: server.URL}), bellhop.OutcomeSucceeded)
	if b.Claim.Job.Timeout != 30*time.Second || b.Claim.Job.Kind != "http.request" {
		t.Errorf("the job is %+v", b.Claim.Job)
	}
}
