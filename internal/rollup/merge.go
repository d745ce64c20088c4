package rollup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// mergeAfter is how long after its end a window is merged: by then what processes have to say of it has been written.
	mergeAfter = 2 * time.Minute
	// mergeSpread is how much later some do it than others, so that those who come later find it done.
	mergeSpread = time.Minute
	// lateGrace is how much later than a level's time its records expire, so that nothing is gone that is being read.
	lateGrace = 15 * time.Minute
	// lookAhead is how many windows are looked at together. One of them is merged in a round: a merge takes half a dozen calls.
	lookAhead = 12
	// mergeTries is how often a merge begins again because another has written meanwhile.
	mergeTries = 10
)

// shardDone holds a record for each window that was merged after its end: stateDone, or stateLate if somebody was about to
// write one of its minutes later than that.
const shardDone = "done"

const (
	stateDone = "done"
	stateLate = "late"
)

// merger merges windows of a level into longer ones of the next.
type merger struct {
	store bellhop.Store
	now   func() time.Time
	// next is, for each level, the first window of which it is not known that it has been merged, and at when it is looked at.
	next [len(levels)]time.Time
	at   [len(levels)]time.Time
	// anew is when all that is kept is looked over again: somebody may have died who was to merge a window once more.
	anew time.Time
}

// round merges a window of which the time has come, if there is any.
func (m *merger) round(ctx context.Context) error {
	now := m.now()
	if now.After(m.anew) {
		m.next, m.anew = [len(levels)]time.Time{}, now.Add(time.Hour)
	}
	for l := 1; l < len(levels); l++ {
		if m.next[l].IsZero() { // it has just begun: what is there still to be merged?
			m.next[l] = levels[l].window(now.Add(-levels[l-1].keep))
			m.at[l] = now.Add(rand.N(mergeSpread))
		}
		if now.Before(m.at[l]) || m.due(l, m.next[l]).After(now) {
			continue
		}
		if merged, err := m.look(ctx, l, now); merged || err != nil {
			return err
		}
	}
	return nil
}

// due returns when a window can be merged.
func (m *merger) due(l int, window time.Time) time.Time {
	return window.Add(levels[l].size + time.Duration(l)*mergeAfter)
}

// look merges the first of the next windows that has sources and was not merged, and reports whether there was one.
func (m *merger) look(ctx context.Context, l int, now time.Time) (merged bool, err error) {
	at := &levels[l]
	// Where nothing happened there is nothing to merge.
	next := at.window(now)
	switch first, any, err := m.firstOf(ctx, l-1, m.next[l]); {
	case err != nil:
		return false, m.failed(err)
	case any:
		next = at.window(first)
	}
	m.next[l] = next
	var windows []time.Time
	var keys []string
	for t := next; len(windows) < lookAhead && !m.due(l, t).After(now); t = t.Add(at.size) {
		windows, keys = append(windows, t), append(keys, at.key(shardDone, t))
	}
	if len(windows) == 0 { // again when the window that is under way is over
		m.at[l] = m.due(l, next).Add(rand.N(mergeSpread))
		return false, nil
	}
	done, err := m.store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: keys})
	if err != nil {
		return false, m.failed(err)
	}
	noted := map[string]bellhop.Record{}
	for _, r := range done {
		noted[r.Key] = r
	}
	for i, t := range windows {
		if note := noted[keys[i]]; string(note.Value) != stateDone {
			merged = true
			if err = m.mergeAt(ctx, l, t, note.Version); err != nil && !errors.Is(err, errDamaged) { // which will not get better
				return true, err
			}
		}
		m.next[l] = t.Add(at.size)
		if merged {
			break
		}
	}
	m.at[l] = now
	if m.due(l, m.next[l]).After(now) {
		m.at[l] = m.due(l, m.next[l]).Add(rand.N(mergeSpread))
	}
	return merged, err
}

// early merges the hour under way, as far as it has got, and the one before, which may not have been: what is shorter expires soon.
func (m *merger) early(ctx context.Context) error {
	window := levels[hours].window(m.now())
	for _, t := range []time.Time{window.Add(-levels[hours].size), window} {
		if err := m.merge(ctx, hours, t); err != nil {
			return err
		}
	}
	return nil
}

// late says that minutes of a window are about to be written after others may have merged it. Whatever befalls the writer, the window will
// be merged again.
func (m *merger) late(ctx context.Context, l int, window time.Time) error {
	return m.failed(put(ctx, m.store, []bellhop.RecordWrite{m.state(l, window, stateLate, bellhop.ExpectAny)}))
}

// state returns the write of how far a window is.
func (m *merger) state(l int, window time.Time, state string, expect int64) bellhop.RecordWrite {
	w := levels[l].write(shardDone, window, []byte(state), m.now())
	w.Expect = expect
	w.TTL = levels[l-1].keep + 2*lateGrace + levels[l].size
	return w
}

// merge makes the records of a window from those of the level below, whatever there was before, and first of all these if need be; and
// if the window is over, it notes that this was done. It is all one write, under the condition that nobody has noted anything about
// the window since before the sources were read: else it begins again. A window of which the sources may have expired is left as it is.
func (m *merger) merge(ctx context.Context, l int, window time.Time) error {
	return m.mergeAt(ctx, l, window, bellhop.ExpectAny)
}

// mergeAt is merge for one who has just read the version of what is noted about the window.
func (m *merger) mergeAt(ctx context.Context, l int, window time.Time, version int64) error {
	if m.now().Sub(window) > levels[l-1].keep+lateGrace {
		return nil
	}
	return m.failed(retry(func() (err error) {
		if l > 1 || version == bellhop.ExpectAny {
			if version, err = m.mergeBelow(ctx, l, window); err != nil {
				return err
			}
		}
		from, err := m.sources(ctx, l, window)
		if err != nil {
			return err
		}
		noted := m.state(l, window, stateDone, version)
		version = bellhop.ExpectAny                   // the next try has to look
		noted.Check = m.due(l, window).After(m.now()) // else there may be more, and it is not done yet
		writes := []bellhop.RecordWrite{noted}
		if len(from.sums) > 0 {
			writes = append(writes, encodeWindow(&levels[l], window, from.sums, from.failed, m.now())...)
			writes = append(writes, from.courses.encode(window, m.now())...)
		}
		return put(ctx, m.store, writes)
	}))
}

// mergeBelow merges those windows that a window is merged from and that have something and were not, and returns the version of the
// record that tells how far the window itself is.
func (m *merger) mergeBelow(ctx context.Context, l int, window time.Time) (version int64, err error) {
	keys := []string{levels[l].key(shardDone, window)}
	below := &levels[l-1]
	if l > 1 {
		for t := window; t.Before(window.Add(levels[l].size)) && t.Before(m.now()); t = t.Add(below.size) {
			keys = append(keys, below.key(shardDone, t))
		}
	}
	records, err := m.store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: keys})
	if err != nil {
		return 0, err
	}
	done := map[string]bool{}
	for _, r := range records {
		done[r.Key] = string(r.Value) == stateDone
		if r.Key == keys[0] {
			version = r.Version
		}
	}
	next := window // before it there is nothing that was not merged
	for i, key := range keys[1:] {
		t := window.Add(time.Duration(i) * below.size)
		if done[key] || t.Before(next) {
			continue
		}
		first, any, err := m.firstOf(ctx, l-2, t)
		if err != nil || !any {
			return version, err
		}
		if next = below.window(first); next.After(t) {
			continue
		}
		if err := m.merge(ctx, l-1, t); err != nil {
			return 0, err
		}
	}
	return version, nil
}

// sources are what a window is merged from: the sums of kinds within queues, the failures, and of ten minutes the courses.
type sources struct {
	sums    page
	failed  *failures
	courses courses
}

// sources reads what a window is merged from. The totals, which are read first, tell which shards there are.
func (m *merger) sources(ctx context.Context, l int, window time.Time) (from *sources, err error) {
	below := &levels[l-1]
	last := window.Add(levels[l].size - below.size)
	shards := map[string]bool{}
	from = &sources{sums: page{}}
	err = m.eachBelow(ctx, below, []string{shardTotals}, window, last, func(at place, p *encodedPage) error {
		return p.each(func(s Series, sums encodedSums) error {
			var c total
			err := c.add(sums)
			shards[below.shard(Series{Queue: s.Queue})] = true
			if c.Failed() > 0 {
				shards[shardFailures], shards[shardTexts] = true, true
			}
			if l == tens && err == nil {
				err = from.courses.totals.of(window, at.at, s).add(sums)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var groups found
	words := texts{}
	err = m.eachBelow(ctx, below, slices.Sorted(maps.Keys(shards)), window, last, func(at place, e *encodedPage) error {
		switch at.shard {
		case shardFailures:
			return groups.take(frame{}, e, "", func(*FailureGroup, int64) {})
		case shardTexts:
			return words.take(e, func(uint64) bool { return true })
		}
		return from.sums.merge(e)
	})
	if l == tens && err == nil {
		err = eachEnqueued(ctx, m.store, enqueuedInQueues, window, last, func(at time.Time, value string) error {
			return parseEnqueued(value, func(string) bool { return true }, func(s Series, n int64) {
				from.sums.of(s).Enqueued += n
				from.courses.enqueued.of(window, at, s).Enqueued += n
			})
		})
	}
	from.failed = groups.failures()
	from.failed.cut(mergedGroups)
	for _, g := range from.failed.groups {
		words.describe(g)
	}
	return from, err
}

// eachBelow calls fn with the pages of some shards in the windows from one to another.
func (m *merger) eachBelow(ctx context.Context, l *level, shards []string, first, last time.Time, fn func(at place, p *encodedPage) error) error {
	var places []place
	for _, shard := range shards {
		for at := first; !at.After(last); at = at.Add(l.size) {
			places = append(places, place{shard, at})
		}
	}
	read, err := l.read(ctx, m.store, places, mergesAtOnce)
	if err != nil {
		return err
	}
	for _, at := range places {
		for _, raw := range read[at] {
			p, err := open(raw, func(b []byte) string { return string(b) })
			if err == nil {
				err = fn(at, &p)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// firstOf returns the first window of a level, from one on, in which something happened.
func (m *merger) firstOf(ctx context.Context, l int, from time.Time) (first time.Time, any bool, err error) {
	at := &levels[l]
	query := func(space, prefix, after string) error {
		records, err := m.store.Records(ctx, &bellhop.RecordQuery{Space: space, Prefix: prefix, After: prefix + after, Limit: 1})
		if err != nil || len(records) == 0 {
			return err
		}
		key := records[0].Key[len(prefix):]
		t, err := time.Parse(windowForm, key[:min(len(key), len(windowForm))])
		if err != nil {
			return fmt.Errorf("the record %.100q: %w: %w", records[0].Key, errDamaged, err)
		}
		if !any || t.Before(first) {
			first, any = t, true
		}
		return nil
	}
	after := from.UTC().Format(windowForm)
	after = after[:len(after)-1] // it comes before all of the window
	if err = query(Space, at.name+"/"+shardTotals+"/", after); err == nil && l == 0 && !(any && levels[l+1].window(first).Equal(from)) {
		err = query(bellhop.EnqueuedSpace, enqueuedInQueues, after)
	}
	return first, any, err
}

// retry does something again when a record that it was about to write has changed meanwhile.
func retry(do func() error) (err error) {
	for range mergeTries {
		if err = do(); !errors.Is(err, bellhop.ErrConflict) {
			break
		}
	}
	return err
}

func (m *merger) failed(err error) error {
	if err != nil {
		return fmt.Errorf("merge metrics: %w", err)
	}
	return nil
}
