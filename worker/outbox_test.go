package worker

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// TestOutcomesTakenBackAreCopied: the call that carried them first may still be
// read from, by a store that lags behind, when the next call is over.
func TestOutcomesTakenBackAreCopied(t *testing.T) {
	var b outbox
	b.add(sender{}, bellhop.Outcome{Attempt: 7})
	first, second := &call{tries: 1}, &call{tries: 1}
	b.fill(first)
	b.unfill(first)
	b.fill(second)
	expect(t, "outcomes of the second call", len(second.request.Outcomes), 1)
	b.recycle(second)
	expect(t, "what the first call carries", first.request.Outcomes[0].Attempt, 7)
}

// TestUnsettledOutcomesWaitNoLonger: while a part of the store leaves one outcome
// after the other unsettled, the first ones, whose part may be back, go again in time.
func TestUnsettledOutcomesWaitNoLonger(t *testing.T) {
	var b outbox
	began := time.Now()
	for after := time.Duration(0); after < unsettledPause; after += unsettledPause / 5 {
		c := &call{request: bellhop.ExchangeRequest{Outcomes: make([]bellhop.Outcome, 1)}, senders: make([]sender, 1)}
		b.postpone(c, []int{0}, began.Add(after))
	}
	b.resume(began.Add(unsettledPause - 1))
	expect(t, "outcomes that go too early", b.len(), 0)
	b.resume(began.Add(unsettledPause))
	expect(t, "outcomes that go again", b.len(), 5)
}

// TestSmallStepsOfNextDue: each reply says that the next job is due a little
// sooner than the last one said. The duties loop must hear of it in time.
func TestSmallStepsOfNextDue(t *testing.T) {
	w := New(newRig(t, 1).client, Config{Queues: Queues{"default": 1}})
	now := time.Now()
	heard := time.Time{} // what the duties loop goes by
	for step := range 1000 {
		wait := 10*time.Second - time.Duration(step)*2*time.Millisecond
		if w.nextDue(wait, now) {
			heard = w.due
		}
		if late := heard.Sub(now.Add(wait)); late > 5*time.Millisecond {
			t.Fatalf("after step %d the duties loop is %v late", step, late)
		}
	}
	if w.nextDue(-1, now) || !w.due.IsZero() {
		t.Errorf("with nothing scheduled the next is due at %v", w.due)
	}
}
