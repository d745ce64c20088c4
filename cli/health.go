package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// healthCmd asks a running process for its health: what an image without a shell or curl needs for its probes.
type healthCmd struct {
	Address string        `arg:"" optional:"" help:"Where serve listens, or the probes of work: HOST:PORT or a URL. Default: what BELLHOP_PROBE or BELLHOP_LISTEN says, else 127.0.0.1:8080."`
	Live    bool          `help:"Ask whether it lives, which does not depend on the store, instead of whether it is ready."`
	Timeout time.Duration `help:"How long to wait for the answer." default:"5s"`
}

// healthResult is the JSON of health.
type healthResult struct {
	URL     string `json:"url"`
	Healthy bool   `json:"healthy"`
	Detail  string `json:"detail,omitempty"`
}

// Run asks; the exit code is 0 if the answer is yes, 1 if it is no, and 5 if there is none.
func (c *healthCmd) Run(ctx context.Context, a *app) error {
	target, err := c.target(a)
	if err != nil {
		return err
	}
	if c.Timeout <= 0 {
		return usage("--timeout must be positive")
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return usage("%q is not an address: want HOST:PORT or a URL", bellhop.MaskAddress(c.Address))
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
	reply, err := client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return exitWith(exitUnavailable, "%s does not answer: %w", target, err)
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(reply.Body, 4<<10)) // only to tell more
	r := healthResult{URL: target, Healthy: reply.StatusCode == http.StatusOK}
	if !r.Healthy {
		r.Detail = oneLine(reply.Status + ": " + string(body))
	}
	switch {
	case a.json:
		if err := a.printJSON(r); err != nil {
			return err
		}
	case r.Healthy:
		a.print("ok")
	default:
		return exitWith(exitFailed, "%s: %s", target, r.Detail)
	}
	if !r.Healthy {
		return quiet(exitFailed)
	}
	return nil
}

// target returns the URL of the probe.
func (c *healthCmd) target(a *app) (string, error) {
	address := c.Address
	for _, name := range []string{"BELLHOP_PROBE", "BELLHOP_LISTEN"} {
		if address == "" {
			address = a.env(name)
		}
	}
	if address == "" {
		address = "127.0.0.1:8080"
	}
	path := "/readyz"
	if c.Live {
		path = "/livez"
	}
	if strings.Contains(address, "://") {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			return "", usage("%.200q is not the address of a process: want HOST:PORT, or a URL such as http://127.0.0.1:8080", bellhop.MaskAddress(address))
		}
		return strings.TrimSuffix(u.String(), "/") + path, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", usage("%.200q is not the address of a process: want HOST:PORT, or a URL such as http://127.0.0.1:8080", bellhop.MaskAddress(address))
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // what listens everywhere listens here too
	}
	return "http://" + net.JoinHostPort(host, port) + path, nil
}
