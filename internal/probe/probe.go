// Package probe answers the probes of those who run a process: does it live, and can it work?
//
// No job passes through it. Liveness never asks the store, because a new process would not mend that; readiness does, but not more often than
// the store can bear when anybody may ask.
package probe

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// Store asks a store whether it can work, one call at a time and not more often than once in Keep. Its fields are set before its first use.
type Store struct {
	// Ping asks it.
	Ping func(context.Context) (time.Time, error)
	// Timeout is how long it may take; Keep how long an answer holds.
	Timeout, Keep time.Duration

	mu  sync.Mutex
	at  time.Time // of the last answer
	err error
}

// For returns a probe of a store with the usual times: an answer within 2 s, kept for 1 s.
func For(s bellhop.Store) *Store {
	return &Store{Ping: s.Ping, Timeout: 2 * time.Second, Keep: time.Second}
}

// Check returns why the store cannot be relied on; nil if it can.
func (s *Store) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && time.Since(s.at) < s.Keep {
		return s.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	_, s.err = s.Ping(ctx)
	s.at = time.Now()
	return s.err
}

// Options say what [Handler] asks.
type Options struct {
	// Live and Ready say what is wrong with the process, or nil.
	Live, Ready func() error
	// Store is asked for readiness too.
	Store *Store
	// Metrics answers /metrics; nil for no such path.
	Metrics http.Handler
	// Log is told why not: those who ask are not.
	Log *slog.Logger
}

// Handler answers GET /livez and /readyz, for a process that has no other pages: 200 and "ok", or 503 and "not ok".
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /livez", answer(o.Log, "not alive", o.Live))
	mux.Handle("GET /readyz", answer(o.Log, "not ready", func() error {
		if err := o.Store.Check(); err != nil {
			return err
		}
		return o.Ready()
	}))
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	return mux
}

func answer(log *slog.Logger, not string, check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if err := check(); err != nil {
			log.Warn(not, bellhop.AttrError, err.Error())
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "not ok\n")
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
}
