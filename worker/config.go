package worker

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// Queues says how many jobs of each queue run at once in this process.
type Queues map[string]int

// Defaults of [Config].
const (
	DefaultBeat     = 5 * time.Second
	DefaultLease    = 20 * time.Second
	DefaultSweep    = 5 * time.Second
	DefaultPoll     = 500 * time.Millisecond
	DefaultShutdown = 25 * time.Second
	DefaultGrace    = 20 * time.Second
	DefaultPrune    = 30 * time.Second
)

// Config says what a worker works, and how.
type Config struct {
	// Queues names the queues and how many of their jobs run at once: 1 to
	// 100,000 each. At least one.
	Queues Queues
	// Slots bounds the jobs that run at once over all queues. 0 means the sum of
	// Queues, also when [Worker.SetConcurrency] changes it.
	Slots int
	// Strict lists queues whose jobs go before all others', in this order: while
	// the first has ready jobs, free slots go to it. Queues that are not listed
	// come after them, by Weights. It matters where Slots is less than the sum.
	Strict []string
	// Weights says how often a queue is asked first: a queue of weight 3 three
	// times as often as one of weight 1, which is the default.
	Weights map[string]int

	// Name tells people which process this is. Default: host and process id.
	Name string
	// Version is the program's version, for people. Default: from the build information.
	Version string

	// Middleware goes round every attempt; the first is the outermost.
	Middleware []Middleware

	// LogFrom is the level from which on lines that handlers log by [bellhop.Run.Logger] go into their attempts' logs, which are kept
	// with the jobs: see [bellhop.Attempt]. Default: [slog.LevelInfo]. A level that no line has keeps none.
	LogFrom slog.Level
	// KeepLogs keeps the logs of attempts that succeed, too. Default: only those of attempts that do not, and where
	// [bellhop.Run.KeepLog] was called.
	KeepLogs bool

	// Beat is how often the process says that it is alive. Default: 5 s.
	Beat time.Duration
	// Lease is how long it counts as alive without a beat: at least three beats. Default: 20 s.
	Lease time.Duration
	// Sweep is how often it looks for claims of dead processes. Default: 5 s.
	Sweep time.Duration
	// Poll is how often an idle process calls the store at most, all calls
	// together, and about how often it asks for jobs when nothing wakes it: each
	// time longer by a random part of up to a twentieth, or of up to seven tenths
	// if it has had no job for half a minute, and by what other calls cost. Default: 500 ms.
	Poll time.Duration
	// Prune is how often it deletes finished jobs that have expired. Default: 30 s.
	Prune time.Duration

	// Shutdown is how long Run takes at most once its context has ended. Default: 25 s.
	Shutdown time.Duration
	// Grace is how long running jobs may go on before their contexts are
	// cancelled; less than Shutdown. Default: four fifths of Shutdown.
	Grace time.Duration
}

// withDefaults returns the config with defaults filled in, or the first thing wrong with it.
func (c Config) withDefaults() (Config, error) {
	c.Queues, c.Weights, c.Strict, c.Middleware = maps.Clone(c.Queues), maps.Clone(c.Weights), slices.Clone(c.Strict), slices.Clone(c.Middleware)
	if len(c.Queues) == 0 {
		return c, fmt.Errorf(`worker: Config.Queues is empty: say which queues to work, for example worker.Queues{"default": 10}`)
	}
	for name, n := range c.Queues {
		if err := bellhop.CheckName("queue", name); err != nil {
			return c, fmt.Errorf("worker: Config.Queues: %w", err)
		}
		if n < 1 || n > 100_000 {
			return c, fmt.Errorf("worker: Config.Queues: %d jobs at once of queue %s: want 1 to 100000", n, name)
		}
	}
	if c.Slots < 0 {
		return c, fmt.Errorf("worker: Config.Slots is %d: want 0 (the sum of Queues) or more", c.Slots)
	}
	for i, name := range c.Strict {
		if c.Queues[name] == 0 || slices.Contains(c.Strict[:i], name) {
			return c, fmt.Errorf("worker: Config.Strict names queue %.128q, which is not in Queues or is named twice", name)
		}
	}
	for name, n := range c.Weights {
		if c.Queues[name] == 0 || n < 1 || n > 1000 {
			return c, fmt.Errorf("worker: Config.Weights: queue %.128q with weight %d: want a queue of Queues and a weight of 1 to 1000", name, n)
		}
	}
	for i, m := range c.Middleware {
		if m == nil {
			return c, fmt.Errorf("worker: Config.Middleware: number %d is nil", i)
		}
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		c.Name = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if c.Version == "" {
		c.Version = buildVersion()
	}
	return c.withTimes()
}

func (c Config) withTimes() (Config, error) {
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Beat", &c.Beat, DefaultBeat},
		{"Lease", &c.Lease, DefaultLease},
		{"Sweep", &c.Sweep, DefaultSweep},
		{"Poll", &c.Poll, DefaultPoll},
		{"Prune", &c.Prune, DefaultPrune},
		{"Shutdown", &c.Shutdown, DefaultShutdown},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < time.Millisecond {
			return c, fmt.Errorf("worker: Config.%s is %v: want at least 1ms", d.name, *d.value)
		}
	}
	if c.Lease/3 < c.Beat {
		return c, fmt.Errorf("worker: Config.Lease is %v with a beat of %v: want at least three beats, or a late beat costs the process its jobs", c.Lease, c.Beat)
	}
	if c.Grace == 0 {
		c.Grace = c.Shutdown / 5 * 4
	}
	if c.Grace < 0 || c.Grace >= c.Shutdown {
		return c, fmt.Errorf("worker: Config.Grace is %v of %v for the whole shutdown: it must be less, and not negative", c.Grace, c.Shutdown)
	}
	return c, nil
}

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
