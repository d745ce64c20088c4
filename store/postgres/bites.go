package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// What is before the bounds of a queue from which much was claimed is looked at in
// bites, from the bounds back, a range of due times in each. How wide they are
// follows from how long they take. Together they take a twentieth of the time, as
// full looks do elsewhere, but none holds up an exchange for long, and a process that
// lives for a short time pays for a short time. A job that is found is claimed by the
// exchange that is about to be made: its lane's bound goes back to it.
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

// bite makes a bite of what an exchange wants, if one is due. If the server is in
// trouble the exchange will tell.
func (d *database) bite(ctx context.Context, r *bellhop.ExchangeRequest) {
	t := d.lanes.beginBite(r)
	if t == nil {
		return
	}
	var took int64
	found := map[int]position{}
	ctx, cancel := context.WithTimeout(ctx, biteLimit)
	defer cancel()
	err := d.pipeline(ctx, nil, []request{
		{lookBehind, []any{t.priorities, t.dues, t.jobs, t.queue, t.from, r.Kinds}, func(rows pgx.Rows) error {
			var priority int
			var at position
			err := rows.Scan(&priority, &at.due, &at.job)
			found[priority-bellhop.MinPriority] = at
			return err
		}},
		{howLong, nil, func(rows pgx.Rows) error { return rows.Scan(&took) }},
	})
	d.lanes.endBite(t, found, took, err != nil)
}

// beginBite returns the next bite of a queue that is wanted; nil if none is due.
func (l *lanes) beginBite(r *bellhop.ExchangeRequest) *bite {
	kinds, now := kindsKey(r.Kinds), time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range r.Wants {
		b := l.m[laneSet{w.Queue, kinds}]
		if b == nil || !b.shared || b.unsure || !b.due(now) {
			continue
		}
		if b.behind == 0 { // a round begins
			b.width = firstBite.Microseconds()
			for _, at := range b.at {
				b.behind = max(b.behind, at.due+1)
			}
		}
		t := &bite{queue: w.Queue, b: b, age: b.age, from: max(b.behind-b.width, 0), began: now}
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
	return nil
}

// endBite takes in the first job that a bite has found in each lane, and how long it took the server, in microseconds.
func (l *lanes) endBite(t *bite, found map[int]position, took int64, failed bool) {
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
		return // there is a full look to come, or was one
	}
	pause, least, most := max(20*now.Sub(t.began), bitePause), max(b.width/8, 1000), 4*b.width
	if b.width >= lastBites.Microseconds() {
		most = b.behind
	}
	switch {
	case failed:
		b.width = least
	case t.from == 0: // another round begins
		b.behind, pause = 0, max(pause, roundPause)
	default:
		b.behind = t.from
		b.width = min(max(b.width*biteTime.Microseconds()/max(took, 1), least), most)
	}
	b.nextLook = now.Add(pause)
}
