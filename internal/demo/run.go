package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Options say how a demo is run. The zero value is a good one.
type Options struct {
	// Once ends the demo after the last count. Without it, the demo stays up until its context ends.
	Once bool
	// Store is where the orders and jobs are kept: "sqlite:" and a file, which stays. Default: a SQLite file in a new temporary
	// folder, which is removed at the end.
	Store string
	// Listen is the host and port of the API server, on loopback. Default: 127.0.0.1 and a port that the system chooses.
	Listen string
	// Out is where the report goes. A terminal, given as its *os.File, gets colours and moving lines. Default: standard output.
	Out io.Writer
	// Scale multiplies every time in the play: how long the services take, and how long they are asked. Default 0: 1, about
	// a minute and a half for the whole.
	Scale float64
}

// withDefaults fills in defaults, or says what is wrong.
func (o Options) withDefaults() (Options, error) {
	if o.Scale < 0 {
		return o, fmt.Errorf("demo: the scale is %v: want a number above 0, or 0 for 1", o.Scale)
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	return o, loopback(o.Listen)
}

// Run shows what jobs change in a web application, from the first order to the last count, and prints it.
//
// It starts the outside world, the shop in four forms, a worker and the API server in this process, on loopback; drives the
// forms with real requests; takes the payment service down for a while; and compares what the shop accepted with what the
// outside world counted. Then it stays up for people to look around, unless [Options.Once] is set.
//
// Run returns an error if something was lost, done twice or refused that should not have been, if something could not be
// started, and if ctx ends before the last count. A demo that stays up and is ended by ctx returns nil if all counts were right.
// Everything it started has ended when it returns.
func Run(ctx context.Context, opts Options) (err error) {
	opts, err = opts.withDefaults()
	if err != nil {
		return err
	}
	printer := NewPrinter(opts.Out)
	log := slog.New(slog.NewTextHandler(logLines{printer}, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := openStage(ctx, opts, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	running, stop := s.watch(ctx)
	defer stop()

	p := &play{stage: s, Printer: printer, scale: opts.Scale}
	err = p.run(running)
	if err == nil && !opts.Once {
		p.lookAround(running)
	}
	switch {
	case ctx.Err() == nil && running.Err() != nil: // a part of the stage failed
		return context.Cause(running)
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("demo: ended before the last count: %w", ctx.Err())
	case err != nil:
		return err
	case p.Err() != nil:
		return fmt.Errorf("demo: the report could not be written: %w", p.Err())
	}
	return p.wrong()
}

// watch returns a context that ends with ctx, or with the first failure of a part of the stage as its cause.
func (s *stage) watch(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case err := <-s.failed:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// logLines writes log lines between the lines of a report.
type logLines struct{ p *Printer }

// Write writes one line.
func (l logLines) Write(line []byte) (int, error) {
	l.p.Line("  " + clean(strings.TrimSuffix(string(line), "\n")))
	return len(line), nil
}

// scaled is a time of the play.
func (p *play) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * p.scale) }
