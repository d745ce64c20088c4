package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/redact"
	"github.com/gobellhop/bellhop/internal/sdnotify"
	"github.com/gobellhop/bellhop/prom"
	"github.com/gobellhop/bellhop/worker"
)

// workerFlags say what a process works, and how.
type workerFlags struct {
	Queue       []string      `help:"Work a queue, and how many of its jobs at once. Default: default=50." placeholder:"NAME=N" default:"default=50" from:"BELLHOP_QUEUES" group:"worker"`
	Concurrency int           `help:"How many jobs at once over all queues. Default: the sum of the queues." placeholder:"N" from:"BELLHOP_CONCURRENCY" group:"worker"`
	Shutdown    time.Duration `help:"How long the process may take to stop; four fifths of it are for running jobs to end by themselves." default:"25s" from:"BELLHOP_SHUTDOWN" group:"worker"`

	kindFlags
	logFlags
}

// logFlags say what a process logs, and how.
type logFlags struct {
	LogFormat string   `help:"How to log: text or json. Default: text." placeholder:"FORMAT" enum:"text,json" default:"text" from:"BELLHOP_LOG_FORMAT" group:"log"`
	LogLevel  logLevel `help:"What to log: debug, info, warn or error. Default: info." placeholder:"LEVEL" default:"info" from:"BELLHOP_LOG_LEVEL" group:"log"`
}

// logLevel is a level as people write it, in capital letters or not.
type logLevel slog.Level

// UnmarshalText reads a level.
func (l *logLevel) UnmarshalText(text []byte) error {
	var level slog.Level
	if level.UnmarshalText(text) != nil {
		return fmt.Errorf("%.40q is unknown: want debug, info, warn or error", text)
	}
	*l = logLevel(level)
	return nil
}

// process is a worker with its store.
type process struct {
	a       *app
	client  *bellhop.Client
	worker  *worker.Worker
	log     *slog.Logger
	queues  worker.Queues
	kinds   []string
	missing []string      // kinds that it could work, and what they need
	within  time.Duration // for a drain
	echo    time.Duration // after a first signal, in which another one means the same
	left    bool          // the process ends with work under way
	metrics *prom.Metrics
	manager sdnotify.Notifier // systemd, if it waits to hear
}

// workResult is the JSON line that work prints when it is up, and a part of that of serve.
type workResult struct {
	Store      string        `json:"store"`
	Durability string        `json:"durability"`
	Queues     worker.Queues `json:"queues"`
	Kinds      []string      `json:"kinds"`
}

// start opens the store and makes the worker; it does not run yet.
func (f *workerFlags) start(ctx context.Context, a *app, u use, opts ...bellhop.Option) (*process, error) {
	queues, err := f.queues()
	if err != nil {
		return nil, err
	}
	built, err := f.build(a)
	if err != nil {
		return nil, err
	}
	p := &process{a: a, log: f.logger(a), queues: queues, missing: built.missing, within: f.Shutdown, echo: signalEcho}
	manager, err := sdnotify.New(a.env, os.Getpid())
	if err != nil {
		return nil, refused("%w", err)
	}
	p.manager = *manager
	p.metrics = prom.New(prom.Options{})
	if p.client, err = a.openBy(ctx, p.metrics.Open, u, append(opts, bellhop.Logger(p.log))...); err != nil {
		return nil, err
	}
	p.worker = worker.New(p.client, worker.Config{
		Queues: queues, Slots: f.Concurrency, Shutdown: f.Shutdown, Version: version().Version,
	})
	for _, h := range built.handlers {
		p.worker.Handle(h)
		p.kinds = append(p.kinds, h.Kind())
	}
	return p, nil
}

// close closes the store, unless that would have to wait for work that is left behind.
func (p *process) close() {
	if !p.left {
		_ = p.client.Close()
	}
}

// queues reads the flags --queue.
func (f *workerFlags) queues() (worker.Queues, error) {
	if f.Concurrency < 0 || f.Shutdown < time.Second {
		return nil, usage("--concurrency must not be negative, and --shutdown at least 1s")
	}
	queues := worker.Queues{}
	for _, text := range f.Queue {
		name, number, found := strings.Cut(strings.TrimSpace(text), "=")
		n, err := strconv.Atoi(number)
		if !found || err != nil || n < 1 || n > 100_000 {
			return nil, usage("--queue: %.64q: write NAME=N with N from 1 to 100000, such as mail=10", text)
		}
		if err := bellhop.CheckName("queue", name); err != nil {
			return nil, refused("--queue: %w", err)
		}
		queues[name] = n
	}
	return queues, nil
}

func (f *logFlags) logger(a *app) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.Level(f.LogLevel), ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		attr = redact.Attr(groups, attr)
		if attr.Value.Kind() == slog.KindString {
			attr.Value = slog.StringValue(a.mask(attr.Value.String()))
		} else if err, ok := attr.Value.Any().(error); ok && attr.Value.Kind() == slog.KindAny {
			attr.Value = slog.StringValue(a.mask(err.Error()))
		}
		return attr
	}}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.err, opts))
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}

func (p *process) result() workResult {
	return workResult{
		Store: bellhop.MaskAddress(p.a.store), Durability: p.client.Store().Capabilities().Durability, Queues: p.queues, Kinds: p.kinds,
	}
}

// describe says what the process works, and how safe the store keeps it.
func (p *process) describe() {
	var queues []string
	for _, name := range sortedKeys(p.queues) {
		queues = append(queues, fmt.Sprintf("%s=%d", name, p.queues[name]))
	}
	p.fact("store", bellhop.MaskAddress(p.a.store))
	p.fact("", p.client.Store().Capabilities().Durability)
	p.fact("queues", strings.Join(queues, " "))
	p.fact("kinds", strings.Join(p.kinds, " "))
	for _, what := range p.missing {
		p.fact("", what)
	}
}

func (p *process) fact(name, value string) { p.a.fact(name, value) }

// fact prints one line of a few about what goes on.
func (a *app) fact(name, value string) {
	a.print("  %s%s%s", a.out.paint(dim, name), strings.Repeat(" ", 10-len(name)), clean(value))
}

// part is something else that runs in the process.
type part struct {
	run   func() error
	drain func(context.Context) error // lets what is under way end
	kill  func()                      // ends at once
}

// hurryTime is what a second signal leaves to running jobs, to return when their contexts are cancelled.
const hurryTime = time.Second

// signalEcho is how soon after the first signal another one is the same wish: a terminal and what passes its signals on, a shell or a
// supervisor, send it twice. Nobody who wants to cut a drain short is as quick.
const signalEcho = 250 * time.Millisecond

// run runs the worker, and the other part if there is one, until ctx ends or one of them fails; then it drains both. A second
// signal cuts that short.
func (p *process) run(ctx context.Context, other *part) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return p.runUntil(ctx, other, signals)
}

// runUntil is run with the signals from elsewhere.
func (p *process) runUntil(ctx context.Context, other *part, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer p.tellManager(ctx)()
	ends := make(chan error, 2)
	parts := 1
	go func() {
		err := p.worker.Run(ctx)
		cancel(err)
		ends <- err
	}()
	if other != nil {
		parts++
		go func() {
			err := other.run()
			cancel(err)
			ends <- err
		}()
		stopped := context.AfterFunc(ctx, func() {
			limited, done := context.WithTimeout(context.WithoutCancel(ctx), p.within)
			defer done()
			if err := other.drain(limited); err != nil {
				p.log.Warn("HTTP connections were cut off", "error", err)
				other.kill()
			}
		})
		defer stopped()
	}

	var errs []error
	var late <-chan time.Time
	caught, first := 0, time.Time{}
	for parts > 0 {
		select {
		case err := <-ends:
			parts--
			errs = append(errs, err)
		case s := <-signals:
			if caught == 0 {
				first = time.Now()
			} else if time.Since(first) < p.echo {
				continue
			}
			if caught++; caught == 2 {
				p.log.Warn("a second signal: running jobs are cancelled, and the process ends", "signal", s.String())
				p.worker.Hurry()
				if other != nil {
					other.kill()
				}
				late = time.After(hurryTime)
			}
		case <-late:
			p.left = true
			return errors.Join(append(errs, errors.New("stopped at once: jobs that still ran are taken back when this process's lease is over"))...)
		}
	}
	return errors.Join(errs...)
}
