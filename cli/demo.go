package cli

import (
	"context"

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
	return demo.Run(ctx, opts)
}
