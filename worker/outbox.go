package worker

import (
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// outbox gathers outcomes until exchanges take them. Guarded by Worker.mu.
type outbox struct {
	// parcels are what waits, the oldest first. Each goes with one call; the last one is added to until it is full.
	parcels []parcel
	count   int // of the outcomes in them
	// later are outcomes that an exchange left unsettled, because a part of the
	// store is out of reach or a user's transaction holds their claims; they go
	// again at laterAt.
	later   parcel
	laterAt time.Time
	// spare are emptied parcels of calls that are over, to be filled again: maxSpare at most.
	spare []parcel
}

// parcel is outcomes that go together, and whose they are, in the same order.
type parcel struct {
	outcomes []bellhop.Outcome
	senders  []sender
}

func (p *parcel) add(s sender, o bellhop.Outcome) {
	p.outcomes, p.senders = append(p.outcomes, o), append(p.senders, s)
}

// sender says whose outcome it is.
type sender struct {
	attempt   *attempt // nil for a claim that this process did not know
	completed bool     // the handler called Run.Complete
}

func (b *outbox) len() int { return b.count }

// all calls yield for the outcomes that wait, list by list.
func (b *outbox) all(yield func([]bellhop.Outcome) bool) {
	for _, p := range b.parcels {
		if !yield(p.outcomes) {
			return
		}
	}
	yield(b.later.outcomes)
}

// maxSpare is how many emptied parcels are kept: as many as exchanges under way and what gathers
// meanwhile have a use for. More are there only after many outcomes have waited for the store.
const maxSpare = 8

// unsettledPause is how long an outcome that was left unsettled waits before it goes again.
const unsettledPause = 250 * time.Millisecond

// postpone lays the outcomes of a call that were left unsettled aside, and returns which they are.
func (b *outbox) postpone(c *call, unsettled []int, now time.Time) (which map[int]bool) {
	if len(unsettled) == 0 {
		return nil
	}
	which = make(map[int]bool, len(unsettled))
	if len(b.later.outcomes) == 0 { // else those that wait already would wait ever longer
		b.laterAt = now.Add(unsettledPause)
	}
	for _, i := range unsettled {
		which[i] = true
		b.later.add(c.senders[i], c.request.Outcomes[i])
	}
	return which
}

// resume takes back what was laid aside, if its time has come.
func (b *outbox) resume(now time.Time) {
	if len(b.later.outcomes) == 0 || now.Before(b.laterAt) {
		return
	}
	for i, o := range b.later.outcomes {
		b.add(b.later.senders[i], o)
	}
	b.later = parcel{}
}

// add lays an outcome where the next exchange takes it.
func (b *outbox) add(s sender, o bellhop.Outcome) {
	last := len(b.parcels) - 1
	if last < 0 || len(b.parcels[last].outcomes) >= maxClaims {
		var p parcel
		if end := len(b.spare) - 1; end >= 0 {
			p, b.spare = b.spare[end], b.spare[:end]
		}
		b.parcels = append(b.parcels, p)
		last++
	}
	b.parcels[last].add(s, o)
	b.count++
}

// fill moves the oldest parcel into a call.
func (b *outbox) fill(c *call) {
	if len(b.parcels) == 0 {
		return
	}
	c.request.Outcomes, c.senders = b.parcels[0].outcomes, b.parcels[0].senders
	b.parcels = slices.Delete(b.parcels, 0, 1)
	b.count -= len(c.senders)
}

// unfill takes the outcomes of a call back: they go with the next. They are
// copied, because the call may still be read from when the next one is over.
func (b *outbox) unfill(c *call) {
	if len(c.senders) > 0 {
		b.parcels = slices.Insert(b.parcels, 0, parcel{slices.Clone(c.request.Outcomes), slices.Clone(c.senders)})
		b.count += len(c.senders)
	}
}

// recycle keeps the memory of a call that is over for the next. That of a
// call that was repeated is left alone: an earlier try may still be read from.
func (b *outbox) recycle(c *call) {
	if c.tries > 1 || c.senders == nil {
		return
	}
	if len(b.spare) < maxSpare {
		clear(c.request.Outcomes)
		clear(c.senders)
		b.spare = append(b.spare, parcel{c.request.Outcomes[:0], c.senders[:0]})
	}
	c.request.Outcomes, c.senders = nil, nil
}
