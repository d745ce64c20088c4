package api

import (
	"context"

	"github.com/gobellhop/bellhop"
)

// healthReply answers a probe.
type healthReply struct {
	Status string `json:"status"`
}

// live is GET /livez: the process answers, and the program says that it lives. It never asks the store, since a new process would not mend that.
func (s *Server) live(context.Context, *nothing) (*healthReply, error) {
	if s.opts.Live != nil {
		if err := s.opts.Live(); err != nil {
			s.log.Error("not alive", bellhop.AttrError, err)
			return nil, notAlive.because("the server's log tells why")
		}
	}
	return &healthReply{Status: "ok"}, nil
}

// ready is GET /readyz: the store answers, and the program says that it is ready. It tells nobody why not; the log does.
func (s *Server) ready(ctx context.Context, _ *nothing) (*healthReply, error) {
	if s.isDraining() {
		return nil, notReady.because("the server is stopping")
	}
	if err := s.store.Check(); err != nil {
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
