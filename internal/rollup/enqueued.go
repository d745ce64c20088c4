package rollup

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// clients is what the shard begins with that has, of minutes, what clients have enqueued of the shard's series. Nothing is kept under this
// name: a client's record of a minute is taken apart into these, all that are wanted at once.
const clients = "e"

// withEnqueued adds to the shards of minutes those of the clients.
func withEnqueued(which shards) shards {
	return func(l *level) []string {
		list := which(l)
		return slices.Concat(list, ofClients(l, list))
	}
}

// totalsAndEnqueued are the totals, and of minutes all that clients have enqueued in queues.
func totalsAndEnqueued(l *level) []string {
	return append([]string{shardTotals}, ofClients(l, l.queueShards())...)
}

// ofClients returns the clients' part of shards, which only minutes have.
func ofClients(l *level, shards []string) (list []string) {
	if l != &levels[0] {
		return nil
	}
	for _, shard := range shards {
		list = append(list, clients+shard)
	}
	return list
}

// readEnqueued reads the clients' shards of minutes.
func readEnqueued(store bellhop.Store, places []place, r *reads) {
	wanted := map[string]map[time.Time][]string{enqueuedInAll: {}, enqueuedInQueues: {}}
	var minutes []place
	for _, p := range places {
		which := enqueuedInQueues
		if shard := p.shard[len(clients):]; shard == shardAll || shard[0] == 'k' {
			which = enqueuedInAll
		}
		shards := wanted[which]
		if shards[p.at] == nil {
			minutes = append(minutes, place{which, p.at})
		}
		shards[p.at] = append(shards[p.at], p.shard)
	}
	for which, run := range runs(minutes) {
		shards := wanted[which]
		r.do(func(ctx context.Context, add adding) error {
			return eachEnqueued(ctx, store, which, run[0], run[len(run)-1], func(at time.Time, value string) error {
				pages, err := enqueuedPages(value, shards[at])
				for i, w := range pages {
					if len(w.body) > 0 {
						add(place{shards[at][i], at}, w.bytes())
					}
				}
				return err
			})
		})
	}
}

// enqueuedPages takes a client's record apart into the pages of shards.
func enqueuedPages(value string, which []string) ([]*pageWriter, error) {
	pages, at := make([]*pageWriter, len(which)), make(map[string]*pageWriter, len(which))
	for i, shard := range which {
		pages[i] = newPageWriter()
		at[shard[len(clients):]] = pages[i]
	}
	minutes := &levels[0]
	queues := make([]*pageWriter, minutes.queues)
	for i, shard := range minutes.queueShards() {
		queues[i] = at[shard]
	}
	add := func(w *pageWriter, s Series, n int64) {
		if w != nil {
			sums := binary.AppendUvarint(make([]byte, 0, 12), hasEnqueued)
			w.series(s, binary.AppendUvarint(sums, uint64(n)))
		}
	}
	all := int64(0)
	var its *pageWriter // that of the line's queue
	err := parseEnqueued(value, func(queue string) bool {
		if queue == "" {
			return true
		}
		its = queues[minutes.queueShard(queue)]
		return its != nil
	}, func(s Series, n int64) {
		if s.Queue == "" {
			all += n
			add(at[minutes.shard(s)], s, n)
			return
		}
		add(its, s, n)
	})
	if all > 0 {
		add(at[shardAll], Series{}, all)
	}
	return pages, err
}

// What the keys of the clients' records begin with: see [bellhop.EnqueuedSpace].
const (
	enqueuedInAll    = "all/"
	enqueuedInQueues = "queues/"
)

// eachEnqueued calls fn with what each client has written of each minute from one to another: of all queues together, or of each.
func eachEnqueued(ctx context.Context, store bellhop.Store, which string, first, last time.Time, fn func(at time.Time, value string) error) error {
	from, to := which+first.UTC().Format(windowForm), which+last.UTC().Format(windowForm)
	q := bellhop.RecordQuery{
		Space: bellhop.EnqueuedSpace, Prefix: commonPrefix(from, to), After: from[:len(from)-1], Limit: atOnce(first, last, time.Minute),
	}
	for {
		records, err := store.Records(ctx, &q)
		if err != nil {
			return fmt.Errorf("read metrics: %w", err)
		}
		for _, rec := range records {
			at, err := time.Parse(windowForm, rec.Key[len(which):min(len(rec.Key), len(which)+len(windowForm))])
			switch {
			case err != nil:
				continue
			case at.After(last):
				return nil
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

// parseEnqueued calls fn for each kind of those lines of a client's record that are wanted, by their queue.
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
