package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/bulk"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// Options are the settings of a [Server]. With the zero value it refuses everybody.
type Options struct {
	// Authorize says who comes in, and what he may do; package access has ready-made ones. Default nil: nobody comes in.
	Authorize access.Authorize
	// Prefix is the path under which the handler is mounted, such as "/admin/jobs". Requests come with it: no StripPrefix
	// is needed. It begins with a slash and does not end with one. Default: empty, the root.
	Prefix string
	// Hosts are the names, without a port, that requests may give as their host, besides localhost and loopback addresses,
	// which are always allowed. "*" allows any name. Default: none.
	Hosts []string
	// ReadOnly lets everybody look and nobody change anything, whatever their role. Default false.
	ReadOnly bool
	// Door, if set, is a door with settings of its own, for programs that share one among several handlers; Authorize, Hosts and
	// ReadOnly then stay empty. Default nil: one made of those.
	Door *access.Door
	// Title stands before the name of each page: "shop, production". Default: empty, only "Bellhop".
	Title string
	// Links are where pages lead beyond the dashboard. Default: nowhere.
	Links Links
	// Logger tells of failures that are not the visitor's. Default nil: the client's.
	Logger *slog.Logger
}

// Links are templates of addresses of other tools, http or https; an empty one makes no link.
type Links struct {
	// Trace leads to a trace: "https://traces.example.com/trace/{trace}". {trace} is the trace's id.
	Trace string
	// Logs leads to the log lines of a job: "https://logs.example.com/?q=job%3D{job}". {job} is the job's id.
	Logs string
}

// Server is the dashboard as an [net/http.Handler]. Make it with [New].
type Server struct {
	client *bellhop.Client
	opts   Options
	log    *slog.Logger
	door   *access.Door
	mux    *http.ServeMux
	routes []*route
	pages  map[string]*template.Template
	live   *live
	reader *rollup.Reader
	ops    *bulk.Runner
	audit  *audit.Log

	signer   signer
	exports  exports
	pace     pace // of those who take them
	drain    sync.Once
	draining chan struct{} // closed by Drain
}

// OptionError says that one of the [Options] is not usable.
type OptionError struct {
	// Option is the field's name: "Prefix".
	Option string
	// Reason says what is wrong with it and what to do.
	Reason string
}

// Error returns one line.
func (e *OptionError) Error() string { return "web: Options." + e.Option + ": " + e.Reason }

var prefixForm = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// New returns the dashboard of a client. The error joins an [*OptionError] for every setting that is not usable.
func New(client *bellhop.Client, opts Options) (*Server, error) {
	if client == nil {
		return nil, errors.New("web: the client is nil: make one with bellhop.Open")
	}
	if opts.Logger == nil {
		opts.Logger = client.Logger()
	}
	s := &Server{client: client, opts: opts, log: opts.Logger, mux: http.NewServeMux(), draining: make(chan struct{})}
	s.reader = rollup.NewReader(client.Store())
	s.audit = audit.NewLog(client.Store(), s.log)
	var errs []error
	bad := func(option, format string, args ...any) {
		errs = append(errs, &OptionError{option, fmt.Sprintf(format, args...)})
	}
	if !prefixForm.MatchString(opts.Prefix) {
		bad("Prefix", `%q is not usable: want a path such as "/bellhop", without a slash at its end`, opts.Prefix)
	}
	for option, link := range map[string]string{"Links.Trace": opts.Links.Trace, "Links.Logs": opts.Links.Logs} {
		if u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(link)); link != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
			bad(option, `%q is not usable: want an address such as "https://traces.example.com/{trace}"`, link)
		}
	}
	var err error
	if s.door, err = newDoor(opts); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if s.pages, err = s.parseTemplates(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.live = newLive(s)
	s.ops = bulk.New(client, bulk.Options{Ended: s.bulkEnded, Logger: s.log})
	s.pace = exportPace
	s.addRoutes()
	return s, nil
}

// Handler is [New] for programs that write their settings down: it panics if one is not usable.
func Handler(client *bellhop.Client, opts Options) http.Handler {
	s, err := New(client, opts)
	if err != nil {
		panic(err)
	}
	return s
}

// addRoutes lists every page and every action, with the role that it takes. What a route may be used for stands here and nowhere
// else; a handler adds only which queue it is about ([view.need]).
func (s *Server) addRoutes() {
	s.get("/", access.Read, s.overview)
	s.get("/queues", access.Read, s.queues)
	s.get("/queues/{queue...}", access.Read, s.queue)
	s.post("/queues/{queue...}", access.Act, s.actOnQueue)
	s.get("/processes", access.Read, s.processes)
	s.get("/processes/{process}", access.Read, s.process)
	s.post("/processes/{process}", access.Admin, s.actOnProcess)
	s.get("/charts", access.Read, s.charts)
	s.post("/charts/marks", access.Act, s.mark)
	s.get("/audit", access.Read, s.auditPage)
	s.get("/jobs", access.Read, s.jobs)
	s.raw("GET /jobs/count", access.Read, s.jobCounts)
	s.long("GET /jobs/export", access.Read, s.export)
	s.post("/jobs/views", access.Act, s.changeViews)
	s.get("/jobs/{id}", access.Read, s.job)
	s.post("/jobs/{id}", access.Act, s.actOnJob)
	s.get("/jobs/{id}/edit", access.Act, s.editJob)
	s.post("/jobs/{id}/edit", access.Act, s.runEdited)
	s.raw("GET /jobs/{id}/{what}", access.Read, s.jobDownload)
	s.get("/failures", access.Read, s.failures)
	s.get("/bulk", access.Read, s.operations)
	s.get("/bulk/new", access.Act, s.askBulk)
	s.post("/bulk", access.Act, s.startBulk)
	s.get("/bulk/{operation}", access.Read, s.operation)
	s.post("/bulk/{operation}", access.Act, s.actOnOperation)
	s.get("/about", access.Read, s.about)
	s.raw("GET /palette", access.Read, s.palette)
	s.long("GET /live", access.Read, s.stream)
	s.mux.HandleFunc("GET "+s.opts.Prefix+"/assets/{hash}/{name}", s.serveAsset)
}

// Drain ends all live streams, so that a graceful stop need not wait for them, and hands bulk operations to other processes. Other requests are served as before. It returns
// at once; calling it again does nothing. It suits [net/http.Server.RegisterOnShutdown].
func (s *Server) Drain() {
	s.drain.Do(func() { close(s.draining) })
	s.ops.Drain()
	s.live.queues.Drain()
	s.live.rates.Drain()
}

// Tend takes over bulk operations whose process is gone, until ctx ends; then it hands those that are under way here to other
// processes, and returns when that is done. It is for programs whose purpose is to serve the dashboard; elsewhere abandoned operations
// go on when somebody looks at a page. It costs one read of next to nothing every quarter of a minute.
func (s *Server) Tend(ctx context.Context) {
	for tick := time.NewTicker(tendEvery); ; {
		s.ops.Look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			s.ops.Close()
			return
		}
	}
}

// tendEvery is the time between the looks of Tend.
const tendEvery = 16 * time.Second

// storeContext bounds what one request may ask of the store.
func storeContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), storeTimeout)
}
