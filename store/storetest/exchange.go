package storetest

import (
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

var exchangeTests = []test{
	{"where outcomes lead", "X2", exchangeStates},
	{"counters", "X2", exchangeCounters},
	{"record", "X2 Q1", exchangeRecord},
	{"kept records", "X2", exchangeKept},
	{"result", "X2 G5", exchangeResult},
	{"reason", "X2 X7", exchangeReason},
	{"expiry", "X2 D1", exchangeExpiry},
	{"waits", "X3", exchangeWaits},
	{"old turn", "X3 S2", exchangeOldTurn},
	{"repeated outcome", "X4", exchangeRepeated},
	{"repeated in one call", "X4", exchangeTwice},
	{"different outcome", "X4", exchangeDifferent},
	{"texts that do not fit", "X10", exchangeDirty},
	{"puts", "X12", exchangePuts},
	{"logs", "X13 L3", exchangeLogs},
	{"many outcomes", "X1 X2", exchangeMany},
}

func exchangeStates(t *try) {
	p := t.process()
	for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
		c := t.running(p)
		before := t.now()
		t.end(outcome(c, kind))
		after := t.now()
		got := t.get(c.Token.JobID)
		place := got.Place
		if place.State != kind.To() || place.Claim != 1 || !place.Process.IsZero() || !place.Exchange.IsZero() || !place.ClaimedAt.IsZero() {
			t.Errorf("X2: after %s the place is %+v", kind, place)
		}
		if kind.To().Final() {
			t.between("FinishedAt", place.FinishedAt, before, after)
			t.same("ExpiresAt", place.ExpiresAt, place.FinishedAt.Add(time.Hour))
			t.same("Due", place.Due, c.Place.Due)
		} else {
			t.same("FinishedAt", place.FinishedAt, time.Time{})
			t.same("ExpiresAt", place.ExpiresAt, time.Time{})
		}
		t.act(bellhop.ActCancel, c.Token.JobID)
	}
}

func exchangeCounters(t *try) {
	p := t.process()
	c := t.running(p)
	o := outcome(c, bellhop.OutcomeHandedBack)
	o.Attempt, o.Failures, o.Crashes, o.Suspect = 70_000, 69_999, 2, true
	t.end(o)
	c = t.claimOne(p, c.Token.JobID)
	got := c.Place
	if got.Attempt != 70_000 || got.Failures != 69_999 || got.Crashes != 2 || !got.Suspect || got.Claim != 2 || got.Generation != 0 {
		t.Errorf("X2: the claim's place is %+v", got)
	}
	o = outcome(c, bellhop.OutcomeSucceeded)
	o.Attempt, o.Failures, o.Crashes, o.Suspect = 1, 0, 0, false
	t.end(o)
	got = t.get(c.Token.JobID).Place
	if got.Attempt != 1 || got.Failures != 0 || got.Crashes != 0 || got.Suspect {
		t.Errorf("X2: the place is %+v", got)
	}
}

func exchangeRecord(t *try) {
	p, q := t.process(), t.process()
	c := t.running(p)
	local := time.FixedZone("east", 3*3600+1800)
	o := outcome(c, bellhop.OutcomeRetry)
	o.Number, o.Wait = 7, 0
	o.Started = time.Date(2026, 3, 29, 2, 30, 0, 123_456_789, local)
	o.Ended = time.Date(2026, 3, 29, 2, 30, 1, 999_999_999, local)
	o.Failure = &bellhop.Failure{Class: "*net.OpError", Message: "line one\nline two 🛎", Stack: "goroutine 1\n\tmain.go:1"}
	t.end(o)
	t.promote(1)
	c2 := t.claimOne(q, c.Token.JobID)
	t.end(outcome(c2, bellhop.OutcomeHandedBack))
	got := t.get(c.Token.JobID)
	want := []bellhop.Attempt{
		{
			Claim: 1, Number: 7, Process: p, Outcome: bellhop.OutcomeRetry, Due: c.Place.Due, ClaimedAt: c.Place.ClaimedAt,
			Started: o.Started.Truncate(time.Microsecond), Ended: o.Ended.Truncate(time.Microsecond), Failure: o.Failure,
		},
		{Claim: 2, Process: q, Outcome: bellhop.OutcomeHandedBack, Due: c2.Place.Due, ClaimedAt: c2.Place.ClaimedAt},
	}
	t.same("history", got.History, want)
	t.kept("Started", got.History[0].Started)
	t.kept("Ended", got.History[0].Ended)
	t.kept("ClaimedAt", got.History[0].ClaimedAt)
}

func exchangeKept(t *try) {
	const attempts = bellhop.KeptAttempts + 5
	p := t.process()
	c := t.running(p)
	for n := range attempts {
		if n > 0 {
			c = t.claimOne(p, c.Token.JobID)
		}
		o := outcome(c, bellhop.OutcomeHandedBack)
		o.Attempt, o.Number = n+1, n+1
		t.end(o)
	}
	got := t.get(c.Token.JobID)
	if len(got.History) != bellhop.KeptAttempts {
		t.Fatalf("X2: %d records are kept; want %d", len(got.History), bellhop.KeptAttempts)
	}
	for i, a := range got.History {
		if n := attempts - bellhop.KeptAttempts + i + 1; a.Number != n || a.Claim != int64(n) {
			t.Errorf("X2: record %d is of attempt %d, claim %d; want %d", i, a.Number, a.Claim, n)
		}
	}
}

func exchangeResult(t *try) {
	p := t.process()
	result := []byte(` {"total": 9007199254740993, "note": "` + strings.Repeat("é", 10_000) + `"}`)
	for _, kind := range []bellhop.OutcomeKind{
		bellhop.OutcomeSucceeded, bellhop.OutcomeDiscarded, bellhop.OutcomeDead, bellhop.OutcomeCancelled,
	} {
		c := t.running(p)
		o := outcome(c, kind)
		o.Result = result
		t.end(o)
		t.same("result of "+kind.String(), string(t.get(c.Token.JobID).Place.Result), string(result))
		t.act(bellhop.ActRetry, c.Token.JobID)
		if r := t.get(c.Token.JobID).Place.Result; len(r) != 0 {
			t.Errorf("A3: a job that was run again still has its old result")
		}
		t.act(bellhop.ActDelete, c.Token.JobID)
	}
	c := t.running(p)
	o := outcome(c, bellhop.OutcomeRetry)
	o.Result = result
	t.end(o)
	if r := t.get(c.Token.JobID).Place.Result; len(r) != 0 {
		t.Errorf("a job that has not ended has a result")
	}
}

func exchangeReason(t *try) {
	p := t.process()
	c := t.running(p)
	id := c.Token.JobID
	o := outcome(c, bellhop.OutcomeHandedBack)
	o.Reason = "cut short by a shutdown: über 🛎"
	t.end(o)
	t.same("reason", t.get(id).Place.Reason, o.Reason)
	c = t.claimOne(p, id)
	t.same("reason of a claim", c.Place.Reason, "")
	t.same("reason of a running job", t.get(id).Place.Reason, "")
	t.act(bellhop.ActCancel, id)
	t.same("reason of a request", t.get(id).Place.Reason, "by the test")
	t.end(outcome(c, bellhop.OutcomeCancelled))
	t.same("reason of a cancelled job", t.get(id).Place.Reason, "by the test")

	c = t.running(p)
	t.act(bellhop.ActCancel, c.Token.JobID)
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	t.same("reason of a job that succeeded in spite of a request", t.get(c.Token.JobID).Place.Reason, "")

	c = t.running(p)
	t.act(bellhop.ActCancel, c.Token.JobID)
	o = outcome(c, bellhop.OutcomeCancelled)
	o.Reason = "its own"
	t.end(o)
	t.same("reason of an outcome that has one", t.get(c.Token.JobID).Place.Reason, "its own")
}

func exchangeExpiry(t *try) {
	p := t.process()
	for _, keep := range []time.Duration{0, time.Microsecond, 3 * time.Hour, 100 * 365 * 24 * time.Hour, bellhop.Forever} {
		c := t.running(p)
		o := outcome(c, bellhop.OutcomeSucceeded)
		o.Keep = keep
		t.end(o)
		got := t.get(c.Token.JobID).Place
		want := got.FinishedAt.Add(keep)
		if keep == bellhop.Forever {
			want = time.Time{}
		}
		t.same("ExpiresAt", got.ExpiresAt, want)
	}
}

func exchangeWaits(t *try) {
	p := t.process()
	for _, kind := range []bellhop.OutcomeKind{bellhop.OutcomeRetry, bellhop.OutcomeSnooze} {
		for _, wait := range []time.Duration{0, time.Microsecond, 1500 * time.Millisecond, bellhop.MaxWait} {
			c := t.running(p)
			o := outcome(c, kind)
			o.Wait = wait
			before := t.now()
			t.end(o)
			got := t.get(c.Token.JobID).Place
			t.between("Due", got.Due, before.Add(wait), t.now().Add(wait))
			if got.State != bellhop.StateScheduled {
				t.Errorf("X2: after %s the job is %s", kind, got.State)
			}
		}
	}
}

func exchangeOldTurn(t *try) {
	p := t.process()
	first := t.addMany(4)
	t.advance(time.Second)
	later := t.add()
	claims := t.claim(p, 4)
	t.advance(time.Second)
	t.end(outcome(claims[2], bellhop.OutcomeHandedBack), outcome(claims[0], bellhop.OutcomeSwept))
	o := outcome(claims[1], bellhop.OutcomeRetry)
	o.Wait = 0
	t.end(o)
	t.promote(10)
	t.same("Due of a job handed back", t.get(first[2].ID).Place.Due, claims[2].Place.Due)
	t.same("order", claimed(t.claim(p, 9)), ids(first[0], first[2], later, first[1]))
}

func exchangeRepeated(t *try) {
	p := t.process()
	for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
		c := t.running(p)
		o := outcome(c, kind)
		t.end(o)
		before := t.view()
		t.end(o)
		t.same("view after a repeated "+kind.String(), t.view(), before)
		if !kind.To().Final() && kind.To() == bellhop.StateReady {
			// Also while the job runs under a later claim.
			again := t.claimOne(p, c.Token.JobID)
			before = t.view()
			t.end(o)
			t.same("view after a repeated "+kind.String()+" of an older claim", t.view(), before)
			t.end(outcome(again, bellhop.OutcomeSucceeded))
		}
	}
}

func exchangeTwice(t *try) {
	p := t.process()
	a, b := t.running(p), t.running(p)
	retry, success := outcome(a, bellhop.OutcomeRetry), outcome(a, bellhop.OutcomeSucceeded)
	refused := t.hand(retry, outcome(b, bellhop.OutcomeSucceeded), retry, success)
	t.same("refused", refused, []bellhop.Refusal{{Index: 3, Err: bellhop.ErrStale, Recorded: bellhop.OutcomeRetry}})
	got := t.get(a.Token.JobID)
	if got.Place.State != bellhop.StateScheduled || len(got.History) != 1 {
		t.Errorf("X4: the job is %s with %d records", got.Place.State, len(got.History))
	}
	t.in(bellhop.StateSucceeded, b.Token.JobID)
}

func exchangeDifferent(t *try) {
	p := t.process()
	for first := bellhop.OutcomeSucceeded; first <= bellhop.OutcomeSwept; first++ {
		c := t.running(p)
		t.end(outcome(c, first))
		for second := bellhop.OutcomeSucceeded; second <= bellhop.OutcomeSwept; second++ {
			if second == first {
				continue
			}
			t.same("refused", t.hand(outcome(c, second)), []bellhop.Refusal{{Err: bellhop.ErrStale, Recorded: first}})
		}
		t.in(first.To(), c.Token.JobID)
		t.act(bellhop.ActDelete, c.Token.JobID)
		t.same("refused after deletion", t.hand(outcome(c, first)), []bellhop.Refusal{{Err: bellhop.ErrStale}})
	}
}

func exchangeDirty(t *try) {
	p := t.process()
	dirty := "nul \x00, not UTF-8 \xff\xfe, escape \x1b[31m, long "
	a, b, c := t.running(p), t.running(p), t.running(p)
	bad := outcome(b, bellhop.OutcomeDead)
	bad.Reason = dirty
	bad.Failure = &bellhop.Failure{Class: dirty, Message: dirty + strings.Repeat("x", 100_000), Stack: dirty}
	bad.Result = []byte("\x00\xff not JSON")
	t.end(outcome(a, bellhop.OutcomeSucceeded), bad, outcome(c, bellhop.OutcomeRetry))
	t.in(bellhop.StateSucceeded, a.Token.JobID)
	t.in(bellhop.StateScheduled, c.Token.JobID)
	got := t.get(b.Token.JobID)
	if got.Place.State != bellhop.StateDead || len(got.History) != 1 || got.History[0].Failure == nil {
		t.Fatalf("X10: the job is %+v", got)
	}
	for name, text := range map[string]string{
		"reason": got.Place.Reason, "class": got.History[0].Failure.Class,
		"message": got.History[0].Failure.Message, "stack": got.History[0].Failure.Stack,
	} {
		if !strings.HasPrefix(text, "nul ") {
			t.Errorf("X10: the %s became %.40q; want as much of it as can be kept", name, text)
		}
	}
}

// exchangeLogs hands in logs of all sorts, each beside an outcome that has nothing to say.
func exchangeLogs(t *try) {
	p := t.process()
	logs := []string{`{"lines":[{"time":"2026-03-29T02:30:00.5Z","level":"INFO","message":"it began 🛎"}]}`, "\x00\xff\x80 not JSON", strings.Repeat("é", bellhop.MaxLog/2)}
	for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
		for i, log := range logs {
			c, plain := t.running(p), t.running(p)
			id, o := c.Token.JobID, outcome(c, kind)
			o.Log = []byte(log)
			if i == 0 {
				o.Failure = nil
			}
			t.end(o, outcome(plain, bellhop.OutcomeSucceeded))
			got := t.get(id)
			if len(got.History) != 1 || string(got.History[0].Log) != log {
				t.Fatalf("X13: after %s the history is %+v, without the log %.40q", kind, got.History, log)
			}
			t.same("log of an attempt that said nothing", string(t.get(plain.Token.JobID).History[0].Log), "")
			l, err := t.s.List(t.ctx, &bellhop.Query{Filter: bellhop.Filter{IDs: []bellhop.ID{id}}, WithLast: true})
			must(t, err)
			got.History[0].Log = nil
			t.same("listed", l.Jobs, []bellhop.Snapshot{got})
			if kind.To().Final() {
				t.act(bellhop.ActRetry, id)
				t.same("log of a job that was run again", string(t.get(id).History[0].Log), log)
			}
			t.act(bellhop.ActCancel, id)
		}
	}
}

func exchangePuts(t *try) {
	p := t.process()
	c := t.running(p)
	waiting := t.add()
	write := bellhop.RecordWrite{Space: viewSpace, Key: "k", Value: []byte("1"), Expect: 4711}
	r := request(p, 5)
	r.Outcomes, r.Puts = []bellhop.Outcome{outcome(c, bellhop.OutcomeSucceeded)}, []bellhop.RecordWrite{write}
	t.changesNothing("an exchange with a put that does not fit", func() error {
		_, err := t.s.Exchange(t.ctx, r)
		return err
	}, bellhop.ErrConflict)
	r.Puts[0].Expect = bellhop.ExpectNone
	reply := t.exchange(r)
	t.in(bellhop.StateSucceeded, c.Token.JobID)
	t.same("claims", claimed(reply.Claims), ids(waiting))
	t.same("record", string(t.record("k").Value), "1")
}

func exchangeMany(t *try) {
	const n = 1203
	p := t.process()
	jobs := t.addMany(n)
	claims := t.claim(p, n)
	t.same("claims", claimed(claims), ids(jobs...))
	outcomes := make([]bellhop.Outcome, n)
	for i := range claims {
		outcomes[i] = outcome(claims[i], bellhop.OutcomeSucceeded)
		if i%3 == 0 {
			outcomes[i] = outcome(claims[i], bellhop.OutcomeRetry)
		}
	}
	outcomes[777].Token.Number++
	t.same("refused", t.hand(outcomes...), []bellhop.Refusal{{Index: 777, Err: bellhop.ErrStale}})
	for i, j := range jobs {
		want := outcomes[i].Kind.To()
		if i == 777 {
			want = bellhop.StateRunning
		}
		if i%100 == 77 {
			t.in(want, j.ID)
		}
	}
	t.same("running", t.count(bellhop.Filter{States: bellhop.States(bellhop.StateRunning)}), 1)
	t.same("scheduled", t.count(bellhop.Filter{States: bellhop.States(bellhop.StateScheduled)}), n/3-1) // 777 was one of them
}
