package bellhop

import (
	"fmt"
	"time"
)

// Token proves a claim. Every write by an attempt carries one, and a store
// compares it with the claim's row in the statement that writes.
type Token struct {
	// JobID is the claimed job.
	JobID ID
	// Number is the job's claim number, raised by each claim. It is a fencing
	// token for outside systems as well: it only ever grows.
	Number int64
	// Exchange is the id of the exchange that made the claim.
	Exchange ID
}

// OutcomeKind says what an attempt came to. The numbers are part of the stored format.
type OutcomeKind uint8

// The outcomes.
const (
	OutcomeSucceeded  OutcomeKind = 1 // the handler returned nil
	OutcomeRetry      OutcomeKind = 2 // it failed and is to run again
	OutcomeSnooze     OutcomeKind = 3 // it asked to run later; not a failure
	OutcomeDiscarded  OutcomeKind = 4 // no longer needed
	OutcomeDead       OutcomeKind = 5 // no retry helps, or none is left
	OutcomeCancelled  OutcomeKind = 6 // stopped on request
	OutcomeHandedBack OutcomeKind = 7 // not started, or cut short by a shutdown
	OutcomeSwept      OutcomeKind = 8 // its process is gone
)

var outcomes = [...]struct {
	name  string
	event EventType
}{
	OutcomeSucceeded:  {"succeeded", EventSucceeded},
	OutcomeRetry:      {"retry", EventRetried},
	OutcomeSnooze:     {"snooze", EventSnoozed},
	OutcomeDiscarded:  {"discarded", EventDiscarded},
	OutcomeDead:       {"dead", EventDied},
	OutcomeCancelled:  {"cancelled", EventCancelled},
	OutcomeHandedBack: {"handed back", EventHandedBack},
	OutcomeSwept:      {"swept", EventSwept},
}

// Valid reports whether k is one of the outcomes.
func (k OutcomeKind) Valid() bool { return k >= OutcomeSucceeded && k <= OutcomeSwept }

// String returns the outcome's name: "retry", "handed back".
func (k OutcomeKind) String() string {
	if !k.Valid() {
		return fmt.Sprintf("OutcomeKind(%d)", uint8(k))
	}
	return outcomes[k].name
}

// Event returns the transition that the outcome causes.
func (k OutcomeKind) Event() EventType {
	if !k.Valid() {
		return 0
	}
	return outcomes[k].event
}

// MarshalText writes the outcome's name.
func (k OutcomeKind) MarshalText() ([]byte, error) {
	if !k.Valid() {
		return nil, fmt.Errorf("outcome %d is unknown", uint8(k))
	}
	return []byte(outcomes[k].name), nil
}

// UnmarshalText reads an outcome's name.
func (k *OutcomeKind) UnmarshalText(text []byte) error {
	for i := OutcomeSucceeded; i <= OutcomeSwept; i++ {
		if outcomes[i].name == string(text) {
			*k = i
			return nil
		}
	}
	return fmt.Errorf("outcome %.64q is unknown", text)
}

// To returns the state that a job with this outcome goes to.
func (k OutcomeKind) To() State {
	return k.Event().To().first()
}

// Outcome is what an attempt came to, ready for a store: every decision in it
// was taken in Go ([Claim.Settle], [Claim.HandBack], [Claim.Sweep]), and a store only compares the
// token and sets what it is told.
type Outcome struct {
	// Token proves the claim that the outcome ends.
	Token Token
	// Kind says what the attempt came to, and with it where the job goes.
	Kind OutcomeKind
	// Wait is how long from now, by the store's clock, the job is scheduled for:
	// retries and snoozes only.
	Wait time.Duration
	// Attempt, Failures, Crashes and Suspect are the place's values from now on.
	Attempt  int
	Failures int
	Crashes  int
	Suspect  bool
	// Number is the attempt's number for its record: 0 if the handler did not start.
	Number int
	// Started and Ended are when the handler ran. See [Attempt].
	Started, Ended time.Time
	// Failure is kept in the attempt's record. Nil if nothing went wrong.
	Failure *Failure
	// Log is kept in the attempt's record; see [Attempt]. Nil for none.
	Log []byte
	// Reason becomes the place's reason.
	Reason string
	// Result becomes the place's result when the outcome is final.
	Result []byte
	// Keep is how long the job is kept if the outcome is final; [Forever] until a person deletes it.
	Keep time.Duration
}
