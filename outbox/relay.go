package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// Defaults of [Config].
const (
	DefaultBatch = 1000
	DefaultPoll  = 500 * time.Millisecond
)

// Config says how a relay works. The zero value is ready for use.
type Config struct {
	// Batch is how many jobs are moved together at most: 1 to 5,000. Default: 1,000.
	Batch int
	// Poll is how often an idle relay looks, each time longer by a random part of up to seven tenths: at least 10 ms. Default: 500 ms.
	Poll time.Duration
	// Keep is how long rows are kept, marked as moved, after the move. Default: 0, they are deleted at once.
	Keep time.Duration
	// Name tells people which relay this is. Default: host and process id.
	Name string
}

func (c Config) withDefaults() (Config, error) {
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		c.Name = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	switch {
	case c.Batch < 1 || c.Batch > 5000:
		return c, fmt.Errorf("outbox: Config.Batch %d is out of range: want 1 to 5000", c.Batch)
	case c.Poll < 10*time.Millisecond:
		return c, fmt.Errorf("outbox: Config.Poll %v is out of range: want at least 10ms", c.Poll)
	case c.Keep < 0:
		return c, fmt.Errorf("outbox: Config.Keep %v is negative", c.Keep)
	}
	return c, nil
}

// Relay moves jobs from an outbox's table into the store. Any number of relays may work on one table, in any number of
// processes: each batch is moved by one of them, and one that finds itself beaten stands back for a while.
type Relay struct {
	box    *Outbox
	rows   rows
	store  bellhop.Store
	log    *slog.Logger
	config Config
	loop   *loop.Loop

	started atomic.Bool
	hurried atomic.Bool // there was an enqueue in this process, or a call of Wake

	// The rest belongs to the loop's goroutine.
	state
	database, target trouble
	asides           trouble

	mu    sync.Mutex
	stats Stats
}

// Stats is what a relay has done since it began, and how far it is behind.
type Stats struct {
	// Moved counts jobs that the store has from this relay, Existing those of them that were there already, by id or by unique key.
	Moved, Existing int64
	// SetAside counts rows that were refused.
	SetAside int64
	// Settled counts rows that were found to be in the store already, because whoever moved them was killed or cut off before
	// it could delete them.
	Settled int64
	// Beaten counts batches that another relay had moved meanwhile.
	Beaten int64
	// Lag is how long the oldest row had waited when the relay last looked; 0 if none did.
	Lag time.Duration
	// LookedAt is when that was, by the local clock.
	LookedAt time.Time
	// Err is why the last round failed; nil if it did not.
	Err error
}

// NewRelay returns a relay from the outbox's table in db into the store of the outbox's client. The pool may be small: a relay uses
// one connection at a time, and none while it waits for the store.
func NewRelay(box *Outbox, db *sql.DB, config Config) (*Relay, error) {
	config, err := config.withDefaults()
	switch {
	case err != nil:
		return nil, err
	case box == nil || db == nil:
		return nil, errors.New("outbox: NewRelay: the outbox or the database is nil")
	}
	if _, none := bellhop.As[nowhere](box.client.Store()); none {
		return nil, fmt.Errorf("outbox: NewRelay: the outbox's client was made by NewClient and has no store: make the relay's outbox on a client of bellhop.Open: %w", bellhop.ErrUnsupported)
	}
	r := &Relay{box: box, rows: rows{box.table, db}, store: box.client.Store(), log: box.client.Logger(), config: config}
	r.bite = config.Batch
	r.database = trouble{log: r.log, down: "the database of the outbox does not answer; the relay goes on trying", up: "the database of the outbox answers again"}
	r.target = trouble{log: r.log, down: "the store does not take jobs from the outbox; the relay goes on trying", up: "the store takes jobs from the outbox again"}
	r.asides = trouble{log: r.log, down: "a job in the outbox cannot be moved and is set aside; `bellhop relay status` lists such jobs"}
	r.loop = loop.New("outbox", r.round, loop.Options{OnPanic: func(_ string, v any, stack []byte) {
		r.log.Error("the relay panicked; it goes on", "panic", fmt.Sprint(v), "stack", string(stack))
	}})
	return r, nil
}

// Run moves jobs until ctx ends, and returns nil then. A batch under way is given up; whether it was moved is found out by the
// next relay. Faults of the database and the store are borne: Run goes on trying, and logs them once a minute.
func (r *Relay) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("outbox: Relay.Run was called before; make a new relay")
	}
	defer r.box.join(r)()
	r.loop.Start(ctx)
	r.log.Info("relay started", "table", r.box.bare, "relay", r.config.Name)
	<-ctx.Done()
	r.loop.Stop()
	return nil
}

// Stats returns what the relay has done.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Lasting pauses of a relay.
const (
	// lookPause is between two looks that wake-ups ask for.
	lookPause = 5 * time.Millisecond
	// firstWait and lastWait bound the wait after a failure, firstRest and lastRest that of a relay that was beaten.
	firstWait, lastWait = 100 * time.Millisecond, 5 * time.Second
	firstRest, lastRest = 20 * time.Millisecond, 2 * time.Second
	// pruneEvery is how often rows that are kept are looked over.
	pruneEvery = time.Minute
	pollSpread = 0.7
)

func (r *Relay) hurry() {
	r.hurried.Store(true)
	r.loop.Wake()
}

// round does one step and returns when to do the next.
func (r *Relay) round(ctx context.Context) time.Duration {
	if left := time.Until(r.notBefore); left > 0 {
		return left
	}
	if r.hurried.Swap(false) {
		r.eager = lookPause
	}
	found, err := r.step(ctx)
	if ctx.Err() != nil {
		return 0
	}
	r.mu.Lock()
	r.stats.Err = err
	r.mu.Unlock()
	var side *sideError
	switch {
	case errors.Is(err, errBeaten):
		r.beaten++
		r.notBefore = time.Now().Add(loop.Jitter(min(firstRest<<min(r.beaten-1, 10), lastRest), 1))
		return time.Until(r.notBefore)
	case err != nil:
		r.failures++
		r.notBefore = time.Now().Add(loop.Jitter(min(firstWait<<min(r.failures-1, 10), lastWait), 0.3))
		about := &r.target
		if errors.As(err, &side) && side.database {
			about = &r.database
		}
		about.note(err)
		return time.Until(r.notBefore)
	}
	r.failures = 0
	r.database.over()
	if found {
		r.target.over()
		r.beaten, r.eager = 0, 0
		return 0
	}
	return r.idle(ctx)
}

// idle returns how long to wait when nothing was found to move.
func (r *Relay) idle(ctx context.Context) time.Duration {
	if wait := time.Until(r.nextPrune); r.config.Keep > 0 && wait <= 0 {
		more, err := r.rows.prune(ctx, r.config.Keep)
		if err != nil {
			r.database.note(err)
		}
		r.nextPrune = time.Now().Add(loop.Jitter(pruneEvery, 0.2))
		if more && err == nil {
			r.nextPrune = time.Time{}
			return time.Millisecond
		}
	}
	wait := loop.Jitter(r.config.Poll, pollSpread)
	if r.eager > 0 {
		wait, r.eager = min(wait, r.eager), 2*r.eager
		if r.eager > r.config.Poll {
			r.eager = 0
		}
	}
	r.notBefore = time.Now().Add(min(wait, lookPause)) // wake-ups come no closer together than this
	for _, d := range r.doubts {
		wait = min(wait, max(time.Until(d.next), lookPause))
	}
	return wait
}
