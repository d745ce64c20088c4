package httpjob

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/builtin"
)

// Kind is the kind of the jobs of this package.
const Kind = "http.request"

// Timeout is how long one attempt may take, redirects and reading included,
// unless the definition or the job says otherwise.
const Timeout = 30 * time.Second

// Limits of one request.
const (
	maxURL       = 8 << 10 // bytes
	maxHeaders   = 64
	maxHeaderLen = 8 << 10 // bytes of one value
	maxTimeoutMS = int64(time.Hour / time.Millisecond)
)

// Args are the arguments of a job: one HTTP call. As JSON:
//
//	{"method":"POST","url":"https://example.com/hook","headers":{"X-Plan":"pro"},"body":"{\"id\":7}"}
type Args struct {
	// Method is the method in capital letters. Default: POST. CONNECT and TRACE are refused.
	Method string `json:"method,omitempty"`
	// URL is where to: http or https, at most 8 KiB, without a user and password
	// (give an Authorization header instead). A fragment is not sent.
	URL string `json:"url"`
	// Headers are sent as they are, at most 64. Refused are Host (it is the
	// URL's), those that belong to the connection, such as Content-Length, and
	// those that this package sets, such as Bellhop-Job-Id. Idempotency-Key,
	// User-Agent, Content-Type and traceparent replace the ones we would send.
	Headers map[string]string `json:"headers,omitempty"`
	// Body is sent as it is. Without a Content-Type header it is sent as
	// application/json if it is a JSON object or array, else as text/plain.
	Body string `json:"body,omitempty"`
	// BodyBase64 is the body in place of Body, for bytes that are not text.
	// Without a Content-Type header it is sent as application/octet-stream.
	BodyBase64 []byte `json:"body_base64,omitempty"`
	// TimeoutMS bounds one attempt, in milliseconds: 1 to 3,600,000. The job's
	// own timeout bounds it too, so that a longer time than that has no effect.
	// 0, the default, means that the job's timeout alone counts.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
	// Signing names a secret of [Config].Secrets: the request is signed with it
	// by the rules of Standard Webhooks. Empty, the default, means no signature.
	Signing string `json:"signing,omitempty"`
}

// Request is the definition of http.request with its defaults.
var Request = Define()

// Define makes a definition of http.request with other defaults than
// [Request]'s: each attempt is bounded by [Timeout], and the arguments are
// checked before they are enqueued; opts come after that. Give it to [New] in
// [Config].Definition. It panics if an option is not for definitions.
func Define(opts ...bellhop.Option) *bellhop.Definition[Args] {
	return builtin.Define[Args](Kind, Timeout, opts...)
}

// Check tells whether the call can be made as far as its arguments go. The
// error is one line that names the member.
func (a Args) Check() error {
	if err := checkMethod(a.method()); err != nil {
		return err
	}
	if a.URL == "" {
		return errors.New("url: missing")
	}
	if _, err := parseURL(a.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if err := checkHeaders(a.Headers); err != nil {
		return err
	}
	if a.Body != "" && len(a.BodyBase64) > 0 {
		return errors.New("body and body_base64: both are given; give one of them")
	}
	if a.TimeoutMS < 0 || a.TimeoutMS > maxTimeoutMS {
		return fmt.Errorf("timeout_ms: %d is out of range: want 1 to %d", a.TimeoutMS, maxTimeoutMS)
	}
	if a.Signing != "" {
		if err := bellhop.CheckName("secret", a.Signing); err != nil {
			return fmt.Errorf("signing: %w", err)
		}
	}
	return nil
}

func (a Args) method() string {
	if a.Method == "" {
		return http.MethodPost
	}
	return a.Method
}

func (a Args) payload() []byte {
	if len(a.BodyBase64) > 0 {
		return a.BodyBase64
	}
	return []byte(a.Body)
}

func checkMethod(m string) error {
	upper := strings.ToUpper(m)
	switch {
	case len(m) > 32 || strings.Trim(upper, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return fmt.Errorf("method: %.40q is not a method: want one such as GET or POST", m)
	case m != upper:
		return fmt.Errorf("method: %q: methods are in capital letters: want %q", m, upper)
	case m == http.MethodConnect || m == http.MethodTrace:
		return fmt.Errorf("method: %s is not for calls: want one such as GET or POST", m)
	}
	return nil
}

// parseURL reads an absolute URL that a job may call. Errors do not quote it,
// because it may hold secrets.
func parseURL(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(text), maxURL)
	}
	u, err := url.Parse(text)
	if err != nil {
		var inner *url.Error // its text has the whole URL
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, fmt.Errorf("not a URL: %s", bellhop.CleanText(err.Error(), 128))
	}
	return u, checkURL(u)
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme is %.16q: want an absolute URL that begins with https:// or http://", u.Scheme)
	case u.User != nil:
		return errors.New("a user or password stands before the host: give an Authorization header instead")
	case u.Hostname() == "":
		return errors.New("there is no host")
	case strings.ContainsAny(u.Host, " \t\r\n"):
		return errors.New("the host has white space in it")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("the port %.8q is out of range: want 1 to 65535", port)
		}
	}
	return nil
}

// reserved are the headers that a job may not set, with the reason.
var reserved = map[string]string{
	"Host":                "it comes from the URL: put the host there",
	"Content-Length":      ofConnection,
	"Transfer-Encoding":   ofConnection,
	"Connection":          ofConnection,
	"Keep-Alive":          ofConnection,
	"Proxy-Connection":    ofConnection,
	"Proxy-Authorization": ofConnection,
	"Te":                  ofConnection,
	"Trailer":             ofConnection,
	"Upgrade":             ofConnection,
	"Expect":              ofConnection,
	"Http2-Settings":      ofConnection,
	headerJobID:           setByUs,
	headerAttempt:         setByUs,
	headerWebhookID:       setByUs + "; name a secret in signing",
	headerWebhookTime:     setByUs + "; name a secret in signing",
	headerWebhookSign:     setByUs + "; name a secret in signing",
}

const (
	ofConnection = "it belongs to the connection"
	setByUs      = "it is set for each request"
)

// checkHeaders looks at names and values. Values are not quoted: they may be secrets.
func checkHeaders(headers map[string]string) error {
	if len(headers) > maxHeaders {
		return fmt.Errorf("headers: %d are more than the limit of %d", len(headers), maxHeaders)
	}
	seen := map[string]bool{}
	for name, value := range headers {
		if !validHeaderName(name) {
			return fmt.Errorf("headers: %.64q is not a header's name", name)
		}
		canonical := http.CanonicalHeaderKey(name)
		if why, no := reserved[canonical]; no {
			return fmt.Errorf("headers: %s cannot be given: %s", canonical, why)
		}
		if seen[canonical] {
			return fmt.Errorf("headers: %s is given twice", canonical)
		}
		seen[canonical] = true
		if len(value) > maxHeaderLen {
			return fmt.Errorf("headers: the value of %s has %d bytes, more than the limit of %d", canonical, len(value), maxHeaderLen)
		}
		if !validHeaderValue(value) {
			return fmt.Errorf("headers: the value of %s has a line break or another control character in it", canonical)
		}
	}
	return nil
}

// validHeaderName reports whether name is a token (RFC 9110, section 5.6.2).
func validHeaderName(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// validHeaderValue reports whether value can stand in one line.
func validHeaderValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
