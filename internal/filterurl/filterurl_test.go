package filterurl_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/filterurl"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func read(t *testing.T, query string) *filterurl.Reading {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return filterurl.Read(values, now, "after")
}

func TestCanonical(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "",
		"queue=mail&state=dead&queue=&text=": "state=dead&queue=mail",
		"state=dead,ready&state=dead":        "state=dead&state=ready",
		"kind=b,a&kind=a":                    "kind=b&kind=a",
		"after=xyz&tag=vip":                  "tag=vip",
		"arg=a.b%3Dx%2Cy&arg=n%3D1":          "arg=a.b%3Dx%2Cy&arg=n%3D1",
		"text=a,b":                           "text=a%2Cb",
		"enqueued_after=24h&queue=a/b:c":     "queue=a/b:c&enqueued_after=24h",
	} {
		r := read(t, query)
		if got := r.Query(); got != want || len(r.Problems) > 0 {
			t.Errorf("%s: %s, %v, want %s", query, got, r.Problems, want)
		}
		if again := read(t, r.Query()); again.Query() != want {
			t.Errorf("%s: read again it is %s", query, again.Query())
		}
	}
}

func TestConditions(t *testing.T) {
	id, process := bellhop.NewID(), bellhop.NewID()
	r := read(t, "state=dead&queue=mail&not_queue=slow&kind=k&tag=t&arg=user.id%3D42&text=x&error=refused&fingerprint=0123456789abcdef"+
		"&process="+process.String()+"&enqueued_after=24h&enqueued_before=2026-03-01&finished_after=2026-02-28T10:00&finished_before=2026-02-28T11:00:00%2B01:00&id="+id.String())
	want := bellhop.Filter{
		IDs: []bellhop.ID{id}, States: bellhop.States(bellhop.StateDead), Queues: []string{"mail"}, NotQueues: []string{"slow"},
		Kinds: []string{"k"}, Tags: []string{"t"}, Process: process, Text: "x", Error: "refused", Fingerprint: "0123456789abcdef",
		Args:          []bellhop.ArgMatch{{Path: "user.id", Value: "42"}},
		EnqueuedAfter: now.Add(-24 * time.Hour), EnqueuedBefore: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		FinishedAfter: time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC), FinishedBefore: time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, r.Filter); diff != "" || len(r.Problems) > 0 {
		t.Errorf("%v %s", r.Problems, diff)
	}
	if diff := cmp.Diff(want, read(t, filterurl.Encode(&want)).Filter); diff != "" {
		t.Errorf("encoded and read again: %s", diff)
	}
}

func TestProblems(t *testing.T) {
	many := strings.Repeat("q,", 0)
	for i := range 101 {
		many += "q" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + ","
	}
	for query, want := range map[string]string{
		"state=asleep":                       "the states are",
		"queue=a%20b":                        "not allowed",
		"kind=%3C/script%3E":                 "not allowed",
		"kind=" + strings.Repeat("k", 10000): "at most 128",
		"arg=x":                              "PATH=VALUE",
		"text=" + strings.Repeat("x", 201):   "more than the limit of 200",
		"text=%ff":                           "UTF-8",
		"error=%00":                          "NUL",
		"fingerprint=xyz":                    "hexadecimal",
		"process=1":                          "",
		"enqueued_after=yesterday":           "how long ago",
		"enqueued_after=0001-01-01":          "out of range",
		"enqueued_after=99999999999d":        "no time",
		"enqueued_after=1h,2h":               "more than the limit of 1",
		"queue=" + many:                      "more than the limit of 100",
		"color=red":                          "known are state, queue",
		"%3Cscript%3E=1":                     "no parameter",
		"id=7":                               "",
	} {
		r := read(t, query)
		name, _, _ := strings.Cut(query, "=")
		name, _ = url.QueryUnescape(name)
		if len(r.Problems) != 1 || r.Problems[0].Name != name || !strings.Contains(r.Problems[0].Text, want) || len(r.Problems[0].Text) > 400 {
			t.Errorf("%.60s: %+v, want %q", query, r.Problems, want)
		}
	}
	if r := read(t, "queue=a%20b&state=dead"); r.Values.Get("queue") != "a b" || r.Problem("queue") == "" || r.Problem("state") != "" {
		t.Errorf("what was written is gone: %v", r.Values)
	}
}

// TestRoundTrip: any filter of an address is the same after it was written and read.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-zA-Z0-9._:/-]{0,9}`), 0, 4, rapid.ID)
		text := rapid.StringMatching(`[^\x00 \t\n\r]{0,5}[a-z,&=%+#\\"<>]{0,5}`)
		second := rapid.Int64Range(0, 1<<32)
		f := bellhop.Filter{
			States: bellhop.StateSet(rapid.Uint16().Draw(t, "states")) & bellhop.AllStates,
			Queues: names.Draw(t, "queues"), Kinds: names.Draw(t, "kinds"), Tags: names.Draw(t, "tags"), NotQueues: names.Draw(t, "not queues"),
			Text: strings.TrimSpace(text.Draw(t, "text")), Error: strings.TrimSpace(text.Draw(t, "error")),
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "args") {
			f.Args = append(f.Args, bellhop.ArgMatch{Path: strings.Repeat("p", i+1), Value: strings.TrimSpace(text.Draw(t, "value"))})
		}
		if rapid.Bool().Draw(t, "bounded") {
			f.EnqueuedAfter = time.Unix(second.Draw(t, "after"), 1000).UTC()
		}
		if len(f.Text) > 200 || len(f.Error) > 200 {
			t.Skip("longer than a filter of an address may be")
		}
		values, err := url.ParseQuery(filterurl.Encode(&f))
		if err != nil {
			t.Fatal(err)
		}
		r := filterurl.Read(values, now)
		if diff := cmp.Diff(f, r.Filter, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); diff != "" || len(r.Problems) > 0 {
			t.Fatalf("%v %s", r.Problems, diff)
		}
	})
}
