// Package redis keeps jobs in Redis 7 or Valkey: one server, one with replicas
// behind Sentinels, or a cluster.
//
//	import _ "github.com/gobellhop/bellhop/store/redis"
//
//	client, err := bellhop.Open(ctx, "redis://localhost:6379/0?namespace=shop")
//
// # A job's way
//
// What never changes of a job stands in one hash, under its id; where it is, its
// counters and its attempts' records in another, its place. Beside them there is
// a sorted set for each line in which jobs wait: ready jobs by queue, priority
// and kind, scheduled ones by queue; and a set for what each process holds. One
// script moves a job: it writes the place and moves the id from one set to the
// other. keys.go lists all keys.
//
// Each verb is one run of one script, which takes or ends a whole batch, so a
// batch of 1000 costs one round trip and a few dozen commands inside the server.
// A script compares first and writes then; what it writes, the server keeps as a
// whole or not at all. Because a script that fails half-way is not rolled back,
// each looks first whether the keys that it is going to write are of the right
// type. Scripts that end, free or only look are run also when the server's memory
// is full; enqueueing then fails, and nothing is changed.
//
// A call with more than 8 MiB of items is sent in pieces, which wait in a list
// that expires; its script takes them from there.
//
// # What is kept how long
//
// All is in the server's memory, and as durable as the server's persistence;
// [Store.Capabilities] says how durable that is. Finished jobs are kept as long
// as their retention says, but no more than 100,000 of them; see
// [WithKeepFinished].
package redis
