package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

var partTests = []test{
	{"jobs of several parts", "E1", partsEnqueue},
	{"records of several parts", "E6 X12 C2", partsPuts},
	{"worked off", "X1 X5 X7 X8 G9", partsDrain},
	{"none starves", "X5", partsFair},
	{"outcomes find their part", "X1 X4 R1", partsOutcomes},
	{"beats and sweeps", "B3 B4 S2 S3", partsProcesses},
	{"promote and prune", "P1 P2 D1", partsDuties},
	{"one listing", "L1 L2 N1 T1", partsListing},
	{"actions", "A1 A4", partsActs},
	{"pause", "U1", partsPause},
	{"unique over all", "E4 E5", partsUnique},
}

// parts skips what a store of one part has no use for.
func (t *try) parts() bellhop.Router {
	t.Helper()
	r, ok := bellhop.As[bellhop.Router](t.s)
	if !ok || !spread(t.s) {
		t.Skip("the store does not spread jobs over several parts")
	}
	return r
}

// everywhere enqueues n jobs for each part, one after the other, and returns them by part.
func (t *try) everywhere(r bellhop.Router, n int, set ...func(*bellhop.Job)) (byPart [][]*bellhop.Job) {
	t.Helper()
	byPart = make([][]*bellhop.Job, len(r.Parts()))
	for left := n * len(byPart); left > 0; {
		j := t.anywhere(set...)
		at := r.Route(j)
		if len(byPart[at]) == n {
			continue
		}
		t.enqueue(j)
		byPart[at] = append(byPart[at], j)
		left--
	}
	return byPart
}

// anywhere makes a job that lies in any part.
func (t *try) anywhere(set ...func(*bellhop.Job)) *bellhop.Job {
	j := &bellhop.Job{ID: bellhop.NewID(), Kind: testKind, Queue: testQueue, Args: []byte(`{}`), Attempts: bellhop.DefaultAttempts}
	for _, f := range set {
		f(j)
	}
	return j
}

// claimAll claims until nothing is left, in exchanges of at most limit.
func (t *try) claimAll(process bellhop.ID, limit int) (claims []bellhop.Claim) {
	t.Helper()
	for {
		reply := t.exchange(request(process, limit))
		if len(reply.Claims) > limit {
			t.Fatalf("X5: an exchange for at most %d made %d claims", limit, len(reply.Claims))
		}
		if len(reply.Unsettled) > 0 {
			t.Fatalf("outcomes are unsettled with all parts in reach")
		}
		claims = append(claims, reply.Claims...)
		if len(reply.Claims) == 0 {
			return claims
		}
	}
}

func (t *try) refusesSpan(what string, call func() error) {
	t.Helper()
	t.changesNothing(what, func() error {
		err := call()
		var span *bellhop.SpanError
		if !errors.Is(err, bellhop.ErrInvalid) || !errors.As(err, &span) || span.Part == span.OtherPart || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v; want a SpanError of one line that names two parts", what, err)
		}
		return err
	}, bellhop.ErrSpans)
}

func partsEnqueue(t *try) {
	r := t.parts()
	byPart := t.everywhere(r, 2)
	var jobs []*bellhop.Job
	for range byPart {
		for at := range byPart {
			j := t.anywhere()
			for r.Route(j) != at {
				j.ID = bellhop.NewID()
			}
			jobs = append(jobs, j)
		}
	}
	t.refusesSpan("an enqueue of jobs of several parts", func() error {
		return second(t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: jobs}))
	})
	for _, j := range jobs {
		if got := t.enqueue(j)[0]; got != (bellhop.Receipt{ID: j.ID, State: bellhop.StateReady}) {
			t.Errorf("E7: receipt is %v", got)
		}
		if got := t.enqueue(j)[0]; !got.Existing || got.ID != j.ID {
			t.Errorf("E2: receipt of a repeat is %v", got)
		}
	}
	t.same("jobs", t.count(bellhop.Filter{}), len(jobs)+2*len(byPart))
}

func partsPuts(t *try) {
	r := t.parts()
	home := r.Home(viewSpace, "k")
	elsewhere := ""
	for n := 0; elsewhere == ""; n++ {
		if space := fmt.Sprintf("space %d", n); r.Home(space, "k") != home {
			elsewhere = space
		}
	}
	here, there := set("k", "1", bellhop.ExpectAny), set("k", "1", bellhop.ExpectAny)
	there.Space = elsewhere
	t.refusesSpan("a put of records of two parts", func() error { return t.s.Put(t.ctx, []bellhop.RecordWrite{here, there}) })
	j := t.job() // lies where the records are
	t.refusesSpan("an enqueue with a put of another part", func() error {
		return second(t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}, Puts: []bellhop.RecordWrite{there}}))
	})
	p := t.process()
	c := t.running(p)
	x := request(p, 1)
	x.Outcomes, x.Puts = []bellhop.Outcome{outcome(c, bellhop.OutcomeSucceeded)}, []bellhop.RecordWrite{there}
	t.refusesSpan("an exchange with a put of another part", func() error { return second(t.s.Exchange(t.ctx, x)) })
	x.Puts[0] = here
	t.exchange(x)
	t.in(bellhop.StateSucceeded, c.Token.JobID)
	// A record follows a job if its key says so.
	key := "nightly"
	if home := r.Home(elsewhere, "{"+j.ID.String()+"}"+key); home == r.Route(j) {
		key = "{" + j.ID.String() + "}" + key
	} else if r.Home(elsewhere, "{"+j.Queue+"}"+key) == r.Route(j) {
		key = "{" + j.Queue + "}" + key
	} else {
		t.Fatalf("no key of a record leads to the part of job %s", j.ID)
	}
	there.Key = key
	_, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}, Puts: []bellhop.RecordWrite{there}})
	must(t, err)
	must(t, t.s.Put(t.ctx, []bellhop.RecordWrite{{Space: elsewhere, Key: "a", Value: []byte("2"), Expect: bellhop.ExpectNone}}))
	list, err := t.s.Records(t.ctx, &bellhop.RecordQuery{Space: elsewhere})
	must(t, err)
	want := []string{"a", key}
	slices.Sort(want)
	t.same("C1: keys", keysOf(list), want)
	list, err = t.s.Records(t.ctx, &bellhop.RecordQuery{Space: elsewhere, Limit: 1, After: want[0]})
	must(t, err)
	t.same("C1: keys after the first", keysOf(list), want[1:])
}

// partsDrain: three processes claim and end what lies in all parts, each through
// exchanges of its own size and with a repeat now and then. Each job ends once.
func partsDrain(t *try) {
	r := t.parts()
	const each = 60
	byPart := t.everywhere(r, each)
	ends := map[bellhop.ID]int{}
	numbers := map[bellhop.Token]bellhop.ID{}
	var hands []*drainer
	for i := range 3 {
		hands = append(hands, &drainer{process: t.process(), limit: 1 + 6*i})
	}
	var order []bellhop.ID // of claiming, over all
	for idle := 0; idle < len(hands); {
		idle = 0
		for _, h := range hands {
			x := request(h.process, h.limit)
			x.Outcomes = h.outcomes
			reply := t.exchange(x)
			if len(reply.Claims) > h.limit || len(reply.Refused)+len(reply.Unsettled) > 0 {
				t.Fatalf("an exchange for %d claims made %d, refused %v, left %v", h.limit, len(reply.Claims), reply.Refused, reply.Unsettled)
			}
			for _, o := range h.outcomes {
				ends[o.Token.JobID]++
			}
			if h.repeat = !h.repeat; h.repeat {
				again := t.exchange(x)
				t.same("X8: claims of a repeat", sortClaims(again.Claims), sortClaims(reply.Claims))
				t.same("X4: refused of a repeat", again.Refused, []bellhop.Refusal(nil))
				if len(reply.Claims) == 0 {
					reply = again
				}
			}
			h.outcomes = nil
			for _, c := range reply.Claims {
				if x, claimed := numbers[bellhop.Token{JobID: c.Token.JobID, Number: c.Token.Number}]; claimed {
					t.Fatalf("X7: job %s was claimed by exchanges %s and %s", c.Token.JobID, x, c.Token.Exchange)
				}
				numbers[bellhop.Token{JobID: c.Token.JobID, Number: c.Token.Number}] = c.Token.Exchange
				order = append(order, c.Token.JobID)
				h.outcomes = append(h.outcomes, outcome(c, bellhop.OutcomeSucceeded))
			}
			if len(reply.Claims) == 0 {
				idle++
			}
		}
	}
	for at, jobs := range byPart {
		var got []bellhop.ID
		for _, id := range order {
			if slices.ContainsFunc(jobs, func(j *bellhop.Job) bool { return j.ID == id }) {
				got = append(got, id)
			}
		}
		t.same(fmt.Sprintf("X5: order of claims of part %d", at), got, ids(jobs...))
		for _, j := range jobs {
			if ends[j.ID] != 1 {
				t.Errorf("job %s has ended %d times", j.ID, ends[j.ID])
			}
		}
	}
	t.same("succeeded", t.count(bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}), each*len(byPart))
	t.view()
}

type drainer struct {
	process  bellhop.ID
	limit    int
	repeat   bool
	outcomes []bellhop.Outcome
}

// partsFair: with more waiting in each part than is claimed, each gets its turn.
func partsFair(t *try) {
	r := t.parts()
	byPart := t.everywhere(r, 40)
	p := t.process()
	for _, limit := range []int{1, 2, 3, 10} {
		got := make([]int, len(byPart))
		sum := 0
		for range 3 * len(byPart) {
			claims := t.claim(p, limit)
			if limit <= len(byPart) && len(claims) != limit {
				t.Fatalf("X5: claimed %d of %d", len(claims), limit)
			}
			for _, c := range claims {
				got[r.Route(c.Job)]++
				sum++
			}
			if sum > 12*len(byPart) {
				break
			}
		}
		if slices.Min(got) == 0 || slices.Max(got) > 3*slices.Min(got)+limit {
			t.Errorf("with a limit of %d the parts gave %v", limit, got)
		}
	}
	// Work that is in one part only is found, in exchanges as small as can be.
	t.claimAll(p, 100)
	for range 3 * len(byPart) {
		j := t.anywhere()
		t.enqueue(j)
		t.same("claimed", claimed(t.claim(p, 1)), ids(j))
	}
}

func partsOutcomes(t *try) {
	r := t.parts()
	p := t.process()
	t.everywhere(r, 3)
	claims := t.claimAll(p, 100)
	var outcomes []bellhop.Outcome
	for i, c := range claims {
		outcomes = append(outcomes, outcome(c, bellhop.OutcomeKind(1+i%int(bellhop.OutcomeSwept))))
	}
	bad := outcomes[4]
	bad.Token.Number++
	t.same("X1: refused", t.hand(slices.Insert(slices.Clone(outcomes), 2, bad)...), []bellhop.Refusal{{Index: 2, Err: bellhop.ErrStale}})
	t.s = t.h.Reopen(t, t.s)
	t.end(outcomes...) // nobody remembers where they were
	var refused []bellhop.Refusal
	other := slices.Clone(outcomes)
	for i := range other {
		refused = append(refused, bellhop.Refusal{Index: i, Err: bellhop.ErrStale, Recorded: other[i].Kind})
		if other[i].Kind = bellhop.OutcomeSucceeded; outcomes[i].Kind == bellhop.OutcomeSucceeded {
			other[i].Kind = bellhop.OutcomeDead
		}
	}
	t.same("X4: refused", t.hand(other...), refused)
	var reports []bellhop.Report
	for _, c := range t.claimAll(p, 100) {
		reports = append(reports, bellhop.Report{Token: c.Token, Started: true, Progress: []byte(`{"done":1}`)})
	}
	reports = append(reports, bellhop.Report{Token: bad.Token, Started: true})
	t.s = t.h.Reopen(t, t.s)
	no, err := t.s.Report(t.ctx, reports)
	must(t, err)
	t.same("R1: refused", no, []bellhop.Refusal{{Index: len(reports) - 1, Err: bellhop.ErrStale}})
}

func partsProcesses(t *try) {
	r := t.parts()
	p, q := t.processFor(time.Minute), t.processFor(time.Hour)
	t.everywhere(r, 2)
	mine := t.claimAll(p, 2)
	t.everywhere(r, 1)
	others := t.claimAll(q, 9)
	var held []bellhop.Token
	for _, c := range slices.Concat(mine, others) {
		held = append(held, c.Token)
	}
	t.act(bellhop.ActCancel, claimed(mine[:3])...)
	reply := t.beat(p, time.Minute, held...)
	t.same("B3: lost", sortTokens(reply.Lost), sortTokens(held[len(mine):]))
	t.same("B4: cancel", sortTokens(reply.Cancel), sortTokens(held[:3]))
	t.same("X11: cancel", sortTokens(t.exchange(request(p, 0)).Signals.Cancel), sortTokens(held[:3]))
	t.same("B3: extra", len(reply.Extra), 0)
	t.same("B3: extra of a beat that names nothing", len(t.beat(p, time.Minute).Extra), len(mine))
	list, err := t.s.Processes(t.ctx)
	must(t, err)
	running := map[bellhop.ID]int{}
	for _, s := range list {
		running[s.ID] += s.Running
	}
	t.same("processes", len(list), 2)
	t.same("running", running, map[bellhop.ID]int{p: len(mine), q: len(others)})
	t.same("S2: swept within a limit", len(t.sweepAfter(time.Minute)), len(mine))
	t.same("S2: swept", len(t.sweep(2)), 2)
	t.fails("a beat of the swept", second(t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(p), Lease: time.Minute})), bellhop.ErrProcessGone)
	var outcomes []bellhop.Outcome
	for _, c := range t.sweep(1000) {
		outcomes = append(outcomes, c.Sweep(t.now()))
	}
	t.end(outcomes...)
	t.same("S3: swept again", len(t.sweep(1000)), 0)
	t.same("claimed by the other", len(t.claimAll(q, 100)), len(mine)-3) // three were to be cancelled
}

func partsDuties(t *try) {
	r := t.parts()
	p := t.process()
	n := 5 * len(r.Parts())
	t.everywhere(r, 5, delay(time.Minute), keep(time.Hour))
	if got, next := t.promote(100); got != 0 || next <= 0 || next > time.Minute {
		t.Errorf("P1: promoted %d, the next in %v; want 0, about a minute", got, next)
	}
	if due := t.exchange(request(p, 0)).Signals.NextDue; due <= 0 || due > time.Minute {
		t.Errorf("X11: the next is due in %v; want about a minute", due)
	}
	t.advance(2 * time.Minute)
	for left := n; left > 0; {
		limit := min(left, 4)
		got, next := t.promote(4)
		if left -= got; got != limit || (next == 0) != (left > 0) {
			t.Fatalf("P1: promoted %d with a limit of 4 and %d due, the next in %v", got, left+got, next)
		}
	}
	var outcomes []bellhop.Outcome
	for _, c := range t.claimAll(p, 100) {
		outcomes = append(outcomes, outcome(c, bellhop.OutcomeSucceeded))
	}
	t.end(outcomes...)
	t.same("D1: pruned too early", t.prune(100), 0)
	t.advance(2 * time.Hour)
	for left := n; left > 0; left -= 4 {
		t.same("D1: pruned", t.prune(4), min(left, 4))
	}
	t.same("jobs that are left", t.count(bellhop.Filter{}), 0)
}

func partsListing(t *try) {
	r := t.parts()
	p := t.process()
	var all []bellhop.ID
	for range 12 {
		for _, jobs := range t.everywhere(r, 2) {
			all = append(all, ids(jobs...)...)
		}
		t.advance(time.Second)
	}
	got, err := look(t.ctx, t.s, all, 7)
	must(t, err)
	t.same("G9: jobs", len(got.Jobs), len(all))
	for _, page := range []int{1, 5, len(all) - 1, 1000} {
		t.same(fmt.Sprintf("L1: jobs in pages of %d", page), len(t.list(bellhop.Filter{}, page)), len(all))
	}
	t.same("N1: counted", t.count(bellhop.Filter{Queues: []string{testQueue}}), len(all))
	n, err := CountAll(t.ctx, t.s, bellhop.Filter{}, 10)
	must(t, err)
	t.same("N1: counted to 10", n, 10)
	t.same("T1: stats", t.counts(1000), []bellhop.QueueStats{{Queue: testQueue, Ready: len(all)}})
	t.same("T1: stats to 10", t.counts(10), []bellhop.QueueStats{{Queue: testQueue, Ready: 10}})
	// While jobs come, run, end and vanish between the pages.
	seen := map[bellhop.ID]int{}
	gone := map[bellhop.ID]bool{}
	for q := (bellhop.Query{Limit: 4}); ; {
		l, err := t.s.List(t.ctx, &q)
		must(t, err)
		for _, j := range l.Jobs {
			seen[j.ID]++
		}
		if q.After = l.Next; q.After == "" {
			break
		}
		t.everywhere(r, 1)
		for _, c := range t.claim(p, 2) {
			t.end(outcome(c, bellhop.OutcomeSucceeded))
		}
		gone[all[len(gone)%len(all)]] = true
		t.act(bellhop.ActDelete, all[(len(gone)-1)%len(all)])
	}
	for _, id := range all {
		if seen[id] > 1 || seen[id] == 0 && !gone[id] {
			t.Errorf("L1: job %s was visited %d times", id, seen[id])
		}
	}
}

func partsActs(t *try) {
	r := t.parts()
	byPart := t.everywhere(r, 10)
	reply := t.act(bellhop.ActCancel, byPart[0][0].ID, bellhop.NewID(), byPart[1][0].ID, byPart[1][0].ID)
	t.same("A1: changed", reply.Changed, ids(byPart[0][0], byPart[1][0]))
	t.same("A1: skipped", len(reply.Skipped), 1)
	changed := map[bellhop.ID]int{}
	x := &bellhop.ActRequest{Action: bellhop.ActDiscard, Filter: bellhop.Filter{Queues: []string{testQueue}}, Limit: 4, Reason: "all"}
	for {
		reply, err := t.s.Act(t.ctx, x)
		must(t, err)
		if len(reply.Changed) > 4 {
			t.Fatalf("A4: one call changed %d jobs; the limit is 4", len(reply.Changed))
		}
		for _, id := range reply.Changed {
			changed[id]++
		}
		if x.After = reply.Next; x.After == "" {
			break
		}
	}
	t.same("A4: changed", len(changed), 10*len(byPart)-2)
	for id, n := range changed {
		if n != 1 {
			t.Errorf("A4: job %s was changed %d times", id, n)
		}
	}
	_, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, After: "no mark"})
	t.fails("an After that is no mark", err, bellhop.ErrInvalid)
}

func partsPause(t *try) {
	r := t.parts()
	p := t.process()
	t.everywhere(r, 2)
	t.pause(testQueue, true)
	reply := t.exchange(request(p, 100))
	t.same("U1: claims", len(reply.Claims), 0)
	t.same("X11: paused", reply.Signals.Paused, []string{testQueue})
	t.same("stats", t.counts(100), []bellhop.QueueStats{{Queue: testQueue, Paused: true, Ready: 2 * len(r.Parts())}})
	t.pause(testQueue, false)
	t.same("claims after resuming", len(t.claimAll(p, 100)), 2*len(r.Parts()))
}

// partsUnique: a key leads to one part, so it is held once over all parts.
func partsUnique(t *try) {
	r := t.parts()
	keyed := func(key string) *bellhop.Job { return t.anywhere(unique(key), queue(otherQueue)) }
	routes := map[int]bool{}
	for _, key := range texts("key ", 30) {
		first, second := keyed(key), t.anywhere(unique(key))
		if r.Route(first) != r.Route(second) {
			t.Skip("the store leads jobs with one key into several parts")
		}
		routes[r.Route(first)] = true
		t.enqueue(first)
		t.same("E4: receipt", t.enqueue(second)[0], bellhop.Receipt{ID: first.ID, State: bellhop.StateReady, Existing: true})
		t.act(bellhop.ActCancel, first.ID)
		t.same("E5: receipt", t.enqueue(second)[0], bellhop.Receipt{ID: second.ID, State: bellhop.StateReady})
	}
	t.same("parts of the keys", len(routes), len(r.Parts()))
}
