package memory

import (
	"context"
	"maps"
	"time"

	"github.com/gobellhop/bellhop"
)

// Promote implements [bellhop.Store].
func (s *Store) Promote(ctx context.Context, limit int) (n int, next time.Duration, err error) {
	now, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer s.end()
	for ; n < limit && s.nextDue(now) == 0; n++ {
		j := s.scheduled.first()
		s.leave(j)
		s.enter(j, bellhop.StateReady)
	}
	return n, s.nextDue(now), nil
}

// nextDue returns how long until a scheduled job is due: 0 if one is, -1 if none is scheduled.
func (s *Store) nextDue(now time.Time) time.Duration {
	if s.scheduled.len() == 0 {
		return -1
	}
	return max(0, s.scheduled.first().place.due.time().Sub(now))
}

// Prune implements [bellhop.Store]. It also forgets processes that have been
// gone for a day, and queues without jobs; these do not count.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer s.end()
	jobs := 0
	for ; jobs < limit && s.expiring.len() > 0 && s.expiring.least().key <= now.UnixMicro(); jobs++ {
		s.delete(s.expiring.first())
	}
	records := s.records.prune(now, limit)
	maps.DeleteFunc(s.gone, func(_ bellhop.ID, at time.Time) bool { return now.Sub(at) > goneFor })
	maps.DeleteFunc(s.queues, func(_ string, q *queue) bool {
		return !q.paused && q.counts == [len(q.counts)]int{}
	})
	return jobs + records, nil
}

// Pause implements [bellhop.Store].
func (s *Store) Pause(ctx context.Context, queue string, paused bool) error {
	if _, err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	s.queue(queue).paused = paused
	if !paused {
		s.wake(queue)
	}
	return nil
}
