package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

var actTests = []test{
	{"every action in every state", "A1 A2", actMatrix},
	{"ids that are not there", "A1", actMissing},
	{"cancel a running job", "A2", actCancelRunning},
	{"retry", "A3", actRetry},
	{"run now", "A1 X5", actRunNow},
	{"ends", "A5", actEnds},
	{"retention at the end", "A5 D1", actRetention},
	{"by filter", "A1 A4", actFilter},
	{"by filter in bites", "A4", actBites},
	{"by filter while jobs come", "A4", actWhileEnqueueing},
	{"fence", "A6", actFence},
	{"delete leaves nothing", "A1 D2", actDeleteLeavesNothing},
}

func actFence(t *try) {
	a, b := t.add(), t.add()
	t.put(set("right", "mine", bellhop.ExpectAny))
	request := func(version int64, ids ...bellhop.ID) *bellhop.ActRequest {
		r := &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: ids, Fence: &bellhop.Fence{Space: viewSpace, Key: "right", Version: version}}
		if len(ids) == 0 {
			r.Filter = bellhop.Filter{States: bellhop.States(bellhop.StateReady)}
		}
		return r
	}
	mine := t.record("right").Version
	reply, err := t.s.Act(t.ctx, request(mine, a.ID))
	must(t, err)
	t.same("held", reply.Changed, ids(a))
	t.same("the record", t.record("right").Version, mine)
	judged := request(mine)
	judged.Filter.Args = []bellhop.ArgMatch{{Path: "", Value: "nothing"}}
	_, err = t.s.Act(t.ctx, judged)
	must(t, err)
	idle := request(mine)
	idle.Filter.States = bellhop.States(bellhop.StateSucceeded)
	_, err = t.s.Act(t.ctx, idle)
	must(t, err)
	t.put(set("right", "another's", mine))
	for what, r := range map[string]*bellhop.ActRequest{
		"by id": request(mine, b.ID), "by filter": request(mine), "by a filter that nothing fits": judged,
		"by a filter of states in which the action means nothing": idle, "of a version to come": request(mine+1000, b.ID),
	} {
		t.changesNothing(what, func() error { _, err := t.s.Act(t.ctx, r); return err }, bellhop.ErrConflict)
	}
	now := t.record("right").Version
	t.put(bellhop.RecordWrite{Space: viewSpace, Key: "right", Expect: now, Delete: true})
	t.changesNothing("deleted", func() error { _, err := t.s.Act(t.ctx, request(now, b.ID)); return err }, bellhop.ErrConflict)
	t.in(bellhop.StateReady, b.ID)
}

// inEachState makes a job in each state that a verb can lead to.
func (t *try) inEachState(p bellhop.ID) map[bellhop.State]bellhop.ID {
	t.Helper()
	jobs := map[bellhop.State]bellhop.ID{}
	for _, kind := range []bellhop.OutcomeKind{
		bellhop.OutcomeSucceeded, bellhop.OutcomeDiscarded, bellhop.OutcomeCancelled, bellhop.OutcomeDead,
	} {
		c := t.running(p)
		o := outcome(c, kind)
		o.Keep = bellhop.Forever
		t.end(o)
		jobs[kind.To()] = c.Token.JobID
	}
	jobs[bellhop.StateRunning] = t.running(p).Token.JobID
	jobs[bellhop.StateReady] = t.add().ID
	jobs[bellhop.StateScheduled] = t.add(delay(time.Hour)).ID
	return jobs
}

func actMatrix(t *try) {
	p := t.process()
	for action := bellhop.ActRetry; action <= bellhop.ActDelete; action++ {
		for state, id := range t.inEachState(p) {
			what := fmt.Sprintf("%s of a %s job", action, state)
			before := t.get(id)
			reply := t.act(action, id)
			switch {
			case !action.From().Has(state):
				t.same(what, *reply, bellhop.ActReply{Skipped: []bellhop.Skip{{ID: id, State: state}}})
				t.same(what+": job", t.get(id), before)
			case state == bellhop.StateRunning:
				t.same(what, *reply, bellhop.ActReply{Signalled: []bellhop.ID{id}})
				t.in(state, id)
			default:
				t.same(what, *reply, bellhop.ActReply{Changed: []bellhop.ID{id}})
				t.in(action.To(), id)
			}
			t.act(bellhop.ActDelete, id)
		}
	}
}

func actMissing(t *try) {
	a, b, missing := t.add(), t.add(delay(time.Hour)), bellhop.NewID()
	reply := t.act(bellhop.ActRunNow, missing, a.ID, b.ID, b.ID)
	t.same("reply", *reply, bellhop.ActReply{
		Changed: []bellhop.ID{b.ID},
		Skipped: []bellhop.Skip{{ID: missing}, {ID: a.ID, State: bellhop.StateReady}},
	})
	t.same("reply without ids that are there", *t.act(bellhop.ActDelete, missing), bellhop.ActReply{Skipped: []bellhop.Skip{{ID: missing}}})
	t.same("jobs", t.count(bellhop.Filter{}), 2)
}

func actCancelRunning(t *try) {
	p := t.process()
	c := t.running(p)
	id := c.Token.JobID
	before := t.get(id)
	for range 2 { // a second time is as good
		t.same("reply", *t.act(bellhop.ActCancel, id), bellhop.ActReply{Signalled: []bellhop.ID{id}})
	}
	got := t.get(id)
	before.Place.CancelRequested, before.Place.Reason = true, "by the test"
	t.same("job", got, before)
	t.same("signals", t.exchange(request(p, 0)).Signals.Cancel, []bellhop.Token{c.Token})
	t.end(outcome(c, bellhop.OutcomeSucceeded)) // its token still fits, and success counts
	got = t.get(id)
	if got.Place.State != bellhop.StateSucceeded || got.Place.CancelRequested {
		t.Errorf("A2: the job is %+v", got.Place)
	}
}

func actRetry(t *try) {
	p := t.process()
	c := t.running(p, runAt(t.now().Add(-time.Hour)))
	id := c.Token.JobID
	o := outcome(c, bellhop.OutcomeDead)
	o.Attempt, o.Failures, o.Crashes, o.Suspect, o.Reason, o.Result = 25, 25, 3, true, "failed", []byte(`1`)
	t.end(o)
	old := t.get(id)
	t.advance(time.Hour)
	before := t.now()
	t.act(bellhop.ActRetry, id)
	got := t.get(id)
	t.between("Due", got.Place.Due, before, t.now())
	want := old
	want.Place = bellhop.Place{State: bellhop.StateReady, Due: got.Place.Due, Generation: 1, Claim: 1, Reason: "by the test"}
	t.same("job", got, want)
	c = t.claimOne(p, id)
	t.same("claim number", c.Token.Number, int64(2))
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	got = t.get(id)
	if len(got.History) != 2 || got.History[0].Generation != 0 || got.History[1].Generation != 1 || got.History[1].Number != 1 {
		t.Errorf("A3: the history is %+v", got.History)
	}
}

func actRunNow(t *try) {
	p := t.process()
	early, waits := t.add(), t.add(delay(time.Hour))
	t.advance(time.Second)
	before := t.now()
	t.act(bellhop.ActRunNow, waits.ID)
	got := t.get(waits.ID)
	t.between("Due", got.Place.Due, before, t.now())
	t.same("place", got.Place, bellhop.Place{State: bellhop.StateReady, Due: got.Place.Due, Reason: "by the test"})
	t.advance(time.Second)
	late := t.add()
	t.same("order", claimed(t.claim(p, 10)), ids(early, waits, late))
	if n, next := t.promote(10); n != 0 || next >= 0 {
		t.Errorf("A1: it is scheduled besides: promoted %d, next in %v", n, next)
	}
}

func actEnds(t *try) {
	p := t.process()
	dead := t.running(p)
	o := outcome(dead, bellhop.OutcomeDead)
	o.Keep, o.Result = bellhop.Forever, []byte(`"kept"`)
	t.end(o)
	t.advance(time.Hour)
	for action, jobs := range map[bellhop.Action][]bellhop.ID{
		bellhop.ActCancel:  {t.add().ID, t.add(delay(time.Hour)).ID},
		bellhop.ActDiscard: {t.add().ID, t.add(delay(time.Hour)).ID, dead.Token.JobID},
	} {
		before := t.now()
		t.same("changed", t.act(action, jobs...).Changed, jobs)
		for _, id := range jobs {
			got := t.get(id)
			t.between("FinishedAt", got.Place.FinishedAt, before, t.now())
			t.same("ExpiresAt", got.Place.ExpiresAt, got.Place.FinishedAt.Add(got.Keep(action.To())))
			t.same("reason", got.Place.Reason, "by the test")
			t.same("state", got.Place.State, action.To())
		}
	}
	got := t.get(dead.Token.JobID)
	if len(got.History) != 1 || got.Place.Failures != 1 {
		t.Errorf("A5: a discarded dead job is %+v with %d records", got.Place, len(got.History))
	}
	if claims := t.claim(p, 10); len(claims) > 0 {
		t.Errorf("A5: jobs that have ended were claimed")
	}
}

func actRetention(t *try) {
	for _, retention := range []time.Duration{0, time.Minute, bellhop.Forever} {
		j := t.add(keep(retention))
		t.act(bellhop.ActCancel, j.ID)
		got := t.get(j.ID).Place
		want := time.Time{}
		if k := j.Keep(bellhop.StateCancelled); k >= 0 {
			want = got.FinishedAt.Add(k)
		}
		t.same(fmt.Sprintf("ExpiresAt with retention %v", retention), got.ExpiresAt, want)
	}
	t.advance(2 * time.Minute)
	t.same("pruned", t.prune(10), 1)
	t.advance(bellhop.KeepCancelled)
	t.same("pruned", t.prune(10), 1)
	t.advance(100 * bellhop.KeepCancelled)
	t.same("pruned", t.prune(10), 0)
}

func actFilter(t *try) {
	p := t.process()
	states := t.inEachState(p)
	other := t.add(queue(otherQueue))
	tagged := t.add(tags("x"), delay(time.Hour))
	act := func(action bellhop.Action, f bellhop.Filter) *bellhop.ActReply {
		t.Helper()
		reply, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: action, Filter: f, Reason: "by filter"})
		must(t, err)
		for reply.Next != "" {
			more, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: action, Filter: f, Reason: "by filter", After: reply.Next})
			must(t, err)
			reply.Changed, reply.Signalled = append(reply.Changed, more.Changed...), append(reply.Signalled, more.Signalled...)
			reply.Skipped, reply.Next = append(reply.Skipped, more.Skipped...), more.Next
		}
		return reply
	}
	t.same("tagged", *act(bellhop.ActCancel, bellhop.Filter{Tags: []string{"x"}}), bellhop.ActReply{Changed: ids(tagged)})
	// Jobs in states that the action does not know are left, and not named.
	t.same("a state that does not fit", *act(bellhop.ActRunNow, bellhop.Filter{States: bellhop.States(bellhop.StateReady)}), bellhop.ActReply{})
	got := act(bellhop.ActCancel, bellhop.Filter{Queues: []string{testQueue}})
	want := bellhop.ActReply{
		Changed:   []bellhop.ID{states[bellhop.StateScheduled], states[bellhop.StateReady]},
		Signalled: []bellhop.ID{states[bellhop.StateRunning]},
	}
	slices.SortFunc(got.Changed, bellhop.ID.Compare)
	slices.SortFunc(want.Changed, bellhop.ID.Compare)
	t.same("cancelled by queue", *got, want)
	t.in(bellhop.StateReady, other.ID)
	t.in(bellhop.StateDead, states[bellhop.StateDead])
	t.same("reason", t.get(states[bellhop.StateReady]).Place.Reason, "by filter")
	t.same("all", len(act(bellhop.ActDelete, bellhop.Filter{}).Changed), 8)
	t.same("jobs that are left", t.count(bellhop.Filter{}), 1)
}

func actBites(t *try) {
	const n = 53
	jobs := t.addMany(n)
	t.addMany(20, queue(otherQueue))
	seen := map[bellhop.ID]int{}
	r := &bellhop.ActRequest{Action: bellhop.ActCancel, Filter: bellhop.Filter{Queues: []string{testQueue}}, Limit: 10}
	for calls := 0; ; calls++ {
		reply, err := t.s.Act(t.ctx, r)
		must(t, err)
		if len(reply.Changed) > 10 || calls > n {
			t.Fatalf("A4: call %d changed %d jobs; the limit is 10", calls, len(reply.Changed))
		}
		for _, id := range reply.Changed {
			seen[id]++
		}
		if r.After = reply.Next; r.After == "" {
			break
		}
	}
	for _, j := range jobs {
		if seen[j.ID] != 1 {
			t.Errorf("A4: job %s was changed %d times", j.ID, seen[j.ID])
		}
	}
	t.same("changed", len(seen), n)
	t.same("in the other queue", t.count(bellhop.Filter{States: bellhop.States(bellhop.StateReady)}), 20)
	_, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, After: "no mark"})
	if !errors.Is(err, bellhop.ErrInvalid) {
		t.Errorf("A4: an After that is no mark gives %v; want %v", err, bellhop.ErrInvalid)
	}
}

func actWhileEnqueueing(t *try) {
	p := t.process()
	t.addMany(30)
	var outcomes []bellhop.Outcome
	for _, c := range t.claim(p, 30) {
		outcomes = append(outcomes, outcome(c, bellhop.OutcomeDead))
	}
	t.end(outcomes...)
	// Run again by filter: each once, though they come to die again behind the mark.
	r := &bellhop.ActRequest{Action: bellhop.ActRetry, Filter: bellhop.Filter{Queues: []string{testQueue}}, Limit: 7}
	changed := 0
	for {
		reply, err := t.s.Act(t.ctx, r)
		must(t, err)
		changed += len(reply.Changed)
		outcomes = nil
		for _, c := range t.claim(p, 100) {
			outcomes = append(outcomes, outcome(c, bellhop.OutcomeDead))
		}
		t.end(outcomes...)
		t.addMany(3, kind("unknown"))
		if r.After = reply.Next; r.After == "" {
			break
		}
	}
	t.same("run again", changed, 30)
}

func actDeleteLeavesNothing(t *try) {
	p := t.process()
	empty := t.view()
	for _, id := range t.inEachState(p) {
		t.act(bellhop.ActCancel, id)
		reply := t.exchange(request(p, 0))
		for _, token := range reply.Signals.Cancel {
			t.end(bellhop.Outcome{Token: token, Kind: bellhop.OutcomeCancelled, Keep: bellhop.Forever})
		}
		t.same("changed", t.act(bellhop.ActDelete, id).Changed, []bellhop.ID{id})
		t.in(0, id)
	}
	now := t.view()
	t.same("jobs", now.Jobs, empty.Jobs)
	t.same("stats", now.Stats, empty.Stats)
	t.advance(10_000 * time.Hour)
	t.same("pruned", t.prune(10), 0)
	if n, next := t.promote(10); n != 0 || next >= 0 {
		t.Errorf("D2: something is still scheduled: promoted %d, next in %v", n, next)
	}
	t.same("claims", t.claim(p, 10), []bellhop.Claim(nil))
}
