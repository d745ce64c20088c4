package rollup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// windows are windows of each level, with the step of the range in which each is.
type windows [len(levels)]map[time.Time]int

func (w *windows) add(l int, at time.Time, step int) {
	if w[l] == nil {
		w[l] = map[time.Time]int{}
	}
	w[l][at] = step
}

// cover adds the windows that make up the time from one moment to another, the longest that fit and have been merged by now,
// but none longer than most and of a level below.
func (w *windows) cover(below int, most time.Duration, from, to, now time.Time, step int) {
	for at := from; at.Before(to) && at.Before(now); {
		l := below - 1
		for ; l > 0; l-- {
			size := levels[l].size
			end := at.Add(size)
			if size <= most && at.Truncate(size).Equal(at) && !end.After(to) && !end.Add(time.Duration(l)*mergeAfter).After(now) {
				break
			}
		}
		if now.Sub(at) <= levels[l].keep+levels[l].size {
			w.add(l, at, step)
		}
		at = at.Add(levels[l].size)
	}
}

// each calls fn with the records of one shard that make up the range, each with the step in which it is. most bounds the length
// of the windows that are used. Where a merged window is missing, what it would be merged from is read instead.
func (r *Reader) each(ctx context.Context, rng Range, most time.Duration, shard func(*level) string, fn func(step int, p *encodedPage) error) error {
	var need windows
	for i := range rng.Points() {
		need.cover(len(levels), most, rng.At(i), rng.At(i+1), rng.Now, i)
	}
	if most > rng.Step { // the steps do not matter
		need = windows{}
		need.cover(len(levels), most, rng.From, rng.To, rng.Now, 0)
	}
	for l := len(levels) - 1; l >= 0; l-- {
		if len(need[l]) == 0 {
			continue
		}
		found, err := r.load(ctx, rng.Now, &levels[l], shard(&levels[l]), need[l])
		if err != nil {
			return err
		}
		for at, step := range need[l] {
			pages := found[at]
			if len(pages) == 0 && l > 0 {
				need.cover(l, longest(), at, at.Add(levels[l].size), rng.Now, step)
			}
			for i := range pages {
				if err := fn(step, &pages[i]); err != nil {
					return fmt.Errorf("%s: %w", levels[l].key(shard(&levels[l]), at), err)
				}
			}
		}
	}
	return nil
}

// everything calls fn with all records of counts and sketches that make up the range. The totals of a window are the last of it
// that is merged: where they are missing, what the window would be merged from is read instead.
func (r *Reader) everything(ctx context.Context, rng Range, fn func(step int, p *encodedPage) error) error {
	var need windows
	need.cover(len(levels), longest(), rng.From, rng.To, rng.Now, 0)
	for l := len(levels) - 1; l >= 0; l-- {
		if len(need[l]) == 0 {
			continue
		}
		if l > 0 {
			merged, err := r.load(ctx, rng.Now, &levels[l], shardTotals, need[l])
			if err != nil {
				return err
			}
			for at, step := range need[l] {
				if len(merged[at]) == 0 {
					delete(need[l], at)
					need.cover(l, longest(), at, at.Add(levels[l].size), rng.Now, step)
				}
			}
		}
		for i := range levels[l].shards {
			found, err := r.load(ctx, rng.Now, &levels[l], shardName(i), need[l])
			if err != nil {
				return err
			}
			for at, pages := range found {
				for k := range pages {
					if err := fn(0, &pages[k]); err != nil {
						return fmt.Errorf("%s: %w", levels[l].key(shardName(i), at), err)
					}
				}
			}
		}
	}
	return nil
}

// load returns what the records of a shard's windows hold, as far as there is any.
func (r *Reader) load(ctx context.Context, now time.Time, l *level, shard string, want map[time.Time]int) (map[time.Time][]encodedPage, error) {
	local := time.Now()
	found := make(map[time.Time][]encodedPage, len(want))
	var missing []time.Time
	for at := range want {
		if pages, known := r.cache.get(l.key(shard, at), local); !known {
			missing = append(missing, at)
		} else if len(pages) > 0 {
			found[at] = pages
		}
	}
	slices.SortFunc(missing, time.Time.Compare)
	for len(missing) > 0 {
		n := 1 // windows that are near to each other are read together
		for n < len(missing) && missing[n].Sub(missing[n-1]) <= 4*l.size {
			n++
		}
		run := missing[:n]
		missing = missing[n:]
		read, err := l.read(ctx, r.store, shard, run[0], run[n-1])
		if err != nil {
			return nil, err
		}
		for _, at := range run {
			pages, err := r.cache.open(shard, read[at])
			if err != nil {
				return nil, fmt.Errorf("read metrics: %s: %w", l.key(shard, at), err)
			}
			r.cache.put(l.key(shard, at), pages, local, now.Sub(at.Add(l.size)))
			if len(pages) > 0 {
				found[at] = pages
			}
		}
	}
	return found, nil
}

// read reads the records of a shard's windows from one to another, and of minutes what clients have enqueued.
func (l *level) read(ctx context.Context, store bellhop.Store, shard string, first, last time.Time) (map[time.Time][][]byte, error) {
	found, err := l.readRecords(ctx, store, shard, first, last)
	if err == nil && l == &levels[0] {
		err = readEnqueued(ctx, store, shard, first, last, found)
	}
	return found, err
}

func (l *level) readRecords(ctx context.Context, store bellhop.Store, shard string, first, last time.Time) (map[time.Time][][]byte, error) {
	found := map[time.Time][][]byte{}
	q := bellhop.RecordQuery{
		Space: Space, Prefix: commonPrefix(l.key(shard, first), l.key(shard, last)), After: l.before(shard, first),
		Limit: min(int(last.Sub(first)/l.size)+20, 200),
	}
	for {
		records, err := store.Records(ctx, &q)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		for _, rec := range records {
			at, ok := l.windowIn(shard, rec.Key)
			if !ok {
				return nil, fmt.Errorf("read metrics: the record %.100q has a key of another form; was it written by a later release?", rec.Key)
			}
			if at.After(last) {
				return found, nil
			}
			found[at] = append(found[at], rec.Value)
		}
		if len(records) < q.Limit {
			return found, nil
		}
		q.After = records[len(records)-1].Key
	}
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return strings.Clone(a[:n])
}
