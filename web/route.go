package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/reply"
)

const (
	storeTimeout = 30 * time.Second // for all store calls of one request
	bodyTimeout  = 30 * time.Second // for a form to arrive
	replyTimeout = time.Minute      // from the beginning of a request until its reply has been taken
	maxForm      = 2 << 20          // bytes of a form: a job's arguments, escaped
)

// route is one page or one action.
type route struct {
	server  *Server
	pattern string      // "GET /queues/{queue...}", without the prefix
	role    access.Role // the least that it takes on some queue; handlers ask for the queue in question
	page    func(*view) (*page, error)
	do      func(*view) (*done, error)
	raw     func(*view) error
	long    bool // it goes on for longer than the store may take for a request, and bounds what it asks itself
}

// done is what a handler answers a POST with: where to go on, and what to say there.
type done struct {
	to   string // a path within the dashboard, with its query: "/queues?page=2"
	said string // "Queue mail is paused."
	bad  bool   // said tells of something that did not work
}

func (s *Server) get(path string, role access.Role, page func(*view) (*page, error)) {
	s.route(&route{pattern: "GET " + path, role: role, page: page})
}

func (s *Server) post(path string, role access.Role, do func(*view) (*done, error)) {
	s.route(&route{pattern: "POST " + path, role: role, do: do})
}

// raw adds a route whose handler writes its own reply.
func (s *Server) raw(pattern string, role access.Role, serve func(*view) error) {
	s.route(&route{pattern: pattern, role: role, raw: serve})
}

// long is raw for a reply that takes long.
func (s *Server) long(pattern string, role access.Role, serve func(*view) error) {
	s.route(&route{pattern: pattern, role: role, raw: serve, long: true})
}

func (s *Server) route(rt *route) {
	rt.server = s
	s.routes = append(s.routes, rt)
	method, path, _ := strings.Cut(rt.pattern, " ")
	if path == "/" {
		path = "/{$}"
		if s.opts.Prefix != "" {
			s.mux.Handle(method+" "+s.opts.Prefix, rt)
		}
	} else if !strings.Contains(path, "{") { // with a slash at its end too
		s.mux.Handle(method+" "+s.opts.Prefix+path+"/{$}", rt)
	}
	s.mux.Handle(method+" "+s.opts.Prefix+path, rt)
}

// ServeHTTP leads a request through the door to its handler; every error becomes a page that says what is wrong and what to do.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := reply.New(w)
	v := &view{Request: r, s: s, w: out}
	defer s.recoverPanic(v, out)
	h := out.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	control := http.NewResponseController(out)
	now := time.Now()
	// The time for a body would end a request that has none as well: net/http reads on to see whether the browser is still there.
	if r.ContentLength == 0 {
		_ = control.SetReadDeadline(time.Time{}) // a writer without deadlines has none to set
	} else {
		_ = control.SetReadDeadline(now.Add(bodyTimeout))
	}
	_ = control.SetWriteDeadline(now.Add(replyTimeout))

	if strings.HasPrefix(r.URL.Path, s.opts.Prefix+"/assets/") {
		s.mux.ServeHTTP(out, r)
		return
	}
	if err := s.admit(v); err != nil {
		s.auditStranger(r, err)
		v.fail(err)
		return
	}
	found, _ := s.mux.Handler(r)
	if _, known := found.(*route); !known {
		v.fail(noRoute(found, r))
		return
	}
	s.mux.ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), viewKey{}, v)))
}

type viewKey struct{}

// ServeHTTP runs the route's handler; the mux has read the path.
func (rt *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, _ := r.Context().Value(viewKey{}).(*view)
	if v == nil { // only Server.ServeHTTP comes here
		http.Error(w, "closed", http.StatusForbidden)
		return
	}
	ctx, cancel := storeContext(r)
	defer cancel()
	v.Request, v.route = r, rt
	if !rt.long {
		v.Request = r.WithContext(ctx)
	}
	err := rt.serve(v)
	switch {
	case err == nil:
	case v.watched != nil:
		v.watched.err = err
	default:
		v.fail(err)
	}
}

func (rt *route) serve(v *view) error {
	if err := v.viewer.AllowAny(rt.role); err != nil {
		if rt.do != nil {
			_, path, _ := strings.Cut(rt.pattern, " ")
			v.s.audit.Write(v.Context(), v.entry(audit.Entry{Action: "POST " + path, Target: shorten(v.here(), 200), Refused: err.Error()}))
		}
		return err
	}
	switch {
	case rt.raw != nil:
		return rt.raw(v)
	case rt.page != nil:
		p, err := (*page)(nil), v.checkPage()
		if err == nil {
			p, err = rt.page(v)
		}
		if v.watched != nil {
			v.watched.page, v.watched.err = p, err
			return nil
		}
		if err != nil {
			return err
		}
		return v.render(p)
	}
	v.Body = http.MaxBytesReader(v.w, v.Body, maxForm)
	if err := v.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &problem{status: http.StatusRequestEntityTooLarge, title: "That is too much", detail: fmt.Sprintf("the form has more than %d bytes", maxForm)}
		}
		return &problem{status: http.StatusBadRequest, title: "The form cannot be read", detail: err.Error()}
	}
	d, err := rt.do(v)
	if again := (*shownAgain)(nil); errors.As(err, &again) {
		return v.render(again.page)
	}
	if err != nil {
		return err
	}
	return v.finish(d)
}

// noRoute makes a problem of what the mux answers where it knows no route.
func noRoute(found http.Handler, r *http.Request) error {
	says := reply.NewSilent()
	found.ServeHTTP(says, r)
	switch {
	case says.Status == http.StatusMethodNotAllowed:
		return &problem{
			status: says.Status, title: "That cannot be done here", allow: says.Header().Get("Allow"),
			detail: fmt.Sprintf("%.20q is not among the methods of this address: %s", r.Method, says.Header().Get("Allow")),
		}
	case says.Header().Get("Location") != "":
		return &problem{status: says.Status, to: says.Header().Get("Location")}
	}
	return &problem{status: http.StatusNotFound, title: "There is nothing here", detail: "No page has this address."}
}

func (s *Server) recoverPanic(v *view, w *reply.Writer) {
	w.Panicked(recover(), s.log, "a page panicked", v.Request, func() { v.fail(errors.New("a page panicked")) })
}
