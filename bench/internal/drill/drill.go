// Package drill is the language between the benchmark and the processes that it measures.
//
// Every measurement is a process of its own, so that memory, garbage and warm caches of one contender never touch another. The
// process is given an [Order] as one line of JSON, gets ready, says so, waits for a line on its input, does the work, and answers
// with a [Reply]. Go contenders, the Node programs and the Ruby program speak the same language, so that all are timed alike. No
// job passes through this package.
package drill

// Actions of an [Order].
const (
	Fill    = "fill"    // put jobs into the store, as fast as the contender can
	Enqueue = "enqueue" // enqueue one at a time from Callers goroutines, for Seconds
	Bulk    = "bulk"    // enqueue in the contender's best way for many jobs, for Seconds
	Drain   = "drain"   // work Jobs jobs that are there
	Sustain = "sustain" // enqueue one at a time from Callers goroutines and work them, for Seconds
	Latency = "latency" // enqueue Jobs jobs at one every 10 ms to an idle worker
	Across  = "across"  // as Latency, but another process enqueues, one job about every Every seconds
	Send    = "send"    // be that other process
	Worker  = "worker"  // fill and drain in one process, for a store in memory
)

// What a fill leaves beside the jobs that are worked, see [Order.Mark].
const (
	Paused  = "paused"  // jobs of a paused queue that the worker has
	Future  = "future"  // jobs due in an hour
	Unknown = "unknown" // jobs of a kind that the worker has no handler for, before all others
)

// Order tells a process what to do.
type Order struct {
	// Contender names the entry of the register: "river".
	Contender string `json:"contender"`
	// Address of the store.
	Address string `json:"address"`
	// Action is one of the constants.
	Action string `json:"action"`
	// First is the number of the first job; numbers are never used twice in one store.
	First int `json:"first"`
	// Jobs is how many jobs to put, work or time.
	Jobs int `json:"jobs"`
	// Callers is how many goroutines enqueue.
	Callers int `json:"callers"`
	// Seconds is how long an enqueue goes on.
	Seconds float64 `json:"seconds"`
	// Every is how many seconds lie between two jobs on average, where it matters.
	Every float64 `json:"every"`
	// Mark says what sort of jobs a fill puts; empty for those that are worked.
	Mark string `json:"mark"`
	// Backlog is how many jobs are there in all if that is more than are to be worked: the time then ends with the last
	// handler, not with the last completion in the store. 0 otherwise.
	Backlog int `json:"backlog"`
	// Limit ends a drain after so many seconds, with the jobs that have run until then; 0 for none.
	Limit float64 `json:"limit"`
	// Worked is how many jobs are finished and kept in the store before the work begins.
	Worked int `json:"worked"`
}

// Reply is what the process says: first with Ready set, in the end with the results.
type Reply struct {
	// Ready says that the process waits for the start.
	Ready bool `json:"ready,omitempty"`
	// Mark says that the clock has stopped, though checks follow: read the server's counters now.
	Mark bool `json:"mark,omitempty"`
	// Jobs is how many jobs were enqueued or worked.
	Jobs int `json:"jobs"`
	// Seconds is how long that took.
	Seconds float64 `json:"seconds"`
	// CPU is the processor time of the process meanwhile, in microseconds.
	CPU float64 `json:"cpu"`
	// Peak is the most memory that the process held at once, in bytes.
	Peak int64 `json:"peak"`
	// Allocs is the number of allocations meanwhile; 0 if not counted.
	Allocs uint64 `json:"allocs,omitempty"`
	// Written is how many bytes the process handed to the system for writing meanwhile.
	Written int64 `json:"written,omitempty"`
	// Latencies in microseconds, from before the enqueue to the handler.
	Latencies []int64 `json:"latencies,omitempty"`
	// Sent are the moments before the enqueues of a Send, in microseconds by the wall clock.
	Sent []int64 `json:"sent,omitempty"`
	// Lost and Doubled are jobs that did not run, and runs of jobs that had run before.
	Lost    int `json:"lost"`
	Doubled int `json:"doubled"`
	// Fault says what went wrong; nothing else then counts.
	Fault string `json:"fault,omitempty"`
}

// Text fills the arguments up to 48 bytes of JSON, as many as a usual small job has.
const Text = "twenty-two characters-"
