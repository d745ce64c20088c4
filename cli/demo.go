package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/demo"
)

// demoCmd shows what jobs change. It ends with exit code 1 if one count is wrong.
type demoCmd struct {
	Once   bool   `help:"End after the last count, in less than two minutes, instead of staying up."`
	Listen string `help:"Where its API listens, on loopback. Default: a port that is free." placeholder:"HOST:PORT"`
}

// Help tells what is to be seen.
func (*demoCmd) Help() string {
	return "It starts a shop and the services around it on loopback, and measures the checkout with and without jobs. Then it " +
		"takes the payment service down, and counts at the services what was done. " +
		"It keeps its jobs in a temporary file; only --store, and no environment variable, names another store."
}

// Run shows it.
func (c *demoCmd) Run(ctx context.Context, a *app) error {
	if a.json {
		return usage("demo is for people: it has no JSON; its exit code tells whether every count was right")
	}
	opts := demo.Options{Once: c.Once, Listen: c.Listen, Out: a.out.Writer}
	if a.origin["store"] == "" && a.store != defaultStore {
		opts.Store = a.store
	}
	if err := checkDemo(opts); err != nil {
		return err
	}
	return demo.Run(ctx, opts)
}

// checkDemo looks at the flags before anything is started.
func checkDemo(opts demo.Options) error {
	if opts.Listen != "" {
		address, err := listenAddress(opts.Listen)
		if err != nil {
			return err
		}
		if !address.IP.IsLoopback() {
			return refused("--listen: %s can be reached from other machines, and the demo has no password: listen on 127.0.0.1", opts.Listen)
		}
	}
	if opts.Store == "" {
		return nil
	}
	file, ok := strings.CutPrefix(opts.Store, "sqlite:")
	file = strings.TrimPrefix(file, "//")
	if !ok || file == "" || strings.Contains(file, "?") {
		return refused("--store: %q does not suit the demo, whose shop keeps its orders and jobs in one SQLite file: name one, such as sqlite:demo.db",
			bellhop.MaskAddress(opts.Store))
	}
	if folder, err := os.Stat(filepath.Dir(file)); err != nil || !folder.IsDir() {
		return refused("--store: the folder %s does not exist: create it, or correct the path", filepath.Dir(file))
	}
	return nil
}
