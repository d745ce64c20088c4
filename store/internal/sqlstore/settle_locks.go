package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	likely                // the same, but leaves those that were found locked lately and still are
	soon                  // tries again later if there are any, for ours are locked for a moment only
	unlocked              // leaves those
)

// hold locks the rows of the claims, where several transactions may write at
// once. Claims that are not held need no more than a look at what is recorded.
func (s *settlement) hold(ctx context.Context, which reach) error {
	if !s.store.Shared {
		return nil
	}
	var wait, skip Numbers // the jobs for whose claims it waits, and those that it passes over while others have them
	for i := range s.refs {
		switch job := s.refs[i].job; {
		case job == 0:
		case which >= soon || which == likely && s.store.locked.has(s.outcomes[i:i+1]...):
			skip = append(skip, job)
		default:
			wait = append(wait, job)
		}
	}
	s.held = make(map[int64]*heldRow, len(s.refs))
	err := s.lock(ctx, holdRunning, wait)
	if err == nil {
		err = s.lock(ctx, freeRunning, skip)
	}
	if err == nil {
		err = s.passedOver(ctx, which, skip)
	}
	if err != nil {
		return err
	}
	for i := range s.refs {
		if !s.fits(i) {
			s.refs[i].job = 0
		}
	}
	if which != all {
		err = s.leaveKeyed(ctx, which)
	}
	return err
}

// lock locks and reads the rows of claims.
func (s *settlement) lock(ctx context.Context, st *Stmt, jobs Numbers) error {
	if len(jobs) == 0 {
		return nil
	}
	return s.Query(ctx, st, func(r Row) error {
		h := &heldRow{}
		err := r.Scan(h.dest()...)
		s.held[int64(h.job)] = h
		return err
	}, jobs.sorted())
}

// fits reports whether the claim of an outcome is held, under its token.
func (s *settlement) fits(i int) bool {
	token, h := &s.outcomes[i].Token, s.held[s.refs[i].job]
	return h != nil && int64(h.claim) == token.Number && bellhop.ID(h.exchange) == token.Exchange
}

// passedOver sets those outcomes aside whose claims are there, but locked by others:
// a transaction of a user may be about to end them, and may be rolled back. If that
// is not expected to last, it fails with [ErrAgain] instead.
func (s *settlement) passedOver(ctx context.Context, which reach, jobs Numbers) error {
	jobs = slices.DeleteFunc(slices.Clone(jobs), func(job int64) bool { return s.held[job] != nil })
	if len(jobs) == 0 {
		return nil
	}
	seen := make(map[int64]bellhop.Token, len(jobs))
	err := s.Query(ctx, seenRunning, func(r Row) error {
		var job, claim num
		var exchange uid
		err := r.Scan(&job, &claim, &exchange)
		seen[int64(job)] = bellhop.Token{Number: int64(claim), Exchange: bellhop.ID(exchange)}
		return err
	}, jobs.sorted())
	for i := range s.refs {
		token := s.outcomes[i].Token
		token.JobID = bellhop.ID{}
		if job := s.refs[i].job; err == nil && job != 0 && seen[job] == token {
			if which == soon {
				return fmt.Errorf("a claim is locked: %w", ErrAgain)
			}
			s.leave(i)
		}
	}
	return err
}

// leave sets an outcome aside: it is to be handed in again. Such jobs are remembered,
// so that only the first try waits for them.
func (s *settlement) leave(i int) {
	s.left = append(s.left, i)
	s.store.locked.note(&s.outcomes[i])
}

// leaveKeyed sets aside what cannot end yet because its unique key is locked: in MySQL
// by a transaction of a user that wanted the key for another job and found it taken.
func (s *settlement) leaveKeyed(ctx context.Context, which reach) error {
	var keyed Numbers
	frees := func(i int) bool {
		ref := &s.refs[i]
		return ref.job != 0 && ref.keyed && s.outcomes[i].Kind.To().Final() && (which >= soon || s.store.locked.has(s.outcomes[i:i+1]...))
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
		if err == nil && frees(i) && !free[s.refs[i].job] {
			s.leave(i)
		}
	}
	return err
}

// lockedJobs are jobs whose claims or unique keys were found locked lately.
type lockedJobs struct {
	mu sync.Mutex
	m  map[bellhop.ID]time.Time // until when that is worth a look
}

// lockedFor is longer than a worker waits before it hands an outcome in again.
const lockedFor = 5 * time.Second

// note notes the job of an outcome.
func (l *lockedJobs) note(o *bellhop.Outcome) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[bellhop.ID]time.Time{}
	}
	maps.DeleteFunc(l.m, func(_ bellhop.ID, until time.Time) bool { return now.After(until) })
	l.m[o.Token.JobID] = now.Add(lockedFor)
}

// has reports whether one of the outcomes is of such a job.
func (l *lockedJobs) has(outcomes ...bellhop.Outcome) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range outcomes {
		if len(l.m) > 0 && time.Now().Before(l.m[outcomes[i].Token.JobID]) {
			return true
		}
	}
	return false
}
