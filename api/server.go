package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/look"
	"github.com/gobellhop/bellhop/internal/probe"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// DefaultMaxBodyBytes is how large a request's body may be if nothing else is said: 16 MiB.
const DefaultMaxBodyBytes = 16 << 20

// Options are the settings of a [Server]. They must say who may come in, by Token, Authorize or Door.
type Options struct {
	// Definitions are the kinds that the program knows. Their jobs get the definitions' defaults, and their arguments are
	// checked at the door. Jobs of other kinds are accepted as they are: workers elsewhere may know them. Default: none.
	Definitions []bellhop.Kinded
	// Token is the simple way to say who may come in: whoever sends it as "Authorization: Bearer …" may do everything. It is of
	// visible ASCII characters. Default: empty.
	Token string
	// Authorize says who may come in, and with which roles; package access has functions for the usual ways. With a Token too,
	// either will do. /livez and /readyz ask nobody. Default nil.
	Authorize access.Authorize
	// Hosts are the names, without a port, that requests may give as their host, besides localhost and loopback
	// addresses, which are always allowed. "*" allows any name; see [access.Door]. Default: none.
	Hosts []string
	// ReadOnly refuses all requests that change something. Default false.
	ReadOnly bool
	// Door decides who comes in, in place of Token, Authorize, Hosts and ReadOnly: it has more settings, and can be shared with
	// the dashboard. Default nil: one is made of those.
	Door *access.Door
	// MaxBodyBytes bounds a request's body, in bytes. Default 0: [DefaultMaxBodyBytes].
	MaxBodyBytes int64
	// Logger tells of failures that are not the caller's. Default nil: the client's.
	Logger *slog.Logger
	// Prefix is the path under which the handler is mounted, such as "/bellhop". Requests come with it: no StripPrefix
	// is needed. It begins with a slash and does not end with one. Default: empty, the root.
	Prefix string
	// Metrics answers GET /metrics, for example prom's handler. It is asked for like any other reading. Default nil: there is no such path.
	Metrics http.Handler
	// Live is asked by /livez; an error means that a new process would do better. It must be quick, never touch the store, and be
	// safe for several goroutines. Default nil: alive as long as it answers.
	Live func() error
	// Ready is asked by /readyz after the store has answered; an error means not ready. It must be quick and safe for several
	// goroutines. Default nil: ready as soon as the store answers.
	Ready func(ctx context.Context) error
}

// Server is the API as an [net/http.Handler]. Make it with [New].
type Server struct {
	client       *bellhop.Client
	definitions  map[string]bellhop.Kinded
	opts         Options
	log          *slog.Logger
	door         *access.Door
	audit        *audit.Log
	mux          *http.ServeMux
	routes       []*route
	document     []byte // openapi.json
	watch        *watch
	rollups      *rollup.Reader
	store        *probe.Store
	queues       *look.Shared[look.Queues]
	promoted     atomic.Uint64 // the look after which due jobs were made ready last; see depths
	bodyTimeout  time.Duration // for a body to arrive
	replyTimeout time.Duration // from the beginning of a request until its reply has been taken
	heartbeat    time.Duration // between comments on an idle event stream

	drain    sync.Once
	draining chan struct{} // closed by Drain
}

// OptionError says that one of the [Options] is not usable.
type OptionError struct {
	// Option is the field's name: "Token".
	Option string
	// Reason says what is wrong with it and what to do. It holds no secret.
	Reason string
}

// Error returns one line.
func (e *OptionError) Error() string { return "api: Options." + e.Option + ": " + e.Reason }

func badOption(option, format string, args ...any) error {
	return &OptionError{option, fmt.Sprintf(format, args...)}
}

// New returns the API of a client. The error joins an [*OptionError] for every setting that is not usable.
func New(client *bellhop.Client, opts Options) (*Server, error) {
	if client == nil {
		return nil, errors.New("api: the client is nil: make one with bellhop.Open")
	}
	if opts.MaxBodyBytes == 0 {
		opts.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if opts.Logger == nil {
		opts.Logger = client.Logger()
	}
	s := &Server{
		client: client, opts: opts, log: opts.Logger, mux: http.NewServeMux(),
		definitions: map[string]bellhop.Kinded{},
		bodyTimeout: time.Minute, replyTimeout: 3 * time.Minute, heartbeat: 15 * time.Second, draining: make(chan struct{}),
	}
	var errs []error
	for _, d := range opts.Definitions {
		if d == nil || s.definitions[d.Kind()] != nil {
			errs = append(errs, badOption("Definitions", "they hold a nil, or a kind twice"))
			continue
		}
		s.definitions[d.Kind()] = d
	}
	if opts.MaxBodyBytes < 0 {
		errs = append(errs, badOption("MaxBodyBytes", "%d is negative: want 0 (16 MiB) or more", opts.MaxBodyBytes))
	}
	if !prefixForm.MatchString(opts.Prefix) {
		errs = append(errs, badOption("Prefix", `%q is not usable: want a path such as "/bellhop", without a slash at its end`, opts.Prefix))
	}
	var bad []error
	s.door, bad = newDoor(opts)
	if errs = append(errs, bad...); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.rollups = rollup.NewReader(client.Store())
	s.watch = &watch{client: client, log: s.log, every: 500 * time.Millisecond}
	s.queues = look.Of(client.Store())
	s.audit = audit.NewLog(client.Store(), s.log)
	s.store = probe.For(client.Store())
	s.document = documentUnder(opts.Prefix)
	s.addRoutes()
	return s, nil
}

var prefixForm = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// addRoutes lists every endpoint. What it takes at least to use a route, on some queue, stands here; handlers ask for the queue
// in question.
func (s *Server) addRoutes() {
	s.routes = []*route{
		{method: "POST", path: "/v1/jobs", need: access.Act, action: "enqueue", media: []string{mediaJSON, mediaLines}, serve: handle(s.enqueue)},
		{method: "GET", path: "/v1/jobs", need: access.Read, serve: handle(s.listJobs)},
		{method: "GET", path: "/v1/jobs/count", need: access.Read, serve: handle(s.countJobs)},
		{method: "POST", path: "/v1/jobs/actions", need: access.Act, action: "act", media: []string{mediaJSON}, serve: handle(s.actOnMany)},
		{method: "GET", path: "/v1/jobs/{id}", need: access.Read, serve: handle(s.getJob)},
		{method: "DELETE", path: "/v1/jobs/{id}", need: access.Admin, action: "delete", serve: handle(s.deleteJob)},
		{method: "GET", path: "/v1/jobs/{id}/events", need: access.Read, serve: s.events},
		{method: "POST", path: "/v1/jobs/{id}/{action}", need: access.Act, action: "act", media: []string{mediaJSON}, optional: true, serve: handle(s.actOnOne)},
		{method: "GET", path: "/v1/queues", need: access.Read, serve: handle(s.listQueues)},
		{method: "POST", path: "/v1/queues/{queue}/pause", need: access.Act, action: "pause", serve: handle(s.pauseQueue)},
		{method: "POST", path: "/v1/queues/{queue}/resume", need: access.Act, action: "resume", serve: handle(s.resumeQueue)},
		{method: "POST", path: "/v1/queues/{queue}/concurrency", need: access.Act, action: "concurrency", media: []string{mediaJSON}, serve: handle(s.setConcurrency)},
		{method: "GET", path: "/v1/queues/{queue}/scale", need: access.Read, serve: handle(s.scaleQueue)},
		{method: "GET", path: "/v1/metrics", need: access.Read, serve: handle(s.getMetrics)},
		{method: "POST", path: "/v1/marks", need: access.Act, action: "mark", media: []string{mediaJSON}, serve: handle(s.setMark)},
		{method: "GET", path: "/v1/processes", need: access.Read, serve: handle(s.listProcesses)},
		{method: "POST", path: "/v1/processes/{process}/drain", need: access.Admin, action: "drain", serve: handle(s.drainProcess)},
		{method: "POST", path: "/v1/processes/{process}/undrain", need: access.Admin, action: "undrain", serve: handle(s.undrainProcess)},
		{method: "GET", path: "/v1/audit", need: access.Admin, serve: handle(s.listAudit)},
		{method: "GET", path: "/v1/openapi.json", need: access.Read, serve: s.openAPI},
		{method: "GET", path: "/livez", serve: handle(s.live)},
		{method: "GET", path: "/readyz", serve: handle(s.ready)},
	}
	if s.opts.Metrics != nil {
		s.routes = append(s.routes, &route{method: "GET", path: "/metrics", need: access.Read, serve: s.metrics})
	}
	for _, rt := range s.routes {
		rt.server = s
		s.mux.Handle(rt.method+" "+s.opts.Prefix+rt.path, rt)
	}
}

// metrics is GET /metrics. It names all queues.
func (s *Server) metrics(w http.ResponseWriter, r *request) {
	if err := access.From(r.Context()).AllowAll(access.Read); err != nil {
		s.refuse(w, r.Request, err)
		return
	}
	s.opts.Metrics.ServeHTTP(w, r.Request)
}

// Drain ends all event streams, so that a graceful stop need not wait for them, and makes /readyz say that the process is
// not ready. Other requests are served as before. It returns at once; calling it again does nothing. It suits
// [net/http.Server.RegisterOnShutdown].
func (s *Server) Drain() {
	s.drain.Do(func() { close(s.draining) })
	s.queues.Drain()
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}
