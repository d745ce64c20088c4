package redis

import (
	"strings"

	"github.com/gobellhop/bellhop"
)

// layoutVersion is the version of the layout below. It stands in the key
// "layout"; a program that knows another version refuses the namespace.
const layoutVersion = 2

// layout lists the keys of a namespace. All begin with "{bellhop:NAME}:", so
// that a Redis Cluster keeps them on one node. A test writes them, as they look
// with a job in every state, into layout.txt.
//
// Ids are their 16 bytes, numbers big-endian, times microseconds since 1970, a
// job's turn its number in the order of enqueueing. A lane is what a ready job
// waits in: a letter for its priority ('a' is -9, 's' is 9), "|", queue, "|",
// kind. Neither queues nor kinds can contain "|".
var layout = []struct{ name, kind, holds string }{
	{"layout", "string", "the version of this layout"},
	{"numbers", "hash", `"next": the turn of the next job; "last": when the last was enqueued; "expiring": how many finished jobs will expire; "version": of the last record written; "compared": when the lists of what processes hold were last compared with what is running`},
	{"jobs", "hash", "id: what never changes of the job, if that is more than 256 bytes; else it stands in the place"},
	{"places", "hash", "id: where the job is, its counters, its attempts' records"},
	{"order|N", "string", "the ids of the jobs with turns 128*N to 128*N+127, one after the other"},
	{"blocks", "zset", "N by N: which of these strings there are"},
	{"holes", "hash", "N: how many of its jobs are deleted; at 128 the string goes"},
	{"ready|LANE", "zset", "turn and id by due time"},
	{"lanes|QUEUE", "zset", "lanes that hold jobs, by 0"},
	{"scheduled|QUEUE", "zset", "turn and id by due time"},
	{"due", "zset", "queue by the due time of its earliest scheduled job"},
	{"running|PROCESS", "hash", "exchange: how many of the jobs that it claimed are still running"},
	{"claimed|EXCHANGE", "string", "the ids of the jobs that it claimed, one after the other; those whose place says otherwise have ended"},
	{"cancels|PROCESS", "set", "ids of those of them that are to be cancelled"},
	{"holders", "set", "processes that hold jobs, alive or not"},
	{"expiring", "zset", "ids of finished jobs, up to 128 together, by the time when they are to be deleted; those whose place says otherwise stay"},
	{"dead", "zset", "id by turn"},
	{"counts", "hash", "state and queue: how many jobs"},
	{"unique", "hash", "unique key: id of the job that holds it"},
	{"paused", "set", "queues"},
	{"processes", "hash", "process: 8 bytes of its last beat, and what it says of itself as JSON"},
	{"leases", "zset", "process by the end of its lease: those that are alive"},
	{"gone", "zset", "process by the time when it was swept or left"},
	{"records|SPACE", "hash", "key: 8 bytes of version, 8 of expiry, and the value"},
	{"recordkeys|SPACE", "zset", "keys by 0"},
	{"recordexpiry", "zset", "2 bytes of the space's length, space, key, by expiry"},
	{"stage|ID", "list", "items of a large call that is under way; expires after a minute"},
}

// The channel "wake", a sharded one, carries the names of queues in which a job
// has become ready.

// The bytes of a place, from the first on:
//
//	state                  1    a digit
//	claim                  6    its number
//	exchange, process     32    only if it is running
//	claimed at             8    only if it is running
//	flags                  1    1 cancel requested, 2 started, 4 suspect, 8 has a unique key
//	due                    8
//	generation             4
//	turn                   6
//	enqueued at            8
//	attempt, failures,
//	crashes               12
//	lane                   2 of length, and the lane
//	content                2 of length, and what never changes of the job; no length if that stands in jobs
//	tail                   missing if all of it is zero:
//	  attempts             1    how many records follow
//	  finished, expires   16
//	  lengths             12    of reason, progress and result
//	  reason, progress, result
//	  records                   each with 4 bytes of length: from claim to generation as above, then outcome 1,
//	                            number 4, started 8, ended 8; and of a failure class and message with 4 bytes of
//	                            length each, and the stack. With a log the highest bit of the first length is set, the next one if there
//	                            is a failure at all, the stack has a length too, and the log follows
//
// The bytes of what never changes of a job: metadata with 4 bytes of length, each key and value again with
// 4; then the unique key with 2, the tags with 2 and a NUL after each; 1 and
// run-at or 9 zeros; attempts 4, timeout 8 in nanoseconds, retention 8 in
// microseconds and 2 of nanoseconds; and the arguments.

// types are the types that keys of the namespace must have, by what their names begin with: up to and with the "|", if there is one.
var types = func() map[string]string {
	all := make(map[string]string, len(layout))
	for _, key := range layout {
		head, _, parted := strings.Cut(key.name, "|")
		all[head+ifSet(parted, "|")] = key.kind
	}
	return all
}()

// keys names the keys of a namespace.
type keys struct {
	base string // what all keys begin with; the one of KEYS of every script
}

func newKeys(namespace string) keys {
	return keys{"{bellhop:" + namespace + "}:"}
}

// laneOf names the lane of a job.
func laneOf(j *bellhop.Job) string {
	return string(rune('a'+j.Priority-bellhop.MinPriority)) + "|" + j.Queue + "|" + j.Kind
}
