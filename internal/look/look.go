// Package look takes one look at a store for all in a process who ask for it.
//
// What the queues have to do is asked for by the pages of a dashboard, by scrapers and by autoscalers, by many of each and again and
// again, and to find it out costs the more the more jobs there are. So they share a look ([Shared]): one is under way at a time, what it
// saw is shown to all until it is old, and looking takes no more than a twentieth of the time, however slow the store is. While a look
// is late or fails, the last good one is handed out together with what is wrong; who asks decides how old is too old. A look goes on when who
// asked for it has left; at the end of a process [Shared.Drain] and [Shared.Close] see to it that none outlives it.
//
// No job passes through here, only how many there are: [Queues] is what the look at the queues sees, and [Of] finds the one look that
// a store has.
package look

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// Part is the part of the time that looking may take: one in so many.
const Part = 20

const (
	// within bounds one look.
	within = 15 * time.Second
	// credit is how much later than now the next look may be due for one that is taken early, because somebody has changed something.
	credit = time.Minute
)

// ErrLate says that a look was still under way when somebody who waited for it had to leave.
var ErrLate = fmt.Errorf("it has not answered yet: %w", bellhop.ErrUnavailable)

// Shared is a look that is taken for all who ask. Make it with [New]; it is safe for any number of goroutines.
type Shared[T any] struct {
	read func(context.Context) (*T, error)

	mu      sync.Mutex
	seen    Seen[T]
	due     time.Time     // when looking has taken its part of the time, and may go on
	changes int           // how often what is looked at was changed, see Forget
	covers  int           // how many of these the last good look has seen
	under   chan struct{} // closed at the end of the look under way; nil if there is none
	began   time.Time     // when that began
	cut     func()        // ends that
	waiting int           // how many wait for it
	drained bool          // it ends when none does
	changed chan struct{} // closed at the end of any look
}

// Seen is what the last good look saw, and what has become of the looks after it.
type Seen[T any] struct {
	// Value is what was seen; nil if no look has been good so far. It is shared, and not to be changed.
	Value *T
	// At is when that look began by this machine's clock, and Took how long it took.
	At   time.Time
	Took time.Duration
	// Number counts the looks that have ended, good or not: Value and Err are the same as long as it is.
	Number uint64
	// Err says why there is nothing newer: the newest look failed, or it was still under way ([ErrLate]); nil if there is no need for a
	// newer one. Since is when the first of the looks began that have failed in a row, or the one that is under way.
	Err   error
	Since time.Time
}

// Age is how long ago the look began.
func (s *Seen[T]) Age() time.Duration { return time.Since(s.At) }

// Every is the time between two such looks, at the least.
func (s *Seen[T]) Every() time.Duration { return Part * s.Took }

// New returns a look that has not been taken yet. read takes it: by one goroutine at a time, within 15 seconds.
func New[T any](read func(context.Context) (*T, error)) *Shared[T] {
	return &Shared[T]{read: read, changed: make(chan struct{})}
}

// Get returns what was seen at most age ago, after a look if that is due. It may be older if looking has taken its part of the time,
// and if the look is late or fails, which Err tells. If ctx ends first it returns what there is; the look goes on for the others.
func (s *Shared[T]) Get(ctx context.Context, age time.Duration) Seen[T] {
	// The look under way may have begun before something was changed that whoever asks wants to see: then one more is needed.
	for range 2 {
		s.mu.Lock()
		if s.holds(time.Now(), age) {
			defer s.mu.Unlock()
			return s.seen
		}
		if s.under == nil {
			s.begin(ctx)
		}
		under, began := s.under, s.began
		s.waiting++
		s.mu.Unlock()
		select {
		case <-under:
			s.leave()
		case <-ctx.Done():
			s.leave()
			return s.late(began)
		}
		if seen, final := s.ended(); final {
			return seen
		}
	}
	seen, _ := s.ended()
	return seen
}

// holds reports whether what was seen is to be shown without a look. The caller holds mu.
func (s *Shared[T]) holds(now time.Time, age time.Duration) bool {
	owed := s.due.Sub(now)
	if s.covers != s.changes {
		return owed > credit
	}
	return owed > 0 || s.seen.Value != nil && s.seen.Err == nil && now.Sub(s.seen.At) < age
}

// leave notes that one waits no more.
func (s *Shared[T]) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
	s.unwatched()
}

// unwatched ends the look under way if it need not go on. The caller holds mu.
func (s *Shared[T]) unwatched() {
	if s.drained && s.waiting == 0 && s.under != nil {
		s.cut()
	}
}

// Drain is for the end of a process: from now on, no look goes on when nobody waits for it any more. It returns at once.
func (s *Shared[T]) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
	s.unwatched()
}

// Close drains the look, and waits until the one under way has ended.
func (s *Shared[T]) Close() {
	s.Drain()
	s.mu.Lock()
	under := s.under
	s.mu.Unlock()
	if under != nil {
		<-under
	}
}

// late is for those who have waited in vain for the look that began then.
func (s *Shared[T]) late(began time.Time) Seen[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	if seen.Err == nil {
		seen.Err, seen.Since = ErrLate, began
	}
	return seen
}

// ended returns what there is after a look, and whether one more would be of no use.
func (s *Shared[T]) ended() (seen Seen[T], final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen, s.covers == s.changes || s.seen.Err != nil
}

// begin takes a look. One impatient visitor does not end it for the others. The caller holds mu.
func (s *Shared[T]) begin(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	s.under, s.began, s.cut = make(chan struct{}), time.Now(), cancel
	changes := s.changes
	go func() {
		defer cancel()
		value, err := s.safely(ctx)
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			err = &silentError{err} // it was cut off, and not the store's fault: whoever comes now looks at once
		}
		s.end(value, err, changes)
	}()
}

// safely takes the look; a store that panics is one that fails.
func (s *Shared[T]) safely(ctx context.Context) (value *T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("a look at the store panicked: %v", v)
		}
	}()
	return s.read(ctx)
}

// end keeps what a look has seen, and when the next may be. A store that did not even tell the time has not been kept busy: it is
// asked again at once, as is one after a look that was cut off.
func (s *Shared[T]) end(value *T, err error, covers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	took := now.Sub(s.began)
	s.seen.Number++
	if s.due.Before(now) {
		s.due = now
	}
	var silent *silentError
	if !errors.As(err, &silent) {
		s.due = s.due.Add(Part * took)
	}
	switch {
	case err == nil:
		s.covers = covers
		s.seen = Seen[T]{Value: value, At: s.began, Took: took, Number: s.seen.Number}
	case s.seen.Err == nil:
		s.seen.Err, s.seen.Since = err, s.began
	default:
		s.seen.Err = err
	}
	close(s.under)
	s.under = nil
	close(s.changed)
	s.changed = make(chan struct{})
}

// Forget makes the next look be taken as soon as somebody asks: something has been changed. Such looks count as all others, and when
// they have taken the part of a minute ahead of time, this does nothing more.
func (s *Shared[T]) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
}

// Changed returns what is closed at the end of the next look.
func (s *Shared[T]) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// silentError is of a look that has not kept the store busy: it did not tell the time, or the look was cut off.
type silentError struct{ error }

func (e *silentError) Unwrap() error { return e.error }
