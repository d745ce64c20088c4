package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/gobellhop/bellhop/internal/probe"
)

// workCmd works jobs without the API.
type workCmd struct {
	Probe   string `help:"Answer the probes /livez and /readyz there; they tell nothing but yes or no." placeholder:"HOST:PORT" from:"BELLHOP_PROBE"`
	Metrics bool   `help:"Answer /metrics at the address of --probe too. Whoever reaches it can read the names of queues and kinds." from:"BELLHOP_METRICS"`

	workerFlags
}

// Run works until ctx ends, and then drains.
func (c *workCmd) Run(ctx context.Context, a *app) error {
	if c.Metrics && c.Probe == "" {
		return usage("--metrics: say where, by --probe")
	}
	listener, err := c.listen(ctx)
	if err != nil {
		return err
	}
	p, err := c.start(ctx, a, useShared)
	if err != nil {
		if listener != nil {
			_ = listener.Close()
		}
		return err
	}
	defer p.close()
	if a.json {
		if err := a.printJSON(p.result()); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%s works\n", a.out.paint(bold, "bellhop"))
		p.describe()
	}
	if listener == nil {
		return p.run(ctx, nil)
	}
	p.fact("probes", "http://"+listener.Addr().String()+"/livez and /readyz")
	return p.run(ctx, c.answers(p, listener))
}

// listen listens for probes; nil if none are wanted.
func (c *workCmd) listen(ctx context.Context) (net.Listener, error) {
	if c.Probe == "" {
		return nil, nil
	}
	address, err := net.ResolveTCPAddr("tcp", c.Probe)
	if err != nil {
		return nil, refused("--probe: %q is not an address to listen on: want HOST:PORT, such as :8081: %w", c.Probe, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %s for probes: %w", c.Probe, err)
	}
	return listener, nil
}

// answers is the part of the process that answers probes.
func (c *workCmd) answers(p *process, listener net.Listener) *part {
	opts := probe.Options{Live: p.worker.Alive, Ready: p.worker.Ready, Store: probe.For(p.client.Store()), Log: p.log}
	if c.Metrics {
		opts.Metrics = p.metrics.Handler(p.log)
	}
	return httpPart(&http.Server{
		Handler: probe.Handler(opts), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readHeaderTimeout, WriteTimeout: readHeaderTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}, listener)
}

// httpPart is a part of a process that serves HTTP.
func httpPart(server *http.Server, listener net.Listener) *part {
	return &part{
		run: func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve HTTP: %w", err)
			}
			return nil
		},
		drain: server.Shutdown,
		kill:  func() { _ = server.Close() },
	}
}
