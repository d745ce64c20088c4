package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/web"
)

// uiCmd serves the dashboard alone: it works no jobs.
type uiCmd struct {
	Listen string `help:"Where to listen. Anything but loopback needs a token, a password or users. Default: 127.0.0.1:8081." placeholder:"HOST:PORT" default:"127.0.0.1:8081" from:"BELLHOP_UI_LISTEN"`

	doorFlags
	dashboardFlags
	logFlags
}

// dashboardFlags say how the dashboard looks, and where it leads.
type dashboardFlags struct {
	Title     string `help:"What stands before the name of each page of the dashboard, such as \"shop, production\"." placeholder:"TEXT" from:"BELLHOP_TITLE"`
	TraceLink string `help:"Where traces are: an address with {trace} in it." placeholder:"URL" from:"BELLHOP_TRACE_LINK"`
	LogLink   string `help:"Where logs of jobs are: an address with {job} in it." placeholder:"URL" from:"BELLHOP_LOG_LINK"`
}

// uiResult is the JSON line that ui prints when it is up.
type uiResult struct {
	Listening string `json:"listening"` // the dashboard's address, http://…
	Store     string `json:"store"`
}

// dashboard makes the dashboard of a client, behind a door.
func (f *dashboardFlags) dashboard(client *bellhop.Client, e *entrance, log *slog.Logger) (*web.Server, error) {
	return web.New(client, web.Options{
		Door: e.door, Title: f.Title, Prefix: e.prefix, Links: web.Links{Trace: f.TraceLink, Logs: f.LogLink}, Logger: log,
	})
}

// dashboardOptions are the flags that settings of the dashboard come from.
var dashboardOptions = map[string]string{"Links.Trace": "trace-link", "Links.Logs": "log-link"}

// dashboardError tells which flags or environment variables hold settings that the dashboard cannot use.
func (a *app) dashboardError(err error) error {
	var bad *web.OptionError
	if errors.As(err, &bad) && dashboardOptions[bad.Option] != "" {
		return refused("%s: %s", a.source(dashboardOptions[bad.Option]), bad.Reason)
	}
	return refused("%w", err)
}

// Run serves until ctx ends.
func (c *uiCmd) Run(ctx context.Context, a *app) error {
	e, err := c.openDoor(ctx, a, c.Listen)
	if err != nil {
		return err
	}
	defer e.listener.Close() // the HTTP server closes it too
	log := c.logger(a)
	client, err := a.open(ctx, useShared, bellhop.Logger(log))
	if err != nil {
		return err
	}
	defer client.Close()
	dashboard, err := c.dashboard(client, e, log)
	if err != nil {
		return a.dashboardError(err)
	}
	url := e.url() + "/"
	if a.json {
		err = a.printJSON(uiResult{url, bellhop.MaskAddress(a.store)})
	} else {
		a.print("%s shows %s", a.out.paint(bold, "bellhop"), a.out.paint(bold, url))
		a.fact("store", bellhop.MaskAddress(a.store))
		a.describeDoor(e)
	}
	if err != nil {
		return err
	}
	defer tend(dashboard)()
	return serveAlone(ctx, dashboard, e.listener, log)
}

// tend looks after the dashboard's bulk operations until stop is called, which waits until they are handed over.
func tend(dashboard *web.Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		dashboard.Tend(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// uiShutdown is how long requests to the dashboard may take to end.
const uiShutdown = 10 * time.Second

// serveAlone serves until ctx ends, and then lets what is under way end.
func serveAlone(ctx context.Context, dashboard *web.Server, listener net.Listener, log *slog.Logger) error {
	server := httpServer(dashboard, log)
	server.RegisterOnShutdown(dashboard.Drain)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), uiShutdown)
	defer cancel()
	if err := server.Shutdown(limited); err != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}

// site is the API and the dashboard on one server, both under a prefix: what is not the API's is the dashboard's. Probes and metrics
// are there without the prefix too, for those who do not come through the proxy.
func site(prefix string, api, dashboard http.Handler) http.Handler {
	own := map[string]bool{"/v1": true, "/livez": true, "/readyz": true, "/metrics": true}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, below := strings.CutPrefix(r.URL.Path, prefix)
		switch {
		case below && (own[path] || strings.HasPrefix(path, "/v1/")):
			api.ServeHTTP(w, r)
		case !below && own[r.URL.Path] && r.URL.Path != "/v1":
			moved := r.Clone(r.Context())
			moved.URL.Path, moved.URL.RawPath = prefix+r.URL.Path, ""
			api.ServeHTTP(w, moved)
		default:
			dashboard.ServeHTTP(w, r)
		}
	})
}
