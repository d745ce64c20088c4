package rollup

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

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
		err := eachEnqueued(ctx, store, run[0], run[len(run)-1], func(at time.Time, value string) error {
			for _, shard := range wanted[at] {
				raw, err := enqueuedPage(value, shard)
				if err != nil {
					return err
				}
				if raw != nil {
					read[place{shard, at}] = append(read[place{shard, at}], raw)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// enqueuedPage returns the page of a shard of minutes; nil if there is nothing for it.
func enqueuedPage(value, shard string) ([]byte, error) {
	w := newPageWriter()
	var body []byte
	add := func(s Series, n int64) {
		w.name(s.Queue)
		w.name(s.Kind)
		body = binary.AppendUvarint(body[:0], hasEnqueued)
		body = binary.AppendUvarint(body, uint64(n))
		w.body = appendBytes(w.body, body)
	}
	minutes := &levels[0]
	err := parseEnqueued(value, func(queue string) bool {
		if queue == "" {
			return shard == shardAll || shard[0] == 'k'
		}
		return shard == shardTotals || shard == minutes.shard(Series{Queue: queue})
	}, func(s Series, n int64) {
		if shard == shardAll {
			add(Series{}, n)
		} else if s.Queue != "" || shard == minutes.shard(s) {
			add(s, n)
		}
	})
	if err != nil || len(w.body) == 0 {
		return nil, err
	}
	return w.bytes(), nil
}

// eachEnqueued calls fn with what each client has written of each minute from one to another.
func eachEnqueued(ctx context.Context, store bellhop.Store, first, last time.Time, fn func(at time.Time, value string) error) error {
	from, to := first.UTC().Format(windowForm), last.UTC().Format(windowForm)
	q := bellhop.RecordQuery{Space: bellhop.EnqueuedSpace, Prefix: commonPrefix(from, to), After: from[:len(from)-1], Limit: 200}
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
			if err := fn(at, string(rec.Value)); err != nil {
				return fmt.Errorf("read metrics: the record %.100q: %w", rec.Key, err)
			}
		}
		if len(records) < q.Limit {
			return nil
		}
		q.After = records[len(records)-1].Key
	}
}

// parseEnqueued calls fn for each kind of those lines of a client's record that are wanted, by their queue: see [bellhop.EnqueuedSpace].
func parseEnqueued(value string, wanted func(queue string) bool, fn func(s Series, n int64)) error {
	for value != "" {
		line, rest, _ := strings.Cut(value, "\n")
		value = rest
		queue, kinds, _ := strings.Cut(line, " ")
		if !wanted(queue) {
			continue
		}
		for kinds != "" {
			var one string
			one, kinds, _ = strings.Cut(kinds, " ")
			kind, count, _ := strings.Cut(one, "=")
			n, err := strconv.ParseUint(count, 10, 62)
			if err != nil || kind == "" {
				return errDamaged
			}
			fn(Series{queue, kind}, int64(n))
		}
	}
	return nil
}
