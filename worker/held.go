package worker

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// prefetchWindow is how much work the process takes in advance: what it has
	// lately worked off in this time.
	prefetchWindow = 100 * time.Millisecond
	// maxClaims bounds the claims of one exchange.
	maxClaims = 1000
	// longestWindow bounds prefetchWindow where exchanges take long; less than staleBuffer.
	longestWindow = 250 * time.Millisecond
	// rateMemory is the time over which a queue's rate is averaged.
	rateMemory = 200 * time.Millisecond
)

// attempt is a claim that this process holds: waiting in its queue's buffer, or running.
type attempt struct {
	claim   bellhop.Claim
	queue   *queue
	handler *bellhop.Handler
	taken   time.Time // when it was claimed, by the local clock
	ctx     attemptContext
	run     atomic.Pointer[bellhop.Run] // nil until the handler starts

	// The rest is guarded by Worker.mu.

	held   bool // it stands for its job in held.attempts; else its claim is lost or over
	slot   bool // it has been given a slot
	warned bool // a line was written about a handler that does not listen
	told   bool // it was told of as stale
}

// completed reports whether the handler has called Run.Complete.
func (a *attempt) completed() bool {
	run := a.run.Load()
	return run != nil && run.Completed()
}

// queue is one queue as this process works it. Guarded by Worker.mu.
type queue struct {
	name    string
	limit   int
	weight  int
	running int
	// Claimed and not started, in the order to start. Suspects are apart,
	// because they wait for each other and not for a slot.
	buffer, suspects []*attempt

	// short: the store had less than was asked for, so a wake-up or the poll is
	// waited for. woken is the number of the last wake-up.
	short bool
	woken uint64
	asked int // claims that calls under way may bring

	done    int           // attempts ended since the rate was last reckoned
	spent   time.Duration // what they took together
	starved bool          // since then a slot has found nothing in the buffer
	rate    float64       // attempts ended in a second
	boost   int           // prefetch beyond what the rate has earned, while it grows
}

// held is all that the process holds, under the one lock Worker.mu.
type held struct {
	queues map[string]*queue
	order  []*queue // strict ones first
	strict int      // how many of order are strict
	slots  int
	sum    int  // of the queues' limits
	follow bool // slots follow the sum

	// attempts by job. At most one claim of a job is held at a time: a newer
	// one means that the older is stale.
	attempts map[bellhop.ID]*attempt
	running  int
	asked    int // claims that calls under way may bring, over all queues
	// suspect is the one suspect that runs, or has run and whose outcome is not
	// in the store yet: were the process to die now, it would be blamed.
	suspect *attempt
	// window is how much work is taken in advance: prefetchWindow, or longer if exchanges take long.
	window time.Duration
	// reckoned is when the rates were last reckoned.
	reckoned time.Time
}

func newHeld(c Config, now time.Time) held {
	h := held{
		queues: map[string]*queue{}, slots: c.Slots, strict: len(c.Strict), follow: c.Slots == 0,
		attempts: map[bellhop.ID]*attempt{}, window: prefetchWindow, reckoned: now,
	}
	names := make([]string, 0, len(c.Queues))
	for name := range c.Queues {
		if !slices.Contains(c.Strict, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Concat(c.Strict, names) {
		q := &queue{name: name, limit: c.Queues[name], weight: max(c.Weights[name], 1)}
		h.queues[name] = q
		h.order = append(h.order, q)
		h.sum += q.limit
	}
	if h.follow {
		h.slots = h.sum
	}
	return h
}

// resize changes how many jobs of a queue run at once.
func (h *held) resize(q *queue, limit int) {
	h.sum += limit - q.limit
	q.limit, q.short = limit, false
	if h.follow {
		h.slots = h.sum
	}
}

// add takes a claim in. It returns the attempt of an older claim of the same
// job, if one is held still: that one is stale.
func (h *held) add(a *attempt) (stale *attempt) {
	id := a.claim.Token.JobID
	if stale = h.attempts[id]; stale != nil {
		h.drop(stale)
	}
	h.attempts[id], a.held = a, true
	if a.claim.Place.Suspect {
		a.queue.suspects = append(a.queue.suspects, a)
	} else {
		a.queue.buffer = append(a.queue.buffer, a)
	}
	return stale
}

// drop forgets an attempt. One that was started keeps its slot until it
// returns, but no longer stands for the job.
func (h *held) drop(a *attempt) {
	h.forget(a)
	for _, list := range []*[]*attempt{&a.queue.buffer, &a.queue.suspects} {
		if i := slices.Index(*list, a); i >= 0 {
			*list = slices.Delete(*list, i, i+1)
		}
	}
}

// forget takes an attempt out of attempts, if it stands there for its job.
func (h *held) forget(a *attempt) {
	if a.held {
		a.held = false
		delete(h.attempts, a.claim.Token.JobID)
	}
}

// took notes how long an exchange took: what is held in advance must last until
// the next has brought more.
func (h *held) took(d time.Duration) {
	h.window = min(max(prefetchWindow, 2*d), longestWindow)
}

// next takes from q the attempt to start now, or nil. A suspect goes first, for
// its turn came long ago, but only if no other suspect runs.
func (h *held) next(q *queue) *attempt {
	if q.running >= q.limit || h.running >= h.slots {
		return nil
	}
	list := &q.buffer
	if h.suspect == nil && len(q.suspects) > 0 {
		list = &q.suspects
	}
	if len(*list) == 0 {
		q.starved = true
		return nil
	}
	a := (*list)[0]
	(*list)[0], *list = nil, (*list)[1:]
	a.slot = true
	if a.claim.Place.Suspect {
		h.suspect = a
	}
	q.running++
	h.running++
	return a
}

// startable takes all attempts that can start now.
func (h *held) startable() (list []*attempt) {
	if h.slots < h.sum { // slots are short: each goes to the queue whose turn it is
		for a := h.pick(); a != nil; a = h.pick() {
			list = append(list, a)
		}
		return list
	}
	for _, q := range h.order {
		for a := h.next(q); a != nil; a = h.next(q) {
			list = append(list, a)
		}
	}
	return list
}

// pick takes one attempt of the first queue in turn that has one, or nil.
func (h *held) pick() *attempt {
	if h.running >= h.slots {
		return nil
	}
	for _, q := range h.inTurn() {
		if a := h.next(q); a != nil {
			return a
		}
	}
	return nil
}

// release frees the slot of an attempt that has ended, and returns what can
// start for it.
func (h *held) release(a *attempt, took time.Duration) (next *attempt, more []*attempt) {
	a.queue.running--
	a.queue.done++
	a.queue.spent += took
	h.running--
	h.forget(a)
	freed := h.suspect == a && a.told // there is no outcome to wait for
	if freed {
		h.suspect = nil
	}
	if !freed && h.slots >= h.sum {
		// The common case: nobody else waits for this slot, unless a queue that was made smaller has more than it may.
		if next = h.next(a.queue); next != nil || h.running+1 < h.slots {
			return next, nil
		}
	}
	if more = h.startable(); len(more) == 0 {
		return nil, nil
	}
	return more[0], more[1:]
}

// reckon brings the queues' rates up to date. The rate is slow to believe in
// more; so where slots have starved, twice what was just worked off may be taken
// in advance, as far as all slots together can work it off within the window.
func (h *held) reckon(now time.Time) {
	dt := now.Sub(h.reckoned)
	if dt < time.Millisecond {
		return
	}
	h.reckoned = now
	share := 1 - math.Exp(-float64(dt)/float64(rateMemory))
	for _, q := range h.order {
		q.rate += share * (float64(q.done)/dt.Seconds() - q.rate)
		q.boost = 0
		if q.starved && q.done > 0 {
			each := max(q.spent/time.Duration(q.done), time.Microsecond)
			q.boost = min(2*q.done, int(h.window/each)*min(q.limit, h.slots))
		}
		q.done, q.spent, q.starved = 0, 0, false
	}
}

// wants says what to ask the store for: for each queue its free places and the
// prefetch that it has earned, less what calls under way may bring, and the
// bound over all queues. Queues that were left short the last time are asked only if all is set; then queues with
// nothing free are named too, with a count of 0, to hear whether they are paused.
func (h *held) wants(all bool) (wants []bellhop.Want, limit int) {
	limit = h.slots - h.running - h.asked
	surplus := 0
	for _, q := range h.inTurn() {
		waiting := len(q.buffer)
		free := max(q.limit-q.running, 0)
		starting := min(waiting, free) // these wait for no place of their queue
		prefetch := max(max(int(q.rate*h.window.Seconds()), q.boost)-(waiting-starting), 0)
		limit -= starting
		surplus += prefetch
		n := min(free-starting+prefetch-q.asked, maxClaims)
		if n > 0 && (all || !q.short) || all && waiting+len(q.suspects) > 0 {
			wants = append(wants, bellhop.Want{Queue: q.name, Count: max(n, 0)})
		}
	}
	limit = min(max(limit+surplus, 0), maxClaims)
	if limit == 0 && !all {
		return nil, 0
	}
	return wants, limit
}

// ask notes what a call asks for, and with a sign of -1 that it is over.
func (h *held) ask(wants []bellhop.Want, limit, sign int) {
	h.asked += sign * limit
	for _, want := range wants {
		if q := h.queues[want.Queue]; q != nil {
			q.asked += sign * want.Count
		}
	}
}

// inTurn returns the queues in the order in which they take their turns: strict
// ones in their order, the others at random by weight.
func (h *held) inTurn() []*queue {
	if len(h.order)-h.strict < 2 {
		return h.order
	}
	order := slices.Clone(h.order)
	rest := order[h.strict:]
	sum := 0
	for _, q := range rest {
		sum += q.weight
	}
	for i := range rest {
		pick := rand.IntN(sum)
		for k := i; k < len(rest); k++ {
			if pick < rest[k].weight {
				rest[i], rest[k] = rest[k], rest[i]
				sum -= rest[i].weight
				break
			}
			pick -= rest[k].weight
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

// takeUnstarted takes what q holds and has not started, except what is to be
// kept, and forgets it. A nil keep keeps nothing.
func (h *held) takeUnstarted(q *queue, keep func(*attempt) bool) (taken []*attempt) {
	take := func(a *attempt) bool {
		if keep != nil && keep(a) {
			return false
		}
		taken = append(taken, a)
		h.forget(a)
		return true
	}
	q.buffer = slices.DeleteFunc(q.buffer, take)
	q.suspects = slices.DeleteFunc(q.suspects, take)
	return taken
}
