// Package partition makes one store of several: any servers, databases or files,
// or several namespaces of one Redis Cluster. There is one client, one worker and
// one listing; each part is a store of its own and knows nothing of the others.
//
//	import _ "github.com/gobellhop/bellhop/store/all"
//
//	client, err := bellhop.Open(ctx, "partition:parts.json")
//
// A job's way: its queue, or its unique key or id, says by rendezvous hashing
// which part takes it (route.go). The client gathers enqueues by part, and an
// Enqueue goes to that part alone. An Exchange is one call to each part that may
// have work or holds what is handed in, all at once (exchange.go, ask.go);
// the claims that a part gives are remembered, so that their outcomes find the way
// back. What asks for jobs by id asks all parts, and a listing merges theirs.
//
// Each clause of [bellhop.Store] holds within a part. Jobs of several parts in one
// Enqueue, and records beside jobs of another part, are refused with a
// [bellhop.SpanError]. docs/partition.md says which clauses hold over all parts.
//
// A part that is out of reach holds up nobody else: the other parts go on being
// worked, its outcomes are left unsettled for the worker to hand in again, and one
// line is logged when it goes and one when it is back (part.go). Calls that would
// have to leave its jobs out, such as a listing, fail and name it.
package partition
