// Package sqlite keeps jobs in one SQLite file, for one process or for several
// on one machine. It needs no server and no C compiler.
//
//	import _ "github.com/gobellhop/bellhop/store/sqlite"
//
//	client, err := bellhop.Open(ctx, "sqlite:jobs.db")
//
// The way of a job through the tables is told in the package sqlstore. What is
// particular here:
//
// SQLite lets one writer through at a time. In a process all writes go through
// one connection, and the processes on one file queue at a lock file before they
// begin a transaction, so that none of them starves and none sees "database is
// locked". Reading goes on beside that, through connections of its own. If the
// worker of the process that enqueues is idle, its claim is part of the enqueue's
// transaction: one commit does for both.
//
// Each worker holds an operating system lock on a file that is named after its
// incarnation. When it dies, however it dies, the lock is free at once, and the
// next sweep of any other process takes its jobs back without waiting for the
// lease. Lock files stand in a folder beside the database: jobs.db-bellhop.
//
// A commit survives a crash of the process and, with the default
// synchronous=full, a loss of power.
//
// [New] takes a pool that the caller has opened, with this or another driver;
// then everything goes through it, and [Within] enqueues and finishes jobs in
// the caller's own transactions.
package sqlite
