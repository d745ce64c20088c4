package bellhop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func nil2(context.Context, struct{}) error { return nil }

func TestWhatAHandlerReturnsDecides(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		ret      Return
		place    Place
		attempts int // of the job; 25 if 0
		kind     OutcomeKind
		wait     time.Duration
		failures int
		class    string
	}{
		"nil":                     {kind: OutcomeSucceeded},
		"nil after its timeout":   {ret: Return{Cause: ErrTimeout}, kind: OutcomeSucceeded},
		"nil after a cancel":      {ret: Return{Cause: ErrCancelled}, kind: OutcomeSucceeded},
		"nil after a shutdown":    {ret: Return{Cause: ErrShutdown}, kind: OutcomeSucceeded},
		"an error":                {ret: Return{Err: boom}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "error"},
		"the last error":          {ret: Return{Err: boom}, place: Place{Failures: 24}, kind: OutcomeDead, failures: 25, class: "error"},
		"a typed error":           {ret: Return{Err: fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: boom})}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "*net.OpError"},
		"a call of the client":    {ret: Return{Err: storeError(boom, "get job")}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "error"},
		"discard":                 {ret: Return{Err: Discard(boom)}, kind: OutcomeDiscarded, class: "error"},
		"discard, no reason":      {ret: Return{Err: Discard(nil)}, kind: OutcomeDiscarded},
		"discard, wrapped":        {ret: Return{Err: fmt.Errorf("x: %w", Discard(boom))}, kind: OutcomeDiscarded, class: "error"},
		"dead":                    {ret: Return{Err: Dead(boom)}, kind: OutcomeDead, failures: 1, class: "error"},
		"snooze":                  {ret: Return{Err: Snooze(time.Hour)}, place: Place{Failures: 3}, kind: OutcomeSnooze, wait: time.Hour, failures: 3},
		"snooze into the past":    {ret: Return{Err: Snooze(-time.Hour)}, kind: OutcomeSnooze},
		"retry after":             {ret: Return{Err: RetryAfter(time.Hour, boom)}, kind: OutcomeRetry, wait: time.Hour, failures: 1, class: "error"},
		"retry after, spread":     {ret: Return{Err: RetryAfter(time.Hour, boom), Random: 0.5}, kind: OutcomeRetry, wait: 75 * time.Minute, failures: 1, class: "error"},
		"retry after, none left":  {ret: Return{Err: RetryAfter(time.Hour, boom)}, attempts: 1, kind: OutcomeDead, failures: 1, class: "error"},
		"retry after for ever":    {ret: Return{Err: RetryAfter(1<<62, boom)}, kind: OutcomeRetry, wait: MaxWait, failures: 1, class: "error"},
		"for ever, spread":        {ret: Return{Err: RetryAfter(1<<62, boom), Random: 0.9}, kind: OutcomeRetry, wait: MaxWait, failures: 1, class: "error"},
		"snooze, to the point":    {ret: Return{Err: Snooze(time.Hour), Random: 0.9}, kind: OutcomeSnooze, wait: time.Hour},
		"timeout":                 {ret: Return{Err: context.DeadlineExceeded, Cause: ErrTimeout}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "timeout"},
		"timeout, hidden":         {ret: Return{Err: boom, Cause: ErrTimeout}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "timeout"},
		"cut by a shutdown":       {ret: Return{Err: boom, Cause: ErrShutdown}, place: Place{Failures: 2}, kind: OutcomeHandedBack, failures: 2},
		"cancelled":               {ret: Return{Err: context.Canceled, Cause: ErrCancelled}, kind: OutcomeCancelled, class: "error"},
		"snooze after a cancel":   {ret: Return{Err: Snooze(time.Hour), Cause: ErrCancelled}, kind: OutcomeCancelled, class: "error"},
		"retry after a cancel":    {ret: Return{Err: RetryAfter(time.Hour, boom), Cause: ErrCancelled}, kind: OutcomeCancelled, class: "error"},
		"discard after a cancel":  {ret: Return{Err: Discard(boom), Cause: ErrCancelled}, kind: OutcomeDiscarded, class: "error"},
		"dead after a cancel":     {ret: Return{Err: Dead(boom), Cause: ErrCancelled}, kind: OutcomeDead, failures: 1, class: "error"},
		"retry after a shutdown":  {ret: Return{Err: RetryAfter(time.Hour, boom), Cause: ErrShutdown}, kind: OutcomeRetry, wait: time.Hour, failures: 1, class: "error"},
		"discard at a shutdown":   {ret: Return{Err: Discard(boom), Cause: ErrShutdown}, kind: OutcomeDiscarded, class: "error"},
		"a panic":                 {ret: Return{Err: &PanicError{Value: "x"}}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "panic"},
		"a panic with an error":   {ret: Return{Err: &PanicError{Value: boom}}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "panic"},
		"the end of a goroutine":  {ret: Return{Err: &PanicError{Goexit: true}}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "goexit"},
		"an error that panics":    {ret: Return{Err: badError{}}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "bellhop.badError"},
		"arguments do not decode": {ret: Return{Err: &ArgumentsError{Kind: "k", Err: boom}}, kind: OutcomeRetry, wait: 3 * time.Second, failures: 1, class: "*bellhop.ArgumentsError"},
	} {
		t.Run(name, func(t *testing.T) {
			job := &Job{Attempts: 25}
			if tc.attempts > 0 {
				job.Attempts = tc.attempts
			}
			tc.place.Attempt, tc.place.Suspect = 7, true
			c := Claim{Token: Token{Number: 3}, Job: job, Place: tc.place}
			o := c.Settle(Policy{}, tc.ret)
			if o.Kind != tc.kind || o.Wait != tc.wait || o.Failures != tc.failures {
				t.Errorf("%v, wait %v, %d failures; want %v, %v, %d", o.Kind, o.Wait, o.Failures, tc.kind, tc.wait, tc.failures)
			}
			if o.Attempt != 8 || o.Number != 8 || o.Suspect || o.Token != c.Token {
				t.Errorf("attempt %d, number %d, suspect %v, token %v", o.Attempt, o.Number, o.Suspect, o.Token)
			}
			if class := classOf(o.Failure); class != tc.class {
				t.Errorf("class %q, want %q", class, tc.class)
			}
			if o.Kind.To().Final() && o.Keep != job.Keep(o.Kind.To()) {
				t.Errorf("kept for %v", o.Keep)
			}
		})
	}
}

func classOf(f *Failure) string {
	if f == nil {
		return ""
	}
	return f.Class
}

type badError struct{}

func (badError) Error() string { panic("not even the error can be told") }

func TestFailureTextsAreCleanAndCapped(t *testing.T) {
	f := NewFailure(&PanicError{Value: "a\x00b\xff\x1b[31m" + strings.Repeat("x", 1<<20), Stack: make([]byte, 1<<20)})
	if len(f.Message) > MaxErrorText || len(f.Stack) > MaxErrorText || strings.ContainsAny(f.Message+f.Stack, "\x00\x1b") || !utf8.ValidString(f.Message+f.Stack) {
		t.Errorf("message of %d and stack of %d bytes: %.40q", len(f.Message), len(f.Stack), f.Message)
	}
}

// A nil pointer in an error is a usual mistake, and its chain cannot be walked.
func TestFailureOfANilError(t *testing.T) {
	for _, err := range []error{nil, (*net.OpError)(nil), (*PanicError)(nil), badError{}} {
		if f := NewFailure(err); f.Class == "" || f.Message == "" {
			t.Errorf("%T: %+v", err, f)
		}
	}
}

func TestSweep(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		place   Place
		started bool
		job     Job
		want    Outcome // kind, attempt, failures, crashes, number
	}{
		"the first makes a suspect only": {
			job: Job{Attempts: 25}, want: Outcome{Kind: OutcomeSwept, Attempt: 1, Number: 1, Failures: 1},
		},
		"a suspect that had not started is blameless": {
			place: Place{Attempt: 1, Failures: 1, Suspect: true}, job: Job{Attempts: 2},
			want: Outcome{Kind: OutcomeSwept, Attempt: 1, Failures: 1},
		},
		"a started suspect has crashed": {
			place: Place{Attempt: 1, Failures: 1, Suspect: true}, started: true, job: Job{Attempts: 25},
			want: Outcome{Kind: OutcomeSwept, Attempt: 2, Number: 2, Failures: 2, Crashes: 1},
		},
		"three crashes are enough": {
			place: Place{Attempt: 3, Failures: 3, Crashes: 2, Suspect: true}, started: true, job: Job{Attempts: 25},
			want: Outcome{Kind: OutcomeDead, Attempt: 4, Number: 4, Failures: 4, Crashes: 3, Keep: Forever},
		},
		"attempts are used up": {
			place: Place{Attempt: 1, Failures: 1}, job: Job{Attempts: 2},
			want: Outcome{Kind: OutcomeDead, Attempt: 2, Number: 2, Failures: 2, Keep: Forever},
		},
		"a cancel that was asked for": {
			place: Place{CancelRequested: true}, job: Job{Attempts: 25},
			want: Outcome{Kind: OutcomeCancelled, Attempt: 1, Number: 1, Failures: 1, Keep: KeepCancelled},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Claim{Job: &tc.job, Place: tc.place, Started: tc.started}
			o := c.Sweep(now)
			got := Outcome{Kind: o.Kind, Attempt: o.Attempt, Number: o.Number, Failures: o.Failures, Crashes: o.Crashes, Keep: o.Keep}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
			// A job that is cancelled keeps the reason of whoever asked for it.
			if !o.Suspect || (o.Reason == "") != tc.place.CancelRequested {
				t.Errorf("suspect %v, reason %q", o.Suspect, o.Reason)
			}
		})
	}
}

func TestHandBackCountsNothing(t *testing.T) {
	place := Place{Attempt: 4, Failures: 2, Crashes: 1, Suspect: true}
	c := Claim{Job: &Job{}, Place: place}
	o := c.HandBack("why")
	if o.Kind != OutcomeHandedBack || o.Attempt != 4 || o.Number != 0 || o.Failures != 2 || o.Crashes != 1 || !o.Suspect {
		t.Errorf("%+v", o)
	}
}
