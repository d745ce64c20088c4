package bellhop

import (
	"context"
	"time"
)

// Store keeps jobs. It is the contract that every store keeps and that the
// suite in store/storetest proves; the marks in brackets number its clauses.
//
// A store decides nothing. Go computes what a job becomes (state.go, claim.go)
// and a store compares and sets: it moves a job from the place that it is told
// to the place that it is told, if the token or the state still fits.
//
// For all verbs:
//
//   - [G1] Each verb is atomic: it happens as a whole, or not at all, also when
//     the process is killed within it.
//   - [G2] Once a verb has returned nil its effect survives a crash of the
//     process, and of the machine as far as [Capabilities].Durability says.
//   - [G3] All verbs may be called from any number of goroutines and, unless
//     the store lives in one process's memory, from any number of processes.
//   - [G4] A verb ends when its context does, with the context's error in the
//     chain; what the call then did is unknown to the caller.
//   - [G5] Bytes come back as they went in: arguments, metadata, results, texts.
//   - [G6] Due times, leases and expiry are judged by the store's own clock.
//     Times are kept in microseconds, UTC.
//   - [G7] A verb that fails because the store cannot be reached or cannot work
//     just now matches [ErrUnavailable], and [ErrUnchanged] as well if it is
//     certain that nothing was changed. Deadlocks and serialisation failures
//     are tried again inside and never seen.
//   - [G8] After Close every verb returns [ErrClosed].
//   - [G9] A job is in exactly one place at any time, whatever happens.
type Store interface {
	// Enqueue takes jobs. Each goes to ready, or to scheduled if its due time is
	// not yet there.
	//
	//   - [E1] All jobs of a call are taken, or none.
	//   - [E2] A job whose id is there already with the same content
	//     ([Job.SameContent]) is not taken again: its receipt tells its state
	//     and Existing. The same holds for a second mention within one call.
	//   - [E3] If the id is there with other content, the call fails with an
	//     [*ItemError] around [ErrIDTaken], and nothing is taken.
	//   - [E4] A job whose unique key is held by a live job is not taken: its
	//     receipt names the holder. This holds within one call too, and for
	//     any number of callers at once: one of them wins.
	//   - [E5] A key is free again in the transaction in which its job ends, is
	//     deleted, or dies.
	//   - [E6] Puts are applied in the same transaction; if one does not fit,
	//     the call fails with [ErrConflict] and nothing is taken.
	//   - [E7] Receipts come in the order of the jobs.
	//   - [E8] EnqueuedAt and the place's Due are set by the store's clock. Due
	//     is never before EnqueuedAt: a past run-at does not jump the line.
	Enqueue(ctx context.Context, r *EnqueueRequest) ([]Receipt, error)

	// Exchange hands in outcomes and claims ready jobs, in one transaction.
	//
	//   - [X1] An outcome is applied if its job is running under exactly its
	//     token (number and exchange id); else it is refused with [ErrStale] and
	//     changes nothing. One whose claim an open transaction of a user holds is
	//     left unsettled, since that may be rolled back. Other outcomes and the
	//     claims are not held up by either.
	//   - [X2] Applying sets the counters, reason and result that the outcome
	//     carries, appends one attempt record, and moves the job where
	//     [OutcomeKind.To] says. Only the newest [KeptAttempts] records are kept.
	//     A cancelled outcome without a reason leaves the reason of the request.
	//   - [X3] A retry or snooze is due Wait after now. A handed-back or swept
	//     job is ready again in its old turn.
	//   - [X4] Repeating an outcome that was applied is a success without
	//     effect; a different outcome for a claim that has ended is refused, and
	//     the refusal tells what was recorded. Outcomes are the same if token
	//     and kind are. This holds within one call too: the first counts.
	//   - [X5] Claims are taken for each want in turn, by priority, then by the
	//     place's Due, then by the order of enqueueing, at most want.Count of
	//     them and in all at most Limit.
	//   - [X6] Only kinds in Kinds are claimed, and nothing from a paused queue.
	//   - [X7] No job is claimed twice, by however many claimers; each claim has
	//     a number one higher than the job's last, and begins with an empty
	//     reason and progress.
	//   - [X8] Repeating an exchange with the same id returns the claims that it
	//     made and that are still held, and claims nothing more if there are any.
	//   - [X9] If Process is set and the store does not hold it alive, the call
	//     claims nothing and returns [ErrProcessGone] beside its reply; outcomes
	//     are applied as far as their tokens allow.
	//   - [X10] A result or text that the store cannot keep degrades that one
	//     outcome to what it can keep; it never holds up the others.
	//   - [X11] Signals name the process's claims that are to be cancelled, the
	//     wanted queues that are paused, and how long until the next scheduled
	//     job is due.
	//   - [X12] If Puts do not fit, the call fails with [ErrConflict] and has no effect.
	//   - [X13] An outcome's log is kept in the attempt's record, byte for byte, whatever the outcome, and goes with the record.
	Exchange(ctx context.Context, r *ExchangeRequest) (*ExchangeReply, error)

	// Report records what running attempts have to say before they end.
	//
	//   - [R1] A report is applied if its job is running under its token; else it
	//     is refused with [ErrStale] and changes nothing.
	//   - [R2] Started is kept with the claim, so that a sweep can tell whether a
	//     suspect was started. Progress replaces earlier progress.
	Report(ctx context.Context, reports []Report) ([]Refusal, error)

	// Beat says that a process is alive, and compares claims. A process is alive
	// from its first beat until it leaves or is swept, also while its lease is over.
	//
	//   - [B1] The first beat registers the process; each beat renews its lease.
	//   - [B2] A process that was swept or has left cannot come back, for a day
	//     at least: [ErrProcessGone].
	//   - [B3] Lost names the held claims that the store no longer has. Extra
	//     holds the claims that the store has for the process and that are not in Held.
	//   - [B4] Cancel names the process's claims that are to be cancelled.
	//   - [B5] A beat with Leave set removes the process at once: its claims, if
	//     any are left, are for the next sweep. Leaving again is a success.
	//   - [B6] Idle is set only if the process holds nothing and an Exchange and
	//     a Sweep in place of the beat would have found nothing. A store may
	//     leave it out.
	Beat(ctx context.Context, b *Beat) (*BeatReply, error)

	// Sweep removes processes whose lease is over, and returns claims that no
	// living process holds, oldest first, at most limit. The caller decides about
	// each ([Claim.Sweep]) and hands the outcomes in by Exchange, under the dead
	// claims' tokens.
	//
	//   - [S1] A process that beats in time is never removed, nor its claims returned.
	//   - [S2] Every running job whose process is not alive is returned, however it came to be so.
	//   - [S3] Sweep moves no job. Two sweepers that decide about the same claim
	//     settle it by the token: one outcome is applied.
	Sweep(ctx context.Context, limit int) ([]Claim, error)

	// Promote makes at most limit scheduled jobs ready whose due time has come,
	// earliest first, and returns how many, and how long until the next is due
	// (negative if none is scheduled).
	//
	//   - [P1] No job is promoted before it is due.
	//   - [P2] A promoted job's turn is its due time.
	Promote(ctx context.Context, limit int) (n int, next time.Duration, err error)

	// Prune deletes at most limit finished jobs past their ExpiresAt, with their
	// history, and as many expired records, and returns how many things it deleted.
	//
	//   - [D1] Nothing that has not expired is deleted; nothing that is not final ever is.
	//   - [D2] Pruning leaves no part of a job behind.
	Prune(ctx context.Context, limit int) (int, error)

	// Act does an action to jobs, by id or by filter.
	//
	//   - [A1] A job in one of the action's states ([Action.From]) is moved where
	//     [Action.To] says; a job in another state is skipped and, if it was named by id, reported.
	//     A job that an open transaction of a user holds does not keep the others waiting: it is skipped
	//     and reported.
	//   - [A2] A running job that is cancelled stays running with CancelRequested
	//     set, and is signalled to its process. If the attempt ends otherwise
	//     and the job lives on, the request is kept for its next claim.
	//   - [A3] A retry begins a new generation: attempt, failures, crashes and
	//     suspicion are zero, the claim number is kept, history is kept. It is
	//     due now. A retry whose unique key is held by another is skipped, and
	//     the holder named.
	//   - [A4] With a filter, one call visits at most Limit jobs, and Next
	//     continues; each job that fits at the time of its visit is acted on once.
	//   - [A5] An action that ends a job sets FinishedAt, ExpiresAt and Reason and frees its unique key.
	//   - [A6] With a Fence nothing is done unless the record is at that version
	//     when the call takes effect: the error matches [ErrConflict].
	Act(ctx context.Context, r *ActRequest) (*ActReply, error)

	// Get returns the jobs with the given ids that exist, with history, in the order of ids.
	//
	//   - [Q1] A snapshot is what one moment saw: place and history belong together.
	Get(ctx context.Context, ids []ID) ([]Snapshot, error)

	// List returns jobs that match, newest enqueued first, without history.
	//
	//   - [L1] Paging by Next visits each job that matches throughout exactly
	//     once, whatever is enqueued or moved meanwhile.
	//   - [L2] One call examines a bounded number of rows: a page may be short
	//     or empty and still have a Next. An empty Next means the end. An After
	//     that is not a Next is [ErrInvalid].
	//   - [L3] With WithLast each job comes with the record of its newest attempt,
	//     if one has ended: the last of the history that Get returns, without its log.
	//   - [L4] A job matches a filter by what [Filter.Matches] says of its snapshot,
	//     in every store.
	List(ctx context.Context, q *Query) (*Listing, error)

	// Count returns how many jobs match, counting no further than q.Limit and
	// beginning where q.After says. It has no use for the rest of the query.
	//
	//   - [N1] The count is exact below the limit; the limit itself means "so many or more".
	//   - [N2] One call examines a bounded number of rows. If it ends for that
	//     before the limit, Next continues: the sum of all calls has each job once
	//     that matches throughout. An After that is not a Next is [ErrInvalid].
	Count(ctx context.Context, q *Query) (*Counted, error)

	// Stats returns one entry for each queue that has live or dead jobs or is
	// paused, in the order of names, with counts no further than limit.
	//
	//   - [T1] Counts are exact below the entry's Limit, and finished jobs are not counted.
	//   - [T2] A store that has to look at jobs to count them may count less far the more queues there are, to 100 at least.
	//   - [T3] A limit of 0 counts nothing and looks at no job: the entries are those of the paused queues, with nothing but their names.
	Stats(ctx context.Context, limit int) ([]QueueStats, error)

	// Processes returns the processes that the store holds alive, in the order of their start.
	Processes(ctx context.Context) ([]ProcessStatus, error)

	// Pause stops or resumes the claiming of jobs from a queue; a queue need not
	// have jobs to be paused.
	//
	//   - [U1] After Pause has returned, no exchange that begins later claims from the queue.
	//   - [U2] A pause is kept until it is resumed, over restarts.
	Pause(ctx context.Context, queue string, paused bool) error

	// Records reads small records of one space: settings, schedules, breakers,
	// audit, rollups. They are never on the path of a job.
	//
	//   - [C1] Records come in the order of their keys; expired ones do not.
	Records(ctx context.Context, q *RecordQuery) ([]Record, error)

	// Put writes records, all or none.
	//
	//   - [C2] A write whose Expect does not fit makes the call fail with
	//     [ErrConflict], and nothing is written. A call that names a record
	//     twice is [ErrInvalid].
	//   - [C3] Each write of a record raises its version, which never comes
	//     again for that key, deleted or not.
	Put(ctx context.Context, writes []RecordWrite) error

	// Ping checks that the store can work, and returns its clock.
	Ping(ctx context.Context) (time.Time, error)

	// Capabilities tells what the store can do.
	Capabilities() Capabilities

	// Close ends the use of the store. It waits for calls under way.
	Close() error
}

// EnqueueRequest asks [Store.Enqueue] to take jobs.
type EnqueueRequest struct {
	// Jobs are valid: the client has checked them. At most [MaxBatch].
	Jobs []*Job
	// Puts are preconditions and writes that belong to the jobs.
	Puts   []RecordWrite
	Shared bool // other callers wait for this call's end: fail with [ErrLocked] rather than wait long for another transaction
}

// ExchangeRequest hands in what is finished and asks for what is next.
type ExchangeRequest struct {
	// ID names the exchange, so that it can be repeated after a lost reply.
	ID ID
	// Process claims. Zero to hand in outcomes only.
	Process ID
	// Outcomes are what attempts came to.
	Outcomes []Outcome
	// Wants are the queues to claim from, in the order to try them.
	Wants []Want
	// Limit bounds the claims of all wants together.
	Limit int
	// Kinds are those that the process has handlers for, sorted.
	Kinds []string
	// Puts are preconditions and writes that belong to the outcomes.
	Puts []RecordWrite
}

// Want asks for jobs of one queue.
type Want struct {
	Queue string
	Count int
}

// ExchangeReply answers an [ExchangeRequest].
type ExchangeReply struct {
	// Refused lists the outcomes that were not applied.
	Refused []Refusal
	// Claims are the jobs that the process now holds, in the order in which to start them.
	Claims []Claim
	// Signals tell what has changed.
	Signals   Signals
	Unsettled []int // places of outcomes to hand in again, because a part of the store is out of reach ([Router]) or another transaction, which may be a user's, holds the claim
}

// Refusal says why one item of a request was not applied.
type Refusal struct {
	// Index is the item's place in the request.
	Index int
	// Err is [ErrStale].
	Err error
	// Recorded is the outcome that the store holds for the claim; 0 if it has none.
	Recorded OutcomeKind
}

// Signals tell a process what it should know without asking.
type Signals struct {
	// Now is the store's clock.
	Now time.Time
	// Cancel names claims of the process that somebody wants cancelled.
	Cancel []Token
	// Paused names the wanted queues that are paused.
	Paused []string
	// NextDue is how long until a scheduled job is due: negative if none is
	// scheduled, 0 if one is due already.
	NextDue time.Duration
}

// Report is what a running attempt has to say.
type Report struct {
	// Token proves the claim.
	Token Token
	// Started records that the handler is about to run.
	Started bool
	// Progress replaces the progress, as JSON; nil leaves it.
	Progress []byte
}

// Process describes a running worker.
type Process struct {
	// ID is the incarnation: random, new at each start.
	ID ID `json:"id"`
	// Name is for people: host and pid by default.
	Name string `json:"name"`
	// Host, PID and Version say where it runs and what it is.
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
	// StartedAt is when it began, by its own clock.
	StartedAt time.Time `json:"started_at"`
	// Queues and Kinds are what it works.
	Queues []string `json:"queues"`
	Kinds  []string `json:"kinds"`
	// Slots is how many jobs it runs at once, Busy how many at the last beat.
	Slots int `json:"slots"`
	Busy  int `json:"busy"`
}

// Beat says that a process is alive.
type Beat struct {
	Process Process
	// Lease is how long the process counts as alive from now, without another beat.
	Lease time.Duration
	// Held are the claims that the process believes to hold.
	Held []Token
	// Leave says that the process ends.
	Leave bool
}

// BeatReply answers a [Beat].
type BeatReply struct {
	// Now is the store's clock.
	Now time.Time
	// Lost are held claims that the store no longer has.
	Lost []Token
	// Extra are claims that the store has for the process and that it did not name.
	Extra []Claim
	// Cancel names claims of the process that somebody wants cancelled.
	Cancel []Token
	// Idle says that there is nothing to do: the beat of a worker that has nothing
	// to do either can stand for its poll and its sweep.
	Idle bool
	// NextDue is as in [Signals]; it counts only if Idle is set.
	NextDue time.Duration
}

// ProcessStatus is a process as the store knows it.
type ProcessStatus struct {
	Process
	// BeatAt is its last beat, by the store's clock.
	BeatAt time.Time `json:"beat_at"`
	// Running is how many claims it holds.
	Running int `json:"running"`
}

// ActRequest asks [Store.Act] for an action.
type ActRequest struct {
	Action Action
	// IDs name the jobs; if there are none, Filter selects them.
	IDs    []ID
	Filter Filter
	// Limit bounds how many jobs one call visits by filter: 1 to 1000; 0 means 1000.
	Limit int
	// After is the Next of the call before; empty for the first.
	After string
	// Reason is kept with the jobs: who did it, and why.
	Reason string
	// Fence, if it is not nil, is the record by which the caller may act: see [A6].
	// Whoever takes the right over writes the record first; what the former holder
	// still sends then, however late it arrives, does nothing. Where a store is made of
	// several, that is so in the one that has the record, which acts first.
	Fence *Fence
}

// Fence names a record and the version that it must have: one that a write gave it, so at least 1.
type Fence struct {
	Space, Key string
	Version    int64
}

// Checks returns the fence as a write that only compares; none for a nil fence.
func (f *Fence) Checks() []RecordWrite {
	if f == nil {
		return nil
	}
	return []RecordWrite{{Space: f.Space, Key: f.Key, Expect: f.Version, Check: true}}
}

// ActReply answers an [ActRequest].
type ActReply struct {
	// Changed are the jobs that were moved or deleted.
	Changed []ID
	// Signalled are running jobs that are asked to stop: see [A2].
	Signalled []ID
	// Skipped are the named jobs that were left as they are. With a filter it
	// names only those that matched and were held: by a transaction of a user, or by
	// another job that has their unique key.
	Skipped []Skip
	// Next continues an action by filter; empty at the end.
	Next string
}

// Skip says why a job was left as it is.
type Skip struct {
	ID ID
	// State is where the job is; 0 if there is no such job.
	State State
	// Holder is the job that holds its unique key, if that is the reason.
	Holder ID
	// Locked says that an open transaction of a user holds the job: try again when that has ended.
	Locked bool
}

// QueueStats is what a queue has to do.
type QueueStats struct {
	Queue  string `json:"queue"`
	Paused bool   `json:"paused"`
	// Counts of live and dead jobs, counted no further than the limit.
	Scheduled int `json:"scheduled"`
	Blocked   int `json:"blocked"`
	Ready     int `json:"ready"`
	Running   int `json:"running"`
	Dead      int `json:"dead"`
	// OldestReady is the due time of the job that has been ready longest; zero if none is ready.
	OldestReady time.Time `json:"oldest_ready,omitzero"`
	// NextDue is when the next scheduled job is due; zero if none is.
	NextDue time.Time `json:"next_due,omitzero"`
	// Limit is how far the jobs of each state were counted: that number means that many or more. 0 if nothing was counted.
	Limit int `json:"limit,omitempty"`
}

// More reports whether there may be more jobs than n, which is one of the counts.
func (q QueueStats) More(n int) bool { return q.Limit > 0 && n >= q.Limit }

// Record is a small named value.
type Record struct {
	Space   string
	Key     string
	Value   []byte
	Version int64
	// Expires is when the record vanishes; zero for never.
	Expires time.Time
}

// RecordQuery selects records of one space.
type RecordQuery struct {
	Space string
	// Keys names the records; if there are none, all whose key begins with Prefix.
	Keys   []string
	Prefix string
	// After skips keys up to and including this one.
	After string
	// Limit is the most records to return: 0 means 1000.
	Limit int
}

// Expectations of a [RecordWrite] other than a version.
const (
	ExpectAny  int64 = -1 // whatever is there, if anything
	ExpectNone int64 = 0  // no such record
)

// RecordWrite sets or deletes a record if it is at the expected version.
type RecordWrite struct {
	Space string
	Key   string
	Value []byte
	// Expect is the version that must be there, or [ExpectAny] or [ExpectNone].
	Expect int64
	// TTL is how long the record lives; 0 for ever.
	TTL time.Duration
	// Delete removes the record instead of setting it.
	Delete bool
	// Check only compares the version and writes nothing.
	Check bool
}
