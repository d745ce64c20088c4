package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

// serveCmd serves the API and the dashboard and works jobs, in one process on one store.
type serveCmd struct {
	Listen    string   `help:"Where to listen. Anything but loopback needs a token. Default: 127.0.0.1:8080." placeholder:"HOST:PORT" default:"127.0.0.1:8080" from:"BELLHOP_LISTEN"`
	TokenFile string   `help:"A file with the token that callers must send (Authorization: Bearer TOKEN). BELLHOP_TOKEN may hold the token itself." placeholder:"FILE" from:"BELLHOP_TOKEN_FILE"`
	Host      []string `help:"Names by which callers may address the server, besides loopback. Default: any if there is a token and it listens elsewhere than on loopback, else none." placeholder:"NAME" from:"BELLHOP_HOSTS"`
	ReadOnly  bool     `help:"Refuse all calls that change something." from:"BELLHOP_READ_ONLY"`

	dashboardFlags

	MaxArguments int `help:"How many bytes of arguments a job may have, up to 1048576. Default: 131072." placeholder:"BYTES" default:"131072" from:"BELLHOP_MAX_ARGUMENTS"`

	workerFlags
}

// serveResult is the JSON line that serve prints when it is up.
type serveResult struct {
	Listening string `json:"listening"` // the address to speak to, http://…
	workResult
}

// Timeouts and limits of the HTTP server; those of a body belong to the API.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Run serves until ctx ends, and then drains.
func (c *serveCmd) Run(ctx context.Context, a *app) error {
	token, err := c.token(a)
	if err != nil {
		return err
	}
	listener, err := c.listen(ctx, token)
	if err != nil {
		return err
	}
	defer listener.Close() // the HTTP server closes it too
	p, err := c.start(ctx, a, useAlone, bellhop.MaxArguments(c.MaxArguments))
	if err != nil {
		return err
	}
	defer p.close()
	server, err := api.New(p.client, api.Options{
		Definitions: definitions(), Token: token, Hosts: c.hosts(listener, token), Logger: p.log, ReadOnly: c.ReadOnly,
		Live: p.worker.Alive, Ready: func(context.Context) error { return p.worker.Ready() }, Metrics: p.metrics.Handler(p.log),
	})
	if err != nil {
		return a.optionError(err)
	}
	dashboard, err := c.dashboard(p.client, token, c.hosts(listener, token), c.ReadOnly, p.log)
	if err != nil {
		return a.dashboardError(err)
	}
	web := httpServer(site(server, dashboard), p.log)
	web.RegisterOnShutdown(server.Drain)
	web.RegisterOnShutdown(dashboard.Drain)
	url := "http://" + listener.Addr().String()
	if err := c.announce(a, p, url, token != ""); err != nil {
		return err
	}
	return p.run(ctx, httpPart(web, listener))
}

// httpServer is a server with limits on what callers may take their time with.
func httpServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// optionFlags are the flags that settings of the API come from.
var optionFlags = map[string]string{"Token": "token-file", "Hosts": "host"}

// optionError tells which flags or environment variables hold settings that the API cannot use.
func (a *app) optionError(err error) error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return refused("%w", err)
	}
	var texts []string
	for _, err := range joined.Unwrap() {
		var bad *api.OptionError
		if errors.As(err, &bad) && optionFlags[bad.Option] != "" {
			texts = append(texts, a.source(optionFlags[bad.Option])+": "+bad.Reason)
		} else {
			texts = append(texts, err.Error())
		}
	}
	return refused("%s", strings.Join(texts, "; "))
}

// announce says that the server is up, and what it is.
func (c *serveCmd) announce(a *app, p *process, url string, token bool) error {
	if a.json {
		return a.printJSON(serveResult{url, p.result()})
	}
	a.print("%s listens on %s", a.out.paint(bold, "bellhop"), a.out.paint(bold, url))
	p.describe()
	p.fact("dashboard", url+strings.TrimSuffix(c.Prefix, "/")+"/")
	if token {
		p.fact("token", "needed: Authorization: Bearer …; in a browser user "+dashboardUser+", and the token as password")
	}
	p.fact("try", fmt.Sprintf(`curl %s/v1/jobs -H 'Content-Type: application/json' -d '{"kind":"http.request","args":{"url":"https://example.com"}}'`, url))
	return nil
}

// token returns the token, empty if there is none.
func (c *serveCmd) token(a *app) (string, error) {
	token := a.env("BELLHOP_TOKEN")
	switch {
	case c.TokenFile != "" && token != "":
		return "", usage("give BELLHOP_TOKEN or --token-file, not both")
	case c.TokenFile != "":
		var err error
		if token, err = readSecret("the token", c.TokenFile); err != nil {
			return "", err
		}
	}
	if token != "" && c.TokenFile == "" {
		a.origin["token-file"] = "BELLHOP_TOKEN"
	}
	a.hide(token)
	return token, nil
}

// listenAddress reads the flag --listen.
func listenAddress(text string) (*net.TCPAddr, error) {
	address, err := net.ResolveTCPAddr("tcp", text)
	if err != nil {
		return nil, refused("--listen: %q is not an address to listen on: want HOST:PORT, such as 127.0.0.1:8080: %w", text, err)
	}
	return address, nil
}

// listen listens, unless that would let strangers in.
func (c *serveCmd) listen(ctx context.Context, token string) (net.Listener, error) {
	address, err := listenAddress(c.Listen)
	if err != nil {
		return nil, err
	}
	if !address.IP.IsLoopback() && token == "" {
		return nil, refused("--listen: %s can be reached from other machines, and anybody there could enqueue jobs: "+
			"set a token by BELLHOP_TOKEN or --token-file, or listen on 127.0.0.1", c.Listen)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address.String())
	if err != nil {
		var system *os.SyscallError
		if errors.As(err, &system) {
			err = system.Err
		}
		return nil, fmt.Errorf("listen on %s: %w: is another server there? --listen chooses another address", c.Listen, err)
	}
	return listener, nil
}

// hosts returns the names that callers may give. Whoever knows the token may use any: it is the names of others that a web page
// could misuse, and no web page knows the token.
func (c *serveCmd) hosts(l net.Listener, token string) []string {
	at, ok := l.Addr().(*net.TCPAddr)
	if len(c.Host) == 0 && token != "" && ok && !at.IP.IsLoopback() {
		return []string{"*"}
	}
	hosts := make([]string, len(c.Host))
	for i, h := range c.Host {
		hosts[i] = strings.TrimSpace(h)
	}
	return hosts
}
