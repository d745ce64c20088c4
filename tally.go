package bellhop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// EnqueuedSpace is the space of the records in which clients keep how many jobs they have enqueued, for charts: two a client and minute. The
// one with the key "queues/<minute>/<client>", such as queues/2006-01-02T15:04Z/0192…, has a line for each queue with its kinds and their
// numbers, such as "mail reset=1 welcome=20"; the one with the key "all/<minute>/<client>" has such a line of all queues together, which
// begins with a blank. They are written some ten seconds after an enqueue, by the store's clock, and kept for a few hours.
const EnqueuedSpace = "enqueued"

const (
	// tallyEvery is how long after an enqueue the numbers are written, together with what came meanwhile.
	tallyEvery = 9 * time.Second
	tallyTTL   = 3*time.Hour + 15*time.Minute
	// tallyTimeout bounds a write, and tallyLast the one when the client closes.
	tallyTimeout = 8 * time.Second
	tallyLast    = time.Second
	// tallyMost is how many kinds within queues a client counts in a minute; what goes beyond is not counted.
	tallyMost  = 5000
	minuteForm = "2006-01-02T15:04Z"
)

// tally counts what a client enqueues. It costs a map's entry a job, and a call to the store every few seconds while there are jobs.
type tally struct {
	store Store
	id    string // of the records' writer

	mu     sync.Mutex
	fresh  map[tallied]*int64 // since the last write
	last   tallied            // the one counted last, and its count: jobs of one kind come together
	count  *int64
	timer  *time.Timer // set while there is something to write
	closed bool
	later  sync.WaitGroup // writes that a timer has set off, or will

	writing sync.Mutex // guards the rest
	// minute is the minute that all and its record are of.
	minute time.Time
	all    map[string]map[string]int64
	kinds  int // in all
}

// tallied is a kind within a queue.
type tallied struct{ queue, kind string }

func newTally(store Store) *tally {
	return &tally{store: store, id: NewID().String(), fresh: map[tallied]*int64{}}
}

// add counts jobs that have come into being.
func (t *tally) add(jobs []*Job, receipts []Receipt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, r := range receipts {
		if !r.Existing && r.State != 0 { // else it is there already, or on its way through an outbox
			*t.of(tallied{jobs[i].Queue, jobs[i].Kind})++
		}
	}
	if t.timer == nil && !t.closed && len(t.fresh) > 0 {
		t.later.Add(1)
		t.timer = time.AfterFunc(tallyEvery, func() {
			defer t.later.Done()
			t.write(tallyTimeout)
		})
	}
}

// of returns the fresh count of a kind within a queue. Called under t.mu.
func (t *tally) of(what tallied) *int64 {
	if t.count == nil || t.last != what {
		n := t.fresh[what]
		if n == nil {
			n = new(int64)
			t.fresh[what] = n
		}
		t.last, t.count = what, n
	}
	return t.count
}

// write adds what is fresh to the record of the minute. What cannot be written is tried again with the next.
func (t *tally) write(timeout time.Duration) {
	t.mu.Lock()
	fresh := t.fresh
	t.fresh, t.count, t.timer = map[tallied]*int64{}, nil, nil
	t.mu.Unlock()
	t.writing.Lock()
	defer t.writing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	now, err := t.store.Ping(ctx)
	if err != nil {
		return // these few seconds are not worth more: nothing can be enqueued now either
	}
	if minute := now.UTC().Truncate(time.Minute); !minute.Equal(t.minute) {
		t.minute, t.all, t.kinds = minute, map[string]map[string]int64{}, 0
	}
	for of, n := range fresh {
		kinds := t.all[of.queue]
		if kinds[of.kind] == 0 {
			if t.kinds == tallyMost {
				continue
			}
			t.kinds++
		}
		if kinds == nil {
			kinds = map[string]int64{}
			t.all[of.queue] = kinds
		}
		kinds[of.kind] += *n
	}
	// It is the whole minute each time, so that one that fails is made good by the next.
	all, queues := t.records()
	key := "/" + t.minute.Format(minuteForm) + "/" + t.id
	_ = t.store.Put(ctx, []RecordWrite{
		{Space: EnqueuedSpace, Key: "all" + key, Value: all, Expect: ExpectAny, TTL: tallyTTL},
		{Space: EnqueuedSpace, Key: "queues" + key, Value: queues, Expect: ExpectAny, TTL: tallyTTL},
	})
}

// records returns the records of the minute. Called under t.writing.
func (t *tally) records() (all, queues []byte) {
	over := map[string]int64{} // all queues
	for _, kinds := range t.all {
		for kind, n := range kinds {
			over[kind] += n
		}
	}
	line := func(b []byte, queue string, kinds map[string]int64) []byte {
		b = append(b, queue...)
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			b = fmt.Appendf(b, " %s=%d", kind, kinds[kind])
		}
		return append(b, '\n')
	}
	for _, queue := range slices.Sorted(maps.Keys(t.all)) {
		queues = line(queues, queue, t.all[queue])
	}
	return line(nil, "", over), queues
}

// close writes what is left.
func (t *tally) close() {
	t.mu.Lock()
	t.closed = true
	left := t.timer != nil && t.timer.Stop()
	t.mu.Unlock()
	if left {
		t.write(tallyLast)
		t.later.Done()
	}
	t.later.Wait()
}
