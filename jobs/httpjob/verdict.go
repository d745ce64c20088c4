package httpjob

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/builtin"
)

const (
	maxKept   = 4 << 10 // bytes of an answer's text that are kept as the result
	maxQuoted = 512     // bytes of an answer's text that an error quotes
)

// trip is one attempt: its hops so far.
type trip struct {
	*sender
	run       *bellhop.Run
	args      Args
	first     *hop
	urls      []*url.URL // of all hops, and of a redirect that is not followed
	redirects int
}

// StatusError says that an answer came, with a status that is no success. For
// rules such as [bellhop.RetryOn] with [bellhop.ErrorType].
type StatusError struct {
	// Status is the HTTP status: 404.
	Status int
	text   string
}

// Error returns one line: method, URL without its query values, status, and the
// beginning of the answer if it was text.
func (e *StatusError) Error() string { return e.text }

// fault is an error's text without secrets, and its cause for [errors.Is] and [errors.As].
type fault = builtin.Fault

// ConnectError says that no connection came about: nobody listens, no route, no TLS. Where the name was not found, or the
// certificate is not good, failures are grouped by the [net.DNSError] or the error of crypto/x509 below it.
type ConnectError struct{ fault }

// AnswerError says that there was a connection, and no answer came on it, or a part of one, or something that is no HTTP.
type AnswerError struct{ fault }

// RedirectError says that an answer leads elsewhere, and why it is not followed. Such a job is dead.
type RedirectError struct {
	// Status is the HTTP status: 302.
	Status int
	text   string
}

// Error returns one line.
func (e *RedirectError) Error() string { return e.text }

func (h *hop) name() string { return h.method + " " + redactURL(h.url) }

func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// tell returns a line about a hop.
func (t *trip) tell(h *hop, format string, args ...any) string {
	return h.name() + " " + t.clean(fmt.Sprintf(format, args...), 1<<10)
}

// failed judges a hop that brought no whole answer: another try, unless the address is refused.
func (t *trip) failed(ctx context.Context, h *hop, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	shown := fault{Text: t.tell(h, "failed: %v", err), Err: err}
	var refused *AddressError
	switch {
	case errors.As(err, &refused):
		return bellhop.Dead(&AddressError{Addr: refused.Addr, text: shown.Text})
	case h.connected:
		return &AnswerError{shown}
	}
	return &ConnectError{shown}
}

// verdict judges an answer that is no redirect.
func (t *trip) verdict(ctx context.Context, h *hop, ans *answer) error {
	switch s := ans.status; {
	case s >= 200 && s <= 299 && ans.err != nil && ctx.Err() == nil:
		return t.failed(ctx, h, fmt.Errorf("answered %s, but the answer broke off after %d bytes: %w", statusText(s), len(ans.body), ans.err))
	case s >= 200 && s <= 299:
		t.keep(h, ans)
		return nil
	case retriable(s):
		err := t.statusError(h, ans)
		if asked, ok := retryAfter(ans.header, t.now()); ok {
			return bellhop.RetryAfter(t.wait(asked, t.run.Failures()), err)
		}
		return err
	default:
		return bellhop.Dead(t.statusError(h, ans))
	}
}

func retriable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 && status <= 599
}

func (t *trip) statusError(h *hop, ans *answer) error {
	text := h.name() + " answered " + statusText(ans.status)
	if quote := t.clean(ans.text(), maxQuoted); quote != "" {
		text += ": " + quote
	}
	return &StatusError{Status: ans.status, text: text}
}

// Result is what a job leaves behind when it has succeeded.
type Result struct {
	// Status is the status of the last answer: 200 to 299.
	Status int `json:"status"`
	// URL is where redirects have led to, without query values; empty if there were none.
	URL string `json:"url,omitempty"`
	// Headers are some of the answer's: Content-Type, Date, ETag, Last-Modified,
	// Location, Request-Id, X-Correlation-Id and X-Request-Id.
	Headers map[string]string `json:"headers,omitempty"`
	// Body is the first 4 KiB of an answer that is text. Control characters are removed.
	Body string `json:"body,omitempty"`
	// Truncated says that there was more of it, or that its end had not come when the attempt ended.
	Truncated bool `json:"truncated,omitempty"`
}

var keptHeaders = []string{
	"Content-Type", "Date", "Etag", "Last-Modified", "Location", "Request-Id", "X-Correlation-Id", "X-Request-Id",
}

// keep sets the job's result. The call has been made, so nothing here can fail the job.
func (t *trip) keep(h *hop, ans *answer) {
	text := ans.text()
	r := Result{Status: ans.status, Headers: map[string]string{}, Body: firstBytes(text, maxKept)}
	r.Truncated = len(r.Body) < len(text) || ans.err != nil
	r.Body = bellhop.CleanText(r.Body, 2*maxKept)
	if h != t.first {
		r.URL = redactURL(h.url)
	}
	for _, name := range keptHeaders {
		if v := ans.header.Get(name); v != "" {
			r.Headers[name] = bellhop.CleanText(v, 1<<10)
		}
	}
	if err := t.run.SetResult(r); err != nil {
		t.run.Logger().Warn("the answer could not be kept as the job's result", "error", err)
	}
}

// firstBytes cuts text to at most max bytes, between two characters.
func firstBytes(text string, max int) string {
	if len(text) <= max {
		return text
	}
	end := max
	for end > max-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// text returns the body as far as it was read if it is text, else "".
func (a *answer) text() string {
	if enc := a.header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return ""
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	switch {
	case strings.HasPrefix(kind, "text/"), strings.HasSuffix(kind, "+json"), strings.HasSuffix(kind, "+xml"):
		return string(a.body)
	}
	switch kind {
	case "application/json", "application/xml", "application/x-ndjson", "application/javascript", "application/x-www-form-urlencoded":
		return string(a.body)
	}
	return ""
}
