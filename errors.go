package bellhop

import (
	"errors"
	"fmt"
	"strings"
)

// Errors that callers ask for with [errors.Is].
var (
	// ErrStale: the claim behind a write is no longer the job's claim. Nothing was changed.
	ErrStale = errors.New("the claim is stale: the job has been taken back or finished")
	// ErrIDTaken: a job with this id exists and asks for other work.
	ErrIDTaken = errors.New("the id is taken by a job with other content")
	// ErrNotFound: there is no such job.
	ErrNotFound = errors.New("no such job")
	// ErrProcessGone: the store does not hold this process alive; it must begin
	// again under a new id.
	ErrProcessGone = errors.New("the store does not hold this process alive")
	// ErrConflict: a record was not at the version that a write expected.
	ErrConflict = errors.New("a record has changed meanwhile")
	// ErrUnknown: it is not known whether an enqueue took place. See [UnknownError].
	ErrUnknown = errors.New("it is not known whether the jobs were enqueued")
	// ErrUnsupported: the store lacks the ability.
	ErrUnsupported = errors.New("the store does not offer this")
	// ErrUnavailable: the store cannot be reached or cannot work at the moment;
	// trying again later may help.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrUnchanged: the call failed, and it is certain that nothing was changed.
	ErrUnchanged = errors.New("nothing was changed")
	// ErrLocked: another transaction holds something that the call needs, such as a
	// unique key, for longer than anybody should be kept waiting: try again when it has
	// ended. Of an enqueue ([EnqueueRequest].Shared) nobody sees this error, because the
	// client sends that caller's jobs again, beside the others'.
	ErrLocked = errors.New("another transaction holds a lock")
	// ErrRetryTx: inside a transaction of the caller the database found another
	// transaction in the way (a deadlock, a serialisation failure, a lock that was
	// not released in time). Roll back, and do the whole transaction again.
	ErrRetryTx = errors.New("another transaction was in the way: roll back and do the whole transaction again")
	// ErrSpans: a call that happens as a whole or not at all asks for something
	// in several parts of the store. Nothing was changed. See [SpanError].
	ErrSpans = errors.New("the call spans several parts of the store")
	// ErrClosed: the client or store has been closed.
	ErrClosed = errors.New("closed")
	// ErrInvalid: what was given breaks a rule that holds in every store. See [InvalidError].
	ErrInvalid = errors.New("invalid")
	// ErrDeferredTx: the caller's SQLite transaction is not an immediate one, so
	// it could fail when it first writes.
	ErrDeferredTx = errors.New("the transaction is deferred: begin it with BEGIN IMMEDIATE (_txlock=immediate)")
	// ErrSchemaNewer: the store's schema is of a newer release than this program.
	ErrSchemaNewer = errors.New("the store's schema is newer than this program")
	// ErrSchemaOlder: the store's schema must be migrated first.
	ErrSchemaOlder = errors.New("the store's schema is older than this program needs")
)

// Causes for which a handler's context is cancelled; [context.Cause] returns one of them.
var (
	// ErrShutdown: the process is stopping and the grace is over.
	ErrShutdown = errors.New("the worker is shutting down")
	// ErrTimeout: the job's timeout has passed.
	ErrTimeout = errors.New("the job's timeout has passed")
	// ErrCancelled: somebody asked for the job to be cancelled.
	ErrCancelled = errors.New("the job was cancelled")
	// ErrLeaseLost: the store has given the job to another process, or may have.
	ErrLeaseLost = errors.New("the claim was lost")
)

// InvalidError says what was refused before any store saw it. It matches [ErrInvalid].
type InvalidError struct {
	// Index is the place of the refused job in its call, -1 if the call as a whole was refused.
	Index int
	// Field names what is wrong: "kind", "arguments", "run-at".
	Field string
	// Reason says what is wrong with it and what to do.
	Reason string
}

// Error returns one line with index, field and reason.
func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString("bellhop: ")
	if e.Index >= 0 {
		fmt.Fprintf(&b, "job %d: ", e.Index)
	}
	// Many reasons begin with the field's name because they stand alone as well.
	if e.Field != "" && !strings.HasPrefix(e.Reason, e.Field) {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Reason)
	return b.String()
}

// Is matches [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) *InvalidError {
	return &InvalidError{Index: -1, Field: field, Reason: fmt.Sprintf(format, args...)}
}

// SpanError says that a call cannot happen as a whole, because it names what
// lies in two parts of a store that is made of several ([Router]). Nothing was
// changed; it can be split into one call for each part. It matches [ErrSpans]
// and [ErrInvalid].
type SpanError struct {
	// First is the first thing named, and Part the part of the store in which it
	// lies; Other lies in OtherPart.
	First, Part, Other, OtherPart string
}

// Error returns one line that names both and says how to go on.
func (e *SpanError) Error() string {
	return fmt.Sprintf("bellhop: %s belongs to part %s of the store and %s to part %s, and a call is taken by one part as a whole: make a call of its own for each",
		e.First, e.Part, e.Other, e.OtherPart)
}

// Is matches [ErrSpans] and [ErrInvalid].
func (e *SpanError) Is(target error) bool { return target == ErrSpans || target == ErrInvalid }

// PartOf returns the part of the store that takes the jobs, or a [*SpanError] if
// they belong to several.
func PartOf(r Router, jobs []*Job) (int, error) {
	part := 0
	for i, j := range jobs {
		switch at := r.Route(j); {
		case i == 0:
			part = at
		case at != part:
			names := r.Parts()
			return 0, &SpanError{"job 0", names[part], fmt.Sprintf("job %d", i), names[at]}
		}
	}
	return part, nil
}

// UnknownError is returned when a call ended before the store's answer came:
// the jobs may or may not be there. Enqueueing the same ids again is safe, and
// settles it. It matches [ErrUnknown].
type UnknownError struct {
	// IDs are the ids of the jobs in question.
	IDs []ID
	// Err is why the answer did not come.
	Err error
}

// Error returns one line that names the first id.
func (e *UnknownError) Error() string {
	what := "the job may or may not have been enqueued: enqueue the same id again to make sure"
	switch {
	case len(e.IDs) == 1:
		what = "job " + e.IDs[0].String() + what[len("the job"):]
	case len(e.IDs) > 1:
		what = fmt.Sprintf("%d jobs (the first is %s) may or may not have been enqueued: enqueue the same ids again to make sure", len(e.IDs), e.IDs[0])
	}
	return fmt.Sprintf("bellhop: %s: %v", what, e.Err)
}

// Is matches [ErrUnknown].
func (e *UnknownError) Is(target error) bool { return target == ErrUnknown }

// Unwrap returns the reason.
func (e *UnknownError) Unwrap() error { return e.Err }

// ItemError says which item of a batch made a store refuse the whole batch, so
// that the others can be sent again without it.
type ItemError struct {
	// Index is the item's place in the request.
	Index int
	// Err is what is wrong with it.
	Err error
}

// Error returns the item's error with its index.
func (e *ItemError) Error() string { return fmt.Sprintf("item %d: %v", e.Index, e.Err) }

// Unwrap returns the item's error.
func (e *ItemError) Unwrap() error { return e.Err }
