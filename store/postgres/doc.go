// Package postgres keeps jobs in PostgreSQL, for any number of processes on any
// number of machines.
//
//	import _ "github.com/gobellhop/bellhop/store/postgres"
//
//	client, err := bellhop.Open(ctx, "postgres://app@db.example.org/app")
//
// The way of a job through the tables is told in the package sqlstore. What is
// particular here:
//
// The two verbs on the path of every job are done in a way of their own
// (enqueue.go, exchange.go): a whole batch is one statement or a few, sent in one
// pipeline, which PostgreSQL runs as one transaction. So an enqueue, and an
// exchange, is one round trip and one commit. What is out of the ordinary (an id
// or a key that is there already, a lock that is held) makes it fail, and the call
// goes the way that all databases share (database.go, tx.go).
//
// A claim begins where the last one ended (lanes.go), and a new process's first one
// where others are (heads.go), so that deleted rows, which stay in the indexes while
// old snapshots are open, cost nothing. What is before that is looked at in bites (bites.go).
//
// Other processes are told of new jobs by a notification after the commit
// (notify.go). It is a hint: workers poll besides.
//
// [New] takes a pool that the caller has opened; [Within] enqueues and finishes jobs
// in the caller's own transactions. docs/postgres.md is the guide to all this,
// docs/adr/0007-postgresql.md gives the reasons and the figures.
package postgres
