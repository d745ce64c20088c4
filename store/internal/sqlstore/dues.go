package sqlstore

import (
	"sync"
	"time"
)

// dues remembers before when nothing is scheduled any more, so that to look for what
// is due next is not to walk over what was promoted: the index entries of deleted rows
// stay until no old snapshot can see them. Jobs are scheduled for times that are still
// to come, so that only one whose enqueue commits after that can be missed. It is found
// by full looks, which take at most a twentieth of the time.
type dues struct {
	mu       sync.Mutex
	from     int64
	nextLook time.Time
}

// lateCommit is how much later than its due time a job's enqueue is expected to commit:
// the bound stays that far behind the present.
const lateCommit = 200 * time.Millisecond

// dueLook is one look for what is due next.
type dueLook struct {
	from  int64 // nothing that is due before is worth a look; 0 in a full look
	full  bool
	began time.Time
}

func (d *dues) begin() dueLook {
	l := dueLook{began: time.Now()}
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.full = !l.began.Before(d.nextLook); !l.full {
		l.from = d.from
	}
	return l
}

// end takes in that at a moment the next job was due then; 0 if there was none.
func (d *dues) end(l dueLook, now, next int64) {
	from := now - lateCommit.Microseconds()
	if next > 0 {
		from = min(from, next)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.from < l.from { // what another has found meanwhile, this one has not looked for
		from = min(from, d.from)
	}
	d.from = from
	if l.full {
		d.nextLook = nextLook(time.Since(l.began))
	}
}
