package worker

import (
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// outbox gathers outcomes until an exchange takes them. Guarded by Worker.mu.
type outbox struct {
	outcomes []bellhop.Outcome
	senders  []sender // of the outcomes, in the same order
	// later are outcomes that an exchange left unsettled, because a part of the
	// store is out of reach or a user's transaction holds their claims; they go
	// again at laterAt.
	later        []bellhop.Outcome
	laterSenders []sender
	laterAt      time.Time
	// spare are emptied slices of calls that are over, to be filled again.
	spare []parcel
}

// parcel is the memory for what a call carries.
type parcel struct {
	outcomes []bellhop.Outcome
	senders  []sender
}

// sender says whose outcome it is.
type sender struct {
	attempt   *attempt // nil for a claim that this process did not know
	completed bool     // the handler called Run.Complete
}

func (b *outbox) len() int { return len(b.outcomes) }

// unsettledPause is how long an outcome that was left unsettled waits before it goes again.
const unsettledPause = 250 * time.Millisecond

// postpone lays the outcomes of a call that were left unsettled aside, and returns which they are.
func (b *outbox) postpone(c *call, unsettled []int, now time.Time) (which map[int]bool) {
	if len(unsettled) == 0 {
		return nil
	}
	which = make(map[int]bool, len(unsettled))
	if len(b.later) == 0 { // else those that wait already would wait ever longer
		b.laterAt = now.Add(unsettledPause)
	}
	for _, i := range unsettled {
		which[i] = true
		b.later, b.laterSenders = append(b.later, c.request.Outcomes[i]), append(b.laterSenders, c.senders[i])
	}
	return which
}

// resume takes back what was laid aside, if its time has come.
func (b *outbox) resume(now time.Time) {
	if len(b.later) > 0 && !now.Before(b.laterAt) {
		b.outcomes, b.senders = append(b.outcomes, b.later...), append(b.senders, b.laterSenders...)
		b.later, b.laterSenders = nil, nil
	}
}

// add lays an outcome where the next exchange takes it.
func (b *outbox) add(s sender, o bellhop.Outcome) {
	b.outcomes, b.senders = append(b.outcomes, o), append(b.senders, s)
}

// fill moves the oldest outcomes into a call, as many as go together.
func (b *outbox) fill(c *call) {
	n := min(len(b.outcomes), maxClaims)
	outcomes, senders := b.outcomes, b.senders
	var room parcel
	if last := len(b.spare) - 1; last >= 0 {
		room, b.spare = b.spare[last], b.spare[:last]
	}
	b.outcomes, b.senders = append(room.outcomes, outcomes[n:]...), append(room.senders, senders[n:]...)
	clear(outcomes[n:])
	clear(senders[n:])
	c.request.Outcomes, c.senders = outcomes[:n], senders[:n]
}

// unfill takes the outcomes of a call back: they go with the next. They are
// copied, because the call may still be read from when the next one is over.
func (b *outbox) unfill(c *call) {
	b.outcomes, b.senders = slices.Concat(c.request.Outcomes, b.outcomes), slices.Concat(c.senders, b.senders)
}

// recycle keeps the slices of a call that is over for the next. Those of a
// call that was repeated are left alone: an earlier try may still be read from.
func (b *outbox) recycle(c *call) {
	if c.tries > 1 || c.senders == nil {
		return
	}
	clear(c.request.Outcomes)
	clear(c.senders)
	b.spare = append(b.spare, parcel{c.request.Outcomes[:0], c.senders[:0]})
	c.request.Outcomes, c.senders = nil, nil
}
