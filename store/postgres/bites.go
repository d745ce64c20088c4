package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Where a full look would take long, or nobody knows whether it would, what is before
// the bounds is looked at in bites, from the bounds back, a range of due times in
// each. How wide they are follows from how long they take. Together they take a
// twentieth of the time, as full looks do elsewhere, but none holds up an exchange
// for long, and a process that lives for a short time pays for a short time. A job
// that is found is claimed by the exchange that is about to be made: its lane's bound
// goes back to it. Where a round of them takes little there are full looks again.
var (
	lookBehind = sqlstore.Define("look behind", `select l.priority, f.due, f.job
		from (select unnest(?::smallint[]) as priority, unnest(?::bigint[]) as due, unnest(?::bigint[]) as job) l
		cross join lateral (select r.due, r.job from bellhop_ready r
			where r.queue = ? and r.priority = l.priority and r.due >= ? and (r.due, r.job) <= (l.due, l.job) and r.kind = any(?::text[])
			order by r.due, r.job limit 1) f`)
	howLong = sqlstore.Define("how long", `select (extract(epoch from clock_timestamp() - now()) * 1000000)::bigint`)
)

const (
	// biteTime is how long a bite should take. The first one of a round has the width
	// firstBite, and one behind lastBites, where little is to be expected, goes back to the beginning.
	biteTime  = 20 * time.Millisecond
	firstBite = time.Second
	lastBites = 12 * time.Hour
	// bitePause is the least time between two, and roundPause between two rounds.
	bitePause  = 100 * time.Millisecond
	roundPause = 3 * time.Second
	// biteLimit is when a bite is given up: the next is narrower.
	biteLimit = 2 * time.Second
)

// bite is a look at a part of what is before a queue's bounds.
type bite struct {
	queue      string
	b          *bounds
	age        int
	from       int64 // due
	priorities []int16
	dues, jobs longs // up to where, for each of them
	began      time.Time
}

// bite makes the bites of a queue that an exchange wants, if any are due: one, or as
// many as there is time for. If the server is in trouble the exchange will tell.
func (d *database) bite(ctx context.Context, r *bellhop.ExchangeRequest) {
	for t := d.lanes.beginBite(r); t != nil; {
		var took int64
		found := map[int]position{}
		limited, cancel := context.WithTimeout(ctx, biteLimit)
		err := d.pipeline(limited, nil, []request{
			{lookBehind, []any{t.priorities, t.dues, t.jobs, t.queue, t.from, r.Kinds}, func(rows pgx.Rows) error {
				var priority int
				var at position
				err := rows.Scan(&priority, &at.due, &at.job)
				found[priority-bellhop.MinPriority] = at
				return err
			}},
			{howLong, nil, func(rows pgx.Rows) error { return rows.Scan(&took) }},
		})
		cancel()
		t = d.lanes.endBite(t, found, took, err != nil)
	}
}

// beginBite returns the next bite of a queue that is wanted, of the one that has
// waited longest; nil if none is due.
func (l *lanes) beginBite(r *bellhop.ExchangeRequest) *bite {
	kinds, now := kindsKey(r.Kinds), time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var longest *bounds
	var queue string
	for _, w := range r.Wants {
		b := l.m[laneSet{w.Queue, kinds}]
		if b != nil && b.far && !b.unsure && b.due(now) && (longest == nil || b.nextLook.Before(longest.nextLook)) {
			longest, queue = b, w.Queue
		}
	}
	if longest == nil {
		return nil
	}
	return longest.bite(queue, now)
}

// beginRound has the next bite begin at the bounds.
func (b *bounds) beginRound() { b.behind, b.walked = 0, 0 }

// bite returns the next bite, as one of those that began to be made at a time.
func (b *bounds) bite(queue string, began time.Time) *bite {
	if b.behind == 0 { // a round begins
		b.width = firstBite.Microseconds()
		for _, at := range b.at {
			b.behind = max(b.behind, at.due+1)
		}
	}
	t := &bite{queue: queue, b: b, age: b.age, from: max(b.behind-b.width, 0), began: began}
	for p, to := range b.at {
		if to.due >= b.behind {
			to = position{b.behind - 1, math.MaxInt64}
		}
		if to.due >= t.from {
			t.priorities = append(t.priorities, int16(p+bellhop.MinPriority))
			t.dues, t.jobs = append(t.dues, long(to.due)), append(t.jobs, long(to.job))
		}
	}
	b.looking = t
	return t
}

// endBite takes in the first job that a bite has found in each lane, and how long it took the server, in microseconds.
// It returns the next bite if that is to be made at once.
func (l *lanes) endBite(t *bite, found map[int]position, took int64, failed bool) *bite {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, now := t.b, time.Now()
	for p, at := range found {
		if at.before(b.at[p]) {
			b.at[p] = position{at.due, at.job - 1}
		}
	}
	if b.looking == t {
		b.looking = nil
	}
	if b.age != t.age {
		return nil // there is a full look to come, or was one
	}
	if len(found) > 0 {
		b.age++ // what began before has passed over it
	}
	spent := now.Sub(t.began)
	pause, least, most := max(pauseAfter(spent), bitePause), max(b.width/8, 1000), 4*b.width
	if b.width >= lastBites.Microseconds() {
		most = b.behind
	}
	b.walked += took
	switch {
	case failed:
		b.width = least
	case t.from == 0: // another round begins, or full looks do again
		if b.far = b.walked > longLook.Microseconds(); b.far {
			pause = max(pause, roundPause)
		}
		b.beginRound()
	default:
		b.behind = t.from
		b.width = min(max(b.width*biteTime.Microseconds()/max(took, 1), least), most)
		if len(found) == 0 && spent < biteTime {
			return b.bite(t.queue, t.began)
		}
	}
	b.nextLook = now.Add(pause)
	return nil
}
