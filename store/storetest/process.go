package storetest

import (
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

var processTests = []test{
	{"report progress", "R2", reportProgress},
	{"report started", "R2", reportStarted},
	{"register", "B1", beatRegisters},
	{"late beat", "B1 S1", beatLate},
	{"cannot come back", "B2", beatGone},
	{"lost and extra", "B3", beatCompares},
	{"cancel", "B4", beatCancels},
	{"leave", "B5 B2 S2", beatLeaves},
	{"idle", "B6", beatIdle},
	{"order of processes", "", processOrder},
	{"living processes are not swept", "S1", sweepSpares},
	{"claims without a living process", "S2 S3", sweepFinds},
	{"oldest first", "S2", sweepOrder},
	{"two sweepers", "S3 X1 X4", sweepTwice},
	{"suspects", "R2 S3 X2", sweepSuspect},
}

func (t *try) report(reports ...bellhop.Report) {
	t.Helper()
	refused, err := t.s.Report(t.ctx, reports)
	must(t, err)
	if len(refused) > 0 {
		t.Fatalf("R1: reports were refused: %v", refused)
	}
}

func reportProgress(t *try) {
	p := t.process()
	c, other := t.running(p), t.running(p)
	id := c.Token.JobID
	for _, progress := range []string{`{"done":1,"total":10}`, `{"done":2,"note":"zwei 🛎"}`} {
		t.report(bellhop.Report{Token: c.Token, Progress: []byte(progress)}, bellhop.Report{Token: other.Token, Started: true})
		t.same("progress", string(t.get(id).Place.Progress), progress)
	}
	t.report(bellhop.Report{Token: c.Token, Started: true})
	t.same("progress after a report without", string(t.get(id).Place.Progress), `{"done":2,"note":"zwei 🛎"}`)
	t.same("progress of the other", string(t.get(other.Token.JobID).Place.Progress), "")
	t.end(outcome(c, bellhop.OutcomeHandedBack))
	c = t.claimOne(p, id)
	t.same("progress of the next claim", string(c.Place.Progress), "")
	t.same("progress of the job", string(t.get(id).Place.Progress), "")
}

func reportStarted(t *try) {
	p := t.processFor(time.Minute)
	started, not := t.running(p), t.running(p)
	t.report(bellhop.Report{Token: started.Token, Started: true})
	t.report(bellhop.Report{Token: started.Token, Progress: []byte(`{"done":1}`)})
	find := func(what string, claims []bellhop.Claim) {
		t.Helper()
		got := map[bellhop.Token]bool{}
		for _, c := range claims {
			got[c.Token] = c.Started
		}
		t.same("started, by "+what, got, map[bellhop.Token]bool{started.Token: true, not.Token: false})
	}
	find("beat", t.beat(p, time.Minute).Extra)
	find("sweep", t.sweepAfter(time.Minute))
	// The next claim begins afresh.
	t.end(outcome(started, bellhop.OutcomeSwept))
	q := t.processFor(time.Minute)
	if c := t.claimOne(q, started.Token.JobID); c.Started {
		t.Errorf("R2: a new claim is started")
	}
}

func beatRegisters(t *try) {
	id := bellhop.NewID()
	d := describe(id)
	d.StartedAt = time.Date(2026, 1, 2, 3, 4, 5, 6_789, time.FixedZone("west", -5*3600))
	before := t.now()
	reply, err := t.s.Beat(t.ctx, &bellhop.Beat{Process: d, Lease: time.Minute})
	must(t, err)
	t.between("Now", reply.Now, before, t.now())
	t.running(id)
	list, err := t.s.Processes(t.ctx)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("B1: %d processes are alive; want 1", len(list))
	}
	t.between("BeatAt", list[0].BeatAt, before, t.now())
	t.kept("StartedAt", list[0].StartedAt)
	want := bellhop.ProcessStatus{Process: d, BeatAt: list[0].BeatAt, Running: 1}
	want.StartedAt = d.StartedAt.Truncate(time.Microsecond)
	t.same("process", list[0], want)

	t.advance(30 * time.Second)
	d.Busy, d.Slots = 3, 20
	d.Queues = []string{"later"}
	second, err := t.s.Beat(t.ctx, &bellhop.Beat{Process: d, Lease: time.Minute})
	must(t, err)
	list, err = t.s.Processes(t.ctx)
	must(t, err)
	if len(list) != 1 || list[0].Busy != 3 || list[0].Slots != 20 || !slices.Equal(list[0].Queues, d.Queues) || !list[0].BeatAt.Equal(second.Now) {
		t.Errorf("B1: after the second beat, at %v, the processes are %+v", second.Now, list)
	}
}

func beatLate(t *try) {
	p := t.processFor(10 * time.Second)
	c := t.running(p)
	t.advance(time.Minute)
	// Its lease is over, but nobody has swept: a late beat renews it.
	t.beat(p, 10*time.Second, c.Token)
	if claims := t.sweep(10); len(claims) > 0 {
		t.Errorf("S1: a claim was taken though its process has beaten again")
	}
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	t.running(p)
}

func beatGone(t *try) {
	p := t.processFor(10 * time.Second)
	c := t.running(p)
	t.sweepAfter(10 * time.Second)
	for range 3 {
		_, err := t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(p), Lease: time.Minute, Held: []bellhop.Token{c.Token}})
		t.fails("the beat of a swept process", err, bellhop.ErrProcessGone)
		t.advance(time.Hour)
		t.prune(10)
	}
	if claims := t.sweep(10); len(claims) != 1 {
		t.Errorf("B2: a swept process holds its claims again")
	}
	list, err := t.s.Processes(t.ctx)
	must(t, err)
	t.same("processes", list, []bellhop.ProcessStatus{})
}

func beatCompares(t *try) {
	p, q := t.process(), t.process()
	a, b, ended, others := t.running(p), t.running(p), t.running(p), t.running(q)
	t.end(outcome(ended, bellhop.OutcomeRetry))
	reply := t.beat(p, longLease, ended.Token, a.Token, others.Token)
	t.same("lost", sortTokens(reply.Lost), sortTokens([]bellhop.Token{ended.Token, others.Token}))
	t.same("extra", reply.Extra, []bellhop.Claim{b})
	reply = t.beat(p, longLease, a.Token, b.Token)
	t.same("lost", reply.Lost, []bellhop.Token(nil))
	t.same("extra", reply.Extra, []bellhop.Claim(nil))
	t.same("extra when nothing is held", sortClaims(t.beat(p, longLease).Extra), sortClaims([]bellhop.Claim{a, b}))
}

func beatCancels(t *try) {
	p, q := t.process(), t.process()
	a, b := t.running(p), t.running(q)
	t.act(bellhop.ActCancel, a.Token.JobID, b.Token.JobID)
	t.same("cancel", t.beat(p, longLease, a.Token).Cancel, []bellhop.Token{a.Token})
	t.same("cancel of a claim that was not named", t.beat(q, longLease).Cancel, []bellhop.Token{b.Token})
	t.end(outcome(a, bellhop.OutcomeSucceeded))
	t.same("cancel of a job that ended", t.beat(p, longLease, a.Token).Cancel, []bellhop.Token(nil))
}

func beatLeaves(t *try) {
	p, q := t.process(), t.process()
	c := t.running(p)
	leave := func() error {
		return second(t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(p), Lease: longLease, Held: []bellhop.Token{c.Token}, Leave: true}))
	}
	must(t, leave())
	list, err := t.s.Processes(t.ctx)
	must(t, err)
	if len(list) != 1 || list[0].ID != q {
		t.Errorf("B5: after a process left %+v are alive", list)
	}
	t.in(bellhop.StateRunning, c.Token.JobID)
	t.same("swept", claimed(t.sweep(10)), []bellhop.ID{c.Token.JobID})
	must(t, leave()) // as after a lost reply
	t.fails("a beat after leaving", second(t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(p), Lease: longLease})), bellhop.ErrProcessGone)
	t.end(outcome(c, bellhop.OutcomeHandedBack)) // its token still fits
	if claims := t.sweep(10); len(claims) > 0 {
		t.Errorf("S2: a job that does not run was swept")
	}
}

func beatIdle(t *try) {
	p := t.process()
	ifIdle := func(next time.Duration) {
		t.Helper()
		if reply := t.beat(p, longLease); reply.Idle {
			t.same("B6: the next is due", reply.NextDue, next)
		}
	}
	never := func(what string, held ...bellhop.Token) {
		t.Helper()
		if t.beat(p, longLease, held...).Idle {
			t.Errorf("B6: a beat says that there is nothing to do: %s", what)
		}
	}
	ifIdle(-1)
	for _, queue := range []string{testQueue, otherQueue} {
		t.add(func(j *bellhop.Job) { j.Queue = queue })
		never("a job is ready in " + queue)
		c := t.claim(p, 1)[0]
		never("the process holds a claim", c.Token)
		never("the process holds a claim of which it does not know")
		t.end(outcome(c, bellhop.OutcomeSucceeded))
		ifIdle(-1)
	}
	c := t.running(t.processFor(20 * time.Second))
	ifIdle(-1)
	t.advance(20 * time.Second)
	t.sweep(0) // removes the process
	never("a dead process's claim is to be swept")
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	t.processFor(20 * time.Second)
	ifIdle(-1)
	t.advance(20 * time.Second)
	never("a process's lease is over")
	t.sweepAfter(20 * time.Second)
	ifIdle(-1)
}

func processOrder(t *try) {
	var want []bellhop.ID
	for i := range 5 {
		d := describe(bellhop.NewID())
		d.StartedAt = d.StartedAt.Add(-time.Duration(i) * time.Hour)
		must(t, second(t.s.Beat(t.ctx, &bellhop.Beat{Process: d, Lease: longLease})))
		want = append([]bellhop.ID{d.ID}, want...)
	}
	list, err := t.s.Processes(t.ctx)
	must(t, err)
	var got []bellhop.ID
	for _, p := range list {
		got = append(got, p.ID)
	}
	t.same("processes", got, want)
}

func sweepSpares(t *try) {
	p := t.processFor(20 * time.Second)
	c := t.running(p)
	for range 10 {
		t.advance(15 * time.Second)
		t.same("swept within the lease", t.sweep(10), []bellhop.Claim(nil))
		t.beat(p, 20*time.Second, c.Token)
		t.same("swept after a beat", t.sweep(10), []bellhop.Claim(nil))
	}
	t.end(outcome(c, bellhop.OutcomeSucceeded))
}

func sweepFinds(t *try) {
	p, q, alive := t.processFor(20*time.Second), t.process(), t.process()
	a, b, c := t.running(p), t.running(q), t.running(alive)
	t.add()
	must(t, second(t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(q), Leave: true})))
	for range 3 { // it moves no job, so they are found again
		got := t.sweepAfter(20 * time.Second)
		t.same("swept", sortClaims(got), sortClaims([]bellhop.Claim{a, b}))
		t.in(bellhop.StateRunning, a.Token.JobID, b.Token.JobID, c.Token.JobID)
	}
	t.s = t.h.Reopen(t, t.s)
	t.same("swept after reopening", sortClaims(t.sweep(10)), sortClaims([]bellhop.Claim{a, b}))
}

func sweepOrder(t *try) {
	p := t.processFor(time.Minute)
	var want []bellhop.ID
	for range 5 {
		want = append(want, t.running(p).Token.JobID)
		t.advance(time.Second)
	}
	t.sweepAfter(time.Minute)
	for n := range 7 {
		t.same("swept", claimed(t.sweep(n)), want[:min(n, len(want))])
	}
}

func sweepTwice(t *try) {
	p := t.processFor(time.Minute)
	c := t.running(p)
	one, two := t.sweepAfter(time.Minute), t.sweep(10)
	t.same("what two sweepers find", one, two)
	t.end(one[0].Sweep(t.now()))
	other := two[0].Sweep(t.now())
	t.end(other) // the same decision: a success without effect
	other.Kind = bellhop.OutcomeDead
	t.same("refused", t.hand(other), []bellhop.Refusal{{Err: bellhop.ErrStale, Recorded: bellhop.OutcomeSwept}})
	got := t.get(c.Token.JobID)
	if got.Place.State != bellhop.StateReady || got.Place.Failures != 1 || got.Place.Attempt != 1 || !got.Place.Suspect || len(got.History) != 1 {
		t.Errorf("S3: the job is %+v with %d records", got.Place, len(got.History))
	}
}

func sweepSuspect(t *try) {
	p := t.processFor(time.Minute)
	id := t.running(p).Token.JobID
	for crash := range bellhop.MaxCrashes + 1 {
		dead := t.sweepAfter(time.Minute)
		t.end(dead[0].Sweep(t.now()))
		got := t.get(id).Place
		if got.Crashes != crash || !got.Suspect || got.Failures != crash+1 {
			t.Fatalf("X2: after sweep %d the place is %+v", crash+1, got)
		}
		if crash == bellhop.MaxCrashes {
			break
		}
		q := t.processFor(time.Minute)
		c := t.claimOne(q, id)
		t.report(bellhop.Report{Token: c.Token, Started: true})
	}
	t.in(bellhop.StateDead, id)
}
