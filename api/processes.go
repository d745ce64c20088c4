package api

import (
	"context"
	"slices"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// processesReply answers GET /v1/processes.
type processesReply struct {
	Processes []bellhop.ProcessStatus `json:"processes"`
}

// listProcesses is GET /v1/processes. Of a process that works several queues, a viewer learns which of those it works that he sees;
// how many jobs it runs is told of all together.
func (s *Server) listProcesses(ctx context.Context, _ *nothing) (*processesReply, error) {
	alive, err := s.client.Processes(ctx)
	if err != nil {
		return nil, err
	}
	v := access.From(ctx)
	out := &processesReply{Processes: make([]bellhop.ProcessStatus, 0, len(alive))}
	for _, p := range alive {
		p.Queues = slices.DeleteFunc(append([]string{}, p.Queues...), func(queue string) bool { return !v.Sees(queue) })
		p.Kinds = append([]string{}, p.Kinds...) // none is an empty array, not null
		if len(p.Queues) > 0 || v.SeesAll() {
			out.Processes = append(out.Processes, p)
		}
	}
	return out, nil
}
