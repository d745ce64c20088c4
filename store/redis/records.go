package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// appendPuts writes the writes of a call as the script puts takes them, and
// refuses a call that names a record twice.
func appendPuts(in *items, writes []bellhop.RecordWrite) error {
	in.number(int64(len(writes)))
	seen := make(map[[2]string]bool, len(writes))
	for i := range writes {
		w := &writes[i]
		if name := [2]string{w.Space, w.Key}; seen[name] {
			return &bellhop.InvalidError{Index: -1, Field: "puts", Reason: fmt.Sprintf("record %.64q in %.64q is written twice in one call", w.Key, w.Space)}
		} else {
			seen[name] = true
		}
		in.text(w.Space)
		in.text(w.Key)
		if w.Expect == bellhop.ExpectAny {
			in.text("")
		} else {
			in.raw(order.AppendUint64(nil, uint64(w.Expect)))
		}
		switch {
		case w.Check:
			in.text("check")
		case w.Delete:
			in.text("delete")
		default:
			in.text("set")
		}
		in.number(int64(w.TTL / time.Microsecond))
		in.raw(w.Value)
	}
	return nil
}

// misfit is the error of a write whose expectation does not fit.
func misfit(writes []bellhop.RecordWrite, i int64) error {
	if i < 0 || int(i) >= len(writes) {
		return bellhop.ErrConflict
	}
	return fmt.Errorf("record %.64q in %.64q (write %d): %w", writes[i].Key, writes[i].Space, i, bellhop.ErrConflict)
}

// Put implements [bellhop.Store].
func (s *Store) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	return s.verb(ctx, bellhop.OpPut, func() error { return s.put(ctx, bellhop.OpPut, writes) })
}

func (s *Store) put(ctx context.Context, op bellhop.Op, writes []bellhop.RecordWrite) error {
	in := items{}
	if err := appendPuts(&in, writes); err != nil {
		return err
	}
	reply, err := s.run(ctx, op, scriptPut, in)
	if err != nil {
		return err
	}
	if i := integer(reply); i >= 0 {
		return misfit(writes, i)
	}
	return nil
}

// Records implements [bellhop.Store].
func (s *Store) Records(ctx context.Context, q *bellhop.RecordQuery) (found []bellhop.Record, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	in := items{}
	in.text(q.Space)
	in.number(int64(limit))
	if len(q.Keys) > 0 {
		in.text("")
		in.text("")
		for _, key := range slices.Compact(slices.Sorted(slices.Values(q.Keys))) {
			if key > q.After {
				in.text(key)
			}
		}
	} else {
		from, to := span(q.Prefix, q.After)
		in.text(from)
		in.text(to)
	}
	err = s.ask(ctx, bellhop.OpRecords, scriptRecords, in, func(reply any) error {
		texts, err := unpack(text(reply))
		if err != nil {
			return err
		}
		for pair := range slices.Chunk(texts, 2) {
			r := reader{s: pair[1]}
			record := bellhop.Record{Space: q.Space, Key: strings.Clone(pair[0]), Version: int64(r.number(8)), Expires: r.time()}
			if r.s != "" {
				record.Value = []byte(r.s)
			}
			found = append(found, record)
		}
		return nil
	})
	return found, err
}

// span returns the range of keys that begin with a prefix and come after a key, as ZRANGEBYLEX takes it.
func span(prefix, after string) (from, to string) {
	from, to = "["+prefix, "+"
	if after >= prefix && after != "" {
		from = "(" + after
	}
	end := []byte(prefix)
	for len(end) > 0 {
		last := len(end) - 1
		if end[last]++; end[last] != 0 { // else it was 0xff, which has no successor
			return from, "(" + string(end)
		}
		end = end[:last]
	}
	return from, to
}
