package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// Part is one of the stores of which a [Store] is made.
type Part struct {
	// Name routes: a job's part is found by the names of the parts, so a part keeps
	// its name when its address changes. See [bellhop.CheckName].
	Name string
	// Store is the part itself. The partition closes it.
	Store bellhop.Store
}

// Config says what a [Store] is made of.
type Config struct {
	// By says what routes a job: [ByQueue] or [ByKey].
	By By
	// Parts are the stores: 1 to 64 of them.
	Parts []Part
	// Pins bind words to parts by name: queues if jobs are routed by queue, unique
	// keys and ids if by key, spaces of records in any case. The word "*" stands for
	// all that are not pinned.
	Pins map[string]string
	// Logger takes a line when a part goes out of reach and one when it is back.
	// Nil for [slog.Default].
	Logger *slog.Logger
}

// maxParts bounds how many calls one call may lead to.
const maxParts = 64

// Store is a [bellhop.Store] made of several: a [bellhop.Router], a
// [bellhop.Notifier] as far as its parts are, and a [bellhop.Diagnoser]. Make one
// with [New].
type Store struct {
	router   router
	parts    []*part
	patience patience
	log      *slog.Logger
	ledger   ledger

	mu        sync.Mutex
	closed    bool
	calls     sync.WaitGroup // exchanges under way in parts, waited for or not
	base      context.Context
	end       context.CancelFunc
	turn      int // whose turn it is to be first
	listeners []*listener
	recent    recent
}

type listener struct{ fn func(queue string) }

// New makes one store of several. It closes none of them if it returns an error,
// which says in one line what is wrong.
func New(c Config) (*Store, error) {
	if c.By != ByQueue && c.By != ByKey {
		return nil, fmt.Errorf("partition store: by %q: want %q or %q", c.By, ByQueue, ByKey)
	}
	if len(c.Parts) < 1 || len(c.Parts) > maxParts {
		return nil, fmt.Errorf("partition store: %d parts: want 1 to %d", len(c.Parts), maxParts)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s := &Store{router: router{by: c.By, pins: map[string]int{}, rest: -1}, patience: usual, log: c.Logger}
	for i, p := range c.Parts {
		if err := bellhop.CheckName("part", p.Name); err != nil {
			return nil, fmt.Errorf("partition store: %w", err)
		}
		if slices.Contains(s.router.names, p.Name) {
			return nil, fmt.Errorf("partition store: two parts have the name %s", p.Name)
		}
		if p.Store == nil {
			return nil, fmt.Errorf("partition store: part %s has no store", p.Name)
		}
		s.router.names = append(s.router.names, p.Name)
		s.router.seeds = append(s.router.seeds, mix(hash(p.Name)))
		s.parts = append(s.parts, &part{
			index: i, name: p.Name, store: p.Store, log: c.Logger, router: &s.router,
			missed: map[bellhop.ID]bool{}, strays: map[string]bool{}, straying: map[bellhop.ID]*straying{},
		})
	}
	for word, name := range c.Pins {
		at := slices.Index(s.router.names, name)
		if at < 0 {
			return nil, fmt.Errorf("partition store: %.64q is pinned to the part %.64q, and the parts are %s", word, name, strings.Join(s.router.names, ", "))
		}
		if word == rest {
			s.router.rest = at
			continue
		}
		s.router.pins[word] = at
	}
	s.base, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Parts implements [bellhop.Router].
func (s *Store) Parts() []string { return slices.Clone(s.router.names) }

// Route implements [bellhop.Router].
func (s *Store) Route(j *bellhop.Job) int { return s.router.job(j) }

// Home implements [bellhop.Router].
func (s *Store) Home(space, key string) int { return s.router.record(space, key) }

// Tag implements [bellhop.Router].
func (s *Store) Tag(part int) string { return s.router.tag(part) }

// Ping implements [bellhop.Store]: it fails if any part does, and returns the clock of the first.
func (s *Store) Ping(ctx context.Context) (time.Time, error) {
	clocks, err := all(ctx, s, func(ctx context.Context, p *part) (time.Time, error) { return p.store.Ping(ctx) })
	if err != nil {
		return time.Time{}, err
	}
	return clocks[0], nil
}

// Capabilities implements [bellhop.Store]: what all parts can do.
func (s *Store) Capabilities() bellhop.Capabilities {
	var names, durable []string
	c := s.parts[0].store.Capabilities()
	for _, p := range s.parts {
		own := p.store.Capabilities()
		c.Shared = c.Shared && own.Shared
		c.Writers = min(c.Writers, own.Writers)
		c.Serial = c.Serial || own.Serial
		c.Exchanges = min(c.Exchanges, own.Exchanges)
		if !slices.Contains(names, own.Name) {
			names = append(names, own.Name)
		}
		if !slices.Contains(durable, own.Durability) {
			durable = append(durable, own.Durability)
		}
	}
	c.Name = "partition of " + strings.Join(names, ", ")
	c.Durability = "each part by itself: " + strings.Join(durable, "; ")
	return c
}

// Notify implements [bellhop.Notifier]. Parts that do not notify are only polled.
func (s *Store) Notify(fn func(queue string)) (stop func()) {
	l := &listener{fn}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	stops := []func(){func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listeners = slices.DeleteFunc(s.listeners, func(o *listener) bool { return o == l })
	}}
	for _, p := range s.parts {
		if n, ok := bellhop.As[bellhop.Notifier](p.store); ok {
			stops = append(stops, n.Notify(func(queue string) {
				p.wake()
				fn(queue)
			}))
		}
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// tell wakes those who listen.
func (s *Store) tell() {
	s.mu.Lock()
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	for _, l := range listeners {
		l.fn("")
	}
}

// open reports whether the store can be used.
func (s *Store) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("partition store: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("partition store: %w", bellhop.ErrClosed)
	}
	return nil
}

// enter opens a call that Close waits for. It reports whether the store can be used.
func (s *Store) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.calls.Add(1)
	}
	return !s.closed
}

// Close implements [bellhop.Store]. It ends exchanges that nobody waits for any
// more, and closes all parts. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed, s.listeners = true, nil
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.end()
	s.calls.Wait()
	var failed []error
	for _, p := range s.parts {
		if err := p.store.Close(); err != nil {
			failed = append(failed, &partError{p.name, err})
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("partition store: close: %w", errors.Join(failed...))
	}
	return nil
}

// rotated returns all parts, beginning with another one each time, so that none is always last.
func (s *Store) rotated() []*part {
	s.mu.Lock()
	turn := s.turn % len(s.parts)
	s.turn++
	s.mu.Unlock()
	return slices.Concat(s.parts[turn:], s.parts[:turn])
}
