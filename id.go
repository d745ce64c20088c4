package bellhop

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ID names a job, a batch, a process or an exchange. It is a UUID of RFC 9562 in its 16 bytes. The zero ID
// means "none".
//
// IDs are made by the client, before anything is sent, so that a repeat after a lost reply is the same job.
type ID [16]byte

// ErrBadID is in the chain of every error that ParseID and UnmarshalText return.
var ErrBadID = errors.New("not an id")

// NewID makes a UUIDv7: it begins with the time in milliseconds, so ids sort by their time of making. Within
// this process each id is greater than all that NewID returned before, also within one millisecond and when the
// clock is set back. (After a step back the ids keep the old, later time until the clock has caught up.)
// It is safe for concurrent use.
func NewID() ID { return defaultIDs.next(time.Now()) }

var defaultIDs idGenerator

// idGenerator makes rising UUIDv7s by two methods of RFC 9562, section 6.2, together. The twelve bits of rand_a
// hold the fraction of the millisecond (method 3), so a tick lasts 244 ns. Within one tick rand_b, random at the
// tick's first id, grows by a random step (method 2), so the ids of other processes stay unlikely to collide
// and the next id hard to guess. The time in an id therefore does not run ahead of the clock however many are made.
type idGenerator struct {
	mu   sync.Mutex
	tick uint64 // milliseconds and their fraction: 48 and 12 bits
	tail uint64 // rand_b: 62 bits
	pool [4096]byte
	left int // unread bytes at the end of pool
}

const idTailMask = 1<<62 - 1

func (g *idGenerator) next(now time.Time) ID {
	nanos := max(now.UnixNano(), 0)
	tick := uint64(nanos/1e6)<<12 | uint64(nanos%1e6)<<12/1e6

	g.mu.Lock()
	if tick > g.tick {
		g.tick, g.tail = tick, g.random()&idTailMask
	} else {
		g.tail += 1 + g.random()>>32
		if g.tail > idTailMask {
			g.tick, g.tail = g.tick+1, g.random()&idTailMask
		}
	}
	tick, tail := g.tick, g.tail
	g.mu.Unlock()

	var id ID
	binary.BigEndian.PutUint64(id[:8], tick>>12<<16|7<<12|tick&0xfff)
	binary.BigEndian.PutUint64(id[8:], 2<<62|tail)
	return id
}

// random takes eight bytes from the pool, because a call of the system for each id would cost more than all else.
func (g *idGenerator) random() uint64 {
	if g.left < 8 {
		rand.Read(g.pool[:]) // never fails: it ends the program rather than return bad bytes
		g.left = len(g.pool)
	}
	at := len(g.pool) - g.left
	g.left -= 8
	return binary.LittleEndian.Uint64(g.pool[at:])
}

// IDFromKey makes the id that belongs to a key, always the same for the same two strings: a UUIDv8 from the
// SHA-256 of both, each preceded by its length in eight bytes. It serves Idempotency-Key headers: space keeps
// the keys of one sender, or of one use, apart from all others.
func IDFromKey(space, key string) ID {
	var room [256]byte
	text := room[:0]
	for _, part := range [...]string{space, key} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	id := ID(sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseID reads the canonical form, 36 characters in either case, of a UUID of any version. Other spellings
// (braces, "urn:uuid:", no hyphens) are refused, so that one id has one spelling. The error wraps ErrBadID.
func ParseID(s string) (ID, error) {
	id, ok := parseID(s)
	if !ok {
		return ID{}, badID(s)
	}
	return id, nil
}

func parseID[T string | []byte](s T) (id ID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, false
	}
	at := 0
	for i := range id {
		if at == 8 || at == 13 || at == 18 || at == 23 {
			at++
		}
		high, low := hexDigit(s[at]), hexDigit(s[at+1])
		if high < 0 || low < 0 {
			return ID{}, false
		}
		id[i] = byte(high<<4 | low)
		at += 2
	}
	return id, true
}

func badID(s string) error {
	return fmt.Errorf("%w: %s; want 36 characters like 019c7e5a-4d1b-7c3e-9f00-1a2b3c4d5e6f", ErrBadID, quoteCut(s, 64))
}

// hexDigit returns the value of a hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// String returns the canonical form in lower case.
func (id ID) String() string {
	var text [36]byte
	id.encode(&text)
	return string(text[:])
}

func (id ID) encode(text *[36]byte) {
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
}

// IsZero tells whether id is the zero ID, which means "none".
func (id ID) IsZero() bool { return id == ID{} }

// Compare returns -1, 0 or +1 as id sorts before, with or after a. The order is that of the bytes and of the
// canonical text; for ids from NewID it is the order of making.
func (id ID) Compare(a ID) int { return bytes.Compare(id[:], a[:]) }

// Time returns when a UUIDv7 was made, to the millisecond, in UTC. It returns false for all other versions.
func (id ID) Time() (time.Time, bool) {
	if id[6]>>4 != 7 || id[8]>>6 != 2 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC(), true
}

// AppendText appends the canonical form to b. The error is always nil.
func (id ID) AppendText(b []byte) ([]byte, error) {
	var text [36]byte
	id.encode(&text)
	return append(b, text[:]...), nil
}

// MarshalText returns the canonical form. The error is always nil.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText reads what ParseID reads. After an error id is as before.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, ok := parseID(text)
	if !ok {
		return badID(string(text))
	}
	*id = parsed
	return nil
}
