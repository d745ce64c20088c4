package bellhop

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// Limits that hold in every store. They are checked before any store sees a job.
const (
	DefaultMaxArgs = 128 << 10 // bytes of arguments accepted by default
	MaxArgs        = 1 << 20   // bytes of arguments, however a client is set up
	MaxBatch       = 10_000    // jobs in one call
	MaxBatchBytes  = 64 << 20  // bytes of arguments in one call
	MaxMeta        = 8 << 10   // bytes of metadata, keys and values together
	MaxTags        = 32        // tags on one job
	MaxUniqueKey   = 512       // bytes of a unique key
	MaxResult      = 128 << 10 // bytes of a result
	MaxProgress    = 1 << 10   // bytes of encoded progress
	KeptAttempts   = 20        // attempts whose records are kept with a job

	MinPriority = -9 // runs first
	MaxPriority = 9  // runs last

	DefaultQueue    = "default"
	DefaultAttempts = 25
)

// Job is one piece of work: a kind, arguments, and where and when to run. It
// never changes once enqueued; what happens to it is told by its [Place].
type Job struct {
	// ID names the job. Made by the client (UUIDv7), so that an enqueue repeated
	// after a lost reply is the same job.
	ID ID
	// Kind ties the job to its handler: "mail.welcome".
	Kind string
	// Queue is the line in which it waits. Never empty.
	Queue string
	// Priority orders a queue: -9 first, 9 last, 0 by default.
	Priority int
	// Args are the arguments as JSON: the very bytes that were given.
	Args []byte
	// RunAt is the earliest start by the store's clock, in whole microseconds,
	// UTC. Zero means now, or Delay after now.
	RunAt time.Time
	// Delay is the earliest start counted from the moment the store takes the
	// job. At most one of RunAt and Delay is set; stores keep the sum as the
	// place's Due.
	Delay time.Duration
	// Attempts is how many failures make the job dead: at least 1.
	Attempts int
	// Timeout bounds one attempt. Zero means none.
	Timeout time.Duration
	// Retention is how long the finished job is kept: zero for the defaults
	// ([KeepSucceeded] and so on), [Forever] until a person deletes it.
	Retention time.Duration
	// UniqueKey, if not empty, is held by at most one live job in the store.
	UniqueKey string
	// Tags are free words for finding the job again, sorted, without doubles.
	Tags []string
	// Meta travels with the job beside its arguments: trace context, tenant, locale.
	Meta map[string]string
	// EnqueuedAt is when the store took the job, by its clock. Set by the store.
	EnqueuedAt time.Time
}

// SameContent reports whether j and o ask for the same work, so that one of
// them is a repeat of the other. Meta is left out, because a repeat may travel
// with another trace context; so is Delay, because stores keep only the moment
// that came of it, and EnqueuedAt.
func (j *Job) SameContent(o *Job) bool {
	return j.ID == o.ID && j.Kind == o.Kind && j.Queue == o.Queue && j.Priority == o.Priority &&
		bytes.Equal(j.Args, o.Args) && j.Attempts == o.Attempts && j.Timeout == o.Timeout &&
		j.Retention == o.Retention && j.UniqueKey == o.UniqueKey &&
		slices.Equal(j.Tags, o.Tags) && j.RunAt.Equal(o.RunAt)
}

// Due returns when the job is to start if a store takes it at now: RunAt or
// now and Delay, and never before now.
func (j *Job) Due(now time.Time) time.Time {
	switch {
	case j.RunAt.After(now):
		return j.RunAt
	case j.RunAt.IsZero() && j.Delay > 0:
		return now.Add(j.Delay)
	}
	return now
}

// Place is where a job is and how often what has happened to it. It is the
// part of a job that changes.
type Place struct {
	State State
	// Due is when the job may start, or was allowed to: the first run, the retry
	// or the end of the snooze. Kept while it is ready and running, because the
	// time from due to start is what people waited.
	Due time.Time
	// Generation counts the times a person ran the job again; the first is 0.
	Generation int
	// Claim is the number of the newest claim. It only ever grows, over
	// generations too.
	Claim int64
	// Attempt counts starts of the handler in this generation.
	Attempt int
	// Failures counts errors, timeouts, panics and sweeps in this generation.
	// The job's Attempts and its backoff look at this number.
	Failures int
	// Crashes counts how often the job, started as a suspect, took its process with it.
	Crashes int
	// Suspect says that a process died while it held the job, and that no
	// attempt has returned since.
	Suspect bool
	// Waits counts what a blocked job still waits for.
	Waits int

	// Process, ClaimedAt and Exchange tell who runs it; zero unless running.
	Process   ID
	ClaimedAt time.Time
	Exchange  ID
	// CancelRequested says that a running job is to stop.
	CancelRequested bool

	// FinishedAt and ExpiresAt are set when the job ends. A zero ExpiresAt on a
	// finished job means it is kept until a person deletes it.
	FinishedAt time.Time
	ExpiresAt  time.Time

	// Reason says in one line why the job is where it is, if there is more to
	// say than its state: "3 crashes", "cancelled by alice: duplicate order".
	Reason string
	// Progress is what the running attempt last reported, as JSON; see [Progress].
	Progress []byte
	// Result is what the attempt that ended the job left behind, as JSON.
	Result []byte
}

// Snapshot is a job as one read saw it.
type Snapshot struct {
	Job
	Place Place
	// History holds the newest attempts, oldest first, at most [KeptAttempts].
	// Listings leave it empty.
	History []Attempt
}

// Attempt is the record of one claim that came to an end.
type Attempt struct {
	// Claim is the claim's number, unique within the job.
	Claim int64
	// Generation is the job's generation at that time.
	Generation int
	// Number is the attempt: 1 for the first start; 0 if the handler never started.
	Number int
	// Process is the worker that held the claim.
	Process ID
	// Outcome says what it came to.
	Outcome OutcomeKind
	// Due is when the job was allowed to start.
	Due time.Time
	// ClaimedAt is when it was claimed, by the store's clock.
	ClaimedAt time.Time
	// Started and Ended are when the handler began and returned, by the store's
	// clock as the process reckons it. Zero if it never started. For a swept
	// attempt Ended is the time of the sweep.
	Started, Ended time.Time
	// Failure says what went wrong, nil if nothing did.
	Failure *Failure
	// Log is what the handler has logged by [Run.Logger], as JSON: see [Log]. It is nil if there is none, or none is kept: the attempt
	// succeeded and nobody has asked for its log ([Run.KeepLog]), or its process died. Listings leave it out.
	Log json.RawMessage
}

// Failure describes why an attempt did not succeed. Its texts are cleaned and capped.
type Failure struct {
	// Class is the short name of the kind of failure: the Go type of the
	// innermost error that has a telling one, or "timeout", "panic", "goexit",
	// "crash". Failures are grouped by it.
	Class string `json:"class"`
	// Message is the error's text, at most 8 KiB.
	Message string `json:"message"`
	// Stack is the goroutine's stack if the handler panicked, at most 8 KiB.
	Stack string `json:"stack,omitempty"`
}

// Progress is how far a running attempt has come.
type Progress struct {
	// Done of Total, in units of the handler's choice. A Total of 0 means that
	// the end is not known.
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"`
	// Note says in a few words what is being done.
	Note string `json:"note,omitempty"`
}

func (p Progress) encode() []byte {
	p.Note = CleanText(p.Note, 256)
	b, err := json.Marshal(p)
	if err != nil { // two integers and a clean string always encode
		panic(err)
	}
	return b
}

// Receipt is what an enqueue returns for each job.
type Receipt struct {
	// ID is the job's id; for a unique job that lost, the id of the job that holds the key.
	ID ID `json:"id"`
	// State is where that job is; zero if it is on its way to the store through an
	// outbox, and then nobody knows yet.
	State State `json:"state,omitzero"`
	// Existing says that nothing new was enqueued: the same id was there
	// already, or another live job holds the unique key.
	Existing bool `json:"existing,omitempty"`
}
