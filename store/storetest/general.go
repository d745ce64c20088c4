package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
)

var generalTests = []test{
	{"a failed call changes nothing", "G1 E1 E6 X12 C2", generalAtomic},
	{"over a restart", "G2", generalReopen},
	{"all verbs at once", "G3 G7", generalTogether},
	{"ended contexts", "G4", generalContext},
	{"clock", "G6", generalClock},
	{"closed", "G8", generalClosed},
	{"one place", "G9 Q1", generalOnePlace},
	{"every verb is here", "", generalVerbs},
	{"capabilities", "", generalCapabilities},
	{"notifier", "", generalNotifier},
}

// call is a verb with a request that does little.
type call struct {
	op bellhop.Op
	do func(ctx context.Context, s bellhop.Store) error
}

// calls returns one call of each verb.
func calls(t *try, p bellhop.ID) []call {
	none := bellhop.NewID()
	return []call{
		{bellhop.OpEnqueue, func(ctx context.Context, s bellhop.Store) error {
			return second(s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{t.job()}}))
		}},
		{bellhop.OpExchange, func(ctx context.Context, s bellhop.Store) error { return second(s.Exchange(ctx, request(p, 1))) }},
		{bellhop.OpReport, func(ctx context.Context, s bellhop.Store) error {
			return second(s.Report(ctx, []bellhop.Report{{Token: bellhop.Token{JobID: none, Number: 1}, Started: true}}))
		}},
		{bellhop.OpBeat, func(ctx context.Context, s bellhop.Store) error {
			return second(s.Beat(ctx, &bellhop.Beat{Process: describe(p), Lease: longLease}))
		}},
		{bellhop.OpSweep, func(ctx context.Context, s bellhop.Store) error { return second(s.Sweep(ctx, 10)) }},
		{bellhop.OpPromote, func(ctx context.Context, s bellhop.Store) error {
			_, _, err := s.Promote(ctx, 10)
			return err
		}},
		{bellhop.OpPrune, func(ctx context.Context, s bellhop.Store) error { return second(s.Prune(ctx, 10)) }},
		{bellhop.OpAct, func(ctx context.Context, s bellhop.Store) error {
			return second(s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActRetry, IDs: []bellhop.ID{none}}))
		}},
		{bellhop.OpGet, func(ctx context.Context, s bellhop.Store) error { return second(s.Get(ctx, []bellhop.ID{none})) }},
		{bellhop.OpList, func(ctx context.Context, s bellhop.Store) error { return second(s.List(ctx, &bellhop.Query{})) }},
		{bellhop.OpCount, func(ctx context.Context, s bellhop.Store) error {
			return second(s.Count(ctx, &bellhop.Query{Limit: 10}))
		}},
		{bellhop.OpStats, func(ctx context.Context, s bellhop.Store) error { return second(s.Stats(ctx, 10)) }},
		{bellhop.OpProcesses, func(ctx context.Context, s bellhop.Store) error { return second(s.Processes(ctx)) }},
		{bellhop.OpPause, func(ctx context.Context, s bellhop.Store) error { return s.Pause(ctx, "unused", true) }},
		{bellhop.OpRecords, func(ctx context.Context, s bellhop.Store) error {
			return second(s.Records(ctx, &bellhop.RecordQuery{Space: viewSpace}))
		}},
		{bellhop.OpPut, func(ctx context.Context, s bellhop.Store) error {
			return s.Put(ctx, []bellhop.RecordWrite{set("unused", "1", bellhop.ExpectAny)})
		}},
		{bellhop.OpPing, func(ctx context.Context, s bellhop.Store) error { return second(s.Ping(ctx)) }},
	}
}

func generalVerbs(t *try) {
	var ops []bellhop.Op
	for _, c := range calls(t, t.process()) {
		ops = append(ops, c.op)
		must(t, c.do(t.ctx, t.s))
	}
	t.same("operations", ops, bellhop.Ops)
}

func generalAtomic(t *try) {
	p := t.process()
	c := t.running(p, unique("k"))
	old := t.add()
	other := *old
	other.Kind = otherKind
	jobs := []*bellhop.Job{t.job(unique("new")), t.job(delay(time.Hour)), &other}
	misfit := []bellhop.RecordWrite{set("a", "1", bellhop.ExpectAny), set("b", "1", 4711)}
	t.changesNothing("enqueue with an id that is taken", func() error {
		return second(t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: jobs, Puts: misfit[:1]}))
	}, bellhop.ErrIDTaken)
	t.changesNothing("enqueue with a put that does not fit", func() error {
		return second(t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: jobs[:2], Puts: misfit}))
	}, bellhop.ErrConflict)
	t.changesNothing("exchange with a put that does not fit", func() error {
		r := request(p, 10)
		r.Outcomes, r.Puts = []bellhop.Outcome{outcome(c, bellhop.OutcomeSucceeded)}, misfit
		return second(t.s.Exchange(t.ctx, r))
	}, bellhop.ErrConflict)
	t.changesNothing("put with one that does not fit", func() error { return t.s.Put(t.ctx, misfit) }, bellhop.ErrConflict)
	t.same("receipts", len(t.enqueue(jobs[:2]...)), 2)
	t.end(outcome(c, bellhop.OutcomeSucceeded))
}

func generalReopen(t *try) {
	p := t.process()
	reopened := func(what string) {
		t.Helper()
		before := t.view()
		t.s = t.h.Reopen(t, t.s)
		t.same("view after reopening: "+what, t.view(), before)
	}
	j := t.add(unique("k"))
	t.add(delay(time.Hour))
	reopened("enqueued")
	c := t.claimOne(p, j.ID)
	reopened("claimed")
	t.report(bellhop.Report{Token: c.Token, Started: true, Progress: []byte(`{"done":1}`)})
	reopened("reported")
	extra := t.beat(p, longLease).Extra
	if len(extra) != 1 || !extra[0].Started || extra[0].Token != c.Token {
		t.Errorf("G2: after reopening the process holds %+v", extra)
	}
	t.act(bellhop.ActCancel, j.ID)
	reopened("signalled")
	o := outcome(c, bellhop.OutcomeRetry)
	t.end(o)
	reopened("retried")
	t.end(o) // the record of the attempt is there
	t.advance(time.Hour)
	t.promote(10)
	reopened("promoted")
	claims := t.claim(p, 10)
	t.end(outcome(claims[0], bellhop.OutcomeSucceeded), outcome(claims[1], bellhop.OutcomeDead))
	reopened("ended")
	t.act(bellhop.ActRetry, j.ID)
	t.put(set("r", "1", bellhop.ExpectAny))
	t.pause(otherQueue, true)
	reopened("run again")
	q := t.processFor(time.Second)
	t.claim(q, 10)
	dead := t.sweepAfter(time.Second)
	reopened("swept")
	t.fails("a swept process", second(t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(q), Lease: longLease})), bellhop.ErrProcessGone)
	t.end(dead[0].Sweep(t.now()))
	t.act(bellhop.ActDelete, j.ID)
	reopened("deleted")
	t.in(0, j.ID)
}

// generalTogether calls all verbs from many goroutines. None returns an error:
// deadlocks and serialisation failures are the store's own affair.
func generalTogether(t *try) {
	p := t.process()
	t.addMany(50, priority(-9))
	var team crew
	var n atomic.Int64
	for _, c := range calls(t, p) {
		for range 3 {
			team.Go(string(c.op), func() error {
				for range 20 {
					if err := c.do(t.ctx, t.s); err != nil {
						return err
					}
					n.Add(1)
				}
				return nil
			})
		}
	}
	team.wait(t)
	t.same("calls", n.Load(), int64(len(bellhop.Ops)*3*20))
	t.same("jobs", t.count(bellhop.Filter{}), 50+60)
	t.same("running", t.count(bellhop.Filter{States: bellhop.States(bellhop.StateRunning)}), 60)
}

func generalContext(t *try) {
	p := t.process()
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	late, cancel := context.WithDeadline(t.ctx, time.Unix(1, 0))
	defer cancel()
	for _, c := range calls(t, p) {
		t.fails(string(c.op)+" with a cancelled context", c.do(ended, t.s), context.Canceled)
		t.fails(string(c.op)+" past its deadline", c.do(late, t.s), context.DeadlineExceeded)
		must(t, c.do(t.ctx, t.s)) // the store is as good as before
	}
}

func generalClock(t *try) {
	for _, d := range []time.Duration{time.Second, 90 * 24 * time.Hour, time.Hour} {
		before := t.now()
		t.kept("Ping", before)
		t.advance(d)
		after := t.now()
		if moved := after.Sub(before); moved < d || moved > d+budget {
			t.Errorf("G6: the clock was moved by %v and went %v", d, moved)
		}
		j := t.add(delay(time.Minute))
		t.between("EnqueuedAt", t.get(j.ID).EnqueuedAt, after, t.now())
	}
}

func generalClosed(t *try) {
	p := t.process()
	t.add()
	must(t, t.s.Close())
	for _, c := range calls(t, p) {
		t.fails(string(c.op)+" after Close", c.do(t.ctx, t.s), bellhop.ErrClosed)
	}
	if name := t.s.Capabilities().Name; name == "" {
		t.Errorf("a closed store has lost its name")
	}
}

// generalOnePlace leads jobs through all that may happen to them; view finds
// fault with any that is in no place or in two.
func generalOnePlace(t *try) {
	p := t.process()
	t.addMany(6)
	t.addMany(3, delay(time.Hour))
	t.view()
	total := 9
	for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
		var outcomes []bellhop.Outcome
		for _, c := range t.claim(p, 3) {
			o := outcome(c, kind)
			if kind.To().Final() {
				o.Keep = bellhop.Forever
			}
			outcomes = append(outcomes, o)
		}
		t.view()
		t.end(outcomes...)
		t.view()
		t.advance(time.Hour)
		t.promote(2)
		if v := t.view(); len(v.Jobs) != total {
			t.Fatalf("G9: %d jobs are there; want %d", len(v.Jobs), total)
		}
		t.addMany(2)
		total += 2
	}
	for _, action := range []bellhop.Action{bellhop.ActRetry, bellhop.ActRunNow, bellhop.ActDiscard, bellhop.ActRetry, bellhop.ActCancel} {
		reply, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: action, Limit: 5})
		must(t, err)
		if v := t.view(); len(v.Jobs) != total {
			t.Fatalf("G9: after %s of %d jobs %d are there; want %d", action, len(reply.Changed), len(v.Jobs), total)
		}
	}
}

func generalCapabilities(t *try) {
	c := t.s.Capabilities()
	if c.Name == "" || c.Durability == "" || c.Writers < 1 {
		t.Errorf("capabilities are %+v; want a name, a durability, and 1 writer at least", c)
	}
	if own, ok := bellhop.As[bellhop.Store](t.s); !ok || own == nil {
		t.Errorf("As finds no store")
	}
}

// generalNotifier: a notification is a hint that may fail to come, so the test
// goes on enqueueing until one does.
func generalNotifier(t *try) {
	n, ok := bellhop.As[bellhop.Notifier](t.s)
	if !ok {
		t.Skip("the store does not notify")
	}
	heard := make(chan string, 1)
	stop := n.Notify(func(queue string) {
		select {
		case heard <- queue:
		default:
		}
	})
	defer stop()
	for {
		t.add()
		wait := time.NewTimer(100 * time.Millisecond)
		select {
		case queue := <-heard:
			wait.Stop()
			if !slices.Contains([]string{testQueue, ""}, queue) {
				t.Errorf("notified of queue %q; jobs came to %q", queue, testQueue)
			}
			return
		case <-wait.C:
		case <-t.ctx.Done():
			t.Fatal(fmt.Errorf("no notification came: %w", t.ctx.Err()))
		}
	}
}
