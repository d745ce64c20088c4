package partition

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Promote implements [bellhop.Store]. What is due in a part that is out of reach is
// promoted when it is back.
func (s *Store) Promote(ctx context.Context, limit int) (n int, next time.Duration, err error) {
	if err := s.open(ctx); err != nil {
		return 0, 0, err
	}
	said := map[*part]time.Duration{}
	n, err = s.bites(ctx, limit, func(ctx context.Context, p *part, limit int) (int, func(), error) {
		n, next, err := p.store.Promote(ctx, limit)
		return n, func() {
			said[p] = next
			if p.due(next); n > 0 {
				p.wake()
			}
		}, err
	})
	return n, s.soonest(said), err
}

// Prune implements [bellhop.Store]. What has expired in a part that is out of reach
// is deleted when it is back.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	return s.bites(ctx, limit, func(ctx context.Context, p *part, limit int) (int, func(), error) {
		n, err := p.store.Prune(ctx, limit)
		return n, nil, err
	})
}

// bites does a duty in all parts, at most limit things together: evenly at first,
// and what is left where there is more to do. then is called for a part that has
// answered, one after the other.
func (s *Store) bites(ctx context.Context, limit int, call func(ctx context.Context, p *part, limit int) (n int, then func(), err error)) (int, error) {
	type bite struct {
		limit, n int
		then     func()
	}
	fits := s.inReach(func(*part) bool { return true })
	parts := slices.DeleteFunc(s.rotated(), func(p *part) bool { return !slices.Contains(fits, p) })
	done := 0
	for first := true; first || len(parts) > 0 && done < limit; first = false {
		limits := map[*part]int{}
		for i, p := range parts {
			limits[p] = (limit - done + len(parts) - i - 1) / len(parts) // an even portion
		}
		list, err := gather(ctx, parts, s.patience.duty, func(ctx context.Context, p *part) (b bite, err error) {
			b.limit = limits[p]
			b.n, b.then, err = call(ctx, p, b.limit)
			return b, err
		})
		if err != nil {
			return done, err
		}
		if _, err := working(list); err != nil {
			return done, err
		}
		parts = nil
		for _, a := range list {
			if a.err != nil {
				continue
			}
			done += a.value.n
			if a.value.then != nil {
				a.value.then()
			}
			if a.value.n >= a.value.limit {
				parts = append(parts, a.part)
			}
		}
	}
	return done, nil
}

// Pause implements [bellhop.Store]. It is done in all parts; if one is out of reach
// the error says so, and the others have done it.
func (s *Store) Pause(ctx context.Context, queue string, paused bool) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	what := fmt.Sprintf("queue %s is paused", queue)
	if !paused {
		what = fmt.Sprintf("queue %s is resumed", queue)
	}
	err := allDone(ctx, s, what, func(ctx context.Context, p *part) error { return p.store.Pause(ctx, queue, paused) })
	for _, p := range s.parts {
		p.wake()
	}
	return err
}
