package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// enqueueCmd enqueues jobs. Its JSON is a receipt, or with --ndjson an array of them, as POST /v1/jobs gives it.
type enqueueCmd struct {
	Kind string `arg:"" optional:"" help:"What kind of job, for example http.request."`
	Args string `arg:"" optional:"" help:"The arguments as JSON; - reads them from the standard input, @FILE from a file. Default: {}."`

	NDJSON bool `name:"ndjson" help:"Read one job a line from the standard input, and enqueue all or none. With KIND a line is the arguments of a job; without it a whole job, as for POST /v1/jobs."`

	jobFlags
	MaxArguments *int `help:"How many bytes of arguments a job may have, up to 1048576. Default: 131072." placeholder:"BYTES" from:"BELLHOP_MAX_ARGUMENTS"`
}

// jobFlags are the options of a job.
type jobFlags struct {
	Queue     string            `help:"In which queue." placeholder:"NAME" group:"job"`
	Priority  *int              `help:"From -9 (first) to 9 (last)." placeholder:"N" group:"job"`
	At        string            `help:"Run not before this time, as 2026-01-31T15:04:05Z." placeholder:"TIME" group:"job"`
	In        string            `help:"Run not before this long from now, as 90m." placeholder:"DURATION" group:"job"`
	Attempts  *int              `help:"How many failures make it dead. Default: 25." placeholder:"N" group:"job"`
	Timeout   *time.Duration    `help:"How long an attempt may take; 0 for any time." placeholder:"DURATION" group:"job"`
	Retention string            `help:"How long it is kept once it has ended, as 72h, or forever." placeholder:"DURATION" group:"job"`
	Unique    bool              `help:"Only if no live job has the same kind and arguments." group:"job"`
	UniqueKey string            `help:"Only if no live job of the kind has this key." placeholder:"KEY" group:"job"`
	ID        string            `name:"id" help:"The job's id, so that a repeat is the same job." placeholder:"ID" group:"job"`
	Tag       []string          `help:"Words to find it by." placeholder:"TAG" group:"job"`
	Meta      map[string]string `help:"What travels with it beside the arguments." placeholder:"KEY=VALUE" mapsep:"none" group:"job"`
}

// maxInput is how many bytes are read of lines of jobs: more than any call may have.
const maxInput = 2 * bellhop.MaxBatchBytes

// Run enqueues.
func (c *enqueueCmd) Run(ctx context.Context, a *app) error {
	if c.Kind == "" && !c.NDJSON {
		return usage("say which kind of job, or give whole jobs as lines with --ndjson")
	}
	if c.NDJSON && c.Args != "" {
		return usage("with --ndjson the arguments come from the standard input: leave %q out", c.Args)
	}
	opts, err := c.options()
	if err != nil {
		return err
	}
	if c.NDJSON && c.Kind == "" && len(opts) > 0 {
		return usage("with --ndjson and no kind, the options of a job belong into its line")
	}
	var settings []bellhop.Option
	if c.MaxArguments != nil {
		settings = append(settings, bellhop.MaxArguments(*c.MaxArguments))
	}
	client, err := a.open(ctx, useShared, settings...)
	if err != nil {
		return err
	}
	defer client.Close()
	switch {
	case c.NDJSON && c.Kind == "":
		return c.wholeJobs(ctx, a, client)
	case c.NDJSON:
		return c.manyArguments(ctx, a, client, opts)
	}
	return c.one(ctx, a, client, opts)
}

// one enqueues the one job of the command line.
func (c *enqueueCmd) one(ctx context.Context, a *app, client *bellhop.Client, opts []bellhop.Option) error {
	args, err := c.arguments(ctx, a)
	if err != nil {
		return err
	}
	receipts, err := bellhop.Enqueue(ctx, client, draft(c.Kind, args, opts))
	if err != nil {
		return err
	}
	r := receipts[0]
	if a.json {
		return a.printJSON(r)
	}
	line := r.ID.String() + " " + a.out.paint(stateColors[r.State], r.State.String())
	if r.Existing {
		line += " (it was there already)"
	}
	a.print("%s", line)
	c.hint(ctx, a, client, r)
	return nil
}

// hint says if the new job will wait for more than its turn. It is no reason to fail.
func (c *enqueueCmd) hint(ctx context.Context, a *app, client *bellhop.Client, r bellhop.Receipt) {
	job, err := client.Get(ctx, r.ID)
	if err != nil {
		return
	}
	force, err := findWorkforce(ctx, client)
	if err != nil {
		return
	}
	force.hintJob(a, job)
}

// arguments reads the arguments from where the command line says.
func (c *enqueueCmd) arguments(ctx context.Context, a *app) ([]byte, error) {
	name, file := strings.CutPrefix(c.Args, "@")
	switch {
	case c.Args == "":
		return []byte("{}"), nil
	case c.Args == "-" || file:
		args, err := a.readInput(ctx, name, bellhop.MaxArgs)
		return bytes.TrimRight(args, "\r\n"), err // the end of the last line is not meant
	}
	return []byte(c.Args), nil
}

// manyArguments enqueues a job for each line of arguments.
func (c *enqueueCmd) manyArguments(ctx context.Context, a *app, client *bellhop.Client, opts []bellhop.Option) error {
	if c.ID != "" || c.UniqueKey != "" {
		return usage("with --ndjson, --id and --unique-key would be the same for every job")
	}
	input, err := a.readInput(ctx, "-", maxInput)
	if err != nil {
		return err
	}
	var drafts []bellhop.Draft
	var lines []int // by index
	number := 0
	for line := range bytes.Lines(input) {
		number++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			drafts, lines = append(drafts, draft(c.Kind, line, opts)), append(lines, number)
		}
	}
	receipts, err := bellhop.Enqueue(ctx, client, drafts...)
	var bad *bellhop.InvalidError
	if errors.As(err, &bad) && (bad.Index >= 0 || len(lines) == 1) {
		return refused("line %d: %w; nothing was enqueued", lines[max(bad.Index, 0)], err)
	}
	if err != nil {
		return err
	}
	return a.printReceipts(receipts)
}

// printReceipts prints what came of many jobs.
func (a *app) printReceipts(receipts []bellhop.Receipt) error {
	if a.json {
		if receipts == nil {
			receipts = []bellhop.Receipt{}
		}
		return a.printJSON(receipts)
	}
	existing := 0
	for _, r := range receipts {
		if r.Existing {
			existing++
		}
	}
	line := count(len(receipts)-existing, "job") + " enqueued"
	if existing > 0 {
		line += fmt.Sprintf(", %s there already", number(existing))
	}
	a.print("%s", line)
	return nil
}

// draft makes a job of a kind that may be one of ours, whose arguments are then checked here.
func draft(kind string, args []byte, opts []bellhop.Option) bellhop.Draft {
	for _, d := range definitions() {
		if d.Kind() == kind {
			return d.Raw(args, opts...)
		}
	}
	return bellhop.RawJob(kind, args, opts...)
}

// options turns the flags into options; the library checks their values.
func (f *jobFlags) options() ([]bellhop.Option, error) {
	var opts []bellhop.Option
	add := func(given bool, o bellhop.Option) {
		if given {
			opts = append(opts, o)
		}
	}
	add(f.Queue != "", bellhop.Queue(f.Queue))
	if f.Priority != nil {
		add(true, bellhop.Priority(*f.Priority))
	}
	if f.At != "" && f.In != "" {
		return nil, usage("give --at or --in, not both")
	}
	if f.At != "" {
		at, err := time.Parse(time.RFC3339Nano, f.At)
		if err != nil {
			return nil, usage("--at: %.60q is not a time of RFC 3339: write it like 2026-01-31T15:04:05Z", f.At)
		}
		add(true, bellhop.At(at))
	}
	if f.In != "" {
		in, err := time.ParseDuration(f.In)
		if err != nil {
			return nil, usage("--in: %.40q is not a duration: write it like 30s or 1h30m", f.In)
		}
		add(true, bellhop.In(in))
	}
	if f.Attempts != nil {
		add(true, bellhop.Attempts(*f.Attempts))
	}
	if f.Timeout != nil {
		add(true, bellhop.Timeout(*f.Timeout))
	}
	if f.Retention != "" {
		keep, err := time.ParseDuration(f.Retention)
		switch {
		case f.Retention == "forever":
			keep = bellhop.Forever
		case err != nil || keep < 0:
			return nil, usage("--retention: %.40q is not a duration: write it like 72h, or forever", f.Retention)
		}
		add(true, bellhop.Retention(keep))
	}
	add(f.Unique, bellhop.Unique())
	add(f.UniqueKey != "", bellhop.UniqueKey(f.UniqueKey))
	if f.ID != "" {
		id, err := bellhop.ParseID(f.ID)
		if err != nil {
			return nil, refused("--id: %w", err)
		}
		add(true, bellhop.WithID(id))
	}
	add(len(f.Tag) > 0, bellhop.Tags(f.Tag...))
	for _, key := range slices.Sorted(maps.Keys(f.Meta)) {
		add(true, bellhop.Meta(key, f.Meta[key]))
	}
	return opts, nil
}
