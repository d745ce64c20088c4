package bellhop

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Claim is a process's right to run one attempt of a job.
type Claim struct {
	// Token proves the claim in every write.
	Token Token
	// Job is the claimed job.
	Job *Job
	// Place is the job's place just after the claim: running, with its counters
	// as they were before this attempt.
	Place Place
	// Started says that a suspect's start has been recorded; see [Report].
	Started bool
}

// MaxCrashes is how often a job may take its process with it, as a suspect,
// before it is dead.
const MaxCrashes = 3

// Return tells how a handler came back.
type Return struct {
	// Err is what the handler returned; a [*PanicError] if it panicked.
	Err error
	// Cause is why the handler's context was cancelled, as [context.Cause] tells
	// it; nil if it was not.
	Cause error
	// Started and Ended bound the run, by the store's clock as the process reckons it.
	Started, Ended time.Time
	// Result is what the handler left behind, as JSON; nil for none.
	Result []byte
	// Random picks the random part of a wait: from 0 up to but not including 1.
	Random float64
}

// Settle decides what an attempt came to.
//
// A handler that returns nil has succeeded, whatever befell its context. Else
// its own verdict counts ([Discard], [Dead], [Snooze], [RetryAfter], also
// wrapped), then the cause for which its context was cancelled, then the
// policy's rules in order, then the policy's backoff. But a job that somebody has
// cancelled meanwhile does not run again because its handler asks for it.
func (c *Claim) Settle(p Policy, r Return) Outcome {
	o := c.outcome(OutcomeSucceeded)
	o.Attempt = c.Place.Attempt + 1
	o.Number = o.Attempt
	o.Suspect = false // it returned, so it did not take its process with it
	o.Started, o.Ended = r.Started, r.Ended
	if r.Err == nil {
		o.Result = r.Result
	} else {
		c.settleError(&o, p, r)
	}
	if o.Kind.To().Final() {
		o.Keep = c.Job.Keep(o.Kind.To())
	}
	return o
}

// settleError decides about a handler that returned an error.
func (c *Claim) settleError(o *Outcome, p Policy, r Return) {
	var v *verdict
	errors.As(r.Err, &v)
	switch {
	case errors.Is(r.Cause, ErrCancelled) && (v == nil || !v.kind.To().Final()):
		o.Kind = OutcomeCancelled
		o.Failure = NewFailure(r.Err)
	case v != nil && v.after:
		c.fail(o, v.reason(r.Err), spread(v.wait, r.Random), c.Job.Attempts)
	case v != nil:
		o.Kind, o.Wait = v.kind, v.wait
		if v.err != nil {
			o.Failure = NewFailure(v.err)
		}
		if v.kind == OutcomeDead {
			o.Failures++
			o.Reason = "no retry helps" + brief(o.Failure)
		}
	case errors.Is(r.Cause, ErrShutdown):
		o.Kind = OutcomeHandedBack
		o.Reason = "cut short by a shutdown"
	default:
		c.byRules(o, p, r)
	}
}

// byRules applies the policy's first matching rule, or its default.
func (c *Claim) byRules(o *Outcome, p Policy, r Return) {
	err := r.Err
	if errors.Is(r.Cause, ErrTimeout) && !errors.Is(err, ErrTimeout) {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	backoff, attempts := p.Backoff, c.Job.Attempts
	for _, rule := range p.Rules {
		if !rule.matches(err) {
			continue
		}
		if rule.discard {
			o.Kind, o.Failure = OutcomeDiscarded, NewFailure(err)
			return
		}
		backoff = rule.backoff
		if rule.attempts > 0 {
			attempts = rule.attempts
		}
		break
	}
	c.fail(o, err, backoff.Wait(c.Place.Failures+1, r.Random), attempts)
}

// matches asks the rule's predicate. One that panics does not match: a mistake
// in a rule must not cost the job its retry.
func (r Rule) matches(err error) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return r.match(err)
}

// fail counts a failure: a retry after wait, or dead when attempts are used up.
func (c *Claim) fail(o *Outcome, err error, wait time.Duration, attempts int) {
	o.Failures++
	o.Failure = NewFailure(err)
	if o.Failures >= attempts {
		o.Kind = OutcomeDead
		o.Reason = fmt.Sprintf("failed %d of %d times", o.Failures, attempts) + brief(o.Failure)
		return
	}
	o.Kind, o.Wait = OutcomeRetry, wait
}

// brief is the first line of a failure's message, for a reason: ": it says".
func brief(f *Failure) string {
	if f == nil || f.Message == "" {
		return ""
	}
	line, _, _ := strings.Cut(f.Message, "\n")
	return ": " + CleanText(line, 200)
}

// HandBack gives the claim back unstarted: the job is ready again in its old
// turn, and nothing is counted.
func (c *Claim) HandBack(reason string) Outcome {
	o := c.outcome(OutcomeHandedBack)
	o.Reason = reason
	return o
}

// Sweep decides what becomes of a claim whose process is gone.
//
// A job that may have started gets an attempt and a failure. The first sweep
// makes it a suspect only. A suspect's start is recorded before its handler
// runs, so if it was started and its process died again, it is counted as a
// crash; after [MaxCrashes] it is dead. A suspect that had not started is
// blameless and loses nothing.
func (c *Claim) Sweep(now time.Time) Outcome {
	o := c.outcome(OutcomeSwept)
	o.Ended = now
	o.Suspect = true
	if c.Place.Suspect && !c.Started {
		o.Reason = "its process died before it was started"
		return o
	}
	o.Attempt++
	o.Number = o.Attempt
	o.Failures++
	o.Started = c.Place.ClaimedAt
	o.Failure = &Failure{Class: "crash", Message: "the process that ran the job is gone"}
	o.Reason = "its process died while it held the job"
	if c.Place.Suspect {
		o.Crashes++
	}
	switch {
	case c.Place.CancelRequested:
		o.Kind = OutcomeCancelled
		o.Reason = "" // the reason of the request stays
	case o.Crashes >= MaxCrashes:
		o.Kind = OutcomeDead
		o.Reason = fmt.Sprintf("%d crashes: each time it was started, its process died", o.Crashes)
	case o.Failures >= c.Job.Attempts:
		o.Kind = OutcomeDead
		o.Reason = fmt.Sprintf("failed %d of %d times; the last time its process died", o.Failures, c.Job.Attempts)
	default:
		return o
	}
	o.Keep = c.Job.Keep(o.Kind.To())
	return o
}

func (c *Claim) outcome(kind OutcomeKind) Outcome {
	return Outcome{
		Token: c.Token, Kind: kind, Attempt: c.Place.Attempt, Failures: c.Place.Failures,
		Crashes: c.Place.Crashes, Suspect: c.Place.Suspect,
	}
}

// PanicError is the error of a handler that panicked or ended its goroutine.
type PanicError struct {
	// Value is what was given to panic; nil if the handler called [runtime.Goexit].
	Value any
	// Goexit says that the handler ended its goroutine instead of returning.
	Goexit bool
	// Stack is the goroutine's stack.
	Stack []byte
}

// Error returns the panic's value as text.
func (e *PanicError) Error() string {
	if e.Goexit {
		return "the handler ended its goroutine (runtime.Goexit) instead of returning"
	}
	return "panic: " + safeText(e.Value)
}

// Unwrap returns the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// safeText prints a value whose own String or Error method may panic.
func safeText(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a %T that cannot be printed", v)
		}
	}()
	return fmt.Sprint(v)
}

// NewFailure describes an error. It never fails: an error that panics when
// asked for its text is described by its type. Texts are cleaned and capped.
func NewFailure(err error) *Failure {
	f := &Failure{Class: errorClass(err)}
	f.Message = CleanText(errorText(err), MaxErrorText)
	if p := panicIn(err); p != nil {
		f.Stack = CleanText(string(p.Stack), MaxErrorText)
	}
	return f
}

// panicIn returns the panic in an error's chain; nil if there is none, or the
// chain itself panics, as that of a nil *net.OpError does.
func panicIn(err error) (p *PanicError) {
	defer func() {
		if recover() != nil {
			p = nil
		}
	}()
	errors.As(err, &p)
	return p
}

func errorText(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a %T that cannot be printed", err)
		}
	}()
	return err.Error()
}

// errorClass names the kind of an error for grouping: the type of the innermost
// error that is not one of the anonymous types of errors and fmt, or "error".
func errorClass(err error) (class string) {
	defer func() {
		if recover() != nil {
			class = "error"
		}
	}()
	switch p := panicIn(err); {
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case p != nil && p.Goexit:
		return "goexit"
	case p != nil:
		return "panic"
	}
	class = "error"
	for err != nil {
		switch t := reflect.TypeOf(err).String(); t {
		case "*errors.errorString", "*fmt.wrapError", "*fmt.wrapErrors", "*errors.joinError", "*bellhop.verdict", "*bellhop.failedCall":
		default:
			class = t
		}
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			err = u.Unwrap()
		case interface{ Unwrap() []error }:
			if err = nil; len(u.Unwrap()) > 0 {
				err = u.Unwrap()[0]
			}
		default:
			err = nil
		}
	}
	return CleanText(class, 128)
}
