package sqlstore

import (
	"testing"
	"testing/synctest"
	"time"
)

// A look goes from behind what is surely promoted, never over the next job that is scheduled, and now and then from the beginning.
func TestDues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dues{}
		now := func() int64 { return time.Now().UnixMicro() }
		late := lateCommit.Microseconds()
		look := func(full bool, from int64) dueLook {
			t.Helper()
			l := d.begin()
			if l.full != full || l.from != from {
				t.Errorf("the look is %+v, want full %v from %d", l, full, from)
			}
			return l
		}
		l := look(true, 0)
		first := now()
		d.end(l, first, 0)
		l = look(false, first-late)
		d.end(l, first, first-3*late) // a job that is due already is not behind the bound, wherever it came from
		look(false, first-3*late)
		slow := l // one that began before that was found does not lose it
		d.end(slow, first, 0)
		l = look(false, first-3*late)
		d.end(l, first, first+1) // one that is due later does not hold it up
		look(false, first-late)
		time.Sleep(time.Second) // of the bubble
		l = look(true, 0)
		time.Sleep(100 * time.Millisecond) // of the bubble: the look takes its time
		d.end(l, now(), 0)
		time.Sleep(3 * time.Second) // of the bubble
		look(false, now()-3_000_000-late)
		time.Sleep(time.Second) // of the bubble
		look(true, 0)
	})
}
