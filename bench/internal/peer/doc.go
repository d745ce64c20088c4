// Package peer holds the contenders: Bellhop itself, the products beside it, and for each store the least that a program written
// by hand can do.
//
// A contender is an entry of the register with a [Session] behind it. [Child] is the other end of package drill: the process that
// carries out one order. A job is enqueued through the contender's own client, with 48 bytes of JSON as arguments; its handler
// decodes them and notes the job's number in a [Ledger], which knows in the end whether each job ran exactly once.
package peer
