package api

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// sightAge is how old a look at the queues may be for an autoscaler: those ask for many queues at once.
const sightAge = 2 * time.Second

// promoteForScale is how many due jobs are made ready at a time where no worker does it.
const promoteForScale = 1000

// scaleReply tells an autoscaler how much work a queue has.
type scaleReply struct {
	Queue string `json:"queue"`
	// Value is what to scale by: jobs that are ready or running; without the ready ones if the queue is paused.
	Value int `json:"value"`
	// Ready and Running are counted no further than Limit.
	Ready   int `json:"ready"`
	Running int `json:"running"`
	// OldestReadySeconds is how long the job has waited that has been ready longest; 0 if none is.
	OldestReadySeconds float64 `json:"oldest_ready_seconds"`
	// Workers are the living processes that work the queue.
	Workers int  `json:"workers"`
	Paused  bool `json:"paused"`
	Limit   int  `json:"limit"`
}

// scaleQueue is GET /v1/queues/{queue}/scale: what KEDA's metrics-api scaler and its like ask, also when no worker is alive.
func (s *Server) scaleQueue(ctx context.Context, in *queueRequest) (*scaleReply, error) {
	if err := access.From(ctx).Allow(access.Read, in.queue); err != nil {
		return nil, err
	}
	seen, err := s.sight.look(ctx, s.client)
	if err != nil {
		return nil, err
	}
	out := &scaleReply{Queue: in.queue, Limit: bellhop.QueuesCountedTo}
	for i := range seen.workforce.Processes {
		if slices.Contains(seen.workforce.Processes[i].Queues, in.queue) {
			out.Workers++
		}
	}
	for i := range seen.stats {
		st := &seen.stats[i]
		if st.Queue != in.queue {
			continue
		}
		out.Ready, out.Running, out.Paused = st.Ready, st.Running, st.Paused
		if !st.OldestReady.IsZero() {
			out.OldestReadySeconds = max(seen.now.Sub(st.OldestReady).Seconds(), 0)
		}
	}
	out.Value = out.Running
	if !out.Paused {
		out.Value += out.Ready
	}
	return out, nil
}

// sight is a look at all queues that several requests share.
type sight struct {
	age  time.Duration // how old it may be
	mu   sync.Mutex
	at   time.Time
	seen *seen
}

type seen struct {
	now       time.Time // the store's clock
	stats     []bellhop.QueueStats
	workforce *Workforce
}

// look returns what the queues are like, at most s.age old. Scheduled jobs become ready through workers; where none is alive, jobs
// whose time has come are made ready here, or an autoscaler would never learn of them.
func (s *sight) look(ctx context.Context, c *bellhop.Client) (*seen, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen != nil && time.Since(s.at) < s.age {
		return s.seen, nil
	}
	processes, err := c.Processes(ctx)
	if err != nil {
		return nil, err
	}
	if len(processes) == 0 {
		if _, _, err := c.Store().Promote(ctx, promoteForScale); err != nil {
			return nil, err
		}
	}
	now, err := c.Store().Ping(ctx)
	if err != nil {
		return nil, err
	}
	stats, err := c.Queues(ctx)
	if err != nil {
		return nil, err
	}
	s.seen, s.at = &seen{now, stats, NewWorkforce(processes, stats)}, time.Now()
	return s.seen, nil
}
