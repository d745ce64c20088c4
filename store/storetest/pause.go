package storetest

import (
	"time"

	"github.com/gobellhop/bellhop"
)

var pauseTests = []test{
	{"pause and resume", "U1", pauseResume},
	{"what a pause does not stop", "U1", pauseStopsClaimsOnly},
	{"over a restart", "U2 G2", pauseKept},
	{"names", "U1 G5", pauseNames},
}

func (t *try) pause(queue string, paused bool) {
	t.Helper()
	must(t, t.s.Pause(t.ctx, queue, paused))
}

func pauseResume(t *try) {
	p := t.process()
	jobs := t.addMany(4)
	for i := range jobs {
		t.pause(testQueue, true)
		t.pause(testQueue, true)
		t.same("claims of a paused queue", t.claim(p, 1), []bellhop.Claim(nil))
		t.pause(testQueue, false)
		t.pause(testQueue, false)
		t.same("claims", claimed(t.claim(p, 1)), ids(jobs[i]))
	}
}

func pauseStopsClaimsOnly(t *try) {
	p := t.process()
	c, d := t.running(p), t.running(p)
	waits := t.add(delay(time.Minute))
	t.pause(testQueue, true)
	t.report(bellhop.Report{Token: c.Token, Started: true})
	t.end(outcome(c, bellhop.OutcomeSucceeded), outcome(d, bellhop.OutcomeHandedBack))
	fresh := t.add()
	t.advance(time.Hour)
	if n, _ := t.promote(10); n != 1 {
		t.Errorf("promoted %d in a paused queue; want 1", n)
	}
	t.in(bellhop.StateReady, d.Token.JobID, waits.ID, fresh.ID)
	t.same("claims", t.claim(p, 10), []bellhop.Claim(nil))
	t.pause(testQueue, false)
	t.same("claims after resuming", len(t.claim(p, 10)), 3)
}

func pauseKept(t *try) {
	p := t.process()
	t.pause("empty", true)
	t.pause(testQueue, true)
	t.pause(otherQueue, true)
	t.pause(otherQueue, false)
	j, other := t.add(), t.add(queue(otherQueue))
	t.prune(10)
	t.s = t.h.Reopen(t, t.s)
	reply := t.exchange(request(p, 10))
	t.same("claims", claimed(reply.Claims), ids(other))
	t.same("paused", reply.Signals.Paused, []string{testQueue})
	t.in(bellhop.StateReady, j.ID)
	t.pause(testQueue, false)
	t.s = t.h.Reopen(t, t.s)
	t.same("claims", claimed(t.claim(p, 10)), ids(j))
	stats := t.counts(10)
	t.same("the empty queue is still paused", stats[len(stats)-2], bellhop.QueueStats{Queue: "empty", Paused: true})
}

func pauseNames(t *try) {
	p := t.process()
	upper, lower := t.add(queue("Mail")), t.add(queue("mail"))
	t.pause("Mail", true)
	t.same("claims", claimed(t.claim(p, 10, "mail", "Mail")), ids(lower))
	t.pause("Mail", false)
	t.pause("mail", true)
	t.same("claims", claimed(t.claim(p, 10, "mail", "Mail")), ids(upper))
}
