package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

var trapTests = []test{
	{"arguments", "G5", trapArgs},
	{"metadata", "G5", trapMeta},
	{"tags", "G5", trapTags},
	{"names", "G5", trapNames},
	{"texts", "G5", trapTexts},
	{"progress and results", "G5 X10", trapJSON},
	{"large batch of large jobs", "G5 E1", trapLarge},
	{"times", "G6", trapTimes},
	{"durations", "G5 E2", trapDurations},
	{"nothing is shared with the caller", "G5", trapAliases},
}

// trickyArgs are arguments that a store may be tempted to improve.
func trickyArgs() map[string]string {
	deep := strings.Repeat("[", 500) + strings.Repeat("]", 500)
	letters := strings.Repeat("x", bellhop.DefaultMaxArgs-len(`{"s":""}`))
	return map[string]string{
		"empty object": `{}`, "null": `null`, "number": `0`, "string": `""`,
		"2^53+1":                      `{"n":9007199254740993,"m":-9223372036854775809,"o":18446744073709551616}`,
		"30 digits":                   `[3.141592653589793238462643383279, 1e400, -0, 0.10, 1E+2, 1.0]`,
		"spacing":                     "\n\t{ \"b\" :\r\n 1 ,\"a\":[ ] }  ",
		"double keys":                 `{"a":1,"a":2,"":3}`,
		"order of keys":               `{"z":1,"a":2,"M":3}`,
		"deep":                        deep,
		"escapes":                     `{"a":"\u00e9\/\ud83d\udece\u2028<>&'\"\\"}`,
		"emoji":                       `{"🛎":"👩‍👩‍👧‍👦 🇦🇹"}`,
		"right to left":               `{"name":"שלום עולם","ar":"\u202eمرحبا"}`,
		"combining":                   "{\"a\u0308\":\"\u00e4\"}",
		"noncharacters":               "{\"a\":\"\ufffe\uffff\U0010ffff\ufeff\"}",
		"question marks and dollars":  `{"a":"? ?? $1 :name @p1 %s %% {{x}} -- ; /* */ '' \\"}`,
		"what looks like other types": `["\\xdeadbeef","0x41","2026-01-01","NULL","true","\\N"]`,
		"128 KiB":                     `{"s":"` + letters + `"}`,
		"128 KiB of emoji":            `{"s":"` + strings.Repeat("🛎", (bellhop.DefaultMaxArgs-8)/4) + `"}`,
		"1 MiB":                       `{"s":"` + strings.Repeat("y", bellhop.MaxArgs-8) + `"}`,
	}
}

func trapArgs(t *try) {
	p := t.process()
	for name, text := range trickyArgs() {
		j := t.add(args(text))
		same := func(where string, got []byte) {
			t.Helper()
			if string(got) != text {
				t.Errorf("G5: %s came back from %s as %.60q; want %.60q (%d bytes, %d)", name, where, got, text, len(got), len(text))
			}
		}
		same("get", t.get(j.ID).Args)
		l, err := t.s.List(t.ctx, &bellhop.Query{Filter: bellhop.Filter{IDs: ids(j)}})
		must(t, err)
		same("list", l.Jobs[0].Args)
		r := request(p, 1)
		same("claim", t.exchange(r).Claims[0].Job.Args)
		same("repeated claim", t.exchange(r).Claims[0].Job.Args)
		same("beat", t.beat(p, longLease).Extra[0].Job.Args)
		if receipt := t.enqueue(j)[0]; !receipt.Existing {
			t.Errorf("E2: %s: the receipt of a repeat is %v", name, receipt)
		}
		t.act(bellhop.ActCancel, j.ID)
		t.end(bellhop.Outcome{Token: t.beat(p, longLease).Cancel[0], Kind: bellhop.OutcomeCancelled, Keep: bellhop.Forever})
	}
	t.s = t.h.Reopen(t, t.s)
	texts := slices.Collect(maps.Values(trickyArgs()))
	for _, j := range t.view().Jobs {
		if !slices.Contains(texts, string(j.Args)) {
			t.Errorf("G5: after reopening there are the arguments %.60q", j.Args)
		}
	}
}

func trapMeta(t *try) {
	p := t.process()
	many := map[string]string{}
	for i, key := range texts("key", 200) {
		many[key] = fmt.Sprint(i)
	}
	for _, meta := range []map[string]string{
		nil,
		{},
		{"": ""},
		{"a": ""},
		{"": "a"},
		many,
		{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Traceparent": "x", "TRACEPARENT": "y"},
		{"a.b": "1", "a": "2", "$": "3", "a b": "4", "\"": "'", "\\": "\n\t", "é": "🛎", "e\u0301": "2", "null": "null"},
		{"long": strings.Repeat("ü", bellhop.MaxMeta/2-4)},
	} {
		j := t.job()
		j.Meta = meta
		t.enqueue(j)
		for where, got := range map[string]map[string]string{"get": t.get(j.ID).Meta, "claim": t.claimOne(p, j.ID).Job.Meta} {
			if !maps.Equal(got, meta) {
				t.Errorf("G5: metadata came back from %s as %q; want %q", where, got, meta)
			}
		}
		if r := t.enqueue(j)[0]; !r.Existing {
			t.Errorf("E2: receipt of a repeat is %v", r)
		}
	}
}

func trapTags(t *try) {
	p := t.process()
	many := texts("tag", bellhop.MaxTags)
	for _, list := range [][]string{
		nil, {}, {"a"}, {"A", "a", "a-b", "a.b", "a:b", "a_b"}, {"%", "_"}, {"é", "日本", "🛎"}, many,
	} {
		slices.Sort(list)
		j := t.add(tags(list...))
		t.same("tags from get", t.get(j.ID).Tags, list)
		t.same("tags from claim", t.claimOne(p, j.ID).Job.Tags, list)
		for _, tag := range list {
			f := bellhop.Filter{Tags: []string{tag}, IDs: ids(j)}
			t.same("jobs with tag "+tag, t.list(f, 10), ids(j))
		}
	}
	// A tag is found whole, in its case, and not as a pattern.
	for tag, want := range map[string]int{"a": 2, "A": 1, "a-": 0, "a%": 0, "%": 1, "_": 1, "tag0003": 1, "tag000": 0, "É": 0} {
		t.same(fmt.Sprintf("jobs with tag %q", tag), t.count(bellhop.Filter{Tags: []string{tag}}), want)
	}
}

func trapNames(t *try) {
	p := t.process()
	long := strings.Repeat("n", 128)
	names := []string{"a", "A", "a.b", "a-b", "a_b", "a:b", "a/b", "0", "null", "default", "jobs", long, long[:127] + "m"}
	var jobs []*bellhop.Job
	for _, name := range names {
		jobs = append(jobs, t.add(queue(name), kind(name)))
	}
	for i, name := range names {
		r := request(p, 10, name)
		r.Kinds = []string{name}
		t.same("claims of "+name, claimed(t.exchange(r).Claims), ids(jobs[i]))
		got := t.get(jobs[i].ID)
		t.same("queue and kind", got.Queue+" "+got.Kind, name+" "+name)
		t.same("jobs by queue", t.list(bellhop.Filter{Queues: []string{name}}, 10), ids(jobs[i]))
		t.same("jobs by kind", t.list(bellhop.Filter{Kinds: []string{name}}, 10), ids(jobs[i]))
	}
	t.same("queues", len(t.stats(10)), len(names))
}

func trapTexts(t *try) {
	p := t.process()
	full := strings.Repeat("é", bellhop.MaxErrorText/2)
	for _, text := range []string{"a\nb\tc", "  spaces  ", "'; drop table jobs; --", `\x00 \0 \u0000`, "🛎 שלום", "\u202e", full} {
		c := t.running(p)
		reason := bellhop.CleanText(text, 512) // as clients and claims cut it
		o := outcome(c, bellhop.OutcomeDead)
		o.Reason, o.Failure = reason, &bellhop.Failure{Class: "*x.Error[go.shape.é]", Message: text, Stack: text}
		t.end(o)
		got := t.get(c.Token.JobID)
		t.same("failure", got.History[0].Failure, o.Failure)
		t.same("reason", got.Place.Reason, reason)
		reply, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: bellhop.ActRetry, IDs: []bellhop.ID{got.ID}, Reason: reason})
		must(t, err)
		t.same("changed", reply.Changed, []bellhop.ID{got.ID})
		t.same("reason of an action", t.get(got.ID).Place.Reason, reason)
		t.act(bellhop.ActDelete, got.ID)
	}
}

func trapJSON(t *try) {
	p := t.process()
	for name, text := range trickyArgs() {
		if len(text) > bellhop.MaxResult {
			continue
		}
		c := t.running(p)
		if len(text) <= bellhop.MaxProgress {
			t.report(bellhop.Report{Token: c.Token, Progress: []byte(text)})
			t.same("progress: "+name, string(t.get(c.Token.JobID).Place.Progress), text)
		}
		o := outcome(c, bellhop.OutcomeSucceeded)
		o.Result = []byte(text)
		t.end(o)
		if got := t.get(c.Token.JobID).Place.Result; string(got) != text {
			t.Errorf("G5: the result %s came back as %.60q", name, got)
		}
	}
}

func trapLarge(t *try) {
	p := t.process()
	const n = 40
	jobs := make([]*bellhop.Job, n)
	for i := range jobs {
		jobs[i] = t.job(args(`"` + strings.Repeat(string(rune('a'+i%26)), bellhop.DefaultMaxArgs-2) + `"`))
	}
	t.enqueue(jobs...)
	claims := t.claim(p, n)
	if len(claims) != n {
		t.Fatalf("claimed %d of %d", len(claims), n)
	}
	for i := range claims {
		if !bytes.Equal(claims[i].Job.Args, jobs[i].Args) {
			t.Errorf("G5: the arguments of job %d are others", i)
		}
	}
}

func trapTimes(t *try) {
	p := t.process()
	zone := time.FixedZone("half past", 5*3600+1800)
	// A zone, the end of a day, microseconds, a leap day, a moment that a daylight saving rule skips.
	for _, at := range []time.Time{
		time.Date(2100, 2, 28, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2096, 2, 29, 0, 0, 0, 1_000, zone),
		time.Date(2097, 3, 31, 2, 30, 0, 123_456_000, zone),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	} {
		j := t.add(runAt(at.UTC()))
		got := t.get(j.ID)
		t.same("run-at", got.RunAt, at)
		t.same("due", got.Place.Due, at)
		t.kept("run-at", got.RunAt)
		t.kept("due", got.Place.Due)
		if r := t.enqueue(j)[0]; !r.Existing {
			t.Errorf("E2: receipt of a repeat is %v", r)
		}
		same := *j
		same.RunAt = at // another zone, the same moment
		if r := t.enqueue(&same)[0]; !r.Existing {
			t.Errorf("E2: receipt of a repeat in another zone is %v", r)
		}
	}
	first := t.add(runAt(time.Unix(0, 0).UTC())) // a number of 0 is not the same as none
	t.same("run-at", t.get(first.ID).RunAt, first.RunAt)
	if r := t.enqueue(first)[0]; !r.Existing {
		t.Errorf("E2: receipt of a repeat at the first moment of Unix time is %v", r)
	}
	t.end(outcome(t.claimOne(p, first.ID), bellhop.OutcomeSucceeded))
	c := t.running(p)
	t.kept("ClaimedAt", c.Place.ClaimedAt)
	t.kept("EnqueuedAt", c.Job.EnqueuedAt)
	t.kept("Due", c.Place.Due)
	o := outcome(c, bellhop.OutcomeRetry)
	o.Wait = 1_234_567_891
	o.Started, o.Ended = time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, zone), time.Date(2026, 1, 1, 0, 0, 0, 1_999, zone)
	t.end(o)
	got := t.get(c.Token.JobID)
	t.kept("Due", got.Place.Due)
	for what, at := range map[string][2]time.Time{
		"Started": {got.History[0].Started, o.Started}, "Ended": {got.History[0].Ended, o.Ended},
	} {
		t.same(what, at[0], at[1].Truncate(time.Microsecond))
		t.kept(what, at[0])
	}
}

func trapDurations(t *try) {
	for _, d := range []time.Duration{0, 1, 999, 1001, 1_234_567_891, 100 * 365 * 24 * time.Hour} {
		j := t.job(keep(d))
		j.Timeout = d
		t.enqueue(j)
		got := t.get(j.ID)
		t.same("timeout", got.Timeout, d)
		t.same("retention", got.Retention, d)
		if r := t.enqueue(j)[0]; !r.Existing {
			t.Errorf("E2: receipt of a repeat with %v is %v", d, r)
		}
	}
}

// trapAliases spoils all that the store was given and all that it gave.
func trapAliases(t *try) {
	p := t.process()
	j := t.job(args(`{"n":1}`), tags("a"))
	j.Meta = map[string]string{"k": "v"}
	t.enqueue(j)
	spoil := func(j *bellhop.Job) {
		j.Args[2], j.Tags[0], j.Meta["k"] = 'X', "X", "X"
		j.Kind, j.Queue, j.Priority = "X", "X", 9
	}
	id := j.ID
	want := t.get(id)
	check := func(what string) {
		t.Helper()
		t.same("job after the caller spoiled "+what, t.get(id).Job, want.Job)
	}
	spoil(j)
	check("what it enqueued")
	got := t.get(id)
	spoil(&got.Job)
	check("a snapshot")
	r := request(p, 1)
	c := t.exchange(r).Claims[0]
	spoil(c.Job)
	check("a claim")
	spoil(t.exchange(r).Claims[0].Job)
	spoil(t.beat(p, longLease).Extra[0].Job)
	check("other claims")
	progress, result := []byte(`{"done":1}`), []byte(`{"r":1}`)
	t.report(bellhop.Report{Token: c.Token, Progress: progress})
	progress[0] = 'X'
	o := outcome(c, bellhop.OutcomeDead)
	o.Result, o.Log = result, []byte("log")
	t.end(o)
	result[0], o.Log[0] = 'X', 'X'
	o.Failure.Message = "X"
	for range 2 {
		got = t.get(id)
		t.same("progress", string(got.Place.Progress), `{"done":1}`)
		t.same("result", string(got.Place.Result), `{"r":1}`)
		t.same("message", got.History[0].Failure.Message, "failed")
		t.same("log", string(got.History[0].Log), "log")
		got.Place.Progress[0], got.Place.Result[0], got.History[0].Failure.Message = 'X', 'X', "X"
		got.History[0].Log[0] = 'X'
	}
	value := []byte("v")
	t.put(bellhop.RecordWrite{Space: viewSpace, Key: "k", Value: value, Expect: bellhop.ExpectAny})
	value[0] = 'X'
	for range 2 {
		rec := t.record("k")
		t.same("value", string(rec.Value), "v")
		rec.Value[0] = 'X'
	}
	d := describe(p)
	must(t, second(t.s.Beat(t.ctx, &bellhop.Beat{Process: d, Lease: longLease})))
	d.Queues[0], d.Kinds[0] = "X", "X"
	for range 2 {
		list, err := t.s.Processes(t.ctx)
		must(t, err)
		t.same("process", list[0].Process, describe(p))
		list[0].Queues[0], list[0].Kinds[0] = "X", "X"
	}
}
