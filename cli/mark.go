package cli

import (
	"context"
	"strings"

	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// markCmd sets a mark.
type markCmd struct {
	Text []string `arg:"" help:"What happened, in a few words: \"deploy 4711\"."`
}

// Run sets the mark, now.
func (c *markCmd) Run(ctx context.Context, a *app) error {
	client, err := a.open(ctx, useShared)
	if err != nil {
		return err
	}
	defer client.Close()
	mark, err := rollup.AddMark(ctx, client.Store(), strings.Join(c.Text, " "), a.who())
	if err != nil {
		return err
	}
	a.audited(ctx, client, audit.Entry{Action: "mark", Reason: mark.Text})
	if a.json {
		return a.printJSON(mark)
	}
	a.print("marked %q at %s", mark.Text, mark.At.Format(exactForm))
	return nil
}
