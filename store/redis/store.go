package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
)

// Store keeps jobs in a Redis server. It is made by [Open] and [New].
type Store struct {
	client   redis.UniversalClient
	theirs   bool // the client is the caller's
	settings *settings
	keys     keys
	server   *server

	fault  atomic.Pointer[func(ctx context.Context, op bellhop.Op, statement string, done bool) error]
	calls  sync.WaitGroup // of the client; a call outlives its verb if that ends early
	wakes  wakes
	mu     sync.RWMutex // held for reading by each verb
	closed bool

	relisting sync.Mutex
	relistAt  string // where the next look for jobs that are in no list goes on; guarded by relisting
}

var (
	_ bellhop.Store     = (*Store)(nil)
	_ bellhop.Notifier  = (*Store)(nil)
	_ bellhop.Diagnoser = (*Store)(nil)
	_ bellhop.Stepper   = (*Store)(nil)
)

// offset is how far the store's clock is ahead of the server's: 0 but in tests.
func (s *Store) offset() string {
	if s.settings.ahead == nil {
		return "0"
	}
	return strconv.FormatInt(s.settings.ahead.Load(), 10)
}

// verb is what all verbs have in common.
func (s *Store) verb(ctx context.Context, op bellhop.Op, fn func() error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return fmt.Errorf("%s: %w", label(op), bellhop.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", label(op), err)
	}
	if err := fn(); err != nil {
		return s.failed(ctx, op, err)
	}
	return nil
}

// ask is a verb that is one run of a script.
func (s *Store) ask(ctx context.Context, op bellhop.Op, sc *script, in items, read func(reply any) error) error {
	return s.verb(ctx, op, func() error {
		reply, err := s.run(ctx, op, sc, in)
		if err != nil {
			return err
		}
		return read(reply)
	})
}

// SetStep implements [bellhop.Stepper]. The statements are the scripts.
func (s *Store) SetStep(fn func(ctx context.Context, op bellhop.Op, statement string, done bool) error) {
	if fn == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&fn)
}

// Capabilities implements [bellhop.Store]. Durability tells what the server's
// persistence was when the store was opened.
func (s *Store) Capabilities() bellhop.Capabilities {
	return bellhop.Capabilities{Name: "redis", Durability: s.server.durability(), Shared: true, Writers: writers, Serial: true}
}

// writers is how many enqueues are worth sending at the same time. The server works on one at a time; the second waits
// at its door.
const writers = 2

// Ping implements [bellhop.Store]. It tells once of a namespace that is gone, and begins it anew: enqueues and workers go on in it as in an empty
// one, so a process that stayed unready until somebody starts it again would only be missing.
func (s *Store) Ping(ctx context.Context) (now time.Time, err error) {
	err = s.ask(ctx, bellhop.OpPing, scriptPing, items{}, func(reply any) error {
		r, err := row(reply, 2)
		if err != nil {
			return err
		}
		now = at(integer(r[0]))
		return checkLayout(text(r[1]))
	})
	if errors.Is(err, errGone) {
		_ = s.client.SetNX(ctx, s.keys.base+"layout", layoutVersion, 0).Err() // if that fails the next ping does it
	}
	return now, err
}

// Close implements [bellhop.Store]. It closes the client if that is the store's own.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.wakes.stop()
	var err error
	if !s.theirs {
		err = s.client.Close()
	}
	s.calls.Wait()
	return err
}
