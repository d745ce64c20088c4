package api

import (
	"context"

	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/control"
)

// processesReply answers GET /v1/processes.
type processesReply struct {
	Processes []control.Process `json:"processes"`
}

// listProcesses is GET /v1/processes.
func (s *Server) listProcesses(ctx context.Context, _ *nothing) (*processesReply, error) {
	alive, err := s.client.Processes(ctx)
	if err != nil {
		return nil, err
	}
	told, err := control.Read(ctx, s.client.Store())
	if err != nil {
		return nil, err
	}
	alive = access.From(ctx).Processes(alive)
	out := &processesReply{Processes: make([]control.Process, len(alive))}
	for i, p := range alive {
		p.Queues = append([]string{}, p.Queues...) // none is an empty array, not null
		p.Kinds = append([]string{}, p.Kinds...)
		out.Processes[i] = told.Process(p)
	}
	return out, nil
}
