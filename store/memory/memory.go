// Package memory keeps jobs in the memory of one process. It is the reference
// that every other store is compared with, and a test double for the tests of
// programs that use Bellhop: examples/testjobs shows how. Nothing survives the process.
//
// A job comes in through Enqueue and waits in one of two kinds of heap: the
// scheduled heap of the store, by due time, or a lane of its queue, by due time
// and order of enqueueing; a queue has a lane for each priority and kind, so
// that what a process cannot run costs it nothing. Promote moves jobs from the
// scheduled heap to their lanes. Exchange pops them from the lanes, lists them
// with their process, and ends them on its next call. Finished jobs wait in a
// heap by expiry for Prune. One mutex guards all of it.
//
// All values are copied on their way in and out: what a caller does with a job
// that it gave or got changes nothing here.
package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// Option sets up a [Store].
type Option func(*Store)

// WithClock makes the store take its time from clock. The default is
// [bellhop.SystemClock]; tests give a [bellhop.ManualClock].
func WithClock(clock bellhop.Clock) Option {
	return func(s *Store) { s.clock = clock }
}

// Store is a [bellhop.Store] in memory, and a [bellhop.Notifier]. Its zero
// value is not usable; make one with [New].
type Store struct {
	clock bellhop.Clock

	mu     sync.Mutex
	closed bool

	slab  slab
	jobs  map[bellhop.ID]ref
	order []ordered // all jobs by order of enqueueing
	holes int       // entries of order whose job was deleted
	seq   int64     // of the job enqueued last

	queues    map[string]*queue
	scheduled heap            // by due time
	expiring  heap            // finished jobs that expire, by that time
	unique    map[string]*job // live jobs by unique key

	processes map[bellhop.ID]*process  // alive
	gone      map[bellhop.ID]time.Time // swept or left, and when
	held      map[bellhop.ID]*held     // running jobs by process, alive or not
	running   map[bellhop.ID]*job      // few, and asked for most
	exchanges map[claimer]*exchange    // that have claimed running jobs
	cancels   map[*job]struct{}        // running jobs that are to be cancelled

	records records
	version int64 // of the record written last

	listeners []*listener
	woken     []string // queues with newly ready jobs, in the call under way
}

type listener struct{ fn func(queue string) }

// New returns an empty store.
func New(opts ...Option) *Store {
	s := &Store{
		clock:     bellhop.SystemClock{},
		jobs:      map[bellhop.ID]ref{},
		queues:    map[string]*queue{},
		unique:    map[string]*job{},
		processes: map[bellhop.ID]*process{},
		gone:      map[bellhop.ID]time.Time{},
		held:      map[bellhop.ID]*held{},
		running:   map[bellhop.ID]*job{},
		exchanges: map[claimer]*exchange{},
		cancels:   map[*job]struct{}{},
		records:   records{byKey: map[recordKey]*bellhop.Record{}},
	}
	s.scheduled.jobs, s.expiring.jobs = &s.slab, &s.slab
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// begin opens a verb: it takes the lock and returns the time. If it returns an
// error the lock is free; else the verb ends with [Store.end].
func (s *Store) begin(ctx context.Context) (now time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return now, fmt.Errorf("memory store: %w", err)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return now, fmt.Errorf("memory store: %w", bellhop.ErrClosed)
	}
	return micro(s.clock.Now()), nil
}

// end closes a verb: it frees the lock, and then tells the listeners.
func (s *Store) end() {
	woken := s.woken
	if woken == nil {
		s.mu.Unlock()
		return
	}
	s.woken = nil
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, l := range listeners {
		for _, queue := range woken {
			l.fn(queue)
		}
	}
}

// wake remembers that a queue has become worth asking.
func (s *Store) wake(queue string) {
	if len(s.listeners) > 0 && !slices.Contains(s.woken, queue) {
		s.woken = append(s.woken, queue)
	}
}

// Notify implements [bellhop.Notifier]. fn is called by the goroutine whose
// call made jobs ready, after that call took effect.
func (s *Store) Notify(fn func(queue string)) (stop func()) {
	l := &listener{fn}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.listeners = slices.DeleteFunc(s.listeners, func(o *listener) bool { return o == l })
		s.mu.Unlock()
	}
}

// Ping implements [bellhop.Store].
func (s *Store) Ping(ctx context.Context) (time.Time, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return time.Time{}, err
	}
	s.end()
	return now, nil
}

// Capabilities implements [bellhop.Store].
func (s *Store) Capabilities() bellhop.Capabilities {
	return bellhop.Capabilities{Name: "memory", Durability: "nothing survives the process", Writers: 1}
}

// Close implements [bellhop.Store]. The jobs are forgotten. A second Close does
// nothing and returns nil.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.jobs, s.order, s.queues, s.unique, s.records, s.listeners = nil, nil, nil, nil, records{}, nil
	s.slab, s.scheduled, s.expiring = slab{}, heap{}, heap{}
	s.processes, s.held, s.running, s.exchanges, s.cancels = nil, nil, nil, nil, nil
	return nil
}

// micro brings a time to the form in which stores keep it: microseconds, UTC.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
