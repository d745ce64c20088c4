package access

import "time"

// SetNow sets the clock of a door that is not yet in use.
func (d *Door) SetNow(now func() time.Time) { d.now = now }

// Held returns how many clients and credentials a door remembers.
func (d *Door) Held() int {
	n := len(d.known.young) + len(d.known.old)
	for _, b := range []*buckets{d.asked, d.failed} {
		if b != nil {
			n += len(b.young) + len(b.old)
		}
	}
	return n
}

// MostHeld is how many a door may remember.
const MostHeld = 3 * 2 * tableSize
