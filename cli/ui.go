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
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/web"
)

// uiCmd serves the dashboard alone: it works no jobs.
type uiCmd struct {
	Listen    string   `help:"Where to listen. Anything but loopback needs a token. Default: 127.0.0.1:8081." placeholder:"HOST:PORT" default:"127.0.0.1:8081" from:"BELLHOP_UI_LISTEN"`
	TokenFile string   `help:"A file with the token: browsers ask for it as the password of the user bellhop. BELLHOP_TOKEN may hold the token itself." placeholder:"FILE" from:"BELLHOP_TOKEN_FILE"`
	Host      []string `help:"Names by which browsers may address the server, besides loopback. Default: any if there is a token and it listens elsewhere than on loopback, else none." placeholder:"NAME" from:"BELLHOP_HOSTS"`
	ReadOnly  bool     `help:"Let everybody look and nobody change anything." from:"BELLHOP_READ_ONLY"`

	dashboardFlags
	logFlags
}

// dashboardFlags say how the dashboard looks, and where it leads.
type dashboardFlags struct {
	Title     string `help:"What stands before the name of each page of the dashboard, such as \"shop, production\"." placeholder:"TEXT" from:"BELLHOP_TITLE"`
	Prefix    string `help:"The path under which a proxy shows the dashboard, such as /bellhop. It passes requests on with it." placeholder:"PATH" from:"BELLHOP_PREFIX"`
	TraceLink string `help:"Where traces are: an address with {trace} in it." placeholder:"URL" from:"BELLHOP_TRACE_LINK"`
	LogLink   string `help:"Where logs of jobs are: an address with {job} in it." placeholder:"URL" from:"BELLHOP_LOG_LINK"`
}

// uiResult is the JSON line that ui prints when it is up.
type uiResult struct {
	Listening string `json:"listening"` // the dashboard's address, http://…
	Store     string `json:"store"`
}

// dashboardUser is who browsers log in as when there is a token.
const dashboardUser = "bellhop"

// dashboard makes the dashboard of a client. Without a token everybody comes in who can reach it, which is this machine only.
func (f *dashboardFlags) dashboard(client *bellhop.Client, token string, hosts []string, readOnly bool, log *slog.Logger) (*web.Server, error) {
	authorize := access.Everyone(access.Admin)
	if token != "" {
		authorize = access.First(access.Basic(dashboardUser, token, access.Admin), access.Bearer(token, access.Admin))
	}
	return web.New(client, web.Options{
		Authorize: authorize, Hosts: hosts, ReadOnly: readOnly, Title: f.Title, Prefix: strings.TrimSuffix(f.Prefix, "/"),
		Links: web.Links{Trace: f.TraceLink, Logs: f.LogLink}, Logger: log,
	})
}

// dashboardOptions are the flags that settings of the dashboard come from.
var dashboardOptions = map[string]string{"Prefix": "prefix", "Hosts": "host", "Links.Trace": "trace-link", "Links.Logs": "log-link"}

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
	door := serveCmd{Listen: c.Listen, TokenFile: c.TokenFile, Host: c.Host}
	token, err := door.token(a)
	if err != nil {
		return err
	}
	listener, err := door.listen(ctx, token)
	if err != nil {
		return err
	}
	defer listener.Close() // the HTTP server closes it too
	log := c.logger(a)
	client, err := a.open(ctx, useShared, bellhop.Logger(log))
	if err != nil {
		return err
	}
	defer client.Close()
	dashboard, err := c.dashboard(client, token, door.hosts(listener, token), c.ReadOnly, log)
	if err != nil {
		return a.dashboardError(err)
	}
	url := "http://" + listener.Addr().String() + strings.TrimSuffix(c.Prefix, "/") + "/"
	if a.json {
		err = a.printJSON(uiResult{url, bellhop.MaskAddress(a.store)})
	} else {
		a.print("%s shows %s", a.out.paint(bold, "bellhop"), a.out.paint(bold, url))
		a.fact("store", bellhop.MaskAddress(a.store))
		if token != "" {
			a.fact("log in", "user "+dashboardUser+", and the token as password")
		}
	}
	if err != nil {
		return err
	}
	return serveAlone(ctx, dashboard, listener, log)
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

// site is the API and the dashboard on one server: what is not the API's is the dashboard's.
func site(api, dashboard http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case strings.HasPrefix(path, "/v1/"), path == "/v1", path == "/livez", path == "/readyz", path == "/metrics":
			api.ServeHTTP(w, r)
		default:
			dashboard.ServeHTTP(w, r)
		}
	})
}
