package httpjob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"

	"github.com/gobellhop/bellhop"
)

// The headers by which a receiver can tell jobs and attempts apart.
const (
	headerKey     = "Idempotency-Key"
	headerJobID   = "Bellhop-Job-Id"
	headerAttempt = "Bellhop-Attempt"
)

// maxRead is how much of an answer's body is read. What is shorter is read to
// its end, so that the connection can be used again.
const maxRead = 64 << 10

// hop is one request: the job's own, or what a redirect made of it.
type hop struct {
	method string
	url    *url.URL
	header http.Header
	body   []byte

	connected bool // there was a connection for it
}

// answer is what a hop came to.
type answer struct {
	status int
	header http.Header
	body   []byte // its first bytes, at most maxRead
	err    error  // reading the body failed
}

// run is the handler: one attempt.
func (s *sender) run(ctx context.Context, a Args) error {
	run := bellhop.FromContext(ctx)
	if run == nil {
		return errors.New("http.request: the context is not a handler's; a worker must run it")
	}
	if err := a.Check(); err != nil {
		return bellhop.Dead(err)
	}
	ctx, cancel := s.bound(ctx, a)
	defer cancel()
	h, err := s.first(ctx, run, a)
	if err != nil {
		return err
	}
	t := &trip{sender: s, run: run, args: a, first: h, urls: []*url.URL{h.url}}
	for {
		ans, err := s.exchange(ctx, h)
		if err != nil {
			return t.failed(ctx, h, err)
		}
		if ans.status < 300 || ans.status > 399 {
			return t.verdict(ctx, h, ans)
		}
		if h, err = t.redirect(h, ans); err != nil {
			return bellhop.Dead(err)
		}
	}
}

// first makes the request that the job asks for.
func (s *sender) first(ctx context.Context, run *bellhop.Run, a Args) (*hop, error) {
	u, err := parseURL(a.URL)
	if err != nil {
		return nil, bellhop.Dead(err)
	}
	u.Fragment, u.RawFragment = "", ""
	h := &hop{method: a.method(), url: u, header: http.Header{}, body: a.payload()}
	h.header.Set("User-Agent", s.userAgent)
	h.header.Set(headerKey, bellhop.Key(ctx, Kind))
	if len(h.body) > 0 {
		h.header.Set("Content-Type", contentType(a))
	}
	setTrace(h.header, run.Job().Meta)
	for name, value := range a.Headers {
		h.header.Set(name, value)
	}
	id := run.Job().ID.String()
	h.header.Set(headerJobID, id)
	h.header.Set(headerAttempt, strconv.Itoa(run.Attempt()))
	if a.Signing == "" {
		return h, nil
	}
	keys, ok := s.secrets[a.Signing]
	if !ok {
		// Not dead: the secret may be on its way to this process.
		return nil, fmt.Errorf("the job is to be signed with the secret %q, which is not configured here", a.Signing)
	}
	now := s.now()
	h.header.Set(headerWebhookID, id)
	h.header.Set(headerWebhookTime, strconv.FormatInt(now.Unix(), 10))
	h.header.Set(headerWebhookSign, keys.sign(id, now, h.body))
	return h, nil
}

func contentType(a Args) string {
	if len(a.BodyBase64) > 0 {
		return "application/octet-stream"
	}
	text := bytes.TrimLeft([]byte(a.Body), " \t\r\n")
	if len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// setTrace passes on the trace context that came with the job. One that is not
// well formed is left out: it must not fail the job.
func setTrace(header http.Header, meta map[string]string) {
	if !traceParent.MatchString(meta["traceparent"]) {
		return
	}
	header.Set("Traceparent", meta["traceparent"])
	if state := meta["tracestate"]; state != "" && len(state) <= maxHeaderLen && validHeaderValue(state) {
		header.Set("Tracestate", state)
	}
}

// exchange sends one request and reads its answer up to maxRead. An error means
// that no status came.
func (s *sender) exchange(ctx context.Context, h *hop) (*answer, error) {
	var body io.Reader
	if len(h.body) > 0 {
		body = bytes.NewReader(h.body)
	}
	// A request that could not be sent on an idle connection is sent on another, so the last one counts. The transport calls
	// these functions within RoundTrip.
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { h.connected = false },
		GotConn: func(httptrace.GotConnInfo) { h.connected = true },
	})
	req, err := http.NewRequestWithContext(ctx, h.method, h.url.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header = h.header.Clone()
	// The transport alone, without a client on top: redirects are ours, and
	// there are no cookies.
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // what it could say has been read, or is of no interest
	ans := &answer{status: res.StatusCode, header: res.Header}
	ans.body, ans.err = io.ReadAll(io.LimitReader(res.Body, maxRead))
	return ans, nil
}
