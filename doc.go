// Package bellhop runs a web application's background jobs: the work that
// nobody waits for leaves the request path, and is done later, surely, at the
// right pace, where people can see it.
//
// This package is the domain and the public face. It imports the standard
// library only. Stores live below store/, the part that runs jobs in worker/.
//
// # A job's way
//
// A program declares a kind once ([Define]), and enqueues jobs of it
// ([Definition.Enqueue]) through a [Client]. The client checks the job against
// the rules that hold everywhere (definition.go), lets it travel with others
// that arrive at the same moment (batch.go), and returns when the [Store] has
// it. The job waits in its queue as ready, or as scheduled until it is due.
//
// A worker claims it in an exchange ([Store.Exchange]): the claim's [Token]
// proves from now on that the worker may speak for the job. The handler runs
// with a [Run] in its context ([FromContext]). What it returns is turned into an
// [Outcome] ([Claim.Settle]): succeeded, another try after a wait, or an end.
// The next exchange hands the outcome in, and the store applies it if the token
// is still the job's. A process that dies leaves claims behind; any other process
// sweeps them ([Claim.Sweep]), and from then on the dead process's word is stale.
//
// What may follow what is one table (state.go). What an attempt comes to is
// decided in one file (claim.go). A store compares and sets.
//
// # What is promised, and what is not
//
// A job whose enqueue returned nil runs until it succeeds, or is discarded or
// cancelled, or is kept as dead until a person decides. It may run more than
// once, where a process died, froze for longer than its lease or lost the store:
// handlers must bear it. [Key] gives an idempotency key for outside services;
// [Run.Complete] makes effects in the store's own database happen once. Order
// over a whole queue, and the death of a goroutine that does not listen to its
// context, are not promised.
package bellhop
