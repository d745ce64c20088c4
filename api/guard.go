package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"

	"github.com/gobellhop/bellhop"
)

// access says what a route is used for, and so what it takes to use it.
type access uint8

const (
	read access = iota + 1 // looks at jobs
	act                    // changes something
	open                   // tells nothing: probes, which know no token and come by address
)

// guard decides who may come in.
type guard struct {
	hosts    map[string]bool
	anyHost  bool
	token    *[sha256.Size]byte // nil: none is needed
	readOnly bool
	origins  *http.CrossOriginProtection
}

// newGuard makes a guard of the settings, and tells which of them are not usable.
func newGuard(opts Options) (guard, []error) {
	g := guard{hosts: map[string]bool{}, readOnly: opts.ReadOnly, origins: http.NewCrossOriginProtection()}
	var errs []error
	for _, host := range opts.Hosts {
		_, err := netip.ParseAddr(host)
		switch {
		case host == "*":
			g.anyHost = true
		case host == "", err != nil && strings.ContainsAny(host, "/:*@ "):
			errs = append(errs, badOption("Hosts", `%q is not usable: want a name or an address without a port, or "*"`, host))
		default:
			g.hosts[plainHost(host)] = true
		}
	}
	if opts.Token != "" {
		sum := sha256.Sum256([]byte(opts.Token))
		g.token = &sum
		if strings.ContainsFunc(opts.Token, func(c rune) bool { return c <= ' ' || c > '~' }) {
			errs = append(errs, badOption("Token", "it holds a character that no header can carry: want visible ASCII characters without spaces"))
		}
	} else if g.anyHost {
		errs = append(errs, badOption("Hosts", `"*" allows any host, so that any web page could reach the API: set a token too, or name the hosts`))
	}
	return g, errs
}

// admit returns nil if the request may use a route of the given access, else the problem to answer with.
func (g *guard) admit(a access, r *http.Request) error {
	if a == open {
		return nil
	}
	if !g.allowsHost(r.Host) {
		return wrongHost.because("the host %.100q is not one that this server answers for: add it to the allowed hosts", r.Host)
	}
	if err := g.origins.Check(r); err != nil {
		return crossOrigin.because("the request comes from a page of another origin")
	}
	if !g.allowsToken(r.Header) {
		return unauthorized.because(`send the token in the header "Authorization: Bearer …"`)
	}
	if a == act && g.readOnly {
		return readOnly.because("this server changes nothing")
	}
	return nil
}

func (g *guard) allowsHost(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostPort, "["), "]")
	}
	host = plainHost(host)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return true
	}
	return g.anyHost || host == "localhost" || g.hosts[host]
}

func plainHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// allowsToken compares hashes, so that the time it takes tells neither the token's length nor its beginning.
func (g *guard) allowsToken(h http.Header) bool {
	if g.token == nil {
		return true
	}
	given := h.Values("Authorization")
	if len(given) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// ServeHTTP guards, routes and answers; every error it answers with is a [Problem].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply := &response{ResponseWriter: w}
	defer s.recoverPanic(reply, r)
	h := reply.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")

	s.limitTime(reply, r)

	found, _ := s.mux.Handler(r)
	rt, known := found.(*route)
	wanted := read
	if known {
		wanted = rt.access
	}
	err := s.guard.admit(wanted, r)
	if err == nil && !known {
		err = noRoute(found, r)
	}
	if err != nil {
		s.refuse(reply, r, err)
		return
	}
	s.mux.ServeHTTP(reply, r)
}

// noRoute makes a problem of what the mux answers where it knows no route.
func noRoute(found http.Handler, r *http.Request) error {
	says := &silent{header: http.Header{}}
	found.ServeHTTP(says, r)
	if says.status == http.StatusMethodNotAllowed {
		p := wrongMethod.because("%.20q is not among the methods of this path: %s", r.Method, says.header.Get("Allow"))
		p.allow = says.header.Get("Allow")
		return p
	}
	return unknownRoute.because("there is nothing at this path; /v1/openapi.json lists what there is")
}

// silent is a response writer that remembers status and header only.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(b []byte) (int, error) { return len(b), nil }
func (s *silent) WriteHeader(status int)      { s.status = status }

// response remembers whether the reply has begun.
type response struct {
	http.ResponseWriter
	begun bool
}

func (w *response) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] find the writer below.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) recoverPanic(w *response, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.log.Error("a request panicked", "method", r.Method, "path", bellhop.CleanText(r.URL.Path, 256),
		"panic", bellhop.CleanText(fmt.Sprint(v), 1024), "stack", string(debug.Stack()))
	if w.begun {
		panic(http.ErrAbortHandler) // the reply is cut off, so that nobody takes it for whole
	}
	writeProblem(w, internal.because("the server's log tells why"))
}
