// Command outbox keeps its orders in one database and its jobs in another. An order and the job that mails its receipt are committed
// together; a relay moves the job into the store, where a worker finds it. Both databases are files here, so that it runs
// anywhere; with PostgreSQL and Redis only the driver, the dialect and the address change.
package main
