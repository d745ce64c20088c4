package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// What a settlement does about rows that other transactions have locked: ours for
// a moment, those of users for as long as they like.

// reach says which claims a settlement touches.
type reach uint8

const (
	all      reach = iota // waits for those whose rows others have locked
	likely                // the same, but leaves those whose unique keys were found locked lately and still are
	soon                  // tries again later if there are any, for ours are locked for a moment only
	unlocked              // refuses those: they are found again by the next sweep or beat; leaves those whose unique keys are locked
)

// hold locks the rows of the claims, where several transactions may write at
// once. Claims that are not held need no more than a look at what is recorded.
func (s *settlement) hold(ctx context.Context, which reach) error {
	if !s.store.Shared {
		return nil
	}
	st := holdRunning
	if which >= soon {
		st = freeRunning
	}
	jobs := make(Numbers, 0, len(s.refs))
	for i := range s.refs {
		if s.refs[i].job != 0 {
			jobs = append(jobs, s.refs[i].job)
		}
	}
	s.held = make(map[int64]*heldRow, len(jobs))
	err := s.Query(ctx, st, func(r Row) error {
		h := &heldRow{}
		err := r.Scan(h.dest()...)
		s.held[int64(h.job)] = h
		return err
	}, jobs.sorted())
	if err == nil && which == soon && len(s.held) < len(jobs) {
		err = s.noneLocked(ctx, jobs)
	}
	for i := range s.refs {
		token := &s.outcomes[i].Token
		h := s.held[s.refs[i].job]
		if h == nil || int64(h.claim) != token.Number || bellhop.ID(h.exchange) != token.Exchange {
			s.refs[i].job = 0
		}
	}
	if err == nil && which != all {
		err = s.leave(ctx, which)
	}
	return err
}

// noneLocked fails with [ErrAgain] if a claim was passed over that is held still.
func (s *settlement) noneLocked(ctx context.Context, jobs Numbers) error {
	tokens := make(map[int64]*bellhop.Token, len(jobs))
	for i := range s.refs {
		if job := s.refs[i].job; job != 0 && s.held[job] == nil {
			tokens[job] = &s.outcomes[i].Token
		}
	}
	locked := false
	err := s.Query(ctx, seenRunning, func(r Row) error {
		var job, claim num
		var exchange uid
		err := r.Scan(&job, &claim, &exchange)
		token := tokens[int64(job)]
		locked = locked || token != nil && token.Number == int64(claim) && token.Exchange == bellhop.ID(exchange)
		return err
	}, jobs)
	if err == nil && locked {
		err = fmt.Errorf("a claim is locked: %w", ErrAgain)
	}
	return err
}

// leave sets aside what cannot end yet because its unique key is locked: in MySQL
// by a transaction of a user that wanted the key for another job and found it taken.
// Such jobs are remembered, so that only the first try waits for them.
func (s *settlement) leave(ctx context.Context, which reach) error {
	var keyed Numbers
	frees := func(i int) bool {
		ref := &s.refs[i]
		return ref.job != 0 && ref.keyed && s.outcomes[i].Kind.To().Final() && (which >= soon || s.store.lockedKeys.has(ref.job))
	}
	for i := range s.refs {
		if frees(i) {
			keyed = append(keyed, s.refs[i].job)
		}
	}
	if len(keyed) == 0 {
		return nil
	}
	free := make(map[int64]bool, len(keyed))
	err := s.Query(ctx, unlockedKeys, func(r Row) error {
		var job num
		err := r.Scan(&job)
		free[int64(job)] = true
		return err
	}, keyed.sorted())
	for i := range s.refs {
		if frees(i) && !free[s.refs[i].job] {
			s.left = append(s.left, i)
			s.store.lockedKeys.note(s.refs[i].job)
		}
	}
	return err
}

// lockedJobs are jobs whose unique keys were found locked lately.
type lockedJobs struct {
	mu sync.Mutex
	m  map[int64]time.Time // until when that is worth a look
}

// lockedFor is longer than a worker waits before it hands an outcome in again.
const lockedFor = 5 * time.Second

func (l *lockedJobs) note(job int64) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[int64]time.Time{}
	}
	maps.DeleteFunc(l.m, func(_ int64, until time.Time) bool { return now.After(until) })
	l.m[job] = now.Add(lockedFor)
}

func (l *lockedJobs) has(job int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.m[job])
}
