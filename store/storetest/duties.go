package storetest

import (
	"time"

	"github.com/gobellhop/bellhop"
)

var dutyTests = []test{
	{"promote", "P1 P2 G6", promoteDue},
	{"promote in bites", "P1 P2", promoteBites},
	{"promote nothing", "P1", promoteNothing},
	{"prune jobs", "D1 D2", pruneJobs},
	{"prune only what is final", "D1", pruneFinal},
	{"prune in bites", "D1", pruneBites},
	{"prune records", "D1 C1", pruneRecords},
	{"pruned ids are free", "D2 E2", pruneLeavesNothing},
}

func promoteDue(t *try) {
	p := t.process()
	late := t.add(delay(2 * time.Hour))
	soon := t.add(delay(time.Hour), queue(otherQueue))
	n, next := t.promote(10)
	if n != 0 || next <= 59*time.Minute || next > time.Hour {
		t.Errorf("P1: promoted %d, the next in %v; want 0, about 1h", n, next)
	}
	t.advance(59 * time.Minute)
	if n, _ := t.promote(10); n != 0 {
		t.Errorf("P1: promoted %d a minute too early", n)
	}
	t.advance(time.Minute)
	due := t.get(soon.ID).Place.Due
	n, next = t.promote(10)
	if n != 1 || next <= 59*time.Minute || next > time.Hour {
		t.Errorf("promoted %d, the next in %v; want 1, about 1h", n, next)
	}
	t.in(bellhop.StateReady, soon.ID)
	t.in(bellhop.StateScheduled, late.ID)
	t.same("Due of a promoted job", t.get(soon.ID).Place.Due, due)
	c := t.claimOne(p, soon.ID)
	t.same("Due of its claim", c.Place.Due, due)
	t.advance(time.Hour)
	n, next = t.promote(10)
	if n != 1 || next >= 0 {
		t.Errorf("promoted %d, the next in %v; want 1 and a negative wait", n, next)
	}
}

func promoteBites(t *try) {
	p := t.process()
	var want []bellhop.ID
	for i := range 7 {
		// Enqueued with the last due first.
		j := t.add(delay(time.Duration(10-i) * time.Second))
		want = append([]bellhop.ID{j.ID}, want...)
	}
	t.advance(time.Minute)
	for left := 7; left > 0; left -= min(left, 3) {
		n, next := t.promote(3)
		if n != min(left, 3) || left > 3 && next != 0 || left <= 3 && next >= 0 {
			t.Errorf("with %d due jobs left promoted %d, the next in %v", left, n, next)
		}
		t.in(bellhop.StateReady, want[7-left:7-left+n]...)
		if rest := want[7-left+n:]; len(rest) > 0 {
			t.in(bellhop.StateScheduled, rest...)
		}
	}
	t.same("order", claimed(t.claim(p, 10)), want)
}

func promoteNothing(t *try) {
	if n, next := t.promote(10); n != 0 || next >= 0 {
		t.Errorf("promoted %d of nothing, the next in %v", n, next)
	}
	t.add(delay(time.Second))
	t.advance(time.Minute)
	if n, next := t.promote(0); n != 0 || next != 0 {
		t.Errorf("with limit 0 promoted %d, the next in %v; want 0, 0", n, next)
	}
}

func pruneJobs(t *try) {
	p := t.process()
	short, long, ever := t.running(p), t.running(p), t.running(p)
	o := outcome(short, bellhop.OutcomeSucceeded)
	q := outcome(long, bellhop.OutcomeDiscarded)
	q.Keep = 2 * time.Hour
	r := outcome(ever, bellhop.OutcomeDead)
	r.Keep = bellhop.Forever
	t.end(o, q, r)
	t.same("pruned at once", t.prune(10), 0)
	t.advance(59 * time.Minute)
	t.same("pruned too early", t.prune(10), 0)
	t.advance(2 * time.Minute)
	t.same("pruned", t.prune(10), 1)
	t.in(0, short.Token.JobID)
	t.in(bellhop.StateDiscarded, long.Token.JobID)
	t.advance(1000 * time.Hour)
	t.same("pruned", t.prune(10), 1)
	t.in(0, long.Token.JobID)
	t.in(bellhop.StateDead, ever.Token.JobID)
	t.same("jobs that are left", t.count(bellhop.Filter{}), 1)
}

func pruneFinal(t *try) {
	p := t.process()
	c := t.running(p, keep(time.Second))
	retried := t.running(p, keep(time.Second))
	again := t.running(p)
	t.end(outcome(retried, bellhop.OutcomeRetry), outcome(again, bellhop.OutcomeSucceeded))
	t.act(bellhop.ActRetry, again.Token.JobID) // it had an expiry, and lives again
	t.add(keep(time.Second))
	t.add(keep(time.Second), delay(time.Minute))
	t.advance(1000 * time.Hour)
	t.same("pruned", t.prune(10), 0)
	t.same("jobs", t.count(bellhop.Filter{}), 5)
	t.in(bellhop.StateRunning, c.Token.JobID)
}

func pruneBites(t *try) {
	p := t.process()
	t.addMany(25)
	var outcomes []bellhop.Outcome
	for _, c := range t.claim(p, 25) {
		outcomes = append(outcomes, outcome(c, bellhop.OutcomeSucceeded))
	}
	t.end(outcomes...)
	t.advance(2 * time.Hour)
	for _, want := range []int{10, 10, 5, 0} {
		t.same("pruned", t.prune(10), want)
	}
	t.same("jobs", t.count(bellhop.Filter{}), 0)
}

func pruneRecords(t *try) {
	var writes []bellhop.RecordWrite
	for i, key := range texts("k", 8) {
		w := bellhop.RecordWrite{Space: viewSpace, Key: key, Value: []byte("v"), Expect: bellhop.ExpectAny}
		if i < 6 {
			w.TTL = time.Minute
		}
		writes = append(writes, w)
	}
	must(t, t.s.Put(t.ctx, writes))
	t.same("pruned too early", t.prune(10), 0)
	t.advance(2 * time.Minute)
	t.same("pruned", t.prune(4), 4)
	t.same("pruned", t.prune(4), 2)
	t.same("pruned", t.prune(4), 0)
	t.same("records", len(t.recordsOf(bellhop.RecordQuery{Space: viewSpace})), 2)
}

func pruneLeavesNothing(t *try) {
	p := t.process()
	c := t.running(p, unique("k"), tags("a"))
	t.report(bellhop.Report{Token: c.Token, Started: true, Progress: []byte(`{"done":1}`)})
	o := outcome(c, bellhop.OutcomeSucceeded)
	o.Result, o.Reason = []byte(`{}`), "reason"
	t.end(o)
	t.advance(2 * time.Hour)
	t.same("pruned", t.prune(10), 1)
	t.same("refused", t.hand(o), []bellhop.Refusal{{Err: bellhop.ErrStale}})
	// The same id may be enqueued again, with other content, and begins at nothing.
	j := t.job(tags("b"))
	j.ID = c.Token.JobID
	if r := t.enqueue(j)[0]; r.Existing || r.ID != j.ID {
		t.Errorf("D2: receipt is %v", r)
	}
	got := t.get(j.ID)
	t.same("place", got.Place, bellhop.Place{State: bellhop.StateReady, Due: got.EnqueuedAt})
	t.same("history", got.History, []bellhop.Attempt(nil))
	t.same("jobs with the old tag", t.count(bellhop.Filter{Tags: []string{"a"}}), 0)
}
