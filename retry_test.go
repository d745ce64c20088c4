package bellhop

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the number of failures and the luck of the draw, a wait is more
// than nothing and no more than the cap (floats overflow from failure 310 on).
func TestWaitsAreBounded(t *testing.T) {
	backoffs := []Backoff{
		{},
		Polynomial, Exponential(time.Millisecond, time.Hour), Exponential(time.Hour, MaxWait), Fixed(time.Nanosecond), Fixed(math.MaxInt64),
		Custom("past", func(int) time.Duration { return -time.Hour }),
		Custom("zero", func(int) time.Duration { return 0 }),
		Custom("panics", func(int) time.Duration { panic("no") }),
		Custom("huge", func(int) time.Duration { return math.MaxInt64 }),
	}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SampledFrom(backoffs).Draw(t, "backoff")
		n := rapid.OneOf(rapid.IntRange(-1, 100), rapid.IntRange(300, 100_000), rapid.Just(math.MaxInt)).Draw(t, "failures")
		r := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{-1, 2, math.Inf(1), math.NaN()})).Draw(t, "random")
		if w := b.Wait(n, r); w <= 0 || w > MaxWait {
			t.Fatalf("%v.Wait(%d, %v) = %v", b, n, r, w)
		}
	})
}

// The random part is added: never earlier than asked, and never less for more failures.
func TestJitterOnlyAdds(t *testing.T) {
	for _, b := range []Backoff{Polynomial, Exponential(time.Second, time.Hour), Fixed(time.Minute)} {
		for n := 1; n < 50; n++ {
			least, most := b.Wait(n, 0), b.Wait(n, 0.999999)
			if least >= most {
				t.Errorf("%v after %d failures: from %v to %v: no jitter", b, n, least, most)
			}
			if next := b.Wait(n+1, 0); next < least {
				t.Errorf("%v: %v after %d failures, %v after one more", b, least, n, next)
			}
		}
	}
}

func TestPolynomialIsActiveJobs(t *testing.T) {
	// executions⁴ + 2 of Rails' polynomially_longer, without its jitter.
	for n, want := range map[int]time.Duration{1: 3 * time.Second, 2: 18 * time.Second, 3: 83 * time.Second, 4: 258 * time.Second, 10: 10_002 * time.Second} {
		if got := Polynomial.Wait(n, 0); got != want {
			t.Errorf("after %d failures %v, want %v", n, got, want)
		}
	}
}

// Ten thousand jobs that fail in the same second must not come back in one: no
// second may see more than 5 % of them, from the first retry on.
func TestNoRetryStorm(t *testing.T) {
	const jobs = 10_000
	for failures := 1; failures <= 5; failures++ {
		buckets := map[time.Duration]int{}
		for i := range jobs {
			buckets[Polynomial.Wait(failures, float64(i)/jobs).Truncate(time.Second)]++
		}
		for second, n := range buckets {
			if n > jobs/20 {
				t.Errorf("after %d failures %d of %d jobs come back in second %v", failures, n, jobs, second)
			}
		}
	}
}

// Nor may they when a service has told all of them to come back after a minute, and not one of them comes sooner.
func TestNoStormAfterRetryAfter(t *testing.T) {
	const jobs = 10_000
	c := Claim{Job: &Job{Attempts: 25}}
	buckets := map[time.Duration]int{}
	for i := range jobs {
		o := c.Settle(Policy{}, Return{Err: RetryAfter(time.Minute, errors.New("429")), Random: float64(i) / jobs})
		buckets[o.Wait.Truncate(time.Second)]++
		if o.Wait < time.Minute || o.Wait > 90*time.Second {
			t.Fatalf("a job comes back after %v", o.Wait)
		}
	}
	for second, n := range buckets {
		if n > jobs/20 {
			t.Errorf("%d of %d jobs come back in second %v", n, jobs, second)
		}
	}
}

func TestBackoffsRefuseNonsense(t *testing.T) {
	for name, fn := range map[string]func(){
		"Fixed(0)":            func() { Fixed(0) },
		"Exponential(0, 1s)":  func() { Exponential(0, time.Second) },
		"Exponential(2s, 1s)": func() { Exponential(2*time.Second, time.Second) },
		"Custom(nil)":         func() { Custom("none", nil) },
	} {
		if !panics(fn) {
			t.Errorf("%s was accepted", name)
		}
	}
}

// The zero Backoff is Polynomial, and says so.
func TestZeroBackoff(t *testing.T) {
	var zero Backoff
	if zero.String() != Polynomial.String() || zero.Wait(3, 0.5) != Polynomial.Wait(3, 0.5) {
		t.Errorf("%q waits %v", zero, zero.Wait(3, 0.5))
	}
}

func panics(fn func()) (did bool) {
	defer func() { did = recover() != nil }()
	fn()
	return false
}

type temporary struct{ code int }

func (t *temporary) Error() string { return fmt.Sprint("temporary ", t.code) }

func TestRulesAreTriedInOrder(t *testing.T) {
	errGone := errors.New("gone")
	d := Define[struct{}]("rules",
		DiscardOn(errGone),
		RetryOn(ErrorType[*temporary](), Fixed(time.Minute), Attempts(2)),
		RetryOn(func(err error) bool { panic("a predicate that panics matches nothing") }, Fixed(time.Hour)),
		RetryOn(func(err error) bool { return err.Error() == "special" }, Fixed(time.Second)),
		RetryBackoff(Fixed(time.Hour)),
	)
	for _, tc := range []struct {
		err      error
		failures int // before
		kind     OutcomeKind
		wait     time.Duration
	}{
		{errGone, 0, OutcomeDiscarded, 0},
		{fmt.Errorf("wrapped: %w", errGone), 0, OutcomeDiscarded, 0},
		{&temporary{1}, 0, OutcomeRetry, time.Minute},
		{fmt.Errorf("wrapped: %w", &temporary{1}), 0, OutcomeRetry, time.Minute},
		{&temporary{1}, 1, OutcomeDead, 0},
		{errors.Join(&temporary{1}, errGone), 0, OutcomeDiscarded, 0}, // the first rule wins
		{errors.New("special"), 5, OutcomeRetry, time.Second},
		{errors.New("anything"), 5, OutcomeRetry, time.Hour},
		{errors.New("anything"), 9, OutcomeDead, 0},
	} {
		c := Claim{Job: &Job{Attempts: 10}, Place: Place{Failures: tc.failures}}
		o := c.Settle(d.With(nil2).Policy(), Return{Err: tc.err})
		if o.Kind != tc.kind || o.Wait != tc.wait {
			t.Errorf("%v after %d failures: %v, wait %v; want %v, %v", tc.err, tc.failures, o.Kind, o.Wait, tc.kind, tc.wait)
		}
	}
}
