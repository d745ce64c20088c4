package rollup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// Every is how often a [Writer] wants to write: a little less than the ten seconds after which everybody can read it.
const Every = 9 * time.Second

// Writer writes what a [Recorder] has counted, as records of one process, and merges windows that are over. Its methods
// are not safe for several goroutines.
type Writer struct {
	store    bellhop.Store
	recorder *Recorder
	now      func() time.Time
	merger   merger

	id bellhop.ID // of the records' writer: no other writes these
	// The minute under way, as far as it was taken from the recorder.
	minute   int64
	page     page
	failures failures
	fresh    bool // something was added since it was last written
	// over are minutes that are over and have not been written to the end, oldest first.
	over []sealed
}

// sealed is a minute that is over.
type sealed struct {
	minute time.Time
	writes []bellhop.RecordWrite
}

// NewWriter returns a writer; now is the store's clock as the caller reckons it.
func NewWriter(store bellhop.Store, recorder *Recorder, now func() time.Time) *Writer {
	return &Writer{
		store: store, recorder: recorder, now: now, merger: merger{store: store, now: now},
		id: bellhop.NewID(), page: page{},
	}
}

// Write writes what is new since it last succeeded; if nothing is, it does not call the store. After an error it is
// to be called again: nothing is lost, but for minutes older than a reader would look for, and nothing is counted twice.
func (w *Writer) Write(ctx context.Context) error {
	now := w.now()
	for _, b := range w.recorder.take(now) {
		w.add(b)
		w.recorder.giveBack(b)
	}
	if w.minute < minuteOf(now) && w.fresh {
		w.seal()
	}
	w.over = slices.DeleteFunc(w.over, func(s sealed) bool { return now.Sub(s.minute) > levels[0].keep })
	for len(w.over) > 0 {
		if err := w.put(ctx, w.over[0]); err != nil {
			return err
		}
		w.over = w.over[1:]
	}
	if w.fresh {
		if err := w.put(ctx, sealed{w.at(), w.encode()}); err != nil {
			return err
		}
		w.fresh = false
	}
	return nil
}

// at returns when the minute under way began.
func (w *Writer) at() time.Time { return time.Unix(w.minute*60, 0).UTC() }

// add adds a batch to the minute under way; one of another minute ends that.
func (w *Writer) add(b *batch) {
	if b.minute != w.minute {
		if w.fresh {
			w.seal()
		}
		if b.minute < w.minute { // the clock was set back: what was written for that minute must not be written over
			w.id = bellhop.NewID()
		}
		w.minute, w.page, w.failures, w.fresh = b.minute, page{}, failures{}, false
	}
	for s, sums := range b.page {
		if !sums.isZero() {
			w.page.within(s).merge(sums)
			w.fresh = true
		}
	}
	w.failures.rest += b.failures.rest
	for _, g := range b.failures.sorted() {
		w.failures.within(g, minuteGroups)
	}
}

// seal ends the minute under way.
func (w *Writer) seal() {
	w.over = append(w.over, sealed{w.at(), w.encode()})
	w.fresh = false
}

// encode returns the records of the minute under way.
func (w *Writer) encode() []bellhop.RecordWrite {
	writes := encodeWindow(&levels[0], w.at(), w.page, &w.failures, w.now())
	for i := range writes {
		writes[i].Key += "/" + w.id.String()
	}
	return writes
}

// put writes the records of a minute. If it may be too late for those who merge, the minute's windows are merged again.
func (w *Writer) put(ctx context.Context, s sealed) error {
	late := w.late(s.minute)
	for l := 1; l < late; l++ {
		if err := w.merger.late(ctx, l, levels[l].window(s.minute)); err != nil {
			return err
		}
	}
	if err := put(ctx, w.store, s.writes); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	for l := 1; l < max(late, w.late(s.minute)); l++ { // it may have become late meanwhile
		again, window := w.merger.merge, levels[l].window(s.minute)
		if w.merger.due(l, window).After(w.now()) {
			again = w.merger.late // others will merge it; who has begun to must begin again
		}
		if err := again(ctx, l, window); err != nil {
			return err
		}
	}
	return nil
}

// late returns the first level of which the window with the minute has not been merged, as far as this process can know.
func (w *Writer) late(minute time.Time) int {
	l := 1
	for l < len(levels) && w.now().Sub(levels[l].window(minute).Add(levels[l].size)) > mergeAfter/2 {
		l++
	}
	return l
}

// Merge merges windows of all processes that are over and that nobody has merged, some of them if there are many. It is
// cheap if there is none.
func (w *Writer) Merge(ctx context.Context) error { return w.merger.round(ctx) }

// Close writes what is left. If last is set, nobody else works any more: then the windows under way are merged at once, for
// who comes next may come when the minutes have expired.
func (w *Writer) Close(ctx context.Context, last bool) error {
	if err := w.Write(ctx); err != nil || !last {
		return err
	}
	return w.merger.early(ctx)
}

// split divides a page into those of a level's shards.
func (l *level) split(p page) map[string]page {
	parts := map[string]page{}
	for s, sums := range p {
		shard := l.shard(s)
		if parts[shard] == nil {
			parts[shard] = page{}
		}
		parts[shard][s] = sums
	}
	return parts
}

// withSums adds to the sums of kinds within queues those of the kinds over all queues and of all together.
func (p page) withSums() page {
	all := page{}
	for s, sums := range p {
		all[s] = sums
		all.of(Series{}).merge(sums)
		if s.Kind != "" { // else it is Other
			all.of(Series{Kind: s.Kind}).merge(sums)
		}
	}
	return all
}

// encodeWindow returns the records of a window, of which p holds the sums of kinds within queues.
func encodeWindow(l *level, window time.Time, p page, f *failures, now time.Time) []bellhop.RecordWrite {
	writes := []bellhop.RecordWrite{l.write(shardTotals, window, p.encode(false), now)}
	for shard, part := range l.split(p.withSums()) {
		writes = append(writes, l.write(shard, window, part.encode(true), now))
	}
	if !f.isZero() {
		numbers, texts := f.encode()
		writes = append(writes, l.write(shardFailures, window, numbers, now), l.write(shardTexts, window, texts, now))
	}
	return writes
}

// write returns the write of one record, whatever there was before.
func (l *level) write(shard string, window time.Time, value []byte, now time.Time) bellhop.RecordWrite {
	return bellhop.RecordWrite{
		Space: Space, Key: l.key(shard, window), Value: value, Expect: bellhop.ExpectAny,
		TTL: max(window.Add(l.size+l.keep+lateGrace).Sub(now), time.Minute),
	}
}

// put writes records, all or none. A store that keeps no records keeps no rollups.
func put(ctx context.Context, store bellhop.Store, writes []bellhop.RecordWrite) error {
	if err := store.Put(ctx, writes); !errors.Is(err, bellhop.ErrUnsupported) {
		return err
	}
	return nil
}
