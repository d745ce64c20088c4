// Package worker runs jobs.
//
// A worker is five loops and any number of attempts:
//
//   - exchange (exchange.go) hands in what is finished and takes what is next, in one call to the store; a busy
//     worker has several such lanes where the store says that they are worth it;
//   - heartbeat (heartbeat.go) keeps the process alive in the store, and compares what both believe it holds;
//   - duties (duties.go) does the chores that any process may do: promote, sweep, prune;
//   - control (control.go) writes progress, gives back what was taken too early, and reports handlers that do not listen;
//   - rollup (rollup.go) writes how many attempts ended how, and how long they waited and ran, for charts.
//
// An attempt (attempt.go) is a straight line: start, run under the middleware,
// recover, classify, record. Its outcome gathers with others until the exchange
// under way has ended, and goes with the next: under load one transaction
// finishes and claims hundreds of jobs, and a lone job goes at once. Where the
// store can do that, an idle worker claims a job of its own process in the
// transaction that enqueues it (join.go).
//
// What the worker knows about jobs it holds is in one place (held.go), under one lock.
// How often it asks when there is nothing to do, and how it keeps out of the way of others, is in calm.go.
package worker
