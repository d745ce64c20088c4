package worker

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// How often an idle worker calls the store, and how many workers on one store
// keep out of each other's way.
//
// An idle worker makes at most two calls a second, whatever they are for. So a
// beat stands for the poll and the sweep where the store looks with a beat
// whether there is something to do, and any other call is owed for: the polls
// after it come later by a poll's time in all.
const (
	// A poll interval is longer than Config.Poll by a random part: up to
	// idleSpread; or up to livelySpread for livelyFor after a claim, because where
	// nothing wakes workers, the next job waits for the poll. That is left to
	// stores that look with a beat: with others the polls would be too many.
	idleSpread   = 0.7
	livelySpread = 0.05
	livelyFor    = 30 * time.Second
	// payOff is in how many parts what is owed is paid, so that no single poll is
	// late; none is put off by more than mostPaid. mostOwed bounds the calls that are owed for.
	payOff   = 8
	mostPaid = 0.4
	mostOwed = 100
	// lookRound is how often the other processes are counted.
	lookRound = time.Minute
	// apart is the time between the calls of processes that something has woken
	// together: each waits a random part of it for each other process.
	apart = 2 * time.Millisecond
)

// polls tells when to poll next, and what the beats do for that. Guarded by Worker.mu.
type polls struct {
	every   time.Duration // Config.Poll
	last    time.Time     // when the store was last asked for jobs; zero for never
	part    float64       // of the spread, drawn anew for each poll
	claimed time.Time     // when it last had one
	owed    time.Duration // for other calls since then

	beat    time.Time // when the last beat was sent
	looks   bool      // the store looks with a beat whether there is something to do
	looked  time.Time // when a beat last looked for what is to be swept, and found nothing
	standIn bool      // the next beat stands for a poll
}

// made notes that the store is asked now.
func (p *polls) made(now time.Time) {
	if !p.last.IsZero() {
		p.owed = max(p.owed-max(now.Sub(p.last)-p.every, 0), 0)
	}
	p.last, p.part = now, rand.Float64()
}

// owe notes a call that is not a poll.
func (p *polls) owe() {
	p.owed = min(p.owed+p.every, mostOwed*p.every)
}

// spread returns the greatest random part of a poll interval.
func (p *polls) spread(now time.Time) time.Duration {
	if p.looks && !p.claimed.IsZero() && now.Sub(p.claimed) < livelyFor {
		return time.Duration(livelySpread * float64(p.every))
	}
	return time.Duration(idleSpread * float64(p.every))
}

// wait returns how long until the next poll.
func (p *polls) wait(now time.Time) time.Duration {
	if p.last.IsZero() {
		return 0
	}
	extra := max(time.Duration(p.part*float64(p.spread(now))), min(p.owed/payOff, time.Duration(mostPaid*float64(p.every))))
	return max(p.last.Add(p.every+extra).Sub(now), 0)
}

// untilPoll returns how long until the next poll. An idle worker polls for
// jobs; a full one to hear of cancels and pauses.
func (w *Worker) untilPoll() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held.running == 0 && w.draining {
		return loop.Never
	}
	return w.polls.wait(time.Now())
}

// beatInstead lets a beat stand for the poll that is due, if it would come
// before the next poll anyway, and reports whether it does.
func (w *Worker) beatInstead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, p := time.Now(), &w.polls
	idle := w.alive && !w.draining && len(w.held.attempts) == 0 && w.outbox.len()+len(w.outbox.later.outcomes) == 0 && w.lanes[0].pending == nil
	if !idle || !p.looks || p.standIn || now.Add(p.every+p.spread(now)).Before(p.beat.Add(w.config.Beat)) {
		return false
	}
	p.made(now)
	p.standIn = true
	w.heartbeat.Wake()
	return true
}

// beaten takes in what a beat has found to do; reply is nil if it has failed.
// Called under w.mu.
func (w *Worker) beaten(reply *bellhop.BeatReply, standIn bool, before, now time.Time) {
	p := &w.polls
	p.looks = reply != nil && (p.looks || reply.Idle)
	switch {
	case reply != nil && reply.Idle:
		p.looked = before
		if standIn {
			p.made(now)
			if w.lanes[0].pending == nil && w.nextDue(reply.NextDue, now) {
				w.duties.Wake()
			}
		}
	case standIn:
		p.owe()
		p.last = time.Time{}
		w.wakeExchange()
	}
}

// owe notes a call to the store that is not a poll.
func (w *Worker) owe() {
	w.mu.Lock()
	w.polls.owe()
	w.mu.Unlock()
}

// spread returns how long to wait after something that has woken other
// processes as well: a random time, the longer the more there are. The first of
// them is then as soon as ever, some two milliseconds later, and the others find
// out one by one that there is nothing left.
func (w *Worker) spread() time.Duration {
	d := min(apart*time.Duration(w.rivals.Load()), w.config.Poll/2)
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// lookRound counts the living processes that would claim the same jobs.
func (w *Worker) lookRound(ctx context.Context) (next time.Duration, err error) {
	w.owe()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	all, err := w.store.Processes(ctx)
	if err != nil {
		return 0, err
	}
	w.saw(all)
	w.mu.Lock()
	me := w.process
	w.mu.Unlock()
	n := 0
	for i := range all {
		if p := &all[i]; p.ID != me.ID && share(p.Queues, me.Queues) && share(p.Kinds, me.Kinds) {
			n++
		}
	}
	w.rivals.Store(int64(n))
	return 0, nil
}

// share reports whether two lists have a member in common.
func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
