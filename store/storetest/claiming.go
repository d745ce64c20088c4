package storetest

import (
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

var claimTests = []test{
	{"what a claim holds", "X7 G6", claimHolds},
	{"order", "X5 P2", claimOrder},
	{"order among kinds", "X5 X6", claimOrderKinds},
	{"wants in turn", "X5", claimWants},
	{"limits", "X5", claimLimits},
	{"scheduled jobs are not claimed", "X5 P1", claimScheduled},
	{"kinds", "X6", claimKinds},
	{"many unknown kinds", "X6", claimUnknownKinds},
	{"paused queues", "X6 X11", claimPaused},
	{"numbers", "X7", claimNumbers},
	{"repeat", "X8", claimRepeat},
	{"repeat when all has ended", "X8", claimRepeatEnded},
	{"process that is gone", "X9", claimGone},
	{"without a process", "X9 X11", claimNobody},
	{"cancel signals", "X11 A2", claimCancelSignals},
	{"next due", "X11", claimNextDue},
	{"late cancel", "A2 X11", claimLateCancel},
}

func claimHolds(t *try) {
	p := t.process()
	j := t.job(queue(otherQueue), priority(3), args(` [1, 2.50] `), unique("k"), tags("a", "b"), keep(time.Hour))
	j.Timeout = 90 * time.Second
	j.Meta = map[string]string{"tenant": "7"}
	t.enqueue(j)
	stored := t.get(j.ID)
	before := t.now()
	r := request(p, 1)
	c := t.exchange(r).Claims[0]
	t.between("ClaimedAt", c.Place.ClaimedAt, before, t.now())
	want := bellhop.Claim{
		Token: bellhop.Token{JobID: j.ID, Number: 1, Exchange: r.ID}, Job: &stored.Job,
		Place: bellhop.Place{
			State: bellhop.StateRunning, Due: stored.Place.Due, Claim: 1, Process: p, Exchange: r.ID, ClaimedAt: c.Place.ClaimedAt,
		},
	}
	t.same("claim", c, want)
	got := t.get(j.ID)
	t.same("place", got.Place, want.Place)
	t.same("job", got.Job, stored.Job)
}

func claimOrder(t *try) {
	p := t.process()
	// Ids say nothing about the order of enqueueing: these are enqueued against their own order.
	a, b, c := t.job(), t.job(), t.job()
	t.enqueue(c, a)
	t.enqueue(b)
	late := t.add(priority(9))
	soon := t.add(delay(2 * time.Minute)) // a minute apart, so that no slow moment between the calls turns them round
	sooner := t.add(delay(time.Minute))
	t.advance(3 * time.Minute)
	urgent := t.add(priority(-9))
	after := t.add()
	if n, _ := t.promote(10); n != 2 {
		t.Fatalf("promoted %d; want 2", n)
	}
	t.same("order", claimed(t.claim(p, 20)), ids(urgent, c, a, b, sooner, soon, after, late))
}

func claimOrderKinds(t *try) {
	p := t.process()
	kinds := []string{testKind, otherKind, "third", otherKind, "third", testKind}
	var want []bellhop.ID
	for i := range 30 {
		k := kinds[i%len(kinds)]
		j := t.add(kind(k), priority(i%2))
		if k != "third" {
			want = append(want, j.ID)
		}
	}
	got := claimed(t.claim(p, 100))
	slices.SortStableFunc(want, func(a, b bellhop.ID) int { return t.get(a).Priority - t.get(b).Priority })
	t.same("order", got, want)
}

func claimWants(t *try) {
	p := t.process()
	var inA, inB []bellhop.ID
	for range 5 {
		inA = append(inA, t.add(queue("a")).ID)
		inB = append(inB, t.add(queue("b"), priority(-9)).ID)
	}
	r := request(p, 100)
	r.Wants = []bellhop.Want{{Queue: "b", Count: 2}, {Queue: "nothing", Count: 5}, {Queue: "a", Count: 3}}
	t.same("claims", claimed(t.exchange(r).Claims), slices.Concat(inB[:2], inA[:3]))
	r = request(p, 3)
	r.Wants = []bellhop.Want{{Queue: "a", Count: 2}, {Queue: "b", Count: 3}}
	t.same("claims within the limit", claimed(t.exchange(r).Claims), slices.Concat(inA[3:], inB[2:3]))
}

func claimLimits(t *try) {
	p := t.process()
	jobs := t.addMany(30)
	for _, n := range []int{0, 1, 2, 10, 11} {
		claims := t.claim(p, n)
		t.same("claims", claimed(claims), ids(jobs[:n]...))
		jobs = jobs[n:]
	}
	r := request(p, 100)
	r.Wants = []bellhop.Want{{Queue: testQueue, Count: 0}}
	t.same("claims of a want of none", claimed(t.exchange(r).Claims), []bellhop.ID(nil))
	r = request(p, 100)
	r.Wants = nil
	t.same("claims without wants", claimed(t.exchange(r).Claims), []bellhop.ID(nil))
	t.same("the rest", claimed(t.claim(p, 1000)), ids(jobs...))
}

func claimScheduled(t *try) {
	p := t.process()
	t.add(delay(time.Second))
	t.advance(time.Hour)
	if claims := t.claim(p, 5); len(claims) > 0 {
		t.Errorf("X5: a scheduled job was claimed")
	}
}

func claimKinds(t *try) {
	p := t.process()
	mine, others := t.add(), t.add(kind("unknown"))
	upper := t.add(kind("Test.job"))
	r := request(p, 10)
	r.Kinds = []string{"test.jo", testKind, "test.job.x"}
	t.same("claims", claimed(t.exchange(r).Claims), ids(mine))
	r = request(p, 10)
	r.Kinds = nil
	t.same("claims without kinds", claimed(t.exchange(r).Claims), []bellhop.ID(nil))
	t.in(bellhop.StateReady, others.ID, upper.ID)
	got := t.get(others.ID)
	if got.Place.Claim != 0 || got.Place.Attempt != 0 {
		t.Errorf("X6: a job of another kind was touched: %+v", got.Place)
	}
}

func claimUnknownKinds(t *try) {
	p := t.process()
	t.addMany(3000, kind("unknown"), priority(-9))
	mine := t.addMany(3)
	t.addMany(500, kind("unknown"))
	t.same("claims", claimed(t.claim(p, 10)), ids(mine...))
}

func claimPaused(t *try) {
	p := t.process()
	a, b := t.add(queue("a")), t.add(queue("b"))
	must(t, t.s.Pause(t.ctx, "a", true))
	must(t, t.s.Pause(t.ctx, "c", true))
	must(t, t.s.Pause(t.ctx, "unwanted", true))
	reply := t.exchange(request(p, 10, "a", "b", "c"))
	t.same("claims", claimed(reply.Claims), ids(b))
	slices.Sort(reply.Signals.Paused)
	t.same("paused", reply.Signals.Paused, []string{"a", "c"})
	must(t, t.s.Pause(t.ctx, "a", false))
	reply = t.exchange(request(p, 10, "a", "b"))
	t.same("claims", claimed(reply.Claims), ids(a))
	t.same("paused", reply.Signals.Paused, []string(nil))
}

func claimNumbers(t *try) {
	p := t.process()
	c := t.running(p)
	id := c.Token.JobID
	want := int64(1)
	next := func(o bellhop.OutcomeKind) {
		t.Helper()
		t.end(outcome(c, o))
		t.advance(time.Hour)
		t.promote(10)
		if o.To().Final() {
			t.act(bellhop.ActRetry, id)
		}
		c = t.claimOne(p, id)
		if want++; c.Token.Number != want || c.Place.Claim != want {
			t.Fatalf("X7: after %s the claim has number %d; want %d", o, c.Token.Number, want)
		}
	}
	for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
		next(kind)
	}
}

func claimRepeat(t *try) {
	p, q := t.process(), t.process()
	t.addMany(4, priority(2))
	t.addMany(4, priority(1))
	r := request(p, 5)
	first := t.exchange(r)
	waiting := t.count(bellhop.Filter{States: bellhop.States(bellhop.StateReady)})
	t.same("claims of the repeat", t.exchange(r).Claims, first.Claims)
	t.same("jobs that still wait", t.count(bellhop.Filter{States: bellhop.States(bellhop.StateReady)}), waiting)
	// What has ended, or is started, since.
	ended := outcome(first.Claims[1], bellhop.OutcomeSucceeded)
	t.end(ended, outcome(first.Claims[3], bellhop.OutcomeHandedBack))
	must(t, second(t.s.Report(t.ctx, []bellhop.Report{{Token: first.Claims[0].Token, Started: true, Progress: []byte(`{"done":1}`)}})))
	want := []bellhop.Claim{first.Claims[0], first.Claims[2], first.Claims[4]}
	want[0].Started, want[0].Place.Progress = true, []byte(`{"done":1}`)
	r.Outcomes = []bellhop.Outcome{ended}
	reply := t.exchange(r)
	t.same("claims still held", reply.Claims, want)
	t.same("refused", reply.Refused, []bellhop.Refusal(nil))
	// Another exchange, and another process, see nothing of it.
	if n := len(t.claim(q, 100)); n != waiting+1 {
		t.Errorf("X8: another process claimed %d jobs; want %d", n, waiting+1)
	}
}

// second returns the error of a call with two results.
func second[T any](_ T, err error) error { return err }

func claimRepeatEnded(t *try) {
	p := t.process()
	jobs := t.addMany(2)
	r := request(p, 1)
	c := t.exchange(r).Claims[0]
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	again := t.exchange(r).Claims
	t.same("claims when none is still held", claimed(again), ids(jobs[1]))
	t.same("refused", t.hand(outcome(c, bellhop.OutcomeDead)), []bellhop.Refusal{{Err: bellhop.ErrStale, Recorded: bellhop.OutcomeSucceeded}})
	t.in(bellhop.StateRunning, jobs[1].ID)
}

func claimGone(t *try) {
	waiting := t.add(priority(9))
	claims := func(what string, p bellhop.ID) {
		t.Helper()
		reply, err := t.s.Exchange(t.ctx, request(p, 10))
		t.fails(what, err, bellhop.ErrProcessGone)
		if reply != nil && len(reply.Claims) > 0 {
			t.Errorf("X9: %s claimed %d jobs", what, len(reply.Claims))
		}
		t.in(bellhop.StateReady, waiting.ID)
	}
	claims("a process that never beat", bellhop.NewID())

	p := t.processFor(time.Minute)
	mine, swept := t.running(p), t.running(p)
	dead := t.sweepAfter(time.Minute)
	if len(dead) != 2 {
		t.Fatalf("swept %d claims; want 2", len(dead))
	}
	t.end(outcome(swept, bellhop.OutcomeSwept))
	r := request(p, 10)
	r.Outcomes = []bellhop.Outcome{outcome(swept, bellhop.OutcomeSucceeded), outcome(mine, bellhop.OutcomeSucceeded)}
	t.act(bellhop.ActCancel, swept.Token.JobID)
	reply, err := t.s.Exchange(t.ctx, r)
	t.fails("a swept process", err, bellhop.ErrProcessGone)
	if reply == nil {
		t.Fatalf("X9: the reply is nil")
	}
	t.same("refused", reply.Refused, []bellhop.Refusal{{Err: bellhop.ErrStale, Recorded: bellhop.OutcomeSwept}})
	t.same("claims", reply.Claims, []bellhop.Claim(nil))
	t.in(bellhop.StateSucceeded, mine.Token.JobID)
	claims("a swept process", p)

	q := t.process()
	must(t, second(t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(q), Leave: true})))
	claims("a process that left", q)
}

func claimNobody(t *try) {
	t.add()
	r := request(bellhop.ID{}, 10)
	before := t.now()
	reply := t.exchange(r)
	t.same("claims", reply.Claims, []bellhop.Claim(nil))
	t.between("Signals.Now", reply.Signals.Now, before, t.now())
}

func claimCancelSignals(t *try) {
	p, q := t.process(), t.process()
	a, b, c := t.running(p), t.running(p), t.running(q)
	t.same("cancel", t.exchange(request(p, 0)).Signals.Cancel, []bellhop.Token(nil))
	reply := t.act(bellhop.ActCancel, a.Token.JobID, c.Token.JobID)
	t.same("signalled", reply.Signalled, []bellhop.ID{a.Token.JobID, c.Token.JobID})
	t.same("cancel for one", t.exchange(request(p, 0)).Signals.Cancel, []bellhop.Token{a.Token})
	t.same("cancel for the other", t.exchange(request(q, 0)).Signals.Cancel, []bellhop.Token{c.Token})
	t.same("cancel in a beat", t.beat(p, longLease, a.Token, b.Token).Cancel, []bellhop.Token{a.Token})
	r := request(p, 0)
	r.Outcomes = []bellhop.Outcome{outcome(a, bellhop.OutcomeCancelled)}
	t.same("cancel when it has ended", t.exchange(r).Signals.Cancel, []bellhop.Token(nil))
}

func claimNextDue(t *try) {
	p := t.process()
	due := func() time.Duration { return t.exchange(request(p, 0)).Signals.NextDue }
	if d := due(); d >= 0 {
		t.Errorf("X11: NextDue is %v with nothing scheduled; want less than 0", d)
	}
	t.add(delay(time.Hour), queue("unwanted"))
	t.add(delay(2*time.Hour), queue(testQueue))
	if d := due(); d <= 59*time.Minute || d > time.Hour {
		t.Errorf("X11: NextDue is %v; want about 1h", d)
	}
	t.advance(time.Hour)
	if d := due(); d != 0 {
		t.Errorf("X11: NextDue is %v with a job that is due; want 0", d)
	}
	t.promote(10)
	if d := due(); d <= 59*time.Minute || d > time.Hour {
		t.Errorf("X11: NextDue is %v; want about 1h", d)
	}
}

func claimLateCancel(t *try) {
	p := t.process()
	for _, kind := range []bellhop.OutcomeKind{
		bellhop.OutcomeRetry, bellhop.OutcomeSnooze, bellhop.OutcomeHandedBack, bellhop.OutcomeSwept,
	} {
		c := t.running(p)
		id := c.Token.JobID
		t.act(bellhop.ActCancel, id)
		t.end(outcome(c, kind))
		t.in(kind.To(), id)
		t.advance(time.Hour)
		t.promote(10)
		reply := t.exchange(request(p, 1))
		if len(reply.Claims) != 1 || !reply.Claims[0].Place.CancelRequested {
			t.Fatalf("A2: after %s the next claim knows nothing of the request", kind)
		}
		t.same("cancel", reply.Signals.Cancel, []bellhop.Token{reply.Claims[0].Token})
		t.end(outcome(reply.Claims[0], bellhop.OutcomeCancelled))
		if t.get(id).Place.CancelRequested {
			t.Errorf("A2: the request outlives the job's end")
		}
		t.act(bellhop.ActRetry, id)
		if t.claimOne(p, id).Place.CancelRequested {
			t.Errorf("A3: a job that was run again is to be cancelled")
		}
	}
}
