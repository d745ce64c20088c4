package storetest

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// listLast compares the newest attempts in a listing with those that Get returns.
func listLast(t *try) {
	p := t.process()
	ends := []bellhop.OutcomeKind{
		bellhop.OutcomeSucceeded, bellhop.OutcomeRetry, bellhop.OutcomeDead, bellhop.OutcomeHandedBack, bellhop.OutcomeSnooze, bellhop.OutcomeCancelled,
	}
	t.add()
	for i, kind := range append(ends, ends...) {
		id := t.add(priority(bellhop.MinPriority)).ID
		if i >= len(ends) { // the second attempt is the one
			t.end(outcome(t.claimOne(p, id), bellhop.OutcomeSnooze))
			t.act(bellhop.ActRunNow, id)
		}
		t.end(outcome(t.claimOne(p, id), kind))
		if kind == bellhop.OutcomeHandedBack { // and while it runs
			t.claimOne(p, id)
		}
	}
	t.addMany(3, queue(otherQueue))
	var plain []bellhop.Outcome
	for _, c := range t.claim(p, 3, otherQueue) {
		plain = append(plain, outcome(c, bellhop.OutcomeSucceeded))
	}
	t.end(plain...)
	t.act(bellhop.ActRetry, plain[0].Token.JobID)
	for name, q := range map[string]bellhop.Query{
		"all": {WithLast: true}, "without arguments": {WithLast: true, WithoutArgs: true},
		"succeeded": {WithLast: true, Filter: bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}},
		"by id":     {WithLast: true, Filter: bellhop.Filter{IDs: []bellhop.ID{plain[0].Token.JobID, plain[1].Token.JobID}}},
	} {
		l, err := t.s.List(t.ctx, &q)
		must(t, err)
		if len(l.Jobs) < 2 {
			t.Fatalf("%s: a listing of %d jobs", name, len(l.Jobs))
		}
		for _, j := range l.Jobs {
			whole := t.get(j.ID)
			if q.WithoutArgs {
				whole.Args = nil
			}
			whole.History = whole.History[max(0, len(whole.History)-1):]
			t.same(name+": job with its newest attempt", j, whole)
		}
	}
}

func listContents(t *try) {
	a := t.add(args(`{"user":{"id":9007199254740993,"name":"Ünï"},"items":[{"sku":"A-1"}],"on":true}`))
	b := t.add(args(`{"user":{"id":9007199254740992,"name":"100%"},"items":[],"on":null}`), queue(otherQueue))
	c := t.add(args(`"9007199254740993"`), queue("Other"))
	one := func(conditions ...string) bellhop.Filter {
		var f bellhop.Filter
		for _, text := range conditions {
			m, err := bellhop.ParseArgMatch(text)
			must(t, err)
			f.Args = append(f.Args, m)
		}
		return f
	}
	with := func(f bellhop.Filter, change func(*bellhop.Filter)) bellhop.Filter { change(&f); return f }
	for name, c := range map[string]struct {
		f    bellhop.Filter
		want []bellhop.ID
	}{
		"a number":           {one("user.id=9007199254740993"), ids(a)},
		"a number's form":    {one("user.id=9007199254740992.0"), ids(b)},
		"a text":             {one("user.name=Ünï"), ids(a)},
		"a place in a list":  {one("items.0.sku=A-1"), ids(a)},
		"null":               {one("on=null"), ids(b)},
		"two":                {one("on=true", "user.name=Ünï"), ids(a)},
		"two, one is wrong":  {one("on=true", "user.name=100%"), nil},
		"the whole":          {one("=9007199254740993"), ids(c)},
		"no such path":       {one("user.mail=x"), nil},
		"a value and a text": {with(one("on=null"), func(f *bellhop.Filter) { f.Text = "100%" }), ids(b)},
		"a value and a queue": {
			with(one("on=null"), func(f *bellhop.Filter) { f.Queues = []string{otherQueue, "none"} }), ids(b),
		},
		"a value and another queue":    {with(one("on=null"), func(f *bellhop.Filter) { f.Queues = []string{testQueue} }), nil},
		"a value and an id":            {with(one("on=null"), func(f *bellhop.Filter) { f.IDs = ids(a, b) }), ids(b)},
		"what may be seen":             {bellhop.Filter{Text: "sku", Seen: masked("Ünï")}, ids(a)},
		"what may not be seen":         {bellhop.Filter{Text: "nï", Seen: masked("Ünï")}, nil},
		"a value that may not be seen": {with(one("user.name=Ünï"), func(f *bellhop.Filter) { f.Seen = masked("Ünï") }), nil},
		"not a queue":                  {bellhop.Filter{NotQueues: []string{otherQueue}}, ids(c, a)},
		"not two queues":               {bellhop.Filter{NotQueues: []string{otherQueue, "Other", "none"}}, ids(a)},
		"queues that none is called":   {bellhop.Filter{Queues: []string{"nul \x00", "not UTF-8 \xff", `"`, "", "Other"}}, ids(c)},
		"not queues that there are":    {bellhop.Filter{NotQueues: []string{"nul \x00", "not UTF-8 \xff", `"`, "", "Other"}}, ids(b, a)},
		"a tag that none has":          {bellhop.Filter{Tags: []string{"nul \x00, not UTF-8 \xff"}}, nil},
		"kinds that there are not":     {bellhop.Filter{Kinds: []string{"nul \x00", "not UTF-8 \xff"}}, nil},
		"a queue and not it":           {bellhop.Filter{Queues: []string{otherQueue, "Other"}, NotQueues: []string{otherQueue}}, ids(c)},
	} {
		t.same("list by "+name, t.list(c.f, 50), c.want)
		t.same("list by "+name+", one by one", t.list(c.f, 1), c.want)
		t.same("count by "+name, t.count(c.f), len(c.want))
	}
	reply, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, Filter: bellhop.Filter{Text: "nï", Seen: masked("Ünï")}})
	must(t, err)
	t.same("cancelled by what may not be seen", reply.Changed, []bellhop.ID(nil))
	reply, err = t.s.Act(t.ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, Filter: one("on=true")})
	must(t, err)
	t.same("cancelled by a value", reply.Changed, ids(a))
	t.in(bellhop.StateReady, b.ID, c.ID)
}

// masked shows of arguments and failures all but one word.
type masked string

func (m masked) Args(args []byte) []byte { return bytes.ReplaceAll(args, []byte(m), []byte("…")) }

func (m masked) Failure(f *bellhop.Failure) *bellhop.Failure {
	shown := *f
	shown.Message = strings.ReplaceAll(f.Message, string(m), "…")
	return &shown
}

// failing ends a claim with a failure.
func (t *try) failing(c bellhop.Claim, kind bellhop.OutcomeKind, class, message string) {
	t.Helper()
	o := outcome(c, kind)
	o.Failure = &bellhop.Failure{Class: class, Message: message, Stack: "main.go:12 stack"}
	t.end(o)
}

func listFailures(t *try) {
	p := t.process()
	fail := func(kind bellhop.OutcomeKind, message string, set ...func(*bellhop.Job)) bellhop.ID {
		c := t.running(p, set...)
		t.failing(c, kind, "net.OpError", message)
		return c.Token.JobID
	}
	t.add(queue("idle"))
	a := fail(bellhop.OutcomeRetry, `dial 10.0.0.1:25: "refused" 100%`)
	b := fail(bellhop.OutcomeDead, `dial 10.0.0.2:25: "refused" 100%`)
	c := fail(bellhop.OutcomeDead, "user 7: Ünï")
	d := fail(bellhop.OutcomeRetry, `dial 10.0.0.3:25: "refused" 100%`, kind(otherKind))
	e := fail(bellhop.OutcomeRetry, "user 8: Ünï")
	t.act(bellhop.ActRunNow, e) // it runs again, and its newest attempt is still the one that failed
	t.claimOne(p, e)
	f := fail(bellhop.OutcomeRetry, "user 9: Ünï")
	t.act(bellhop.ActRunNow, f) // and this one succeeds
	t.end(outcome(t.claim(p, 1)[0], bellhop.OutcomeSucceeded))
	g := fail(bellhop.OutcomeRetry, "user 10: Ünï")
	t.act(bellhop.ActRunNow, g) // and of this one nobody knows what the next will be
	t.end(outcome(t.claim(p, 1)[0], bellhop.OutcomeHandedBack))
	print := func(kind, message string) string {
		return bellhop.Fingerprint(kind, &bellhop.Failure{Class: "net.OpError", Message: message})
	}
	for name, c := range map[string]struct {
		f    bellhop.Filter
		want []bellhop.ID
	}{
		"text":                  {bellhop.Filter{Error: `"refused" 100%`}, []bellhop.ID{d, b, a}},
		"text in other letters": {bellhop.Filter{Error: "Refused"}, nil},
		"text beyond ASCII":     {bellhop.Filter{Error: ": Ünï"}, []bellhop.ID{e, c}},
		"class":                 {bellhop.Filter{Error: "OpErr"}, []bellhop.ID{e, d, c, b, a}},
		"stack":                 {bellhop.Filter{Error: "main.go"}, nil},
		"group":                 {bellhop.Filter{Fingerprint: print(testKind, `dial 1.2.3.4:1: "x" 5%`)}, []bellhop.ID{b, a}},
		"group of another kind": {bellhop.Filter{Fingerprint: print(otherKind, `dial 1.2.3.4:1: "x" 5%`)}, []bellhop.ID{d}},
		"group of nothing":      {bellhop.Filter{Fingerprint: "0123456789abcdef"}, nil},
		"what may be seen":      {bellhop.Filter{Error: "100%", Seen: masked("refused")}, []bellhop.ID{d, b, a}},
		"what may not be seen":  {bellhop.Filter{Error: "refused", Seen: masked("refused")}, nil},
		"text and state":        {bellhop.Filter{Error: "refused", States: bellhop.States(bellhop.StateDead)}, []bellhop.ID{b}},
		"text and success":      {bellhop.Filter{Error: "user", States: bellhop.States(bellhop.StateSucceeded)}, nil},
		"text and queue":        {bellhop.Filter{Error: "refused", Queues: []string{testQueue, otherQueue}}, []bellhop.ID{d, b, a}},
		"text and id":           {bellhop.Filter{Error: "refused", IDs: []bellhop.ID{a, c}}, []bellhop.ID{a}},
		"text and arguments":    {bellhop.Filter{Error: "refused", Args: []bellhop.ArgMatch{{Path: "n", Value: "1"}}}, []bellhop.ID{d, b, a}},
	} {
		t.same("list by "+name, t.list(c.f, 50), c.want)
		t.same("list by "+name+", one by one", t.list(c.f, 1), c.want)
		t.same("count by "+name, t.count(c.f), len(c.want))
	}
	reply, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: bellhop.ActRetry, Filter: bellhop.Filter{
		States: bellhop.States(bellhop.StateDead), Fingerprint: print(testKind, `dial 1.2.3.4:1: "x" 5%`),
	}})
	must(t, err)
	t.same("retried by their group", reply.Changed, []bellhop.ID{b})
	t.in(bellhop.StateDead, c)
}

func listEnds(t *try) {
	p := t.process()
	end := func() bellhop.Snapshot {
		c := t.running(p)
		t.end(outcome(c, bellhop.OutcomeSucceeded))
		t.advance(time.Minute)
		return t.get(c.Token.JobID)
	}
	early := t.add(delay(time.Hour))
	a, b, c := end(), end(), end()
	t.add()
	t.act(bellhop.ActCancel, early.ID) // enqueued first, ended last
	for name, c := range map[string]struct {
		f    bellhop.Filter
		want []bellhop.ID
	}{
		"after, inclusive":  {bellhop.Filter{FinishedAfter: b.Place.FinishedAt}, []bellhop.ID{c.ID, b.ID, early.ID}},
		"before, exclusive": {bellhop.Filter{FinishedBefore: b.Place.FinishedAt}, []bellhop.ID{a.ID}},
		"a span": {
			bellhop.Filter{FinishedAfter: b.Place.FinishedAt, FinishedBefore: c.Place.FinishedAt}, []bellhop.ID{b.ID},
		},
		"a span and states": {
			bellhop.Filter{FinishedAfter: a.Place.FinishedAt, States: bellhop.States(bellhop.StateCancelled, bellhop.StateReady)}, ids(early),
		},
		"live jobs": {bellhop.Filter{FinishedAfter: a.Place.FinishedAt, States: bellhop.States(bellhop.StateReady)}, nil},
		"both times": {
			bellhop.Filter{FinishedBefore: c.Place.FinishedAt, EnqueuedAfter: b.EnqueuedAt}, []bellhop.ID{b.ID},
		},
	} {
		t.same("list by end, "+name, t.list(c.f, 50), c.want)
		t.same("count by end, "+name, t.count(c.f), len(c.want))
	}
}

// countBounded counts by what only a look at each job can tell. One call may end
// early, and then says where to go on; together they find each job once, also if
// jobs come and move meanwhile.
func countBounded(t *try) {
	t.addMany(300)
	t.same("few jobs", t.count(bellhop.Filter{Text: `"n"`}), 300)
	const large = 12
	for range large {
		t.add(args(`{"big":"` + strings.Repeat("x", bellhop.MaxArgs-100) + `"}`))
	}
	q := bellhop.Query{Filter: bellhop.Filter{Text: `"big"`}, Limit: 1000}
	n := 0
	for {
		c, err := t.s.Count(t.ctx, &q)
		must(t, err)
		if n += c.Count; c.Next == "" {
			break
		}
		if c.Examined < c.Count || n > large {
			t.Fatalf("N2: a count found %d, %d in all of %d, having looked at %d", c.Count, n, large, c.Examined)
		}
		t.add(args(`{"big":0}`)) // it comes too late to be counted
		t.claim(t.process(), 1)
		q.After = c.Next
	}
	t.same("large jobs", n, large)
	_, err := t.s.Count(t.ctx, &bellhop.Query{Filter: bellhop.Filter{Text: "big"}, Limit: 10, After: "no mark"})
	if !errors.Is(err, bellhop.ErrInvalid) {
		t.Errorf("N2: a count after \"no mark\" gives %v, want ErrInvalid", err)
	}
}
