package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

const recordColumns = `name, value, version, expires_at`

var (
	recordVersion = define("record version", `select version from bellhop_records where space = ? and name = ? and (expires_at is null or expires_at > ?)`)
	holdVersion   = define("hold version", `select value from bellhop_counters where name = 'record' {lock}`)
	lockedVersion = define("locked record version", `select version from bellhop_records
		where space = ? and name = ? and (expires_at is null or expires_at > ?) {lock}`)
	raiseVersion = define("raise version", `update bellhop_counters set value = value + 1 where name = 'record'`)
	lastVersion  = define("last version", `select value from bellhop_counters where name = 'record'`)
	dropRecord   = define("drop record", `delete from bellhop_records where space = ? and name = ?`)
	addRecord    = define("add record", `insert into bellhop_records (space, name, value, version, expires_at) values (?, ?, ?, ?, ?)`)
	recordsByKey = define("records by key", `select `+recordColumns+` from bellhop_records
		where space = ? and name in ({list}) and (expires_at is null or expires_at > ?)`)  // they are sorted here: values may be large
	recordsFrom = define("records", `select `+recordColumns+` from bellhop_records
		where space = ? and name > ? and name >= ? and (expires_at is null or expires_at > ?) order by name {limit}`)
	// With an end that the index knows: else what lies behind it would be looked through for want of enough records.
	recordsBetween = define("records of a prefix", `select `+recordColumns+` from bellhop_records
		where space = ? and name > ? and name >= ? and name < ? and (expires_at is null or expires_at > ?) order by name {limit}`)
)

// Records implements [bellhop.Store].
func (s *Store) Records(ctx context.Context, q *bellhop.RecordQuery) (records []bellhop.Record, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	err = s.read(ctx, bellhop.OpRecords, func(ctx context.Context, t *txn) error {
		records = []bellhop.Record{}
		scan := func(r Row) error {
			var key text
			var value blob
			var version, expires num
			err := r.Scan(&key, &value, &version, &expires)
			records = append(records, bellhop.Record{
				Space: q.Space, Key: string(key), Value: value, Version: int64(version), Expires: expires.time(),
			})
			return err
		}
		if len(q.Keys) == 0 {
			if end := prefixEnd(q.Prefix); end != "" {
				return t.Query(ctx, recordsBetween, scan, q.Space, q.After, q.Prefix, end, t.now, limit)
			}
			return t.Query(ctx, recordsFrom, scan, q.Space, q.After, q.Prefix, t.now, limit)
		}
		keys := slices.DeleteFunc(uniqueTexts(q.Keys), func(key string) bool { return key <= q.After })
		if len(keys) == 0 {
			return nil
		}
		if err := t.Query(ctx, recordsByKey, scan, q.Space, Texts(keys), t.now); err != nil {
			return err
		}
		slices.SortFunc(records, func(a, b bellhop.Record) int { return strings.Compare(a.Key, b.Key) })
		records = records[:min(limit, len(records))]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// prefixEnd returns the first text after all that begin with the prefix; empty
// if there is none. It is valid UTF-8 if the prefix is.
func prefixEnd(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case last == 0xd7ff: // what follows are surrogates
			return prefix + "\ue000"
		case last < utf8.MaxRune:
			return prefix + string(last+1)
		}
	}
	return ""
}

// Put implements [bellhop.Store].
func (s *Store) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	return s.write(ctx, bellhop.OpPut, func(ctx context.Context, t *txn) error { return t.put(ctx, writes) })
}

// put compares all versions, and then writes.
func (t *txn) put(ctx context.Context, writes []bellhop.RecordWrite) error {
	if len(writes) == 0 {
		return nil
	}
	if t.store.Shared { // else two could find the same version, or the same record missing
		if _, err := t.count(ctx, holdVersion); err != nil {
			return err
		}
	}
	type key struct{ space, key string }
	seen := make(map[key]bool, len(writes))
	for i := range writes {
		w := &writes[i]
		if k := (key{w.Space, w.Key}); seen[k] {
			return &bellhop.InvalidError{Index: -1, Field: "puts", Reason: fmt.Sprintf("record %.64q in %.64q is written twice in one call", w.Key, w.Space)}
		} else {
			seen[k] = true
		}
		have, err := t.count(ctx, recordVersion, w.Space, w.Key, t.now)
		if err != nil {
			return err
		}
		if w.Expect != bellhop.ExpectAny && w.Expect != have {
			return fmt.Errorf("record %.64q in %.64q (write %d): %w", w.Key, w.Space, i, bellhop.ErrConflict)
		}
	}
	for i := range writes {
		if err := t.putOne(ctx, &writes[i]); err != nil {
			return err
		}
	}
	return nil
}

// fenced fails unless the fence's record is at its version, and keeps it there until the transaction ends. It comes last: a caller that
// stands still within a transaction then holds the record only if it does so just before the end.
func (t *txn) fenced(ctx context.Context, f *bellhop.Fence) error {
	if f == nil {
		return nil
	}
	have, err := t.count(ctx, lockedVersion, f.Space, f.Key, t.now)
	if err == nil && have != f.Version {
		err = fmt.Errorf("the fence, record %.64q in %.64q: %w", f.Key, f.Space, bellhop.ErrConflict)
	}
	return err
}

func (t *txn) putOne(ctx context.Context, w *bellhop.RecordWrite) error {
	if w.Check {
		return nil
	}
	if _, err := t.Exec(ctx, dropRecord, w.Space, w.Key); err != nil || w.Delete {
		return err
	}
	if _, err := t.Exec(ctx, raiseVersion); err != nil {
		return err
	}
	version, err := t.count(ctx, lastVersion)
	if err != nil {
		return err
	}
	var expires any
	if w.TTL > 0 {
		expires = t.now + wait(w.TTL)
	}
	_, err = t.Exec(ctx, addRecord, w.Space, w.Key, noBytes(w.Value), version, expires)
	return err
}
