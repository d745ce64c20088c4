package memory

import (
	"cmp"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// job is a stored job. Job is never changed once it is in; nothing in it is
// shared with a caller.
type job struct {
	bellhop.Job
	place   place
	last    attempt   // the newest that has ended; its outcome is 0 if none has
	earlier []attempt // oldest first
	seq     int64
	self    ref
	turn    int32 // the running claim's place in its exchange's reply

	queue    *queue
	heap     *heap     // the heap it is in; nil if running, or finished for ever
	exchange *exchange // that has claimed it; nil unless running
	slot     int       // where in heap or in the process's list
}

// place is a [bellhop.Place] in half the room. Who runs the job is told by its exchange.
type place struct {
	state           bellhop.State
	suspect         bool
	cancelRequested bool
	started         bool // the running claim's start has been recorded

	generation, attempt, failures, crashes int32

	claim                      int64
	due, finishedAt, expiresAt moment
	reason                     string
	progress, result           []byte
}

// public returns the job's place as its readers know it. It shares progress and result with the store.
func (j *job) public() bellhop.Place {
	p := &j.place
	place := bellhop.Place{
		State: p.state, Due: p.due.time(), Generation: int(p.generation), Claim: p.claim, Attempt: int(p.attempt),
		Failures: int(p.failures), Crashes: int(p.crashes), Suspect: p.suspect, CancelRequested: p.cancelRequested,
		FinishedAt: p.finishedAt.time(), ExpiresAt: p.expiresAt.time(), Reason: p.reason, Progress: p.progress, Result: p.result,
	}
	if e := j.exchange; e != nil {
		place.Process, place.ClaimedAt, place.Exchange = e.process, e.claimedAt.time(), e.id
	}
	return place
}

type ordered struct {
	seq int64
	job ref // 0 once deleted
}

// held lists the running jobs of one process.
type held struct {
	process bellhop.ID
	jobs    []*job
}

// exchange is one by which a process has claimed jobs.
type exchange struct {
	claimer
	claimedAt moment
	jobs      int   // how many of them still run
	held      *held // the list they are in; nil if none does
}

// claimer names an exchange.
type claimer struct{ id, process bellhop.ID }

const priorities = bellhop.MaxPriority - bellhop.MinPriority + 1

// queue holds the ready jobs of one queue, and counts those in other states.
type queue struct {
	name   string
	paused bool
	counts [bellhop.StateDead + 1]int
	ready  [priorities]map[string]*heap // by priority and kind: by due time
}

func (s *Store) queue(name string) *queue {
	q := s.queues[name]
	if q == nil {
		q = &queue{name: name}
		s.queues[name] = q
	}
	return q
}

func (s *Store) lane(q *queue, priority int, kind string) *heap {
	lanes := &q.ready[priority-bellhop.MinPriority]
	h := (*lanes)[kind]
	if h == nil {
		if *lanes == nil {
			*lanes = map[string]*heap{}
		}
		h = &heap{jobs: &s.slab}
		(*lanes)[kind] = h
	}
	return h
}

// leave takes a job out of what its state has put it in. Whatever changes a
// job's state stands between leave and enter.
func (s *Store) leave(j *job) {
	j.queue.counts[j.place.state]--
	j.remove()
	if j.place.state != bellhop.StateRunning {
		return
	}
	delete(s.running, j.ID)
	e := j.exchange
	j.exchange = nil
	s.letGo(e.held, j)
	if e.jobs--; e.jobs == 0 {
		e.held = nil
		delete(s.exchanges, e.claimer)
	}
	if j.place.cancelRequested {
		delete(s.cancels, j)
	}
	j.place.started = false
}

// letGo takes a job out of the list of its process.
func (s *Store) letGo(h *held, j *job) {
	last := len(h.jobs) - 1
	moved := h.jobs[last]
	h.jobs[j.slot], moved.slot = moved, j.slot
	h.jobs[last] = nil
	h.jobs = h.jobs[:last]
	if last == 0 && s.processes[h.process] == nil {
		delete(s.held, h.process)
	}
}

// enter puts a job where its new state says. One that is to run has been given its exchange.
func (s *Store) enter(j *job, state bellhop.State) {
	j.place.state = state
	j.queue.counts[state]++
	switch state {
	case bellhop.StateScheduled:
		s.scheduled.push(j, int64(j.place.due))
	case bellhop.StateReady:
		s.lane(j.queue, j.Priority, j.Kind).push(j, int64(j.place.due))
		s.wake(j.Queue)
	case bellhop.StateRunning:
		s.running[j.ID] = j
		s.hold(j.exchange, j)
		if j.place.cancelRequested {
			s.cancels[j] = struct{}{}
		}
	}
	if j.UniqueKey != "" && state.Live() {
		s.unique[j.UniqueKey] = j
	}
}

// hold puts a job into the list of the process that has claimed it.
func (s *Store) hold(e *exchange, j *job) {
	if e.jobs++; e.jobs == 1 {
		s.exchanges[e.claimer] = e
		if e.held = s.held[e.process]; e.held == nil {
			e.held = &held{process: e.process}
			s.held[e.process] = e.held
		}
	}
	j.slot = len(e.held.jobs)
	e.held.jobs = append(e.held.jobs, j)
}

// finish enters a final state: the job expires after keep, and its unique key is free.
func (s *Store) finish(j *job, state bellhop.State, now time.Time, keep time.Duration) {
	j.place.finishedAt, j.place.expiresAt = momentOf(now), never
	j.place.cancelRequested = false
	s.enter(j, state)
	s.freeKey(j)
	if keep >= 0 {
		j.place.expiresAt = momentOf(now.Add(keep))
		s.expiring.push(j, int64(j.place.expiresAt))
	}
}

func (s *Store) freeKey(j *job) {
	if j.UniqueKey != "" && s.unique[j.UniqueKey] == j {
		delete(s.unique, j.UniqueKey)
	}
}

// add takes a new job in, and delete removes it with all that belongs to it.
func (s *Store) add(j *job, state bellhop.State) {
	s.seq++
	j.seq = s.seq
	j.queue = s.queue(j.Queue)
	s.jobs[j.ID] = j.self
	s.order = append(s.order, ordered{j.seq, j.self})
	s.enter(j, state)
}

func (s *Store) delete(j *job) {
	s.leave(j)
	s.freeKey(j)
	delete(s.jobs, j.ID)
	at, _ := slices.BinarySearchFunc(s.order, j.seq, func(o ordered, seq int64) int { return cmp.Compare(o.seq, seq) })
	s.order[at].job = 0
	s.holes++
	if s.holes > 64 && s.holes > len(s.order)/2 {
		s.order = slices.DeleteFunc(s.order, func(o ordered) bool { return o.job == 0 })
		s.holes = 0
	}
	s.slab.give(j)
}

// find returns the job with the id, or nil.
func (s *Store) find(id bellhop.ID) *job { return s.slab.at(s.jobs[id]) }
