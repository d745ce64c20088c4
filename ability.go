package bellhop

import (
	"context"
	"time"
)

// Capabilities tells what a store can do. Code asks for an ability, never for a
// store's name; what needs more than a flag is a small interface found with [As].
type Capabilities struct {
	// Name is for people: "sqlite", "memory".
	Name string
	// Durability says in one line what survives what.
	Durability string
	// Shared says that several processes can use the store at once.
	Shared bool
	// Writers is how many enqueues are worth sending at the same time: 1 for a
	// store with a single writer. Of a [Router] it is how many to each part.
	Writers int
	// Serial says that the store works on one enqueue after the other, however many were sent. More than one then only
	// spares it the wait for the next, and is sent when enough jobs wait to make it worth a call.
	Serial bool
	// Exchanges is how many exchanges of one worker are worth having under way
	// at the same time when it is busy: 1, or 0, where one waits for the other anyway.
	Exchanges int
}

// As returns the first store in the chain of decorators that has ability T:
// the store itself, or what its Unwrap method returns, and so on.
func As[T any](s Store) (T, bool) {
	for s != nil {
		if t, ok := s.(T); ok {
			return t, true
		}
		u, ok := s.(interface{ Unwrap() Store })
		if !ok {
			break
		}
		s = u.Unwrap()
	}
	var zero T
	return zero, false
}

// Notifier is the ability to say when jobs become ready. It is a hint: a call
// may come too often or not at all, and workers poll besides.
type Notifier interface {
	// Notify calls fn, from any goroutine, when a queue may have become worth
	// asking; an empty name means any queue. fn must not block. stop ends it.
	Notify(fn func(queue string)) (stop func())
}

// Joiner is the ability of a store to claim jobs in the very transaction in which this
// process enqueues them: one commit does for both, where a claim would have to wait for the
// enqueue's and then for its own.
//
// Such claims pass by the Exchange of decorators that stand before the store. One that must
// see all claims implements Join itself, which [As] finds first: it hands on what it
// has made of offer, or does nothing, and then workers exchange as with any store.
type Joiner interface {
	// Join has the store call offer within an enqueue of this process ([Store].Enqueue; not
	// one inside a transaction of a user, whose commit may be far) that makes jobs
	// ready, before its commit. Several such functions take turns, and are asked until one returns an
	// offer; that is done as by [Store].Exchange, and all of it is as if that had been called right
	// after the enqueue, or not at all. Whatever comes of the claim, the enqueue does not fail for it. offer may be
	// called from any goroutine; it must not block, and not call the store. stop ends it,
	// and returns when Done has returned for all that was offered.
	Join(offer func(ready []*Job) *Offer) (stop func())
}

// Offer is an exchange that a worker lets a [Joiner] make.
type Offer struct {
	// Request claims jobs, and hands in nothing.
	Request *ExchangeRequest
	// Done is called once, in a goroutine of its own, with what Exchange would have returned, when the
	// enqueue is over or goes on without the claim. After an error it may be unknown whether claims were made, as
	// after one of Exchange: the request can be repeated.
	Done func(reply *ExchangeReply, err error)
}

// Router is the ability of a store that is made of several parts, each a store
// of its own, and that keeps each clause of [Store] within a part. What would
// have to happen as a whole in several parts is refused with a [*SpanError]: the
// jobs of one Enqueue, the writes of one Put, a Put beside jobs or outcomes.
//
// If some parts cannot be reached, an exchange is done with the others. Of outcomes
// that belong to the former it is not known whether they were applied, and the reply
// leaves them unsettled: handing them in again, with the next exchange, settles them.
//
// Callers that gather the jobs of others into one call, as the client does,
// gather by part.
type Router interface {
	// Parts names the parts, for people. They stay the same while the store is open.
	Parts() []string
	// Route returns which part takes a job, as its place in Parts. It depends
	// only on what of a job never changes, and on the parts.
	Route(j *Job) int
	// Home returns the part in which a record lives: writes beside jobs must be of
	// the jobs' part.
	Home(space, key string) int
	// Tag returns a word that leads a record into a part if it stands in braces in
	// the record's key, as in "cursor/{7}": for records that go beside jobs of
	// whatever part. It is empty if no job can come to the part either.
	Tag(part int) string
}

// Migrator is the ability to change the schema.
type Migrator interface {
	// Schema returns the version that the store has and the newest that this program knows.
	Schema(ctx context.Context) (have, newest int, err error)
	// MigrateTo brings the schema to a version, upwards or downwards, one step
	// after the other, and calls progress after each.
	MigrateTo(ctx context.Context, version int, progress func(step MigrationStep)) error
	// MigrationSQL returns the statements that lead from one version to another.
	MigrationSQL(from, to int) (string, error)
}

// MigrationStep is one step of a migration.
type MigrationStep struct {
	Version int
	Name    string
	Down    bool
	Took    time.Duration
}

// Diagnoser is the ability to look at itself, for `bellhop doctor` and the dashboard.
type Diagnoser interface {
	// Diagnose returns findings, the gravest first. However much is stored, it
	// takes a part of a second: what has to read it all is an [Examiner]'s.
	Diagnose(ctx context.Context) ([]Finding, error)
}

// Examiner is the ability to check all that is stored, for `bellhop doctor`.
type Examiner interface {
	// Examine returns findings as Diagnose does. It takes the longer the more is
	// stored: seconds for each gigabyte.
	Examine(ctx context.Context) ([]Finding, error)
}

// Finding is one result of a diagnosis.
type Finding struct {
	// Level is "ok", "warning" or "problem".
	Level string `json:"level"`
	// Subject is what was looked at, in a few words.
	Subject string `json:"subject"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Advice says what to do; empty if nothing.
	Advice string `json:"advice,omitempty"`
}

// TxStore is a store bound to a transaction of the caller. Store packages make
// one in their Within functions; [Client.Bind] turns it into a [Bound].
type TxStore interface {
	// Enqueue is [Store.Enqueue] inside the transaction. Whether the jobs exist
	// is decided by the caller's commit.
	Enqueue(ctx context.Context, r *EnqueueRequest) ([]Receipt, error)
	// Finish applies one outcome inside the transaction, or returns [ErrStale];
	// the transaction can then no longer commit.
	Finish(ctx context.Context, o Outcome) error
}

// Op names a verb of the store, in statements, logs, traces, metrics and fault tests.
type Op string

// The operations, one for each verb of [Store].
const (
	OpEnqueue   Op = "enqueue"
	OpExchange  Op = "exchange"
	OpReport    Op = "report"
	OpBeat      Op = "beat"
	OpSweep     Op = "sweep"
	OpPromote   Op = "promote"
	OpPrune     Op = "prune"
	OpAct       Op = "act"
	OpGet       Op = "get"
	OpList      Op = "list"
	OpCount     Op = "count"
	OpStats     Op = "stats"
	OpProcesses Op = "processes"
	OpPause     Op = "pause"
	OpRecords   Op = "records"
	OpPut       Op = "put"
	OpPing      Op = "ping"
)

// Ops lists all operations.
var Ops = []Op{
	OpEnqueue, OpExchange, OpReport, OpBeat, OpSweep, OpPromote, OpPrune, OpAct, OpGet, OpList,
	OpCount, OpStats, OpProcesses, OpPause, OpRecords, OpPut, OpPing,
}

// Stepper is the ability to be interrupted between the steps of a verb, for
// fault tests: fn is called before and after each named statement, and an error
// from it makes the statement, and so the verb, fail at that point.
type Stepper interface {
	SetStep(fn func(ctx context.Context, op Op, statement string, done bool) error)
}
