package cli

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

// serveCmd serves the API and the dashboard and works jobs, in one process on one store.
type serveCmd struct {
	Listen string `help:"Where to listen. Anything but loopback needs a token, a password or users. Default: 127.0.0.1:8080." placeholder:"HOST:PORT" default:"127.0.0.1:8080" from:"BELLHOP_LISTEN"`

	doorFlags
	dashboardFlags

	MaxArguments int `help:"How many bytes of arguments a job may have, up to 1048576. Default: 131072." placeholder:"BYTES" default:"131072" from:"BELLHOP_MAX_ARGUMENTS"`

	workerFlags
}

// serveResult is the JSON line that serve prints when it is up.
type serveResult struct {
	Listening string `json:"listening"` // the address to speak to, http://…
	workResult
}

// Run serves until ctx ends, and then drains.
func (c *serveCmd) Run(ctx context.Context, a *app) error {
	e, err := c.openDoor(ctx, a, c.Listen)
	if err != nil {
		return err
	}
	defer e.listener.Close() // the HTTP server closes it too
	p, err := c.start(ctx, a, useAlone, bellhop.MaxArguments(c.MaxArguments))
	if err != nil {
		return err
	}
	defer p.close()
	server, err := api.New(p.client, api.Options{
		Definitions: definitions(), Door: e.door, Logger: p.log, Prefix: e.prefix,
		Live: p.worker.Alive, Ready: func(context.Context) error { return p.worker.Ready() }, Metrics: p.metrics.Handler(p.log),
	})
	if err != nil {
		return refused("%w", err)
	}
	dashboard, err := c.dashboard(p.client, e, p.log)
	if err != nil {
		return a.dashboardError(err)
	}
	web := httpServer(site(e.prefix, server, dashboard), p.log)
	web.RegisterOnShutdown(server.Drain)
	web.RegisterOnShutdown(dashboard.Drain)
	if err := c.announce(a, p, e); err != nil {
		return err
	}
	defer tend(dashboard)()
	return p.run(ctx, httpPart(web, e.listener))
}

// announce says that the server is up, and what it is.
func (c *serveCmd) announce(a *app, p *process, e *entrance) error {
	url := e.url()
	if a.json {
		return a.printJSON(serveResult{url, p.result()})
	}
	a.print("%s listens on %s", a.out.paint(bold, "bellhop"), a.out.paint(bold, url))
	p.describe()
	p.fact("dashboard", url+"/")
	a.describeDoor(e)
	p.fact("try", fmt.Sprintf(`curl %s/v1/jobs -H 'Content-Type: application/json' -d '{"kind":"http.request","args":{"url":"https://example.com"}}'`, url))
	return nil
}
