//go:build unix

// Command outbox kills the two ends of an outbox at random moments under load, and proves that nothing was lost or doubled:
//
//	go run ./internal/storm/outbox -kills 200
//
// The first process is the judge. It starts real processes, which are this program again: producers, which write an order and a job
// in one transaction of the user's database and commit it or roll it back; and relays, which move the jobs into the store. It
// kills them with SIGKILL, and now and then stops a relay with SIGSTOP for a while and lets it go on. It works the jobs itself, and
// has the store forget each a second after it is done, so that a job which came a second time would run a second time.
//
// In the end the orders are the truth: each job whose order is there ran exactly once, and no other ran. Producers note in a
// ledger, a file, what they have heard: an order whose commit was confirmed must be there, one that was rolled back must not.
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
)

// settings of a storm.
type settings struct {
	kills            int
	from, store      string
	producer, relays int
	gap              time.Duration // mean time between kills
	freeze           int           // one in so many blows is a freeze of a relay, and does not count as a kill; 0 for none
	seed             uint64
	out              io.Writer
	folder           string // for the ledger, logs, and the default databases
}

func main() {
	if text := os.Getenv(partVariable); text != "" {
		os.Exit(partMain(text))
	}
	s := settings{out: os.Stdout}
	flag.IntVar(&s.kills, "kills", 20, "how often to kill a process")
	flag.StringVar(&s.from, "from", "", "address of the user's database (default: a new SQLite file in a temporary folder)")
	flag.StringVar(&s.store, "store", "", "address of an empty store (default: another SQLite file there)")
	flag.IntVar(&s.producer, "producers", 3, "producer processes at a time")
	flag.IntVar(&s.relays, "relays", 3, "relay processes at a time, at least 2")
	flag.DurationVar(&s.gap, "gap", 300*time.Millisecond, "mean time between kills")
	flag.IntVar(&s.freeze, "freeze", 10, "besides, stop a relay for a while once in so many times (0: never)")
	flag.Uint64Var(&s.seed, "seed", 0, "seed of the random choices (0: by the clock)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := inFolder(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "outbox storm:", err)
		stop()
		os.Exit(1)
	}
}

// inFolder runs a storm in a temporary folder, which stays if the storm fails.
func inFolder(ctx context.Context, s settings) (err error) {
	if s.folder, err = os.MkdirTemp("", "bellhop-outbox-storm-"); err != nil {
		return err
	}
	if err := storm(ctx, s); err != nil {
		return fmt.Errorf("%w (ledger and logs are in %s)", err, s.folder)
	}
	return os.RemoveAll(s.folder)
}

// check fills in what was left open.
func (s *settings) check() error {
	if s.relays < 2 || s.producer < 1 || s.kills < 0 || s.gap <= 0 {
		return errors.New("want at least 2 relays, a producer, no negative kills, and a positive gap")
	}
	if s.from == "" {
		s.from = "sqlite:" + s.folder + "/app.db"
		if err := os.WriteFile(s.folder+"/app.db", nil, 0o600); err != nil { // an empty file is an empty database
			return err
		}
	}
	if s.store == "" {
		s.store = "sqlite:" + s.folder + "/jobs.db"
	}
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	return nil
}

func (s *settings) random() *rand.Rand { return rand.New(rand.NewPCG(s.seed, 1)) }

// partVariable holds what a child process is told, as JSON; this program is a child if it is set.
const partVariable = "BELLHOP_OUTBOX_STORM_PART"

// part is what a child process is told.
type part struct {
	Relay  bool // else it is a producer
	From   string
	Store  string
	Ledger string
}

func (p part) String() string {
	text, err := json.Marshal(p)
	if err != nil { // strings always encode
		panic(err)
	}
	return string(text)
}
