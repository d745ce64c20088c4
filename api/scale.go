package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/look"
)

const (
	// scaleAge is how old the look at the queues may be for an autoscaler: those ask for many queues at once.
	scaleAge = 2 * time.Second
	// scaleWait is how long an autoscaler waits for a newer look while there is an older one,
	scaleWait = 2 * time.Second
	// scaleKeep and for how long it is given the older one while the store does not answer, at the least.
	scaleKeep = 30 * time.Second
	// promoteForScale is how many due jobs are made ready at a time where no worker does it.
	promoteForScale = 1000
)

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
	// AgeSeconds is how long ago that was seen.
	AgeSeconds float64 `json:"age_seconds"`
}

// scaleQueue is GET /v1/queues/{queue}/scale: what KEDA's metrics-api scaler and its like ask, also when no worker is alive.
func (s *Server) scaleQueue(ctx context.Context, in *queueRequest) (*scaleReply, error) {
	if err := access.From(ctx).Allow(access.Read, in.queue); err != nil {
		return nil, err
	}
	seen, err := s.depths(ctx)
	if err != nil {
		return nil, err
	}
	out := &scaleReply{Queue: in.queue, Limit: bellhop.QueuesCountedTo, AgeSeconds: seen.Age().Seconds()}
	for i := range seen.Value.Processes {
		if slices.Contains(seen.Value.Processes[i].Queues, in.queue) {
			out.Workers++
		}
	}
	stats := seen.Value.Stats
	if at, has := slices.BinarySearchFunc(stats, in.queue, func(st bellhop.QueueStats, name string) int { return strings.Compare(st.Queue, name) }); has {
		st := s.countOn(ctx, stats[at])
		out.Limit = st.Limit
		out.Ready, out.Running, out.Paused, out.OldestReadySeconds = st.Ready, st.Running, st.Paused, seen.Value.Oldest(&st).Seconds()
	}
	out.Value = out.Running
	if !out.Paused {
		out.Value += out.Ready
	}
	return out, nil
}

// countOn returns the numbers of a queue counted as far as those of one queue may be: a look at very many queues counts a hundred jobs of
// each, by which an autoscaler would start too few workers. If the store fails they are what the look saw.
func (s *Server) countOn(ctx context.Context, st bellhop.QueueStats) bellhop.QueueStats {
	seen := st
	for state, n := range map[bellhop.State]*int{bellhop.StateReady: &st.Ready, bellhop.StateRunning: &st.Running} {
		if st.Limit >= bellhop.QueuesCountedTo || !st.More(*n) {
			continue
		}
		f := bellhop.Filter{Queues: []string{st.Queue}, States: bellhop.States(state)}
		all, err := s.client.Count(ctx, f, bellhop.QueuesCountedTo)
		if err != nil {
			return seen
		}
		*n = all
	}
	st.Limit = max(st.Limit, bellhop.QueuesCountedTo)
	return st
}

// depths returns what the queues are like. Scheduled jobs become ready through workers; where none is alive, jobs whose time has come
// are made ready here, after each look, or an autoscaler would never learn of them.
func (s *Server) depths(ctx context.Context) (*look.Seen[look.Queues], error) {
	seen, err := s.lookForScale(ctx)
	if err != nil || len(seen.Value.Processes) > 0 || s.promoted.Swap(seen.Number) == seen.Number {
		return seen, err
	}
	n, _, err := s.client.Store().Promote(ctx, promoteForScale)
	if err != nil || n == 0 {
		return seen, err
	}
	s.queues.Forget()
	return s.lookForScale(ctx)
}

func (s *Server) lookForScale(ctx context.Context) (*look.Seen[look.Queues], error) {
	waiting, cancel := context.WithTimeout(ctx, scaleWait)
	defer cancel()
	seen := s.queues.Get(waiting, scaleAge)
	if seen.Value == nil && waiting.Err() != nil { // there is nothing older to be had
		seen = s.queues.Get(ctx, scaleAge)
	}
	if seen.Value == nil || seen.Err != nil && seen.Age() > max(scaleKeep, 2*seen.Every()) {
		return nil, seen.Err
	}
	return &seen, nil
}
