package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// The first look of a new process at a queue has no bounds: from the head it walks
// over everything that was claimed since the oldest snapshot that is open. So who
// claims much from a lane leaves its bound in the store, as a row of
// bellhop_counters, and a process begins there with a queue that it does not know.
//
// That is a hint about where to begin, and no promise that nothing stands before
// it: nobody takes it back who makes a job ready at an old place, for that may be in
// a transaction of a user, and all who claim would wait for it. Such a job is found
// as one that any other process has passed over is: by bites.
var (
	// A head that is yet to come is of a server whose clock was ahead.
	readHeads  = sqlstore.Define("read heads", `select name, value from bellhop_counters where name = any(?::text[]) and value < {now} + ?`)
	shareHeads = sqlstore.Define("share heads", `with d as (delete from bellhop_counters
			where name >= 'head ' and name < 'head!' and value < ? and name <> all(?::text[]))
		insert into bellhop_counters as c (name, value) select unnest(?::text[]), unnest(?::bigint[])
		on conflict (name) do update set value = excluded.value`)
)

const (
	// shareEvery is after how many claims from a lane its bound is shared: so many
	// deleted rows a process walks over at most, for each that claims beside it.
	shareEvery = 20_000
	// shareLimit is when sharing is given up.
	shareLimit = time.Second
	// headsKept is how far behind the present a head is of use. Those of queues and
	// kinds that are no more are removed after that.
	headsKept = 7 * 24 * time.Hour
)

// headNames returns the names of a set's heads, by priority.
func headNames(set laneSet) (names [priorities]string) {
	sum := sha256.Sum256([]byte(set.queue + "\x00" + set.kinds))
	for p := range names {
		names[p] = "head " + hex.EncodeToString(sum[:16]) + " " + strconv.Itoa(p+bellhop.MinPriority)
	}
	return names
}

// sharedHeads are names and due times.
type sharedHeads map[string]int64

// learn begins with queues that an exchange wants and this process does not know
// at the heads that others have left. It reports whether there were any such queues.
func (d *database) learn(ctx context.Context, r *bellhop.ExchangeRequest) (bool, error) {
	sets := d.lanes.unknown(r)
	if len(sets) == 0 {
		return false, nil
	}
	var names []string
	for _, set := range sets {
		of := headNames(set)
		names = append(names, of[:]...)
	}
	heads := sharedHeads{}
	err := d.pipeline(ctx, nil, []request{{readHeads, []any{names, d.offset.Load()}, func(rows pgx.Rows) error {
		var name string
		var due int64
		err := rows.Scan(&name, &due)
		heads[name] = due
		return err
	}}})
	if err != nil {
		return true, sqlstore.Unchanged(err)
	}
	d.lanes.learn(sets, heads)
	return true, nil
}

// share leaves heads in the store. Whoever begins before that walks further. What
// was claimed meanwhile does not wait for it long.
func (d *database) share(ctx context.Context, heads sharedHeads, now int64) {
	if len(heads) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shareLimit)
	defer cancel()
	names, dues := make([]string, 0, len(heads)), make(longs, 0, len(heads))
	for name := range heads {
		names = append(names, name)
	}
	slices.Sort(names) // so that two cannot wait for each other
	for _, name := range names {
		dues = append(dues, long(heads[name]))
	}
	_ = d.pipeline(ctx, nil, []request{{shareHeads, []any{now - headsKept.Microseconds(), names, names, dues}, nothing}}) // a hint
}

// unknown returns what is wanted and not known yet.
func (l *lanes) unknown(r *bellhop.ExchangeRequest) (sets []laneSet) {
	kinds := kindsKey(r.Kinds)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range r.Wants {
		if set := (laneSet{w.Queue, kinds}); l.m[set] == nil {
			sets = append(sets, set)
		}
	}
	return sets
}

// learn takes in the heads that the store has of sets that were unknown.
func (l *lanes) learn(sets []laneSet, heads sharedHeads) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, set := range sets {
		if l.m[set] != nil {
			continue // another exchange was sooner
		}
		b := l.of(set)
		for p, name := range headNames(set) {
			if due, is := heads[name]; is {
				b.at[p], b.far = position{due, math.MinInt64}, true
			}
		}
	}
}

// share adds the heads of lanes from which enough was claimed.
func (b *bounds) share(heads sharedHeads, set laneSet) sharedHeads {
	for p, n := range b.claimed {
		if n < shareEvery || b.at[p].due <= 0 {
			continue
		}
		if heads == nil {
			heads = sharedHeads{}
		}
		heads[headNames(set)[p]] = b.at[p].due
		b.claimed[p] = 0
	}
	return heads
}

// missed has all that is before the bounds looked at anew, because notifications may have been missed.
func (l *lanes) missed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.m {
		if !b.far {
			b.forget()
			continue
		}
		b.beginRound()
		b.nextLook, b.looking = time.Time{}, nil
		b.age++
	}
}
