//go:build unix

// Command storm kills worker processes at random moments under load, and
// proves from an outside ledger that nothing was lost and nothing stale believed:
//
//	go run ./internal/storm -kills 200
//
// The first process is the producer and the judge. It starts real worker
// processes, which are this program again, on one store; enqueues jobs of many
// sorts; and kills the workers with SIGKILL, or stops them with SIGSTOP for
// longer than their lease. Each run of a job appends a line to the ledger, a
// file, in one write. A job passes through here as it does in earnest: it is
// enqueued, claimed, run, killed with its process, swept by another, run again.
// In the end ledger, store and the list of kills must agree.
//
// With -server it starts a private database server, and with -outages it kills that too, together with all that it was just doing, and
// starts it again: then at most what ran meanwhile may run again.
//
//	go run ./internal/storm -server postgres -kills 100 -outages 20
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/worker"
)

// The driver of Redis prints to the standard error what its calls return as errors anyway: in an outage, all the time.
func init() { logging.Disable() }

// settings of a storm.
type settings struct {
	kills   int
	store   string
	limit   time.Duration // for the storm itself; 0 for none
	workers int
	seed    uint64
	gap     time.Duration // mean time between kills
	freezes int           // one in so many kills is a freeze; 0 for none
	server  string        // a private server to start, by its store's name; empty for none
	outages int           // how often to kill the server
	away    time.Duration // for how long at most
	private *testservers.Instance
	times   times
	out     io.Writer
	folder  string // for the ledger, logs, and the default store
}

// times are the settings of the workers that a storm may shorten.
type times struct {
	Beat, Lease, Sweep time.Duration
}

// roleVariable holds what a worker process is told, as JSON; this program is a worker if it is set.
const roleVariable = "BELLHOP_STORM_WORKER"

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(workerMain(role))
	}
	s := settings{out: os.Stdout}
	flag.IntVar(&s.kills, "kills", 20, "how often to kill or stop a worker process")
	flag.StringVar(&s.store, "store", "", "address of an empty store (default: a new SQLite file in a temporary folder)")
	seconds := flag.Int("seconds", 0, "end the storm after so many seconds, even if there are kills left (0: no limit)")
	flag.IntVar(&s.workers, "workers", 3, "worker processes at a time, at least 2")
	flag.Uint64Var(&s.seed, "seed", 0, "seed of the random choices (0: by the clock)")
	flag.DurationVar(&s.gap, "gap", 700*time.Millisecond, "mean time between kills")
	flag.IntVar(&s.freezes, "freeze", 20, "stop instead of kill once in so many times (0: never)")
	flag.StringVar(&s.server, "server", "", "start a private server for the store: postgres, mysql or redis")
	flag.IntVar(&s.outages, "outages", 0, "how often to kill the private server, spread over the storm, and start it again")
	flag.DurationVar(&s.away, "away", 2*time.Second, "for how long the private server stays away at most, before it is started")
	flag.DurationVar(&s.times.Beat, "beat", worker.DefaultBeat, "the workers' heartbeat")
	flag.DurationVar(&s.times.Lease, "lease", worker.DefaultLease, "the workers' lease")
	flag.DurationVar(&s.times.Sweep, "sweep", worker.DefaultSweep, "how often the workers sweep")
	poison := flag.Bool("poison", false, "instead of a storm: one job among 1,000 kills every process that runs it")
	flag.Parse()
	s.limit = time.Duration(*seconds) * time.Second

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := inFolder(ctx, s, *poison)
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		stop()
		os.Exit(1)
	}
}

// inFolder runs a storm in a temporary folder, which stays if the storm fails.
func inFolder(ctx context.Context, s settings, poison bool) (err error) {
	if s.folder, err = os.MkdirTemp("", "bellhop-storm-"); err != nil {
		return err
	}
	run := storm
	if poison {
		run = poisoned
	}
	if err := run(ctx, s); err != nil {
		return fmt.Errorf("%w (ledger and logs are in %s)", err, s.folder)
	}
	return os.RemoveAll(s.folder)
}

// check fills in what was left open.
func (s *settings) check() error {
	if s.workers < 2 || s.kills < 0 || s.gap <= 0 {
		return errors.New("want at least 2 workers, no negative kills, and a positive gap")
	}
	switch {
	case s.server != "" && s.store != "":
		return errors.New("-server starts a server of its own: it cannot have a -store beside")
	case s.outages < 0 || s.outages > s.kills || s.outages > 0 && s.server == "":
		return errors.New("want no negative outages, no more of them than kills, and a -server that they may hit")
	case s.outages > 0 && s.away <= 0:
		return errors.New("want a positive time for which the server is away")
	case s.server == "" && s.store == "":
		s.store = "sqlite:" + s.folder + "/jobs.db"
	}
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	return nil
}

func (s *settings) random() *rand.Rand { return rand.New(rand.NewPCG(s.seed, 1)) }

// role is what a worker process is told.
type role struct {
	Store  string
	Ledger string
	Slots  int
	Times  times
}

func (r role) String() string {
	text, err := json.Marshal(r)
	if err != nil { // strings and numbers always encode
		panic(err)
	}
	return string(text)
}
