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
	// lookAhead is how many windows are looked at together, and mergeBite how many of them are merged in one round.
	lookAhead = 12
	mergeBite = 2
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

// round merges some windows of which the time has come.
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
		if err := m.look(ctx, l, now); err != nil {
			return err
		}
	}
	return nil
}

// due returns when a window can be merged.
func (m *merger) due(l int, window time.Time) time.Time {
	return window.Add(levels[l].size + time.Duration(l)*mergeAfter)
}

// look merges those of the next windows that have sources and were not merged.
func (m *merger) look(ctx context.Context, l int, now time.Time) error {
	at := &levels[l]
	// Where nothing happened there is nothing to merge.
	next := at.window(now)
	switch first, any, err := m.firstOf(ctx, l-1, m.next[l]); {
	case err != nil:
		return m.failed(err)
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
		return nil
	}
	done, err := m.store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: keys})
	if err != nil {
		return fmt.Errorf("merge metrics: %w", err)
	}
	have := map[string]bool{}
	for _, r := range done {
		have[r.Key] = string(r.Value) == stateDone
	}
	var bad error
	bite := mergeBite
	for i, t := range windows {
		if !have[keys[i]] {
			if bite == 0 {
				return bad
			}
			bite--
			switch err := m.merge(ctx, l, t); {
			case errors.Is(err, errDamaged): // it will not get better
				bad = err
			case err != nil:
				return err
			}
		}
		m.next[l] = t.Add(at.size)
	}
	m.at[l] = m.due(l, m.next[l]).Add(rand.N(mergeSpread))
	return bad
}

// early merges the hour under way, as far as it has got, and the one before if that was not: what is shorter expires soon.
func (m *merger) early(ctx context.Context) error {
	window := levels[hours].window(m.now())
	before := window.Add(-levels[hours].size)
	_, state, err := m.stateOf(ctx, hours, before)
	if err == nil && state != stateDone {
		err = m.merge(ctx, hours, before)
	}
	if err != nil {
		return err
	}
	return m.merge(ctx, hours, window)
}

// late says that minutes of a window are about to be written after others may have merged it. Whatever befalls the writer, the window will
// be merged again.
func (m *merger) late(ctx context.Context, l int, window time.Time) error {
	return m.failed(putAll(ctx, m.store, []bellhop.RecordWrite{m.state(l, window, stateLate, bellhop.ExpectAny)}))
}

// state returns the write of how far a window is.
func (m *merger) state(l int, window time.Time, state string, expect int64) bellhop.RecordWrite {
	w := levels[l].write(shardDone, window, []byte(state), m.now())
	w.Expect = expect
	w.TTL = levels[l-1].keep + 2*lateGrace + levels[l].size
	return w
}

// merge makes the records of a window from those of the level below, whatever there was before, and of the levels below that if need
// be; and if the window is over, it notes that this was done. A window of which the sources may have expired is left as it is.
func (m *merger) merge(ctx context.Context, l int, window time.Time) error {
	if m.now().Sub(window) > levels[l-1].keep+lateGrace {
		return nil
	}
	again := func() error {
		version, _, err := m.stateOf(ctx, l, window)
		if err == nil && l > 1 {
			err = m.mergeBelow(ctx, l, window)
		}
		if err == nil {
			err = m.mergeShards(ctx, l, window)
		}
		if err != nil || m.due(l, window).After(m.now()) {
			return err
		}
		return putAll(ctx, m.store, []bellhop.RecordWrite{m.state(l, window, stateDone, version)})
	}
	return m.failed(retry(again))
}

// mergeShards merges all shards of a window: those without sketches last, since they tell that the others are there.
func (m *merger) mergeShards(ctx context.Context, l int, window time.Time) error {
	below := &levels[l-1]
	first, any, err := m.firstOf(ctx, l-1, window)
	if err != nil || !any || !first.Before(window.Add(levels[l].size)) {
		return err // nothing happened
	}
	for i := range below.shards {
		if err := m.mergeShard(ctx, l, window, shardName(i)); err != nil {
			return err
		}
	}
	if err := m.mergeShard(ctx, l, window, shardFailures); err != nil {
		return err
	}
	return m.mergeShard(ctx, l, window, shardTotals)
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
	if err = query(Space, at.name+"/"+shardTotals+"/", after); err == nil && l == 0 {
		err = query(bellhop.EnqueuedSpace, "", after)
	}
	return first, any, err
}

// stateOf returns how far a window is, and the version of the record that says so.
func (m *merger) stateOf(ctx context.Context, l int, window time.Time) (version int64, state string, err error) {
	records, err := m.store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: []string{levels[l].key(shardDone, window)}})
	if err != nil || len(records) == 0 {
		return 0, "", err
	}
	return records[0].Version, string(records[0].Value), nil
}

// mergeBelow merges those windows that a window is merged from and that have not been.
func (m *merger) mergeBelow(ctx context.Context, l int, window time.Time) error {
	below := &levels[l-1]
	var keys []string
	for t := window; t.Before(window.Add(levels[l].size)) && t.Before(m.now()); t = t.Add(below.size) {
		keys = append(keys, below.key(shardDone, t))
	}
	records, err := m.store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: keys})
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, r := range records {
		done[r.Key] = string(r.Value) == stateDone
	}
	for i, key := range keys {
		if done[key] {
			continue
		}
		if err := m.merge(ctx, l-1, window.Add(time.Duration(i)*below.size)); err != nil {
			return err
		}
	}
	return nil
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

// mergeShard makes the records of a window from those of one shard below. The versions are read first: so if another has merged
// sources that this one has not seen, or writes now what was read before, one of the two begins again.
func (m *merger) mergeShard(ctx context.Context, l int, window time.Time, shard string) error {
	return retry(func() error { return m.tryShard(ctx, l, window, shard) })
}

func (m *merger) tryShard(ctx context.Context, l int, window time.Time, shard string) error {
	at, below := &levels[l], &levels[l-1]
	targets := at.from(below, shard)
	keys := make([]string, len(targets))
	for i, name := range targets {
		keys[i] = at.key(name, window)
	}
	records, err := m.store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: keys})
	if err != nil {
		return err
	}
	versions := make(map[string]int64, len(records))
	for _, r := range records {
		versions[r.Key] = r.Version
	}
	sources, err := below.read(ctx, m.store, shard, window, window.Add(at.size-below.size))
	if err != nil || len(sources) == 0 {
		return err
	}
	values, err := at.mergeSources(shard, sources)
	if err != nil {
		return err
	}
	writes := make([]bellhop.RecordWrite, 0, len(values))
	for name, value := range values {
		w := at.write(name, window, value, m.now())
		w.Expect = versions[w.Key]
		writes = append(writes, w)
	}
	return putAll(ctx, m.store, writes)
}

// from returns the shards that are merged from one of the level below.
func (l *level) from(below *level, shard string) []string {
	if shard == shardTotals || shard == shardFailures {
		return []string{shard}
	}
	var list []string
	for i := range l.shards {
		if shardName(i%below.shards) == shard {
			list = append(list, shardName(i))
		}
	}
	return list
}

// mergeSources returns the values of the shards that are merged from the records of one.
func (l *level) mergeSources(shard string, sources map[time.Time][][]byte) (map[string][]byte, error) {
	if shard == shardFailures {
		var all failures
		for _, raw := range inOrder(sources) {
			part, err := decodeFailures(raw)
			if err != nil {
				return nil, err
			}
			all.rest += part.Rest
			for _, g := range part.Groups {
				all.add(g)
			}
		}
		all.cut(mergedGroups)
		return map[string][]byte{shard: all.encode()}, nil
	}
	all := page{}
	for _, raw := range inOrder(sources) {
		if err := all.merge(raw); err != nil {
			return nil, err
		}
	}
	if shard == shardTotals {
		return map[string][]byte{shard: all.encode(false)}, nil
	}
	values := map[string][]byte{}
	for name, part := range l.split(all) {
		values[name] = part.encode(true)
	}
	return values, nil
}

// inOrder returns what records held, the earliest first.
func inOrder(sources map[time.Time][][]byte) (list [][]byte) {
	for _, at := range slices.SortedFunc(maps.Keys(sources), time.Time.Compare) {
		list = append(list, sources[at]...)
	}
	return list
}
