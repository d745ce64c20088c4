package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

var queryTests = []test{
	{"get", "Q1", getJobs},
	{"get while it moves", "Q1 G3", getMoving},
	{"list", "L1", listNewest},
	{"filters", "L1 N1", listFilters},
	{"text", "L1 G5", listText},
	{"pages", "L1 L2", listPages},
	{"pages while jobs move", "L1", listMoving},
	{"few among many", "L2 L1", listSparse},
	{"newest attempts", "L3", listLast},
	{"contents", "L4 N1", listContents},
	{"failures", "L4 A4", listFailures},
	{"ends", "L4 N1", listEnds},
	{"count", "N1", countJobs},
	{"counts that end", "N2", countBounded},
	{"stats", "T1", statsQueues},
	{"stats times", "T1", statsTimes},
	{"stats of many queues", "T2", statsMany},
	{"paused queues", "T3", statsPaused},
}

func getJobs(t *try) {
	p := t.process()
	a, b := t.add(), t.add(delay(time.Hour))
	c := t.running(p)
	t.end(outcome(c, bellhop.OutcomeRetry))
	found, err := t.s.Get(t.ctx, []bellhop.ID{c.Token.JobID, bellhop.NewID(), b.ID, a.ID})
	must(t, err)
	var got []bellhop.ID
	for _, j := range found {
		got = append(got, j.ID)
	}
	t.same("order", got, []bellhop.ID{c.Token.JobID, b.ID, a.ID})
	t.same("history", len(found[0].History), 1)
	found, err = t.s.Get(t.ctx, nil)
	must(t, err)
	t.same("jobs for no ids", len(found), 0)
	many := t.addMany(1500)
	found, err = t.s.Get(t.ctx, ids(many...))
	must(t, err)
	t.same("many jobs", len(found), 1500)
}

// getMoving reads a job that another goroutine claims and ends: what a read
// sees of place and history belongs together, or wellPlaced finds fault.
func getMoving(t *try) {
	p := t.process()
	id := t.add().ID
	done := make(chan struct{})
	var team crew
	team.Go("worker", func() error {
		defer close(done)
		for range 60 {
			reply, err := t.s.Exchange(t.ctx, request(p, 1))
			if err != nil {
				return err
			}
			if len(reply.Claims) != 1 {
				return fmt.Errorf("claimed %d jobs", len(reply.Claims))
			}
			o := outcome(reply.Claims[0], bellhop.OutcomeHandedBack)
			if _, err := t.s.Exchange(t.ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{o}}); err != nil {
				return err
			}
		}
		return nil
	})
	for range 3 {
		team.Go("reader", func() error {
			for {
				found, err := t.s.Get(t.ctx, []bellhop.ID{id})
				if err != nil {
					return err
				}
				if len(found) != 1 {
					return errors.New("the job is not there")
				}
				if err := wellPlaced(&found[0]); err != nil {
					return err
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
	}
	team.wait(t)
}

// list returns the ids of all jobs that match, in pages of the given size.
func (t *try) list(f bellhop.Filter, page int) []bellhop.ID {
	t.Helper()
	jobs, err := listAll(t.ctx, t.s, f, page)
	must(t, err)
	var got []bellhop.ID
	for _, j := range jobs {
		got = append(got, j.ID)
	}
	return got
}

func listNewest(t *try) {
	p := t.process()
	var want []bellhop.ID
	for range 5 {
		batch := t.addMany(3)
		slices.Reverse(batch)
		want = append(ids(batch...), want...)
		t.advance(time.Second)
	}
	t.same("list", t.list(bellhop.Filter{}, 50), want)
	c := t.claimOne(p, want[len(want)-1])
	t.end(outcome(c, bellhop.OutcomeRetry))
	t.same("list after a move", t.list(bellhop.Filter{}, 4), want)

	l, err := t.s.List(t.ctx, &bellhop.Query{Filter: bellhop.Filter{IDs: []bellhop.ID{c.Token.JobID}}})
	must(t, err)
	full := t.get(c.Token.JobID)
	if len(full.History) != 1 {
		t.Fatalf("the history has %d records", len(full.History))
	}
	full.History = nil
	t.same("job", l.Jobs, []bellhop.Snapshot{full})
	l, err = t.s.List(t.ctx, &bellhop.Query{Filter: bellhop.Filter{IDs: []bellhop.ID{c.Token.JobID}}, WithoutArgs: true})
	must(t, err)
	full.Args = nil
	t.same("job without arguments", l.Jobs, []bellhop.Snapshot{full})
}

func listFilters(t *try) {
	p, q := t.process(), t.process()
	start := t.now()
	a := t.add(tags("red", "round"), kind(otherKind), delay(time.Hour))
	t.advance(time.Minute)
	b := t.add(tags("red"), queue(otherQueue), delay(time.Hour))
	t.advance(time.Minute)
	c := t.running(p, tags("Red")).Token.JobID
	d := t.running(q).Token.JobID
	e := t.add(queue("Other"))
	enqueuedB := t.get(b.ID).EnqueuedAt
	for name, c := range map[string]struct {
		f    bellhop.Filter
		want []bellhop.ID
	}{
		"all":                {bellhop.Filter{}, []bellhop.ID{e.ID, d, c, b.ID, a.ID}},
		"ids":                {bellhop.Filter{IDs: []bellhop.ID{a.ID, d, bellhop.NewID(), a.ID}}, []bellhop.ID{d, a.ID}},
		"state":              {bellhop.Filter{States: bellhop.States(bellhop.StateScheduled)}, []bellhop.ID{b.ID, a.ID}},
		"states":             {bellhop.Filter{States: bellhop.States(bellhop.StateReady, bellhop.StateRunning)}, []bellhop.ID{e.ID, d, c}},
		"all states":         {bellhop.Filter{States: bellhop.AllStates}, []bellhop.ID{e.ID, d, c, b.ID, a.ID}},
		"final states":       {bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded, bellhop.StateDead)}, nil},
		"queue":              {bellhop.Filter{Queues: []string{otherQueue}}, ids(b)},
		"queues":             {bellhop.Filter{Queues: []string{otherQueue, "Other", "none"}}, ids(e, b)},
		"kind":               {bellhop.Filter{Kinds: []string{otherKind}}, ids(a)},
		"tag":                {bellhop.Filter{Tags: []string{"red"}}, ids(b, a)},
		"all of the tags":    {bellhop.Filter{Tags: []string{"round", "red"}}, ids(a)},
		"part of a tag":      {bellhop.Filter{Tags: []string{"re"}}, nil},
		"process":            {bellhop.Filter{Process: p}, []bellhop.ID{c}},
		"process of nothing": {bellhop.Filter{Process: bellhop.NewID()}, nil},
		"after, inclusive":   {bellhop.Filter{EnqueuedAfter: enqueuedB}, []bellhop.ID{e.ID, d, c, b.ID}},
		"before, exclusive":  {bellhop.Filter{EnqueuedBefore: enqueuedB}, ids(a)},
		"a span": {
			bellhop.Filter{EnqueuedAfter: enqueuedB, EnqueuedBefore: enqueuedB.Add(time.Microsecond).In(time.FixedZone("", 3600))},
			ids(b),
		},
		"before all": {bellhop.Filter{EnqueuedBefore: start.Add(-time.Second)}, nil},
		"and": {
			bellhop.Filter{States: bellhop.States(bellhop.StateScheduled), Tags: []string{"red"}, Kinds: []string{testKind}},
			ids(b),
		},
		"ids and state": {bellhop.Filter{IDs: []bellhop.ID{a.ID, c}, States: bellhop.States(bellhop.StateRunning)}, []bellhop.ID{c}},
	} {
		t.same("list by "+name, t.list(c.f, 50), c.want)
		t.same("count by "+name, t.count(c.f), len(c.want))
	}
}

func listText(t *try) {
	j := t.add(args(`{"email":"anna_b@example.com","note":"100% 'sure' \\ [x] \"yes\" Ünï 🛎"}`))
	t.add(args(`{"email":"annaXb@example.com","note":"1000 sure"}`))
	for _, text := range []string{"anna_b", "100%", "'sure'", `\\ [x]`, `\"yes\"`, "Ünï 🛎", "Ü"[1:], "🛎"[2:]} {
		t.same(fmt.Sprintf("jobs with text %q", text), t.list(bellhop.Filter{Text: text}, 50), ids(j))
	}
	for _, text := range []string{"ANNA", "ünï", "100%%", "ann?_b", "anna_b@example.org"} {
		t.same(fmt.Sprintf("jobs with text %q", text), t.list(bellhop.Filter{Text: text}, 50), []bellhop.ID(nil))
	}
	t.same("jobs with text in both", len(t.list(bellhop.Filter{Text: "sure"}, 50)), 2)
}

func listPages(t *try) {
	jobs := ids(t.addMany(120)...)
	slices.Reverse(jobs)
	for _, page := range []int{1, 7, 60, 119, 120, 121, 1000} {
		t.same(fmt.Sprintf("pages of %d", page), t.list(bellhop.Filter{}, page), jobs)
	}
	for limit, want := range map[int]int{0: 50, 1: 1, 1000: 120} {
		l, err := t.s.List(t.ctx, &bellhop.Query{Limit: limit})
		must(t, err)
		if len(l.Jobs) > want || len(l.Jobs) < want && l.Next == "" {
			t.Errorf("L2: a page with limit %d has %d jobs, next %q", limit, len(l.Jobs), l.Next)
		}
	}
	_, err := t.s.List(t.ctx, &bellhop.Query{After: "\x00 no mark"})
	t.fails("an After that is no mark", err, bellhop.ErrInvalid)
}

func listMoving(t *try) {
	p := t.process()
	jobs := t.addMany(40)
	seen := map[bellhop.ID]int{}
	q := &bellhop.Query{Filter: bellhop.Filter{Queues: []string{testQueue}}, Limit: 3}
	var outcomes []bellhop.Outcome
	for step := 0; ; step++ {
		l, err := t.s.List(t.ctx, q)
		must(t, err)
		for _, j := range l.Jobs {
			seen[j.ID]++
		}
		if q.After = l.Next; q.After == "" {
			break
		}
		if step > 1000 {
			t.Fatalf("L1: the pages do not end")
		}
		// Between two pages jobs come, run, end, and are run again.
		t.addMany(2)
		t.end(outcomes...)
		outcomes = nil
		for i, c := range t.claim(p, 3) {
			outcomes = append(outcomes, outcome(c, []bellhop.OutcomeKind{
				bellhop.OutcomeRetry, bellhop.OutcomeSucceeded, bellhop.OutcomeHandedBack,
			}[(i+step)%3]))
		}
	}
	for _, j := range jobs {
		if seen[j.ID] != 1 {
			t.Errorf("L1: job %s was visited %d times", j.ID, seen[j.ID])
		}
	}
}

func listSparse(t *try) {
	var want []bellhop.ID
	for range 4 {
		t.addMany(400, queue(otherQueue), tags("common"))
		want = append([]bellhop.ID{t.add(tags("rare"), args(`{"needle":1}`)).ID}, want...)
	}
	for name, f := range map[string]bellhop.Filter{
		"tag": {Tags: []string{"rare"}}, "text": {Text: "needle"}, "queue": {Queues: []string{testQueue}},
		"tag and queue": {Tags: []string{"rare"}, Queues: []string{testQueue}},
	} {
		t.same("by "+name, t.list(f, 2), want)
		t.same("count by "+name, t.count(f), len(want))
	}
}

func countJobs(t *try) {
	t.addMany(10)
	t.addMany(5, delay(time.Hour))
	for _, c := range []struct{ limit, all, scheduled int }{{1, 1, 1}, {5, 5, 5}, {6, 6, 5}, {15, 15, 5}, {16, 15, 5}, {10_000, 15, 5}} {
		n, err := CountAll(t.ctx, t.s, bellhop.Filter{}, c.limit)
		must(t, err)
		t.same(fmt.Sprintf("count of all, limit %d", c.limit), n, c.all)
		n, err = CountAll(t.ctx, t.s, bellhop.Filter{States: bellhop.States(bellhop.StateScheduled)}, c.limit)
		must(t, err)
		t.same(fmt.Sprintf("count of scheduled, limit %d", c.limit), n, c.scheduled)
	}
}

func (t *try) stats(limit int) []bellhop.QueueStats {
	t.Helper()
	stats, err := t.s.Stats(t.ctx, limit)
	must(t, err)
	return stats
}

// counts returns the statistics of a few queues without their times.
func (t *try) counts(limit int) []bellhop.QueueStats {
	t.Helper()
	stats := t.stats(limit)
	for i := range stats {
		if stats[i].Limit != limit {
			t.Errorf("%d queues are counted to %d; want %d", len(stats), stats[i].Limit, limit)
		}
		stats[i].Limit = 0
		stats[i].OldestReady, stats[i].NextDue = time.Time{}, time.Time{}
	}
	return stats
}

func statsQueues(t *try) {
	p := t.process()
	t.same("stats of nothing", t.counts(100), []bellhop.QueueStats(nil))
	t.inEachState(p)
	t.addMany(12, queue("b"))
	t.addMany(3, queue("b"), delay(time.Hour))
	t.addMany(2, queue("B"))
	must(t, t.s.Pause(t.ctx, "b", true))
	must(t, t.s.Pause(t.ctx, "empty", true))
	// A queue with finished jobs only is not named.
	t.add(queue(otherQueue))
	t.end(outcome(t.claim(p, 1, otherQueue)[0], bellhop.OutcomeSucceeded))
	want := []bellhop.QueueStats{
		{Queue: "B", Ready: 2},
		{Queue: "b", Paused: true, Ready: 12, Scheduled: 3},
		{Queue: testQueue, Ready: 1, Scheduled: 1, Running: 1, Dead: 1},
		{Queue: "empty", Paused: true},
	}
	t.same("stats", t.counts(100), want)
	want[1].Ready = 10
	t.same("stats with limit 10", t.counts(10), want)
	must(t, t.s.Pause(t.ctx, "empty", false))
	t.same("queues after resuming an empty one", len(t.counts(10)), 3)
}

func statsTimes(t *try) {
	p := t.process()
	first := t.add(priority(5))
	t.advance(time.Minute)
	t.addMany(3, priority(-5))
	soon := t.add(delay(time.Hour))
	t.add(delay(2 * time.Hour))
	st := t.stats(10)[0]
	t.same("OldestReady", st.OldestReady, t.get(first.ID).Place.Due)
	t.same("NextDue", st.NextDue, t.get(soon.ID).Place.Due)
	t.kept("OldestReady", st.OldestReady)
	t.kept("NextDue", st.NextDue)
	t.claim(p, 10)
	t.act(bellhop.ActCancel, soon.ID)
	st = t.stats(10)[0]
	t.same("OldestReady with none ready", st.OldestReady, time.Time{})
	if !st.NextDue.After(t.get(soon.ID).Place.Due) {
		t.Errorf("NextDue is %v; the job that was due then is cancelled", st.NextDue)
	}
}

func statsMany(t *try) {
	const queues, limit = 30, 1_000_000
	var jobs []*bellhop.Job
	for i := range queues {
		for range i + 1 {
			jobs = append(jobs, t.job(queue(fmt.Sprintf("many-%02d", i))))
		}
	}
	t.enqueue(jobs...)
	stats := t.stats(limit)
	t.same("queues", len(stats), queues)
	for i := range stats {
		q := &stats[i]
		if q.Ready != i+1 || q.Limit < 100 || q.Limit > limit || q.Limit != stats[0].Limit || q.More(q.Ready) || !q.More(q.Limit) {
			t.Errorf("queue %d: %+v", i, *q)
		}
	}
}

func statsPaused(t *try) {
	p := t.process()
	t.same("paused queues, where none is", t.stats(0), []bellhop.QueueStats(nil))
	t.inEachState(p)
	t.addMany(3, queue("b"), delay(time.Hour))
	t.add(queue("ready"))
	for _, name := range []string{testQueue, "empty", "b", "resumed"} {
		t.pause(name, true)
	}
	t.pause("resumed", false)
	t.same("paused queues", t.stats(0), []bellhop.QueueStats{{Queue: "b", Paused: true}, {Queue: testQueue, Paused: true}, {Queue: "empty", Paused: true}})
}
