package api

import (
	"context"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
)

// queue is a queue on the wire.
type queue struct {
	bellhop.QueueStats
	// Concurrency is how many of its jobs run at once in each process, if somebody has set that.
	Concurrency int `json:"concurrency,omitempty"`
	// Hint says that jobs wait and no living process works the queue.
	Hint string `json:"hint,omitempty"`
}

// queuesReply answers GET /v1/queues.
type queuesReply struct {
	Queues []queue `json:"queues"`
	// Limit is how far counts go at the most. Each queue's own limit says how far they went.
	Limit int `json:"limit"`
}

// listQueues is GET /v1/queues.
func (s *Server) listQueues(ctx context.Context, _ *nothing) (*queuesReply, error) {
	stats, err := s.client.Queues(ctx)
	if err != nil {
		return nil, err
	}
	processes, err := s.client.Processes(ctx)
	if err != nil {
		return nil, err
	}
	told, err := control.Read(ctx, s.client.Store())
	if err != nil {
		return nil, err
	}
	workers, v := NewWorkforce(processes, stats), access.From(ctx)
	out := &queuesReply{Queues: make([]queue, 0, len(stats)), Limit: bellhop.QueuesCountedTo}
	for _, st := range stats {
		if v.Sees(st.Queue) {
			out.Queues = append(out.Queues, queue{st, told.Concurrency(st.Queue), workers.QueueHint(&st)})
		}
	}
	return out, nil
}

// queueRequest names a queue by its path; a slash in the name is written %2F.
type queueRequest struct{ queue string }

func (in *queueRequest) read(r *request) error {
	if _, err := r.parameters(); err != nil {
		return err
	}
	in.queue = r.PathValue("queue")
	if err := bellhop.CheckName("queue", in.queue); err != nil {
		return invalid.because("%v", err).in("queue")
	}
	return nil
}

// pauseReply says whether a queue is paused.
type pauseReply struct {
	Queue  string `json:"queue"`
	Paused bool   `json:"paused"`
}

// pauseQueue is POST /v1/queues/{queue}/pause.
func (s *Server) pauseQueue(ctx context.Context, in *queueRequest) (*pauseReply, error) {
	return s.pause(ctx, "pause", in.queue, true, s.client.Pause)
}

// resumeQueue is POST /v1/queues/{queue}/resume.
func (s *Server) resumeQueue(ctx context.Context, in *queueRequest) (*pauseReply, error) {
	return s.pause(ctx, "resume", in.queue, false, s.client.Resume)
}

// pause calls one of the two, if the viewer may, and has it audited.
func (s *Server) pause(ctx context.Context, action, queue string, paused bool, do func(context.Context, string) error) (*pauseReply, error) {
	if err := access.From(ctx).Allow(access.Act, queue); err != nil {
		return nil, err
	}
	if err := do(ctx, queue); err != nil {
		return nil, err
	}
	s.queues.Forget()
	s.audited(ctx, audit.Entry{Action: action, Queue: queue})
	return &pauseReply{Queue: queue, Paused: paused}, nil
}
