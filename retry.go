package bellhop

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// MaxWait is the longest wait that a backoff, a [Snooze] or a [RetryAfter] can
// ask for. Longer ones are cut to it.
const MaxWait = 366 * 24 * time.Hour

// Backoff says how long to wait before a failed job runs again.
//
// A wait has a fixed part, and a random part that is added to it, so that a job
// is never retried earlier than asked. The random part is there from the first
// retry on: ten thousand jobs that failed in one second because a service went
// away would otherwise all come back in one second and knock it over again.
//
// The zero Backoff is [Polynomial].
type Backoff struct {
	name string
	// wait returns the fixed part and the length of the random part, in seconds,
	// after the n-th failure; n is at least 1.
	wait func(n float64) (fixed, random float64)
}

// Polynomial waits n⁴ + 2 seconds after the n-th failure: 3 s, 18 s, 83 s, 4
// min, 10 min, … 25 failures take about three weeks. To it comes a random part
// of up to 15 % of n⁴, but of no less than 24 s.
//
// The formula is ActiveJob's polynomially_longer (Rails,
// activejob/lib/active_job/exceptions.rb: executions⁴ + rand × executions⁴ ×
// jitter + 2, jitter 0.15). The least random part is ours: 15 % of the first
// wait is a tenth of a second, which spreads nothing.
var Polynomial = Backoff{"polynomial", func(n float64) (float64, float64) {
	p := n * n * n * n
	return p + 2, max(0.15*p, 24)
}}

// Exponential waits base after the first failure and twice as long after each
// further one, at most limit. To it comes a random part of up to half the wait.
// It panics if base is not positive or limit is less than base.
func Exponential(base, limit time.Duration) Backoff {
	if base <= 0 || limit < base {
		panic(fmt.Sprintf("bellhop: Exponential(%v, %v): want 0 < base <= limit", base, limit))
	}
	return Backoff{fmt.Sprintf("exponential from %v to %v", base, limit), func(n float64) (float64, float64) {
		fixed := min(base.Seconds()*math.Pow(2, n-1), limit.Seconds())
		return fixed, fixed / 2
	}}
}

// Fixed waits d after every failure, and a random part of up to half of d. It
// panics if d is not positive.
func Fixed(d time.Duration) Backoff {
	if d <= 0 {
		panic(fmt.Sprintf("bellhop: Fixed(%v): want a positive wait", d))
	}
	return Backoff{fmt.Sprintf("fixed %v", d), func(float64) (float64, float64) {
		return d.Seconds(), d.Seconds() / 2
	}}
}

// Custom makes a backoff from a function of the number of failures so far (at
// least 1). The function returns the fixed part; up to half of it is added at
// random. A result that is not positive, or a panic in the function, counts as
// what [Polynomial] would have said. name is for people. It panics if wait is nil.
func Custom(name string, wait func(failures int) time.Duration) Backoff {
	if wait == nil {
		panic(fmt.Sprintf("bellhop: Custom(%q): the function is nil", name))
	}
	return Backoff{name, func(n float64) (fixed, random float64) {
		defer func() {
			if recover() != nil || !(fixed > 0) {
				fixed, random = Polynomial.wait(n)
			}
		}()
		fixed = wait(int(n)).Seconds()
		return fixed, fixed / 2
	}}
}

// String names the backoff: "polynomial", "fixed 5s".
func (b Backoff) String() string { return b.orDefault().name }

func (b Backoff) orDefault() Backoff {
	if b.wait == nil {
		return Polynomial
	}
	return b
}

// Wait returns the wait after the given number of failures, of which there is
// at least one. random is a number from 0 up to but not including 1 that picks
// the random part. The result is always more than 0 and at most [MaxWait],
// whatever the number of failures.
func (b Backoff) Wait(failures int, random float64) time.Duration {
	fixed, span := b.orDefault().wait(float64(max(failures, 1)))
	seconds := fixed + span*min(max(random, 0), 1)
	// Compared before it is converted: a large float would wrap to a negative duration.
	if !(seconds < MaxWait.Seconds()) {
		return MaxWait
	}
	return max(time.Duration(seconds*float64(time.Second)), time.Microsecond)
}

// Rule says what to do about an error that it matches. Made by [RetryOn] and [DiscardOn].
type Rule struct {
	match    func(error) bool
	discard  bool
	backoff  Backoff
	attempts int // 0: the job's own
}

// Policy is what a definition says about errors: rules in order, first match
// wins, then the default backoff with the job's own number of attempts.
type Policy struct {
	Rules   []Rule
	Backoff Backoff
}

// ErrorType returns a predicate for [RetryOn] and [DiscardOn] that matches an
// error with one of type T in its chain, as [errors.As] finds it.
func ErrorType[T error]() func(error) bool {
	return func(err error) bool {
		var target T
		return errors.As(err, &target)
	}
}

// matcher turns the target of a rule into a predicate.
func matcher(target any) (func(error) bool, error) {
	switch t := target.(type) {
	case nil:
		return nil, errors.New("the target is nil: want an error or a func(error) bool")
	case func(error) bool:
		if t == nil {
			return nil, errors.New("the predicate is nil")
		}
		return t, nil
	case error:
		return func(err error) bool { return errors.Is(err, t) }, nil
	}
	return nil, fmt.Errorf("the target is a %T: want an error or a func(error) bool", target)
}

// verdict is an error that decides the outcome by itself.
type verdict struct {
	kind OutcomeKind
	wait time.Duration
	// after: the wait is a retry's, and counts as a failure
	after bool
	err   error
}

func (v *verdict) Error() string {
	text := v.kind.String()
	if v.wait > 0 {
		text += " after " + v.wait.String()
	}
	if v.err != nil {
		text += ": " + v.err.Error()
	}
	return text
}

func (v *verdict) Unwrap() error { return v.err }

// reason returns what the verdict is about: its own error, or else the whole that it came in.
func (v *verdict) reason(whole error) error {
	if v.err != nil {
		return v.err
	}
	return whole
}

// Discard returns an error that ends the job as discarded: it is no longer
// needed, and nobody has to look. err says why and may be nil.
func Discard(err error) error { return &verdict{kind: OutcomeDiscarded, err: err} }

// Dead returns an error that ends the job as dead: no retry helps, and a person
// must look. err says why and may be nil.
func Dead(err error) error { return &verdict{kind: OutcomeDead, err: err} }

// Snooze returns an error that makes the job run again after d, by the store's
// clock, without counting a failure. A negative d counts as 0; more than
// [MaxWait] is cut to it.
func Snooze(d time.Duration) error {
	return &verdict{kind: OutcomeSnooze, wait: clampWait(d)}
}

// RetryAfter returns an error that counts as a failure and makes the job run
// again after d, instead of after what the definition's rules say: what a
// service asks for with its Retry-After header. A random part of up to half of d
// is added: all jobs to which a service has said the same would otherwise come
// back in one moment. If no attempt is left, the job is dead. Bounds as for
// [Snooze].
func RetryAfter(d time.Duration, err error) error {
	return &verdict{kind: OutcomeRetry, wait: clampWait(d), after: true, err: err}
}

// AsksFor returns what an error of [Discard], [Dead], [Snooze] or [RetryAfter] asks
// for, also if it is wrapped, and 0 for any other error. Middleware needs it to
// tell a snooze from a failure.
func AsksFor(err error) OutcomeKind {
	var v *verdict
	if errors.As(err, &v) {
		return v.kind
	}
	return 0
}

// spread adds up to half of a wait to it: half of it times random, which is from 0 to 1.
func spread(d time.Duration, random float64) time.Duration {
	return clampWait(d + time.Duration(float64(d)/2*min(max(random, 0), 1)))
}

func clampWait(d time.Duration) time.Duration { return min(max(d, 0), MaxWait) }
