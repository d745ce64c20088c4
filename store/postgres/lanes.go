package postgres

import (
	"math"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// lanes remembers for each priority of each queue up to where there is nothing to
// claim any more, so that a claim does not walk over what earlier ones have left:
// the index entries of deleted rows stay until no old snapshot can see them, and
// jobs of kinds that this process does not know stay anyway. What appears before
// a bound (a promoted job, a late commit) is found by full looks, which take at
// most a twentieth of the time: one exchange makes it, and those beside it go by
// the bounds meanwhile. Where a full look takes long it is made in bites (bites.go).
// A process that has no bounds yet begins at those that others have left in the
// store (heads.go).
type lanes struct {
	mu sync.Mutex
	m  map[laneSet]*bounds
}

// laneSet is a queue as seen by processes that know certain kinds.
type laneSet struct{ queue, kinds string }

const priorities = bellhop.MaxPriority - bellhop.MinPriority + 1

// bounds are those of a queue's priorities.
type bounds struct {
	at       [priorities]position
	nextLook time.Time
	looking  any             // the *looks or the *bite under way, if it is a look at what is before the bounds
	age      int             // grows when what exchanges under way find does not count any more
	unsure   bool            // something has become ready before them: the next look is a full one
	far      bool            // a full look takes long, as far as is known: bites are made instead
	claimed  [priorities]int // since they were last shared
	behind   int64           // what is due from here on has been looked at in this round of bites; 0 for none
	width    int64           // of the next bite
	walked   int64           // how long the bites of this round have taken the server, in microseconds
}

// due reports whether it is time for a look at what is before the bounds.
func (b *bounds) due(now time.Time) bool { return b.looking == nil && !now.Before(b.nextLook) }

// position is a place in the order of a lane.
type position struct{ due, job int64 }

func (p position) before(o position) bool { return p.due < o.due || p.due == o.due && p.job < o.job }

var head = position{math.MinInt64, math.MinInt64}

const maxLanes = 10_000

// perLane is the most jobs that one claim takes from a lane.
const perLane = bellhop.MaxBatch

// lateCommit is how much later than its due time a job's enqueue is expected to
// commit: bounds stay that far behind the present.
const lateCommit = 200 * time.Millisecond

// Full looks are as far apart as makes them a twentieth of the time, within
// limits. One that takes longLook is too long: what is before the bounds would
// be found later than after a second.
const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 10 * time.Second
	longLook      = 50 * time.Millisecond
)

// pauseAfter returns for how long there is no look after one that took so long.
func pauseAfter(took time.Duration) time.Duration {
	return min(max(20*took, shortestPause), longestPause)
}

// looks are the lanes of one exchange, as arrays for the claim.
type looks struct {
	sets       []laneSet // of the wants
	bounds     []*bounds // likewise
	ages       []int     // likewise, when it began
	counts     []int
	full       []bool
	wants      []int32
	priorities []int16
	dues, jobs []int64
}

// begin returns from where an exchange is to look; from the head if it must find
// what it hands back itself.
func (l *lanes) begin(r *bellhop.ExchangeRequest, fromHead bool) *looks {
	k := &looks{}
	kinds, now := kindsKey(r.Kinds), time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range r.Wants {
		set := laneSet{w.Queue, kinds}
		b := l.of(set)
		full := fromHead || b.due(now) && (b.unsure || !b.far)
		if full {
			b.looking = k
		}
		k.sets, k.bounds, k.ages = append(k.sets, set), append(k.bounds, b), append(k.ages, b.age)
		k.counts, k.full = append(k.counts, w.Count), append(k.full, full)
		for p := range priorities {
			at := head
			if !full {
				at = b.at[p]
			}
			k.wants = append(k.wants, int32(i))
			k.priorities = append(k.priorities, int16(p+bellhop.MinPriority))
			k.dues, k.jobs = append(k.dues, at.due), append(k.jobs, at.job)
		}
	}
	return k
}

// of returns the bounds of a set; new ones call for a full look.
func (l *lanes) of(set laneSet) *bounds {
	b := l.m[set]
	if b == nil {
		if l.m == nil || len(l.m) >= maxLanes {
			l.m = map[laneSet]*bounds{}
		}
		b = &bounds{}
		l.m[set] = b
	}
	return b
}

// end takes in what an exchange has found; nil if it was not looked for jobs, or
// nobody knows. Nothing is known of a queue from which nothing came while some
// were paused: it may not have been looked at. took is the server's time, or ours if
// that is not known. It returns the heads that are to be shared.
func (l *lanes) end(k *looks, done *sqlstore.Exchanged, limit int, took time.Duration) (heads sharedHeads) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range k.bounds {
		if b.looking == k {
			b.looking = nil
		}
		if done == nil {
			if k.full[i] && took >= biteLimit { // it may have been too far for one look
				b.beginRound()
				b.far, b.unsure = true, false
			}
			continue
		}
		n, last, at := b.lastOf(done, k.sets[i].queue)
		if b.age == k.ages[i] && (done.Paused == 0 || n > 0) {
			toTheEnd := n < k.counts[i] && n < perLane && len(done.Claims) < limit
			b.rise(done, last, at, k.full[i], toTheEnd)
			if k.full[i] {
				b.beginRound()
				b.nextLook = time.Now().Add(pauseAfter(took))
				b.age++ // what began before has not seen what this one has
				b.unsure = false
				b.far = took > longLook || b.far && !toTheEnd
			}
		}
		heads = b.share(heads, k.sets[i])
	}
	return heads
}

// rise moves bounds to where an exchange has found its last claim, in the lane
// last; to the present if it has come to the end.
func (b *bounds) rise(done *sqlstore.Exchanged, last int, at position, full, toTheEnd bool) {
	recent := position{done.Now - lateCommit.Microseconds(), math.MaxInt64}
	for p := range b.at {
		switch {
		case toTheEnd || p < last:
			b.at[p] = recent
		case p == last && at.before(recent):
			b.at[p] = at
		case p == last:
			b.at[p] = recent
		case full: // not looked at
			b.at[p] = head
		}
	}
}

// forget has the next claim from a queue begin at the head; from all queues if
// it is empty.
func (l *lanes) forget(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for set, b := range l.m {
		if queue == "" || set.queue == queue {
			b.forget()
		}
	}
}

func (b *bounds) forget() {
	b.nextLook, b.looking, b.unsure = time.Time{}, nil, true
	b.age++
}

// lastOf counts the claims from a queue, and returns how many there are and the
// lane and the position of the last; the lane is -1 if there is none.
func (b *bounds) lastOf(done *sqlstore.Exchanged, queue string) (n, lane int, at position) {
	lane = -1
	for i := range done.Claims {
		if c := &done.Claims[i]; c.Job.Queue == queue {
			n, lane, at = n+1, c.Job.Priority-bellhop.MinPriority, position{c.Place.Due.UnixMicro(), done.Jobs[i]}
			b.claimed[lane]++
		}
	}
	return n, lane, at
}
