package cli

import (
	"context"
	"fmt"
)

// workCmd works jobs without the API.
type workCmd struct{ workerFlags }

// Run works until ctx ends, and then drains.
func (c *workCmd) Run(ctx context.Context, a *app) error {
	p, err := c.start(ctx, a, useShared)
	if err != nil {
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
	return p.run(ctx, nil)
}
