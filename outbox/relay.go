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

	router bellhop.Router // nil for a store of one part

	// These belong to the loop's goroutine.
	lanes            []*lane
	identity         string // of the outbox; empty if it is to be read
	database         *loop.Trouble
	asides, refusals *loop.Trouble
	eager            time.Duration // how soon to look again although nothing was found; 0 for the usual time
	failures         int           // to begin, in a row
	notBefore        time.Time
	nextPrune        time.Time

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
	// Err is why the relay does not get on just now; nil if it does.
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
	r.router, _ = bellhop.As[bellhop.Router](r.store)
	r.database = loop.NewTrouble(r.log, "the database of the outbox does not answer; the relay goes on trying", "the database of the outbox answers again")
	r.asides = loop.NewTrouble(r.log, "a job in the outbox cannot be moved and is set aside; `bellhop relay status` lists such jobs", "")
	r.refusals = loop.NewTrouble(r.log, "the store refuses a job of the outbox; the relay goes on with others and tries it again", "")
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
	// pruneEvery is how often rows that are kept are looked over, or as often as they are kept for, but no more than once a second.
	pruneEvery = time.Minute
	pollSpread = 0.7
)

func (r *Relay) hurry() {
	r.hurried.Store(true)
	r.loop.Wake()
}

// round does one step of each lane and returns when to do the next.
func (r *Relay) round(ctx context.Context) time.Duration {
	if left := time.Until(r.notBefore); left > 0 {
		return left
	}
	if r.hurried.Swap(false) {
		r.eager = lookPause
	}
	if r.identity == "" {
		if err := r.begin(ctx); err != nil {
			return r.failed(ctx, &r.failures, &r.notBefore, r.database, err)
		}
		r.failures = 0
	}
	if idle, err := r.empty(ctx); err != nil {
		return r.failed(ctx, &r.failures, &r.notBefore, r.database, err)
	} else if idle {
		return r.idle(ctx)
	}
	found, wait := false, loop.Never
	for _, l := range r.lanes {
		more, left := l.round(ctx)
		if ctx.Err() != nil {
			return 0
		}
		found, wait = found || more, min(wait, left)
		if r.identity == "" {
			return 0
		}
	}
	r.setErr()
	if found {
		r.eager = 0
		return 0
	}
	return min(wait, r.idle(ctx))
}

// empty reports whether nothing waits at all. It spares the lanes a look of each; a lane alone looks for itself.
func (r *Relay) empty(ctx context.Context) (bool, error) {
	if len(r.lanes) == 1 {
		return false, nil
	}
	at := time.Now()
	list, _, err := r.rows.look(ctx, 0, 1)
	if err != nil || len(list) > 0 {
		return false, err
	}
	r.failures = 0
	r.database.Over()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Lag, r.stats.LookedAt, r.stats.Err = 0, at, nil
	return true, nil
}

// setErr tells of the lanes' errors the first.
func (r *Relay) setErr() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Err = nil
	for _, l := range r.lanes {
		if r.stats.Err == nil {
			r.stats.Err = l.err
		}
	}
}

// begin reads the outbox's identity and opens the lanes, and lets rows wait again that were of a format too new for an earlier release.
func (r *Relay) begin(ctx context.Context) error {
	id, err := r.rows.identify(ctx)
	if err != nil {
		return err
	}
	if _, err := r.rows.retry(ctx, placeLater, formatNow); err != nil {
		return err
	}
	r.identity, r.lanes = id, nil
	parts := []string{""}
	if r.router != nil {
		parts = r.router.Parts()
	}
	for i, name := range parts {
		l := &lane{Relay: r, part: i, key: id, bite: r.config.Batch, sweeping: -1}
		about := "the store does not take jobs from the outbox; the relay goes on trying"
		if r.router != nil {
			tag := r.router.Tag(i)
			if tag == "" { // no job comes there
				continue
			}
			l.key += "/{" + tag + "}"
			about = "the part " + name + " of the store does not take jobs from the outbox; the relay goes on trying"
		}
		l.target = loop.NewTrouble(r.log, about, "the store takes jobs from the outbox again")
		r.lanes = append(r.lanes, l)
	}
	return nil
}

// round does one step, and returns whether there is more to do at once, and else how long the lane rests.
func (l *lane) round(ctx context.Context) (more bool, wait time.Duration) {
	if left := time.Until(l.notBefore); left > 0 {
		return false, left
	}
	found, err := l.step(ctx)
	if ctx.Err() != nil {
		return false, 0
	}
	var database *databaseError
	switch l.err = err; {
	case errors.Is(err, errBeaten):
		l.err = nil
		l.beaten++
		l.notBefore = time.Now().Add(loop.Jitter(min(firstRest<<min(l.beaten-1, 10), lastRest), 1))
		return false, time.Until(l.notBefore)
	case errors.As(err, &database):
		return false, l.failed(ctx, &l.failures, &l.notBefore, l.database, err)
	case err != nil:
		return false, l.failed(ctx, &l.failures, &l.notBefore, l.target, err)
	}
	l.failures = 0
	l.database.Over()
	if found {
		l.beaten = 0
		return true, 0
	}
	wait = loop.Never
	for _, d := range l.doubts { // nothing else is left
		l.err = d.err
		wait = min(wait, max(time.Until(d.next), lookPause))
	}
	return false, wait
}

// failed notes a failure and returns how long to wait after so many in a row.
func (r *Relay) failed(ctx context.Context, failures *int, until *time.Time, about *loop.Trouble, err error) time.Duration {
	if ctx.Err() != nil { // it is no failure to be stopped
		return 0
	}
	r.mu.Lock()
	r.stats.Err = err
	r.mu.Unlock()
	*failures++
	*until = time.Now().Add(loop.Jitter(min(firstWait<<min(*failures-1, 10), lastWait), 0.3))
	about.Note(ctx, err)
	return time.Until(*until)
}

// idle returns how long to wait when nothing was found to move.
func (r *Relay) idle(ctx context.Context) time.Duration {
	if wait := time.Until(r.nextPrune); r.config.Keep > 0 && wait <= 0 {
		more, err := r.rows.prune(ctx, r.config.Keep)
		if err != nil {
			r.database.Note(ctx, err)
		}
		r.nextPrune = time.Now().Add(loop.Jitter(min(max(r.config.Keep, time.Second), pruneEvery), 0.2))
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
	return wait
}
