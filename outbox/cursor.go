package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/gobellhop/bellhop"
)

// CursorSpace is the space of the records in the store that say which rows of an outbox were moved last: one record an outbox.
// Its key is the outbox's identity, an id that stands in the table in the row with number 0.
//
// The record is what makes a move happen once. It is written in the transaction in which the store takes the jobs of a batch, and
// only if it is still as the relay read it before it read the rows. So of two relays that hold the same rows one is refused, also if
// it stood still for an hour in between; and a relay whose reply was lost, or whose predecessor was killed before it could delete
// the rows, learns from the record that they were moved. The jobs' ids alone would not do: a job may have run and been pruned.
const CursorSpace = "outbox"

// cursor is the record as it was read.
type cursor struct {
	version int64 // 0 if there is none
	last    batch
}

// batch names the rows that were moved together.
type batch struct {
	// Seqs are the rows' numbers: the first, and from each to the next.
	Seqs []int64 `json:"seqs"`
	// Marks are check sums of the jobs' ids, 4 bytes each. A database that was restored from a backup may give numbers a second time.
	Marks []byte `json:"marks"`
	// Relay says for people who moved them.
	Relay string `json:"relay,omitempty"`
}

// batchOf names rows, which are in the order of their numbers.
func batchOf(rows []row, relay string) batch {
	b := batch{Relay: relay}
	last := int64(0)
	for i := range rows {
		b.Seqs = append(b.Seqs, rows[i].seq-last)
		b.Marks = append(b.Marks, mark(rows[i].id)...)
		last = rows[i].seq
	}
	return b
}

// same reports whether two batches name the same rows, moved by the same relay.
func (b *batch) same(o *batch) bool {
	return b.Relay == o.Relay && slices.Equal(b.Seqs, o.Seqs) && bytes.Equal(b.Marks, o.Marks)
}

// numbers returns the rows' numbers with their marks.
func (b *batch) numbers() map[int64][4]byte {
	list, seq := make(map[int64][4]byte, len(b.Seqs)), int64(0)
	for i, step := range b.Seqs {
		seq += step
		if 4*i+4 <= len(b.Marks) {
			list[seq] = [4]byte(b.Marks[4*i:])
		}
	}
	return list
}

func mark(id string) []byte {
	sum := crc32.ChecksumIEEE([]byte(id))
	return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// readCursor reads an outbox's record.
func readCursor(ctx context.Context, store bellhop.Store, identity string) (c cursor, err error) {
	list, err := store.Records(ctx, &bellhop.RecordQuery{Space: CursorSpace, Keys: []string{identity}})
	if err != nil || len(list) == 0 {
		return c, err
	}
	c.version = list[0].Version
	if err := json.Unmarshal(list[0].Value, &c.last); err != nil {
		return c, fmt.Errorf("the record %q in the space %q is not readable (of a later release?): %w", identity, CursorSpace, err)
	}
	return c, nil
}

// advance returns the write that goes with a batch.
func (c cursor) advance(identity string, b batch) (bellhop.RecordWrite, error) {
	value, err := json.Marshal(b)
	if err != nil {
		return bellhop.RecordWrite{}, err
	}
	return bellhop.RecordWrite{Space: CursorSpace, Key: identity, Value: value, Expect: c.version}, nil // version 0 is ExpectNone
}

// What an error of the store means for a batch.
type verdict uint8

const (
	down    verdict = iota // the store is not there, or it is not known what it did: ask again later
	beaten                 // another relay has moved meanwhile
	refused                // the row with the index in the error cannot be taken, ever
	dubious                // something is wrong, with one of the rows or with the store
)

func judge(err error) (v verdict, index int) {
	var item *bellhop.ItemError
	var invalid *bellhop.InvalidError
	switch {
	case errors.Is(err, bellhop.ErrConflict):
		return beaten, 0
	case errors.Is(err, bellhop.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, bellhop.ErrClosed), errors.Is(err, bellhop.ErrSchemaNewer), errors.Is(err, bellhop.ErrSchemaOlder):
		return down, 0
	case errors.As(err, &item):
		return refused, item.Index
	case errors.As(err, &invalid) && invalid.Index >= 0:
		return refused, invalid.Index
	}
	return dubious, 0
}
