// Package mysql keeps jobs in a MySQL or MariaDB database.
//
//	import _ "github.com/gobellhop/bellhop/store/mysql"
//
//	client, err := bellhop.Open(ctx, "mysql://user:password@host/database")
//
// It needs InnoDB, JSON_TABLE and SKIP LOCKED: MySQL 8.0.19 or newer, or MariaDB
// 10.6 or newer. It is tested on MariaDB 10.11; its statements are written for
// both, but no test of this project runs on MySQL.
//
// The way of a job through the tables is told in the package sqlstore. What is
// particular here:
//
// InnoDB locks every row that a statement looks at, whether the statement wants
// it or not. So each statement that changes jobs gets the list of their numbers,
// as a table made from one parameter, and goes from there to the rows, by primary
// key and in its order. A claim walks along the primary key of ready, which is
// the order of claiming, and passes over what others have locked.
//
// All transactions run at READ COMMITTED. A deadlock is tried again, and never
// seen by a caller, except inside a transaction of the caller's own ([Within]):
// there the error matches [bellhop.ErrUnavailable], and the whole transaction
// has to be tried again.
//
// The server's clock is the store's. There is no notification between processes:
// a worker in the process that enqueued starts at once, others at their next look.
package mysql
