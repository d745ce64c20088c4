package rollup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// enqueued is how many jobs of a kind a client has enqueued in a queue within a minute.
type enqueued struct {
	Series
	shard string // of the queue
	n     int64
}

// readEnqueued adds to what was read of minutes what clients have enqueued in them, as pages of the same shards.
func readEnqueued(ctx context.Context, store bellhop.Store, places []place, read map[place][][]byte) error {
	wanted := map[time.Time][]string{}
	var minutes []place
	for _, p := range places {
		if p.shard == shardFailures || p.shard == shardTexts {
			continue
		}
		if wanted[p.at] == nil {
			minutes = append(minutes, place{at: p.at})
		}
		wanted[p.at] = append(wanted[p.at], p.shard)
	}
	for _, run := range runs(minutes) {
		err := eachEnqueued(ctx, store, run[0], run[len(run)-1], func(at time.Time, list []enqueued) {
			for _, shard := range wanted[at] {
				if raw := enqueuedPage(list, shard); raw != nil {
					read[place{shard, at}] = append(read[place{shard, at}], raw)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// enqueuedPage returns the page of a shard of minutes; nil if there is nothing for it.
func enqueuedPage(list []enqueued, shard string) []byte {
	w := newPageWriter()
	var body []byte
	add := func(s Series, n int64) {
		sums := Sums{Counts: Counts{Enqueued: n}}
		w.name(s.Queue)
		w.name(s.Kind)
		body = sums.appendTo(body[:0], false)
		w.body = appendBytes(w.body, body)
	}
	over := map[Series]int64{} // all queues
	for _, e := range list {
		switch all := (Series{Kind: e.Kind}); {
		case shard == shardTotals || shard == e.shard:
			add(e.Series, e.n)
		case shard == shardAll:
			over[Series{}] += e.n
		case shard == levels[0].shard(all):
			over[all] += e.n
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(over), Series.compare) {
		add(s, over[s])
	}
	if len(w.body) == 0 {
		return nil
	}
	return w.bytes()
}

// eachEnqueued calls fn with what each client has enqueued in each minute from one to another. The list is fn's until it returns.
func eachEnqueued(ctx context.Context, store bellhop.Store, first, last time.Time, fn func(at time.Time, list []enqueued)) error {
	from, to := first.UTC().Format(windowForm), last.UTC().Format(windowForm)
	q := bellhop.RecordQuery{Space: bellhop.EnqueuedSpace, Prefix: commonPrefix(from, to), After: from[:len(from)-1], Limit: 200}
	var list []enqueued
	for {
		records, err := store.Records(ctx, &q)
		if err != nil {
			return fmt.Errorf("read metrics: %w", err)
		}
		for _, rec := range records {
			at, err := time.Parse(windowForm, rec.Key[:min(len(rec.Key), len(windowForm))])
			if err != nil || at.After(last) {
				continue
			}
			if list, err = parseEnqueued(list[:0], string(rec.Value)); err != nil {
				return fmt.Errorf("read metrics: the record %.100q: %w", rec.Key, err)
			}
			fn(at, list)
		}
		if len(records) < q.Limit {
			return nil
		}
		q.After = records[len(records)-1].Key
	}
}

// parseEnqueued adds what a client's record holds to a list: see [bellhop.EnqueuedSpace].
func parseEnqueued(list []enqueued, value string) ([]enqueued, error) {
	for line := range strings.Lines(value) {
		queue, kinds, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		shard := levels[0].shard(Series{Queue: queue})
		for kind := range strings.SplitSeq(kinds, " ") {
			name, count, _ := strings.Cut(kind, "=")
			n, err := strconv.ParseInt(count, 10, 64)
			if err != nil || n < 0 || queue == "" || name == "" {
				return list, errDamaged
			}
			list = append(list, enqueued{Series{queue, name}, shard, n})
		}
	}
	return list, nil
}
