// Package testservers gives tests real database servers: PostgreSQL, MariaDB, Redis and a Redis Cluster of three masters, private
// to the tests, on free ports of 127.0.0.1, in temporary folders.
//
// The servers are the installed binaries; nothing is downloaded and no server of the system is touched. When run by root they run as
// the user that their package made (postgres, mysql, redis), else nobody, since PostgreSQL and MariaDB refuse root. They write through
// to the disk as in earnest, because durability and benchmarks are measured on them, and their time zone is a quarter of an hour off
// every full one, so that whoever confuses local time and UTC finds out here.
//
// [Postgres], [MariaDB], [Redis] and [RedisCluster] are for most tests: one server that many tests share, each in a database or
// namespace of its own ([Server.Database]). ./test starts these servers once for the whole run, by way of the command
// internal/testservers/with, and names them in the environment ([Variable]); a test binary that finds none there starts its own at
// first use and stops it in [Main]. [StartPostgres], [StartMariaDB] and [StartRedis] start a server for one test, which may set it
// up as it likes, kill it, freeze it and start it again on the same port and data.
//
// A job passes through these servers exactly as in production: the tests enqueue, claim and finish it through a store whose
// address came from here.
//
// No server outlives its owner, even one that is killed: a keeper process, a shell, waits on a pipe for the owner's end. Folders
// that a killed owner left behind are removed by the next one.
package testservers
