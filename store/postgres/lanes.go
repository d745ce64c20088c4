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
// most a twentieth of the time.
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
}

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

// looks are the lanes of one exchange, as arrays for the claim.
type looks struct {
	sets       []laneSet // of the wants
	bounds     []*bounds // likewise, as they were known when it began
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
		full := fromHead || !now.Before(b.nextLook)
		k.sets, k.bounds, k.counts, k.full = append(k.sets, set), append(k.bounds, b), append(k.counts, w.Count), append(k.full, full)
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

// end takes in what an exchange has found. paused says that some queue is: one
// from which nothing came may not have been looked at.
func (l *lanes) end(k *looks, done *sqlstore.Exchanged, limit int, took time.Duration) {
	recent := position{done.Now - lateCommit.Microseconds(), math.MaxInt64}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, set := range k.sets {
		b := k.bounds[i]
		n, last, at := lastOf(done, set.queue)
		if l.m[set] != b || done.Paused > 0 && n == 0 {
			continue // forgotten meanwhile: what was to be found may have come after the look
		}
		toTheEnd := n < k.counts[i] && n < perLane && len(done.Claims) < limit
		for p := range b.at {
			switch {
			case toTheEnd || p < last:
				b.at[p] = recent
			case p == last && at.before(recent):
				b.at[p] = at
			case p == last:
				b.at[p] = recent
			case k.full[i]: // not looked at
				b.at[p] = head
			}
		}
		if k.full[i] {
			b.nextLook = time.Now().Add(min(max(20*took, 50*time.Millisecond), 10*time.Second))
		}
	}
}

// forget has the next claims from a queue begin at the head; from all queues if
// it is empty.
func (l *lanes) forget(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for set := range l.m {
		if queue == "" || set.queue == queue {
			delete(l.m, set)
		}
	}
}

// lastOf returns how many of the claims are from a queue, and the lane and the
// position of the last; the lane is -1 if there is none.
func lastOf(done *sqlstore.Exchanged, queue string) (n, lane int, at position) {
	lane = -1
	for i := range done.Claims {
		if c := &done.Claims[i]; c.Job.Queue == queue {
			n, lane, at = n+1, c.Job.Priority-bellhop.MinPriority, position{c.Place.Due.UnixMicro(), done.Jobs[i]}
		}
	}
	return n, lane, at
}
