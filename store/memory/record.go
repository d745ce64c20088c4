package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

type recordKey struct{ space, key string }

func (k recordKey) compare(o recordKey) int {
	return cmp.Or(strings.Compare(k.space, o.space), strings.Compare(k.key, o.key))
}

// records are all records, with their keys in order.
type records struct {
	byKey map[recordKey]*bellhop.Record
	keys  []recordKey
}

func (r *records) set(key recordKey, value *bellhop.Record) {
	if r.byKey[key] == nil {
		at, _ := slices.BinarySearchFunc(r.keys, key, recordKey.compare)
		r.keys = slices.Insert(r.keys, at, key)
	}
	r.byKey[key] = value
}

func (r *records) delete(key recordKey) {
	if at, there := slices.BinarySearchFunc(r.keys, key, recordKey.compare); there {
		r.keys = slices.Delete(r.keys, at, at+1)
		delete(r.byKey, key)
	}
}

// prune deletes records that have expired, at most so many, and returns how many there were.
func (r *records) prune(now time.Time, limit int) (n int) {
	r.keys = slices.DeleteFunc(r.keys, func(key recordKey) bool {
		if n >= limit || !expired(r.byKey[key], now) {
			return false
		}
		n++
		delete(r.byKey, key)
		return true
	})
	return n
}

// from returns the keys of a space from a key on.
func (r *records) from(space, key string) []recordKey {
	at, _ := slices.BinarySearchFunc(r.keys, recordKey{space, key}, recordKey.compare)
	return r.keys[at:]
}

// Records implements [bellhop.Store].
func (s *Store) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.end()
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	list := []bellhop.Record{}
	add := func(key recordKey) {
		if r := s.records.byKey[key]; r != nil && key.key > q.After && !expired(r, now) && len(list) < limit {
			list = append(list, *r)
		}
	}
	for _, key := range slices.Compact(slices.Sorted(slices.Values(q.Keys))) {
		add(recordKey{q.Space, key})
	}
	if len(q.Keys) == 0 {
		for _, key := range s.records.from(q.Space, max(q.Prefix, q.After)) {
			if len(list) == limit || key.space != q.Space || !strings.HasPrefix(key.key, q.Prefix) {
				break
			}
			add(key)
		}
	}
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
		if r := s.records.byKey[key]; r != nil && !expired(r, now) {
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
			s.records.delete(key)
		default:
			s.version++
			r := &bellhop.Record{Space: w.Space, Key: w.Key, Value: bytes.Clone(w.Value), Version: s.version}
			if w.TTL > 0 {
				r.Expires = micro(now.Add(w.TTL))
			}
			s.records.set(key, r)
		}
	}
}

func expired(r *bellhop.Record, now time.Time) bool {
	return !r.Expires.IsZero() && !r.Expires.After(now)
}
