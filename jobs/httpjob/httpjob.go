package httpjob

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/gobellhop/bellhop"
)

// Config says how the handler makes its calls. The zero value is a good one.
type Config struct {
	// Definition is the definition to work. Default: [Request].
	Definition *bellhop.Definition[Args]
	// AllowPrivateAddresses lets calls go to addresses that are not public:
	// loopback, private and link-local networks and so on. By default they are
	// refused, so that whoever may enqueue a job cannot reach what stands behind
	// the firewall.
	AllowPrivateAddresses bool
	// Secrets are what jobs may be signed with, by the names that they give in
	// their signing member. A value is whsec_ and at least 24 bytes in base64;
	// several, with spaces between them, sign each request several times, so
	// that a secret can be changed without a gap.
	Secrets map[string]string
	// UserAgent is sent with each request that does not bring its own.
	// Default: bellhop/ and the version.
	UserAgent string
	// TLS is used for https; it is cloned. Default: the system's roots, TLS 1.2 and later.
	TLS *tls.Config
	// Timeout bounds the attempts of jobs that have no timeout at all. Default: [Timeout].
	Timeout time.Duration
}

// New returns the handler of http.request for a worker's Handle. It keeps a
// pool of connections for all its jobs; an idle one is closed after 90 s. A
// proxy named by the environment is not used. The error says what is wrong
// with the configuration, and holds no secret.
func New(c Config) (bellhop.Handler, error) {
	s, err := newSender(c)
	if err != nil {
		return bellhop.Handler{}, err
	}
	return s.handler(c.Definition), nil
}

// sender makes the calls of all jobs.
type sender struct {
	secrets   map[string]secrets
	userAgent string
	timeout   time.Duration
	backoff   bellhop.Backoff
	transport *http.Transport
	resolver  *net.Resolver // nil: the system's
	permitted func(netip.Addr) bool
	now       func() time.Time
	random    func() float64
}

func newSender(c Config) (*sender, error) {
	s := &sender{
		secrets: map[string]secrets{}, userAgent: c.UserAgent, timeout: c.Timeout,
		permitted: public, now: time.Now, random: rand.Float64,
	}
	for name, text := range c.Secrets {
		if err := bellhop.CheckName("secret", name); err != nil {
			return nil, fmt.Errorf("http.request: %w", err)
		}
		keys, err := parseSecrets(text)
		if err != nil {
			return nil, fmt.Errorf("http.request: secret %q: %w", name, err)
		}
		s.secrets[name] = keys
	}
	if s.userAgent == "" {
		s.userAgent = "bellhop/" + version()
	}
	if !validHeaderValue(s.userAgent) {
		return nil, fmt.Errorf("http.request: the user agent %.64q has a control character in it", s.userAgent)
	}
	if s.timeout < 0 {
		return nil, fmt.Errorf("http.request: the timeout %v is negative", s.timeout)
	}
	if s.timeout == 0 {
		s.timeout = Timeout
	}
	if c.AllowPrivateAddresses {
		s.permitted = func(netip.Addr) bool { return true }
	}
	s.transport = s.newTransport(c.TLS)
	return s, nil
}

func (s *sender) handler(d *bellhop.Definition[Args]) bellhop.Handler {
	if d == nil {
		d = Request
	}
	h := d.With(s.run)
	s.backoff = h.Policy().Backoff
	return h
}

func (s *sender) newTransport(config *tls.Config) *http.Transport {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Transport{
		Proxy:                  nil, // a proxy would resolve names itself, past the look at the address
		DialContext:            s.dial,
		TLSClientConfig:        config.Clone(),
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // the bounds then count the bytes of the wire, and nothing can unfold
	}
}

// bound returns the context of one attempt.
func (s *sender) bound(ctx context.Context, a Args) (context.Context, context.CancelFunc) {
	limit := time.Duration(a.TimeoutMS) * time.Millisecond
	if _, has := ctx.Deadline(); limit == 0 && !has {
		limit = s.timeout
	}
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	cause := fmt.Errorf("no complete answer within %v: %w", limit, context.DeadlineExceeded)
	return context.WithTimeoutCause(ctx, limit, cause)
}

// version returns the module's version as the program was built with it, or "dev".
func version() string {
	const module = "github.com/gobellhop/bellhop"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	found := ""
	if info.Main.Path == module {
		found = info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			found = dep.Version
		}
	}
	if found == "" || found == "(devel)" {
		return "dev"
	}
	return found
}
