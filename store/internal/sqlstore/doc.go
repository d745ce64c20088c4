// Package sqlstore is the one SQL store: it keeps jobs in a relational database
// through named statements, and a [Dialect] that answers what differs between
// databases. The packages store/sqlite, store/postgres and store/mysql are thin
// shells around it.
//
// A job comes in through Enqueue: its row in jobs is written once and never
// changes. Where the job is, is told by exactly one narrow row that names it, in
// ready, scheduled, blocked, running, finished or dead. Promote moves rows from
// scheduled to ready, Exchange moves them from ready to running and, with an
// outcome, on to where the outcome says; each end of a claim leaves a row in
// attempts. Prune deletes a job with all its rows.
//
// Go decides, SQL compares and sets: each statement that ends a claim repeats
// the claim's token.
package sqlstore
