package bellhop

import "time"

// Event tells of one transition of one job. Logs, metrics and pages listen to
// events; nothing else reports transitions.
//
// A process tells of what it does itself: a worker of its claims and outcomes,
// a client of its enqueues and actions. What other processes do it does not see.
type Event struct {
	Type  EventType
	JobID ID
	// Kind and Queue are the job's; empty of an action, which names jobs by their ids alone.
	Kind  string
	Queue string
	// To is the state after the transition; 0 if the job was deleted.
	To State
	// At is when it happened, by the process's clock.
	At time.Time
	// Claim is the claim's number, if it was an attempt's.
	Claim int64
	// Attempt and Failures are the counters after the transition, if it was an attempt's.
	Attempt  int
	Failures int
	// Waited is the time from due to start, Took that from start to end, of an attempt.
	Waited, Took time.Duration
	// Wait is how long a retried or snoozed job waits.
	Wait time.Duration
	// Failure says what went wrong; nil if nothing did.
	Failure *Failure
	// Stale says that the store refused the outcome because the claim was no
	// longer the job's: the attempt changed nothing.
	Stale bool
}

// Attribute names, the same in logs, traces and metrics.
const (
	AttrJob     = "job"
	AttrKind    = "kind"
	AttrQueue   = "queue"
	AttrState   = "state"
	AttrAttempt = "attempt"
	AttrClaim   = "claim"
	AttrProcess = "process"
	AttrWaited  = "waited"
	AttrTook    = "took"
	AttrWait    = "wait"
	AttrError   = "error"
	AttrClass   = "error_class"
	AttrOp      = "op"
)
