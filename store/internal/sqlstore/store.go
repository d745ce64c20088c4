package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
)

// Config sets up a [Store].
type Config struct {
	// Dialect is the database's.
	Dialect Dialect
	// Database runs the transactions. Close closes it.
	Database Database
	// Clock is the store's clock if this program keeps the time. If it is nil the
	// database does, and leases are judged by the times of the beats alone.
	Clock bellhop.Clock
	// Shared says that several transactions may write at once: rows are locked
	// before what they say is acted on.
	Shared bool
	// Presence may be nil.
	Presence Presence
	// Capabilities are what the store answers when asked for them.
	Capabilities bellhop.Capabilities
	// LowerBounds is for databases in which deleted rows slow down a scan until
	// all old snapshots are gone: each claim then starts after the last one.
	LowerBounds bool
	// IdleBeats has the beats of processes that hold nothing look whether there is
	// something to do, in place of their polls and sweeps.
	IdleBeats bool
	// Woken, if not nil, is told after a commit through this store that jobs of a
	// queue have become ready; again says that they may stand before some that
	// were claimed already. It must not block.
	Woken func(queue string, again bool)
}

// Store is a [bellhop.Store] on a SQL database.
type Store struct {
	Config

	mu     sync.RWMutex // held for reading by each verb, for writing by Close
	closed bool

	step      atomic.Pointer[stepFunc]
	refs      refs
	locked    lockedJobs
	bounds    bounds
	dues      dues
	watch     watch
	listeners listeners
	joiners   joiners
	swift     Swift  // nil if the database has none
	looker    Looker // likewise
	idle      idleness
}

type stepFunc = func(ctx context.Context, op bellhop.Op, statement string, done bool) error

// New returns a store. The schema must be there.
func New(c Config) *Store {
	s := &Store{Config: c, idle: idleness{epoch: time.Now()}}
	s.swift, _ = c.Database.(Swift)
	s.looker, _ = c.Database.(Looker)
	return s
}

// txn is a verb under way in a transaction.
type txn struct {
	Tx
	store *Store
	now   int64 // the store's clock in microseconds
	woken []woken
	// damaged are claims whose jobs cannot be read; see sound.
	damaged []bellhop.Claim
	// after is what to do once the transaction has ended well.
	after []func()
}

// write runs a verb in one writing transaction.
func (s *Store) write(ctx context.Context, op bellhop.Op, fn func(context.Context, *txn) error) error {
	return s.verb(ctx, op, func() error {
		var last *txn
		complete := false // all statements have run, and only the commit was left
		err := s.Database.Write(ctx, s.stepOf(op), func(tx Tx) error {
			complete = false
			var err error
			if last, err = s.begin(ctx, tx); err == nil {
				err = fn(ctx, last)
			}
			complete = err == nil
			return err
		})
		if err != nil && !complete {
			err = Unchanged(err)
		}
		if err == nil {
			for _, do := range last.after {
				do()
			}
			s.tell(last.woken)
		}
		return err
	})
}

// begin returns a verb's hold on a transaction.
func (s *Store) begin(ctx context.Context, tx Tx) (*txn, error) {
	now, err := tx.Now(ctx)
	return &txn{Tx: tx, store: s, now: now}, err
}

// read runs a verb in one reading transaction.
func (s *Store) read(ctx context.Context, op bellhop.Op, fn func(context.Context, *txn) error) error {
	return s.verb(ctx, op, func() error {
		var last *txn
		err := s.Database.Read(ctx, s.stepOf(op), func(tx Tx) (err error) {
			if last, err = s.begin(ctx, tx); err != nil {
				return err
			}
			return fn(ctx, last)
		})
		if err == nil {
			for _, do := range last.after {
				do()
			}
		}
		return err
	})
}

// verb is what all verbs have in common.
func (s *Store) verb(ctx context.Context, op bellhop.Op, fn func() error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return fmt.Errorf("%s: %w", s.label(op), bellhop.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", s.label(op), err)
	}
	if err := fn(); err != nil {
		return s.explain(ctx, op, err)
	}
	return nil
}

// Unchanged marks an error of a transaction that has certainly not been
// committed: it matches [bellhop.ErrUnchanged].
func Unchanged(err error) error { return &unchanged{err} }

type unchanged struct{ err error }

func (u *unchanged) Error() string        { return u.err.Error() }
func (u *unchanged) Unwrap() error        { return u.err }
func (u *unchanged) Is(target error) bool { return target == bellhop.ErrUnchanged }

func (s *Store) label(op bellhop.Op) string { return s.Dialect.Name() + " store: " + string(op) }

// explain makes the one line that a caller reads of an error.
func (s *Store) explain(ctx context.Context, op bellhop.Op, err error) error {
	var invalid *bellhop.InvalidError
	var item *bellhop.ItemError
	switch {
	case errors.As(err, &invalid), errors.As(err, &item):
		return err
	case ctx.Err() != nil:
		if !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return fmt.Errorf("%s: %w", s.label(op), err)
	}
	trouble, err := s.Dialect.Explain(err)
	switch {
	case errors.Is(err, bellhop.ErrUnavailable), errors.Is(err, bellhop.ErrLocked), errors.Is(err, bellhop.ErrRetryTx):
	case trouble == Unavailable, trouble == Conflict, trouble == Locked, errors.Is(err, ErrAgain):
		err = fmt.Errorf("%w: %w", bellhop.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", s.label(op), err)
}

// SetStep implements [bellhop.Stepper].
func (s *Store) SetStep(fn func(ctx context.Context, op bellhop.Op, statement string, done bool) error) {
	if fn == nil {
		s.step.Store(nil)
		return
	}
	s.step.Store(&fn)
}

func (s *Store) stepOf(op bellhop.Op) Step {
	fn := s.step.Load()
	if fn == nil {
		return nil
	}
	return func(ctx context.Context, statement string, done bool) error { return (*fn)(ctx, op, statement, done) }
}

// Capabilities implements [bellhop.Store].
func (s *Store) Capabilities() bellhop.Capabilities { return s.Config.Capabilities }

var selectPing = define("ping", `select count(*) from bellhop_schema`)

// Ping implements [bellhop.Store].
func (s *Store) Ping(ctx context.Context) (now time.Time, err error) {
	err = s.read(ctx, bellhop.OpPing, func(ctx context.Context, t *txn) error {
		now = at(t.now)
		var n int64
		return t.Query(ctx, selectPing, func(r Row) error { return r.Scan(&n) })
	})
	return now, err
}

// Close implements [bellhop.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.Database.Close()
}

// woken is a queue that has become worth asking.
type woken struct {
	queue string
	// due is the earliest time of what has become ready; priorities are those of
	// what has, nil for any.
	due        int64
	priorities []int64
}

// wake remembers that a queue has become worth asking, at any place of it.
func (t *txn) wake(queue string) {
	for i := range t.woken {
		if w := &t.woken[i]; w.queue == queue {
			w.due, w.priorities = math.MinInt64, nil
			return
		}
	}
	t.woken = append(t.woken, woken{queue, math.MinInt64, nil})
}

// wakeFor remembers that a new job has become ready, due now.
func (t *txn) wakeFor(j *bellhop.Job) {
	priority := int64(j.Priority)
	for i := range t.woken {
		if w := &t.woken[i]; w.queue == j.Queue {
			if w.priorities != nil && !slices.Contains(w.priorities, priority) {
				w.priorities = append(w.priorities, priority)
			}
			return
		}
	}
	t.woken = append(t.woken, woken{j.Queue, t.now, []int64{priority}})
}

// wakes reports whether the transaction makes jobs of a queue ready.
func (t *txn) wakes(queue string) bool {
	return slices.ContainsFunc(t.woken, func(w woken) bool { return w.queue == queue })
}

// tell tells the listeners, and forgets the lower bounds that are none any more.
func (s *Store) tell(list []woken) {
	if len(list) == 0 {
		return
	}
	queues := make([]string, len(list))
	for i, w := range list {
		queues[i] = w.queue
		if s.LowerBounds {
			s.bounds.appeared(w.queue, w.due, w.priorities)
		}
		if s.Woken != nil {
			s.Woken(w.queue, w.priorities == nil)
		}
	}
	s.listeners.tell(queues)
}

// listeners are told when queues have become worth asking.
type listeners struct {
	mu  sync.Mutex
	all []*listener
}

type listener struct{ fn func(queue string) }

// add returns a function that removes the listener.
func (l *listeners) add(fn func(queue string)) (remove func()) {
	entry := &listener{fn}
	l.mu.Lock()
	l.all = append(l.all, entry)
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, e := range l.all {
			if e == entry {
				l.all = append(l.all[:i:i], l.all[i+1:]...)
				return
			}
		}
	}
}

func (l *listeners) tell(queues []string) {
	if len(queues) == 0 {
		return
	}
	l.mu.Lock()
	all := l.all
	l.mu.Unlock()
	for _, e := range all {
		for _, q := range queues {
			e.fn(q)
		}
	}
}

// Notify implements [bellhop.Notifier] for what happens through this store.
func (s *Store) Notify(fn func(queue string)) (stop func()) { return s.listeners.add(fn) }

// Wake tells the listeners that any queue may have become worth asking.
func (s *Store) Wake() { s.WakeQueue("") }

// WakeQueue tells the listeners that a queue may have become worth asking.
func (s *Store) WakeQueue(queue string) { s.listeners.tell([]string{queue}) }

// refs remembers the rows of the jobs that this store has handed out, so that
// their outcomes need not look for them. An entry can be out of date: the
// statements that use it compare the whole token.
type refs struct {
	mu sync.Mutex
	m  map[bellhop.ID]jobRef
}

// jobRef is a job's number, whether it has a unique key, and its counters when
// it was claimed.
type jobRef struct {
	job               int64
	keyed             bool
	failures, crashes int
}

const maxRefs = 100_000

func (r *refs) put(ids []bellhop.ID, list []jobRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil || len(r.m) > maxRefs {
		r.m = make(map[bellhop.ID]jobRef, len(ids))
	}
	for i, id := range ids {
		r.m[id] = list[i]
	}
}

// take returns what is known of the jobs, and forgets it.
func (r *refs) take(outcomes []bellhop.Outcome, list []jobRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range outcomes {
		if ref, ok := r.m[outcomes[i].Token.JobID]; ok {
			list[i] = ref
			delete(r.m, outcomes[i].Token.JobID)
		}
	}
}
