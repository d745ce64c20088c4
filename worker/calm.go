package worker

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gobellhop/bellhop/internal/loop"
)

// How often an idle worker calls the store, and how many workers on one store
// keep out of each other's way.
const (
	// A poll interval is longer than Config.Poll by a random part: up to
	// idleSpread, with which an idle worker makes fewer than two calls a second
	// in all; or up to livelySpread for livelyFor after a claim, because where
	// nothing wakes workers, the next job waits for the poll.
	idleSpread   = 0.7
	livelySpread = 0.08
	livelyFor    = 30 * time.Second
	// lookRound is how often the other processes are counted.
	lookRound = time.Minute
	// apart is the time between the calls of processes that something has woken
	// together: each waits a random part of it for each other process.
	apart = 2 * time.Millisecond
)

// polls tells when to poll next. Guarded by Worker.mu.
type polls struct {
	last    time.Time // when the store was last asked for jobs; zero for never
	part    float64   // of the spread, drawn anew for each poll
	claimed time.Time // when it last had one
}

// made notes that the store is asked now.
func (p *polls) made(now time.Time) { p.last, p.part = now, rand.Float64() }

// wait returns how long until the next poll.
func (p *polls) wait(now time.Time, every time.Duration) time.Duration {
	if p.last.IsZero() {
		return 0
	}
	spread := idleSpread
	if !p.claimed.IsZero() && now.Sub(p.claimed) < livelyFor {
		spread = livelySpread
	}
	return max(p.last.Add(every+time.Duration(float64(every)*spread*p.part)).Sub(now), 0)
}

// untilPoll returns how long until the next poll. An idle worker polls for
// jobs; a full one to hear of cancels and pauses.
func (w *Worker) untilPoll() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held.running == 0 && w.draining {
		return loop.Never
	}
	return w.polls.wait(time.Now(), w.config.Poll)
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
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	all, err := w.store.Processes(ctx)
	if err != nil {
		return 0, err
	}
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
