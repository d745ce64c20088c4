package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/gobellhop/bellhop"
)

// What goes over the wire for every job is written and read here, as the driver's
// general way, by reflection and a piece of memory for each value, costs more than the job.

// long is an element of [longs].
type long int64

// null is the long that is stored as null.
const null long = math.MinInt64

// Int64Value implements [pgtype.Int64Valuer].
func (n *long) Int64Value() (pgtype.Int8, error) {
	return pgtype.Int8{Int64: int64(*n), Valid: *n != null}, nil
}

// longs is an array of bigint. Its elements are handed to the driver by reference,
// so that they need no memory of their own.
type longs []long

// Dimensions implements [pgtype.ArrayGetter].
func (l longs) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(l)), LowerBound: 1}}
}

// Index implements [pgtype.ArrayGetter].
func (l longs) Index(i int) any { return &l[i] }

// IndexType implements [pgtype.ArrayGetter].
func (longs) IndexType() any { return new(long) }

// moment returns a time as it is stored: null for none.
func moment(t time.Time) long {
	if t.IsZero() {
		return null
	}
	return long(t.UnixMicro())
}

// cells reads the columns of a row, one after the other. The first thing that
// cannot be read is kept as its error.
type cells struct {
	fields []pgconn.FieldDescription
	raw    [][]byte
	next   int
	err    error
}

func (c *cells) begin(rows pgx.Rows) {
	c.fields, c.raw, c.next, c.err = rows.FieldDescriptions(), rows.RawValues(), 0, nil
}

// cell returns the next column, and whether it is in binary.
func (c *cells) cell() (value []byte, isBinary bool) {
	if c.next >= len(c.raw) || c.next >= len(c.fields) {
		c.err = fmt.Errorf("a row of %d columns has no more", len(c.raw))
		return nil, false
	}
	value, isBinary = c.raw[c.next], c.fields[c.next].Format == pgtype.BinaryFormatCode
	c.next++
	return value, isBinary
}

// fail notes what cannot be read.
func (c *cells) fail(what string, value []byte) {
	if c.err == nil {
		c.err = fmt.Errorf("column %d: %d bytes where %s is kept", c.next, len(value), what)
	}
}

// integer reads a whole number of any size; null as 0.
func (c *cells) integer() int64 {
	n, _ := c.maybe()
	return n
}

// maybe reads a whole number of any size, and whether there is one.
func (c *cells) maybe() (n int64, is bool) {
	value, isBinary := c.cell()
	switch {
	case value == nil:
		return 0, false
	case isBinary && len(value) == 8:
		return int64(binary.BigEndian.Uint64(value)), true
	case isBinary && len(value) == 4:
		return int64(int32(binary.BigEndian.Uint32(value))), true
	case isBinary && len(value) == 2:
		return int64(int16(binary.BigEndian.Uint16(value))), true
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if isBinary || err != nil {
		c.fail("a number", value)
	}
	return n, true
}

// id reads a uuid.
func (c *cells) id() (id bellhop.ID) {
	value, isBinary := c.cell()
	if isBinary && len(value) == len(id) {
		return bellhop.ID(value)
	}
	id, err := bellhop.ParseID(string(value))
	if isBinary || err != nil {
		c.fail("an id", value)
	}
	return id
}

// text reads a text, which lasts until the next row; null as nil.
func (c *cells) text() []byte {
	value, _ := c.cell()
	return value
}

// blob reads bytes; null as nil.
func (c *cells) blob() []byte {
	value, isBinary := c.cell()
	if isBinary || value == nil {
		return bytes.Clone(value)
	}
	digits, is := bytes.CutPrefix(value, []byte(`\x`))
	b := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(b, digits); err != nil || !is {
		c.fail("bytes", value)
	}
	return b
}

// counters reads what a job has been through, seven numbers in a text; null for one
// that has been through nothing, as most have when they are claimed.
func (c *cells) counters(p *bellhop.Place) {
	text := c.text()
	if text == nil {
		p.Claim = 1
		return
	}
	var n [7]int64
	fields := strings.Fields(string(text))
	for i := range n {
		if len(fields) != len(n) {
			c.fail("seven numbers", text)
			return
		}
		var err error
		if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			c.fail("a number", text)
		}
	}
	p.Generation, p.Claim, p.Attempt, p.Failures, p.Crashes = int(n[0]), n[1], int(n[2]), int(n[3]), int(n[4])
	p.Suspect, p.CancelRequested = n[5] != 0, n[6] != 0
}
