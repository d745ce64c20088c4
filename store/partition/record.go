package partition

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
)

// Records implements [bellhop.Store]. Records that are named by key are asked for
// where they live; by prefix all parts are asked, because a tag in a key may lead anywhere.
func (s *Store) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	parts := s.parts
	if len(q.Keys) > 0 {
		parts = nil
		for _, key := range q.Keys {
			if p := s.parts[s.router.record(q.Space, key)]; !slices.Contains(parts, p) {
				parts = append(parts, p)
			}
		}
	}
	list, err := gather(ctx, parts, forEver, func(ctx context.Context, p *part) ([]bellhop.Record, error) { return s.recordsOf(ctx, p, *q) })
	if err != nil {
		return nil, err
	}
	records := []bellhop.Record{}
	for _, a := range list {
		if a.err != nil {
			return nil, fmt.Errorf("partition store: %w", a.err)
		}
		records = append(records, a.value...)
	}
	slices.SortFunc(records, func(a, b bellhop.Record) int { return strings.Compare(a.Key, b.Key) })
	return records[:min(limitOf(q), len(records))], nil
}

// recordsOf returns the records of one part. What was left behind there when the
// parts were changed lives elsewhere now, if it lives.
func (s *Store) recordsOf(ctx context.Context, p *part, q bellhop.RecordQuery) (own []bellhop.Record, err error) {
	limit := limitOf(&q)
	for {
		found, err := p.store.Records(ctx, &q)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			if s.router.record(r.Space, r.Key) == p.index {
				own = append(own, r)
			}
		}
		if len(found) < limit || len(own) >= limit {
			return own, nil
		}
		q.After = found[len(found)-1].Key
	}
}

func limitOf(q *bellhop.RecordQuery) int {
	if q.Limit > 0 {
		return q.Limit
	}
	return 1000
}

// Put implements [bellhop.Store]. Records of several parts are refused with a [bellhop.SpanError].
func (s *Store) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	if err := s.open(ctx); err != nil || len(writes) == 0 {
		return err
	}
	home, err := s.homeOf(writes)
	if err != nil {
		return err
	}
	_, err = one(ctx, s.parts[home], func(ctx context.Context, p *part) (struct{}, error) { return struct{}{}, p.store.Put(ctx, writes) })
	if err != nil {
		return fmt.Errorf("partition store: %w", err)
	}
	return nil
}

// homeOf returns the part in which all the records live.
func (s *Store) homeOf(writes []bellhop.RecordWrite) (int, error) {
	home := s.router.record(writes[0].Space, writes[0].Key)
	for i := range writes {
		if at := s.router.record(writes[i].Space, writes[i].Key); at != home {
			return 0, s.spans(recordName(&writes[0]), home, recordName(&writes[i]), at)
		}
	}
	return home, nil
}

func recordName(w *bellhop.RecordWrite) string {
	return fmt.Sprintf("record %.64q in %.64q", w.Key, w.Space)
}
