package api

import (
	"context"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// healthReply answers a probe.
type healthReply struct {
	Status string `json:"status"`
}

// live is GET /livez: the process answers. It never asks the store, since a new process would not mend that.
func (s *Server) live(context.Context, *nothing) (*healthReply, error) {
	return &healthReply{Status: "ok"}, nil
}

// ready is GET /readyz: the store answers, and the program says that it is ready. It tells nobody why not; the log does.
func (s *Server) ready(ctx context.Context, _ *nothing) (*healthReply, error) {
	if s.isDraining() {
		return nil, notReady.because("the server is stopping")
	}
	if err := s.store.check(); err != nil {
		s.log.Warn("not ready: the store does not answer", bellhop.AttrError, err)
		return nil, unavailable.because("the store does not answer")
	}
	if s.opts.Ready != nil {
		if err := s.opts.Ready(ctx); err != nil {
			s.log.Warn("not ready", bellhop.AttrError, err)
			return nil, notReady.because("the server's log tells why")
		}
	}
	return &healthReply{Status: "ok"}, nil
}

// probe asks a store whether it can work, one call at a time and not more often than once in keep: anybody may ask for it.
type probe struct {
	ping    func(context.Context) (time.Time, error)
	timeout time.Duration
	keep    time.Duration

	mu  sync.Mutex
	at  time.Time // of the last answer
	err error
}

func (p *probe) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.at.IsZero() && time.Since(p.at) < p.keep {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	_, p.err = p.ping(ctx)
	p.at = time.Now()
	return p.err
}
