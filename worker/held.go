package worker

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// prefetchWindow is how much work the process takes in advance: what it has
	// lately worked off in this time.
	prefetchWindow = 100 * time.Millisecond
	// maxClaims bounds the claims of one exchange.
	maxClaims = 1000
	// rateMemory is the time over which a queue's rate is averaged.
	rateMemory = 200 * time.Millisecond
)

// attempt is a claim that this process holds: waiting in its queue's buffer, or running.
type attempt struct {
	claim   bellhop.Claim
	queue   *queue
	handler bellhop.Handler
	taken   time.Time // when it was claimed, by the local clock

	// The rest is set when it starts, under held.mu.
	run    *bellhop.Run
	cancel context.CancelCauseFunc
	// stopped is when its context was cancelled; zero if it was not. warned: a
	// line was written about a handler that does not listen.
	stopped time.Time
	warned  bool
}

// queue is one queue as this process works it. Guarded by held.mu.
type queue struct {
	name    string
	limit   int
	running int
	buffer  []*attempt // claimed, not started, in the order to start
	short   bool       // the store had less than was asked for: wait for a wake-up or the poll
	done    int        // attempts ended since the rate was last reckoned
	rate    float64    // attempts ended in a second
}

// held is all that the process holds, under one lock.
type held struct {
	queues map[string]*queue
	order  []*queue // strict ones first
	strict int      // how many of order are strict
	weight map[string]int
	slots  int

	// attempts by job. At most one claim of a job is held at a time: a newer
	// one means that the older is stale.
	attempts map[bellhop.ID]*attempt
	running  int
	// suspect is the one suspect that runs.
	suspect *attempt
	// reckoned is when the rates were last reckoned.
	reckoned time.Time
}

func newHeld(c Config, now time.Time) held {
	h := held{
		queues: map[string]*queue{}, weight: c.Weights, slots: c.Slots, strict: len(c.Strict),
		attempts: map[bellhop.ID]*attempt{}, reckoned: now,
	}
	add := func(name string) {
		if h.queues[name] == nil {
			q := &queue{name: name, limit: c.Queues[name]}
			h.queues[name] = q
			h.order = append(h.order, q)
		}
	}
	for _, name := range c.Strict {
		add(name)
	}
	rest := make([]string, 0, len(c.Queues))
	for name := range c.Queues {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	for _, name := range rest {
		add(name)
	}
	return h
}

// add takes a claim in. It returns the attempt of an older claim of the same
// job, if one is held still: that one is stale.
func (h *held) add(a *attempt) (stale *attempt) {
	id := a.claim.Token.JobID
	if stale = h.attempts[id]; stale != nil {
		h.drop(stale)
	}
	h.attempts[id] = a
	a.queue.buffer = append(a.queue.buffer, a)
	return stale
}

// drop forgets an attempt that is not running; one that is keeps its slot
// until it returns, but no longer stands for the job.
func (h *held) drop(a *attempt) {
	if h.attempts[a.claim.Token.JobID] == a {
		delete(h.attempts, a.claim.Token.JobID)
	}
	if i := slices.Index(a.queue.buffer, a); i >= 0 {
		a.queue.buffer = slices.Delete(a.queue.buffer, i, i+1)
	}
}

// next takes from q's buffer the attempt to start now, or nil. Suspects are
// passed over while another suspect runs.
func (h *held) next(q *queue) *attempt {
	if q.running >= q.limit || h.running >= h.slots {
		return nil
	}
	for i, a := range q.buffer {
		if a.claim.Place.Suspect {
			if h.suspect != nil {
				continue
			}
			h.suspect = a
		}
		if i == 0 { // the common case does not move the rest
			q.buffer[0], q.buffer = nil, q.buffer[1:]
		} else {
			q.buffer = slices.Delete(q.buffer, i, i+1)
		}
		q.running++
		h.running++
		return a
	}
	return nil
}

// startable takes all attempts that can start now.
func (h *held) startable() []*attempt {
	var list []*attempt
	for _, q := range h.order {
		for a := h.next(q); a != nil; a = h.next(q) {
			list = append(list, a)
		}
	}
	return list
}

// startCause says why the attempt is to be cancelled before it starts: the
// claim has been lost, or a cancel was asked for since. Nil if it is not.
func (h *held) startCause(a *attempt) error {
	switch {
	case h.attempts[a.claim.Token.JobID] != a:
		return bellhop.ErrLeaseLost
	case a.claim.Place.CancelRequested:
		return bellhop.ErrCancelled
	}
	return nil
}

// release frees the slot of an attempt that has ended.
func (h *held) release(a *attempt) {
	a.queue.running--
	a.queue.done++
	h.running--
	if h.suspect == a {
		h.suspect = nil
	}
	if h.attempts[a.claim.Token.JobID] == a {
		delete(h.attempts, a.claim.Token.JobID)
	}
}

// reckon brings the queues' rates up to date.
func (h *held) reckon(now time.Time) {
	dt := now.Sub(h.reckoned)
	if dt < time.Millisecond {
		return
	}
	h.reckoned = now
	share := 1 - math.Exp(-float64(dt)/float64(rateMemory))
	for _, q := range h.order {
		q.rate += share * (float64(q.done)/dt.Seconds() - q.rate)
		q.done = 0
	}
}

// wants says what to ask the store for: for each queue its free places and the
// prefetch that it has earned, and the bound over all queues. Queues that were
// left short the last time are asked only if all is set.
func (h *held) wants(all bool) (wants []bellhop.Want, limit int) {
	limit = h.slots - h.running
	for _, q := range h.asked() {
		prefetch := int(q.rate * prefetchWindow.Seconds())
		limit += prefetch - len(q.buffer)
		n := q.limit - q.running + prefetch - len(q.buffer)
		if n > 0 && (all || !q.short) {
			wants = append(wants, bellhop.Want{Queue: q.name, Count: min(n, maxClaims)})
		}
	}
	if limit <= 0 {
		return nil, 0
	}
	return wants, min(limit, maxClaims)
}

// asked returns the queues in the order in which to ask for them: strict ones
// in their order, the others at random by weight.
func (h *held) asked() []*queue {
	if len(h.order)-h.strict < 2 {
		return h.order
	}
	order := slices.Clone(h.order)
	rest := order[h.strict:]
	sum := 0
	for _, q := range rest {
		sum += max(h.weight[q.name], 1)
	}
	for i := range rest {
		pick := rand.IntN(sum)
		for k := i; k < len(rest); k++ {
			w := max(h.weight[rest[k].name], 1)
			if pick < w {
				rest[i], rest[k] = rest[k], rest[i]
				sum -= w
				break
			}
			pick -= w
		}
	}
	return order
}

// tokens returns the claims that are held.
func (h *held) tokens() []bellhop.Token {
	list := make([]bellhop.Token, 0, len(h.attempts))
	for _, a := range h.attempts {
		list = append(list, a.claim.Token)
	}
	return list
}

// takeBuffered empties the buffers of attempts for which keep is false, and forgets them.
func (h *held) takeBuffered(keep func(*attempt) bool) []*attempt {
	var taken []*attempt
	for _, q := range h.order {
		q.buffer = slices.DeleteFunc(q.buffer, func(a *attempt) bool {
			if keep(a) {
				return false
			}
			taken = append(taken, a)
			if h.attempts[a.claim.Token.JobID] == a {
				delete(h.attempts, a.claim.Token.JobID)
			}
			return true
		})
	}
	return taken
}
