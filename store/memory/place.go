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
	place   bellhop.Place
	history []attempt
	seq     int64
	self    ref

	started bool // the running claim's start has been recorded
	turn    int  // the running claim's place in its exchange's reply

	queue    *queue
	heap     *heap     // the heap it is in; nil if running, or finished for ever
	held     *held     // the process's list it is in; nil unless running
	exchange *exchange // that has claimed it; nil unless running
	slot     int       // where in heap or held
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

// exchange is one by which a process has claimed jobs, and how many of them still run.
type exchange struct {
	claimer
	jobs int
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
	j.queue.counts[j.place.State]--
	j.remove()
	if j.place.State != bellhop.StateRunning {
		return
	}
	delete(s.running, j.ID)
	last := len(j.held.jobs) - 1
	moved := j.held.jobs[last]
	j.held.jobs[j.slot], moved.slot = moved, j.slot
	j.held.jobs[last] = nil
	j.held.jobs = j.held.jobs[:last]
	if last == 0 && s.processes[j.held.process] == nil {
		delete(s.held, j.held.process)
	}
	j.held = nil
	if j.exchange.jobs--; j.exchange.jobs == 0 {
		delete(s.exchanges, j.exchange.claimer)
	}
	j.exchange = nil
	if j.place.CancelRequested {
		delete(s.cancels, j)
	}
	j.place.Process, j.place.ClaimedAt, j.place.Exchange = bellhop.ID{}, time.Time{}, bellhop.ID{}
	j.started = false
}

// enter puts a job where its new state says.
func (s *Store) enter(j *job, state bellhop.State) {
	j.place.State = state
	j.queue.counts[state]++
	switch state {
	case bellhop.StateScheduled:
		s.scheduled.push(j, j.place.Due.UnixMicro())
	case bellhop.StateReady:
		s.lane(j.queue, j.Priority, j.Kind).push(j, j.place.Due.UnixMicro())
		s.wake(j.Queue)
	case bellhop.StateRunning:
		s.running[j.ID] = j
		h := s.held[j.place.Process]
		if h == nil {
			h = &held{process: j.place.Process}
			s.held[h.process] = h
		}
		j.held, j.slot = h, len(h.jobs)
		h.jobs = append(h.jobs, j)
		by := claimer{j.place.Exchange, j.place.Process}
		j.exchange = s.exchanges[by]
		if j.exchange == nil {
			j.exchange = &exchange{claimer: by}
			s.exchanges[by] = j.exchange
		}
		j.exchange.jobs++
		if j.place.CancelRequested {
			s.cancels[j] = struct{}{}
		}
	}
	if j.UniqueKey != "" && state.Live() {
		s.unique[j.UniqueKey] = j
	}
}

// finish enters a final state: the job expires after keep, and its unique key is free.
func (s *Store) finish(j *job, state bellhop.State, now time.Time, keep time.Duration) {
	j.place.FinishedAt, j.place.ExpiresAt = now, time.Time{}
	j.place.CancelRequested = false
	s.enter(j, state)
	s.freeKey(j)
	if keep >= 0 {
		j.place.ExpiresAt = micro(now.Add(keep))
		s.expiring.push(j, j.place.ExpiresAt.UnixMicro())
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
