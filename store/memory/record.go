package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

type recordKey struct{ space, key string }

// Records implements [bellhop.Store].
func (s *Store) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	list := []bellhop.Record{}
	add := func(r *bellhop.Record) {
		if r != nil && r.Space == q.Space && r.Key > q.After && !expired(r, now) {
			list = append(list, *r)
		}
	}
	if len(q.Keys) > 0 {
		for _, key := range slices.Compact(slices.Sorted(slices.Values(q.Keys))) {
			add(s.records[recordKey{q.Space, key}])
		}
	} else {
		for key, r := range s.records {
			if strings.HasPrefix(key.key, q.Prefix) {
				add(r)
			}
		}
	}
	slices.SortFunc(list, func(a, b bellhop.Record) int { return strings.Compare(a.Key, b.Key) })
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	list = list[:min(limit, len(list))]
	for i := range list {
		list[i].Value = bytes.Clone(list[i].Value)
	}
	return list, nil
}

// Put implements [bellhop.Store].
func (s *Store) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.check(writes, now); err != nil {
		return err
	}
	s.put(writes, now)
	return nil
}

// check compares the versions that the writes expect.
func (s *Store) check(writes []bellhop.RecordWrite, now time.Time) error {
	if len(writes) == 0 {
		return nil
	}
	seen := make(map[recordKey]bool, len(writes))
	for i, w := range writes {
		key := recordKey{w.Space, w.Key}
		if seen[key] {
			return &bellhop.InvalidError{Index: -1, Field: "puts", Reason: fmt.Sprintf("record %.64q in %.64q is written twice in one call", w.Key, w.Space)}
		}
		seen[key] = true
		have := int64(0)
		if r := s.records[key]; r != nil && !expired(r, now) {
			have = r.Version
		}
		if w.Expect != bellhop.ExpectAny && w.Expect != have {
			return fmt.Errorf("memory store: record %.64q in %.64q (write %d): %w", w.Key, w.Space, i, bellhop.ErrConflict)
		}
	}
	return nil
}

// put writes what has been checked.
func (s *Store) put(writes []bellhop.RecordWrite, now time.Time) {
	for _, w := range writes {
		key := recordKey{w.Space, w.Key}
		switch {
		case w.Check:
		case w.Delete:
			delete(s.records, key)
		default:
			s.version++
			r := &bellhop.Record{Space: w.Space, Key: w.Key, Value: bytes.Clone(w.Value), Version: s.version}
			if w.TTL > 0 {
				r.Expires = micro(now.Add(w.TTL))
			}
			s.records[key] = r
		}
	}
}

func expired(r *bellhop.Record, now time.Time) bool {
	return !r.Expires.IsZero() && !r.Expires.After(now)
}
