package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

var uniqueTests = []test{
	{"live states hold the key", "E4", uniqueLive},
	{"one call", "E4 E7", uniqueOneCall},
	{"outcomes", "E4 E5", uniqueOutcomes},
	{"actions", "E5 A5", uniqueActions},
	{"sweep", "E4 E5", uniqueSweep},
	{"run again", "A3 E4", uniqueRunAgain},
	{"prune leaves others' keys", "E5 D2", uniquePrune},
	{"twenty callers", "E4 G3", uniqueRace},
	{"keys byte for byte", "E4 G5", uniqueBytes},
}

// holds checks who holds the key: an enqueue that loses takes nothing.
func (t *try) holds(key string, id bellhop.ID, state bellhop.State) {
	t.Helper()
	j := t.job(unique(key))
	if r := t.enqueue(j)[0]; r != (bellhop.Receipt{ID: id, State: state, Existing: true}) {
		t.Fatalf("E4: receipt is %v; want holder %s, %s", r, id, state)
	}
	t.in(0, j.ID)
}

// free checks that nobody holds the key, and leaves it so.
func (t *try) free(what, key string) {
	t.Helper()
	j := t.job(unique(key), priority(bellhop.MaxPriority), queue("free"))
	if r := t.enqueue(j)[0]; r.ID != j.ID || r.Existing {
		t.Fatalf("E5: after %s the key is still held: %v", what, r)
	}
	t.act(bellhop.ActDelete, j.ID)
}

func uniqueLive(t *try) {
	p := t.process()
	ready := t.add(unique("ready"))
	t.holds("ready", ready.ID, bellhop.StateReady)
	waits := t.add(unique("scheduled"), delay(time.Minute))
	t.holds("scheduled", waits.ID, bellhop.StateScheduled)
	t.claimOne(p, ready.ID)
	t.holds("ready", ready.ID, bellhop.StateRunning)
	t.advance(time.Hour)
	t.promote(10)
	t.holds("scheduled", waits.ID, bellhop.StateReady)
}

func uniqueOneCall(t *try) {
	a, b, c, d := t.job(unique("k")), t.job(unique("k"), delay(time.Hour)), t.job(), t.job(unique("k"))
	t.same("receipts", t.enqueue(a, b, c, d), []bellhop.Receipt{
		{ID: a.ID, State: bellhop.StateReady},
		{ID: a.ID, State: bellhop.StateReady, Existing: true},
		{ID: c.ID, State: bellhop.StateReady},
		{ID: a.ID, State: bellhop.StateReady, Existing: true},
	})
	t.in(0, b.ID, d.ID)
}

func uniqueOutcomes(t *try) {
	p := t.process()
	for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
		c := t.running(p, unique("k"))
		t.end(outcome(c, kind))
		if kind.To().Final() {
			t.free(kind.String(), "k")
			continue
		}
		t.holds("k", c.Token.JobID, kind.To())
		t.act(bellhop.ActCancel, c.Token.JobID)
		t.free("cancelling", "k")
	}
}

func uniqueActions(t *try) {
	p := t.process()
	for _, action := range []bellhop.Action{bellhop.ActCancel, bellhop.ActDiscard, bellhop.ActDelete} {
		for _, set := range []func(*bellhop.Job){delay(0), delay(time.Hour)} {
			j := t.add(unique("k"), set)
			t.act(action, j.ID)
			t.free(action.String(), "k")
		}
	}
	waits := t.add(unique("k"), delay(time.Hour))
	t.act(bellhop.ActRunNow, waits.ID)
	t.holds("k", waits.ID, bellhop.StateReady)
	c := t.claimOne(p, waits.ID)
	t.act(bellhop.ActCancel, waits.ID)
	t.holds("k", waits.ID, bellhop.StateRunning)
	t.end(outcome(c, bellhop.OutcomeCancelled))
	t.free("cancelling a running job", "k")
	// What is done to a finished job does not touch the key, which is another's.
	other := t.add(unique("k"))
	t.act(bellhop.ActDelete, waits.ID)
	t.holds("k", other.ID, bellhop.StateReady)
	t.act(bellhop.ActDelete, other.ID)
	dead := t.running(p, unique("k"))
	t.end(outcome(dead, bellhop.OutcomeDead))
	other = t.add(unique("k"))
	t.act(bellhop.ActDiscard, dead.Token.JobID)
	t.holds("k", other.ID, bellhop.StateReady)
}

func uniqueSweep(t *try) {
	p := t.processFor(time.Minute)
	c := t.running(p, unique("k"))
	dead := t.sweepAfter(time.Minute)
	t.holds("k", c.Token.JobID, bellhop.StateRunning)
	t.end(dead[0].Sweep(t.now()))
	t.holds("k", c.Token.JobID, bellhop.StateReady)

	q := t.processFor(time.Minute)
	c = t.claimOne(q, c.Token.JobID)
	o := t.sweepAfter(time.Minute)[0].Sweep(t.now())
	o.Kind, o.Keep = bellhop.OutcomeDead, bellhop.Forever
	t.end(o)
	t.free("a sweep to dead", "k")
}

func uniqueRunAgain(t *try) {
	p := t.process()
	c := t.running(p, unique("k"))
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	old := c.Token.JobID
	holder := t.add(unique("k"), delay(time.Hour))
	reply := t.act(bellhop.ActRetry, old)
	t.same("skipped", reply.Skipped, []bellhop.Skip{{ID: old, State: bellhop.StateSucceeded, Holder: holder.ID}})
	t.in(bellhop.StateSucceeded, old)
	t.act(bellhop.ActDelete, holder.ID)
	t.same("changed", t.act(bellhop.ActRetry, old).Changed, []bellhop.ID{old})
	t.holds("k", old, bellhop.StateReady)

	// Of two finished jobs with one key, one call runs one again.
	other := t.job(unique("k"))
	t.act(bellhop.ActCancel, old)
	t.enqueue(other)
	t.act(bellhop.ActCancel, other.ID)
	reply = t.act(bellhop.ActRetry, old, other.ID)
	t.same("reply", *reply, bellhop.ActReply{
		Changed: []bellhop.ID{old}, Skipped: []bellhop.Skip{{ID: other.ID, State: bellhop.StateCancelled, Holder: old}},
	})
	// With a filter, only jobs that a key held back are named.
	byFilter, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: bellhop.ActRetry, Filter: bellhop.Filter{Queues: []string{testQueue}}})
	must(t, err)
	t.same("reply by filter", *byFilter, bellhop.ActReply{
		Skipped: []bellhop.Skip{{ID: other.ID, State: bellhop.StateCancelled, Holder: old}},
	})
}

func uniquePrune(t *try) {
	p := t.process()
	c := t.running(p, unique("k"))
	t.end(outcome(c, bellhop.OutcomeSucceeded))
	holder := t.add(unique("k"))
	t.advance(2 * time.Hour)
	if n := t.prune(10); n != 1 {
		t.Errorf("pruned %d; want 1", n)
	}
	t.holds("k", holder.ID, bellhop.StateReady)
}

func uniqueRace(t *try) {
	const callers, rounds = 20, 5
	for round := range rounds {
		key := fmt.Sprintf("key %d", round)
		receipts := make([][]bellhop.Receipt, callers)
		start := make(chan struct{})
		var team crew
		for i := range callers {
			// Each call has a job of its own before or after it, so that the calls are batches.
			jobs := []*bellhop.Job{t.job(), t.job(unique(key)), t.job(unique(fmt.Sprintf("%s own %d", key, i)))}
			if i%2 == 0 {
				slices.Reverse(jobs)
			}
			team.Go("caller", func() (err error) {
				<-start
				receipts[i], err = t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: jobs})
				return err
			})
		}
		close(start)
		team.wait(t)
		var winner bellhop.ID
		won := 0
		for _, r := range receipts {
			if winner = r[1].ID; !r[1].Existing {
				won++
			}
		}
		for _, r := range receipts {
			if r[1].ID != winner || r[0].Existing || r[2].Existing {
				t.Fatalf("E4: receipts %v; the winner is %s", r, winner)
			}
		}
		if won != 1 {
			t.Fatalf("E4: %d of %d callers won the key", won, callers)
		}
		t.holds(key, winner, bellhop.StateReady)
	}
	if n := t.count(bellhop.Filter{}); n != rounds*(2*callers+1) {
		t.Errorf("%d jobs are there; want %d", n, rounds*(2*callers+1))
	}
}

func uniqueBytes(t *try) {
	keys := []string{
		"a", "A", "a ", " a", "a\t", "ä", "a\u0308", "Ä", "ß", "ss", "ẞ", "\u200ba", "0", "00", "a%", "a_", "a\\", "a'", `a"`,
		"日本", "日本 ", "🛎", "שלום", string(make255('x')), string(make255('x')) + "y",
	}
	for _, key := range keys {
		if r := t.enqueue(t.job(unique(key)))[0]; r.Existing {
			t.Errorf("E4: key %q was taken for another", key)
		}
	}
	for _, key := range keys {
		if r := t.enqueue(t.job(unique(key)))[0]; !r.Existing {
			t.Errorf("E4: key %q was taken twice", key)
		}
	}
}

func make255(c byte) []byte {
	b := make([]byte, 255)
	for i := range b {
		b[i] = c
	}
	return b
}
