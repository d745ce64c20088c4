package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// goneFor is how long a process that was swept or left is remembered, so that
// it cannot come back.
const goneFor = 24 * time.Hour

// process is a process that is held alive.
type process struct {
	bellhop.Process
	beatAt, until time.Time
}

// Report implements [bellhop.Store].
func (s *Store) Report(ctx context.Context, reports []bellhop.Report) ([]bellhop.Refusal, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	var refused []bellhop.Refusal
	for i := range reports {
		j := s.claimed(reports[i].Token)
		if j == nil {
			refused = append(refused, bellhop.Refusal{Index: i, Err: bellhop.ErrStale, Recorded: s.recorded(reports[i].Token)})
			continue
		}
		j.place.started = j.place.started || reports[i].Started
		if reports[i].Progress != nil {
			j.place.progress = copyBytes(reports[i].Progress)
		}
	}
	return refused, nil
}

// Beat implements [bellhop.Store].
func (s *Store) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	id := b.Process.ID
	_, gone := s.gone[id]
	switch {
	case b.Leave:
		if s.processes[id] != nil {
			s.dismiss(id, now)
		}
	case gone:
		return nil, fmt.Errorf("memory store: process %v: %w", id, bellhop.ErrProcessGone)
	default:
		p := &process{Process: b.Process, beatAt: now, until: now.Add(b.Lease)}
		p.StartedAt = micro(p.StartedAt)
		p.Queues, p.Kinds = slices.Clone(p.Queues), slices.Clone(p.Kinds)
		s.processes[id] = p
	}
	reply := &bellhop.BeatReply{Now: now, Cancel: s.cancelled(id)}
	named := make(map[bellhop.Token]bool, len(b.Held))
	for _, token := range b.Held {
		named[token] = true
		if j := s.claimed(token); j == nil || j.exchange.process != id {
			reply.Lost = append(reply.Lost, token)
		}
	}
	if h := s.held[id]; h != nil {
		for _, j := range h.jobs {
			if !named[j.token()] {
				reply.Extra = append(reply.Extra, j.claim())
			}
		}
	}
	if p := s.processes[id]; p != nil && len(b.Held)+len(reply.Extra) == 0 && s.idle(p, now) {
		reply.Idle, reply.NextDue = true, s.nextDue(now)
	}
	return reply, nil
}

// idle reports whether there is nothing to claim for a process, and nothing to sweep.
func (s *Store) idle(p *process, now time.Time) bool {
	for _, name := range p.Queues {
		if q := s.queues[name]; q != nil && !q.paused && q.counts[bellhop.StateReady] > 0 {
			return false
		}
	}
	for _, other := range s.processes {
		if !other.until.After(now) {
			return false
		}
	}
	for id, h := range s.held {
		if s.processes[id] == nil && len(h.jobs) > 0 {
			return false
		}
	}
	return true
}

// dismiss ends the life of a process. Its claims stay until they are swept.
func (s *Store) dismiss(id bellhop.ID, now time.Time) {
	delete(s.processes, id)
	s.gone[id] = now
	if h := s.held[id]; h != nil && len(h.jobs) == 0 {
		delete(s.held, id)
	}
}

// Sweep implements [bellhop.Store].
func (s *Store) Sweep(ctx context.Context, limit int) ([]bellhop.Claim, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	for id, p := range s.processes {
		if !p.until.After(now) {
			s.dismiss(id, now)
		}
	}
	var jobs []*job
	for id, h := range s.held {
		if s.processes[id] == nil {
			jobs = append(jobs, h.jobs...)
		}
	}
	slices.SortFunc(jobs, func(a, b *job) int {
		return cmp.Or(cmp.Compare(a.exchange.claimedAt, b.exchange.claimedAt), a.ID.Compare(b.ID))
	})
	return claims(jobs[:max(0, min(limit, len(jobs)))]), nil
}

// Processes implements [bellhop.Store].
func (s *Store) Processes(ctx context.Context) ([]bellhop.ProcessStatus, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	list := make([]bellhop.ProcessStatus, 0, len(s.processes))
	for id, p := range s.processes {
		status := bellhop.ProcessStatus{Process: p.Process, BeatAt: p.beatAt}
		status.Queues, status.Kinds = slices.Clone(p.Queues), slices.Clone(p.Kinds)
		if h := s.held[id]; h != nil {
			status.Running = len(h.jobs)
		}
		list = append(list, status)
	}
	slices.SortFunc(list, func(a, b bellhop.ProcessStatus) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), a.ID.Compare(b.ID))
	})
	return list, nil
}
