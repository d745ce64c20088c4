package rollup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// readEnqueued adds to what was read of a shard's minutes, from one to another, what clients have enqueued in them, as pages of that shard.
func readEnqueued(ctx context.Context, store bellhop.Store, shard string, first, last time.Time, found map[time.Time][][]byte) error {
	if shard == shardFailures {
		return nil
	}
	return eachEnqueued(ctx, store, first, last, func(at time.Time, p page) {
		if shard == shardTotals {
			found[at] = append(found[at], p.encode(false))
		} else if all := p.withSums(); shard == shardAll {
			found[at] = append(found[at], page{{}: all[Series{}]}.encode(false))
		} else if part := levels[0].split(all)[shard]; part != nil {
			found[at] = append(found[at], part.encode(true))
		}
	})
}

// eachEnqueued calls fn with what each client has enqueued in each minute from one to another.
func eachEnqueued(ctx context.Context, store bellhop.Store, first, last time.Time, fn func(at time.Time, p page)) error {
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
			p, err := enqueuedPage(rec.Value)
			if err != nil {
				return fmt.Errorf("read metrics: the record %.100q: %w", rec.Key, err)
			}
			if len(p) > 0 {
				fn(at, p)
			}
		}
		if len(records) < q.Limit {
			return nil
		}
		q.After = records[len(records)-1].Key
	}
}

// enqueuedPage returns what a client's record holds.
func enqueuedPage(value []byte) (page, error) {
	var queues map[string]map[string]int64
	if err := json.Unmarshal(value, &queues); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	p := page{}
	for queue, kinds := range queues {
		for kind, n := range kinds {
			if n > 0 {
				p.of(Series{queue, kind}).Enqueued = n
			}
		}
	}
	return p, nil
}
