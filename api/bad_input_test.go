package api_test

import (
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

// badJobs are jobs that must be refused: 422, or as they say, with the field named.
var badJobs = []struct{ body, field string }{
	{`"text"`, ""},
	{`5`, ""},
	{`null`, ""},
	{`[]`, ""},
	{`[5]`, ""},
	{`[[]]`, ""},
	{`{}`, "kind"},
	{`{"kind":null}`, "kind"},
	{`{"kind":""}`, "kind"},
	{`{"kind":"a b"}`, "kind"},
	{`{"kind":"-a"}`, "kind"},
	{`{"kind":5}`, "kind"},
	{`{"kind":["a"]}`, "kind"},
	{`{"kind":"` + strings.Repeat("k", 129) + `"}`, "kind"},
	{`{"kind":"a\u0000"}`, "kind"},
	{`{"kind":"a","quue":"mail"}`, "quue"},
	{`{"Kind":"a"}`, "Kind"},
	{`{"kind":"a","kind":"b"}`, "kind"},
	{`{"kind":"a","\u006bind":"b"}`, "kind"},
	{`{"kind":"a","queue":""}`, "queue"},
	{`{"kind":"a","queue":"a b"}`, "queue"},
	{`{"kind":"a","args":{"s":"\u0000"}}`, "args"},
	{`{"kind":"a","args":{"\u0000":1}}`, "args"},
	{`{"kind":"a","args":"\ud800"}`, "args"},
	{`{"kind":"a","args":"\udc00\ud800"}`, "args"},
	{`{"kind":"a","args":["` + "\xff" + `"]}`, "args"},
	{`{"kind":"a","args":{"` + "\xc3" + `":1}}`, "args"},
	{`{"kind":"a","args":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}`, "args"},
	{`{"kind":"a","args":"` + strings.Repeat("x", bellhop.DefaultMaxArgs) + `"}`, "args"},
	{`{"kind":"a","run_at":"0001-01-01T00:00:00Z"}`, "run_at"},
	{`{"kind":"a","run_at":"9999-12-31T23:59:59Z"}`, "run_at"},
	{`{"kind":"a","run_at":"10000-01-01T00:00:00Z"}`, "run_at"},
	{`{"kind":"a","run_at":"2026-01-31 15:04:05"}`, "run_at"},
	{`{"kind":"a","run_at":"2026-02-30T15:04:05Z"}`, "run_at"},
	{`{"kind":"a","run_at":"tomorrow"}`, "run_at"},
	{`{"kind":"a","run_at":1767225600}`, "run_at"},
	{`{"kind":"a","delay":"-1s"}`, "delay"},
	{`{"kind":"a","delay":"5"}`, "delay"},
	{`{"kind":"a","delay":5}`, "delay"},
	{`{"kind":"a","delay":"2000000h"}`, "delay"},
	{`{"kind":"a","delay":"99999999999999h"}`, "delay"},
	{`{"kind":"a","delay":"1s","run_at":"2026-01-31T15:04:05Z"}`, "delay"},
	{`{"kind":"a","attempts":0}`, "attempts"},
	{`{"kind":"a","attempts":10001}`, "attempts"},
	{`{"kind":"a","attempts":1.5}`, "attempts"},
	{`{"kind":"a","attempts":1e400}`, "attempts"},
	{`{"kind":"a","attempts":"3"}`, "attempts"},
	{`{"kind":"a","priority":10}`, "priority"},
	{`{"kind":"a","priority":-10}`, "priority"},
	{`{"kind":"a","priority":99999999999999999999}`, "priority"},
	{`{"kind":"a","timeout":"-1s"}`, "timeout"},
	{`{"kind":"a","timeout":"1ns"}`, "timeout"},
	{`{"kind":"a","retention":"1ms"}`, "retention"},
	{`{"kind":"a","retention":"-1ns"}`, "retention"},
	{`{"kind":"a","retention":"never"}`, "retention"},
	{`{"kind":"a","id":"7"}`, "id"},
	{`{"kind":"a","id":7}`, "id"},
	{`{"kind":"a","id":"00000000-0000-0000-0000-000000000000"}`, "id"},
	{`{"kind":"a","unique":5}`, "unique"},
	{`{"kind":"a","unique":""}`, "unique"},
	{`{"kind":"a","unique":"\u0007"}`, "unique"},
	{`{"kind":"a","unique":"` + strings.Repeat("u", 401) + `"}`, "unique"},
	{`{"kind":"a","tags":"x"}`, "tags"},
	{`{"kind":"a","tags":[1]}`, "tags"},
	{`{"kind":"a","tags":["a b"]}`, "tags"},
	{`{"kind":"a","tags":["t"` + strings.Repeat(`,"t"`, 32) + `]}`, "tags"},
	{`{"kind":"a","meta":[]}`, "meta"},
	{`{"kind":"a","meta":{"a":1}}`, "meta"},
	{`{"kind":"a","meta":{"a b":"x"}}`, "meta"},
	{`{"kind":"a","meta":{"a":"x","a":"y"}}`, "meta"},
	{`{"kind":"a","meta":{"a":"` + "\xff" + `"}}`, "meta"},
	{`{"kind":"a","meta":{"a":"` + strings.Repeat("x", bellhop.MaxMeta) + `"}}`, "meta"},
}

func TestBadJobsAreRefused(t *testing.T) {
	w := newWorld(t, api.Options{})
	for _, c := range badJobs {
		p := w.do("POST", "/v1/jobs", c.body).problem(422, "invalid")
		if p.Field != c.field && c.field != "" {
			t.Errorf("%.100s: the field is %q: %s", c.body, p.Field, p.Detail)
		}
		if len(p.Detail) > 500 || strings.ContainsAny(p.Detail, "\n\x00") {
			t.Errorf("%.100s: the detail is not one short line: %q", c.body, p.Detail)
		}
		if c.body[0] != '{' {
			continue
		}
		// The same in company, and in lines: it is named by its index.
		p = w.do("POST", "/v1/jobs", `[{"kind":"a"},`+c.body+`]`).problem(422, "invalid")
		if p.Index == nil || *p.Index != 1 || p.Field != c.field {
			t.Errorf("%.100s: in an array the problem is %+v", c.body, p)
		}
		p = w.do("POST", "/v1/jobs", `{"kind":"a"}`+"\n"+c.body, lines).problem(422, "invalid")
		if p.Index == nil || *p.Index != 1 || p.Field != c.field {
			t.Errorf("%.100s: in lines the problem is %+v", c.body, p)
		}
	}
	if w.stored() != 0 || w.store.calls[bellhop.OpEnqueue] != 0 {
		t.Errorf("%d jobs, %d calls of the store", w.stored(), w.store.calls[bellhop.OpEnqueue])
	}
}

func TestBrokenBodiesAreRefused(t *testing.T) {
	w := newWorld(t, api.Options{})
	for _, c := range []struct {
		body   string
		offset int
	}{
		{` `, 1},
		{`nonsense`, 1},
		{`{"kind":"a"`, 11},
		{`{"kind":"a"} x`, 13},
		{`{"kind":"a"}{"kind":"b"}`, 12},
		{`[{"kind":"a"},]`, 14},
		{`{'kind':'a'}`, 1},
		{`{"kind":"a",}`, 12},
		{`{"kind":"a","args":01}`, 20},
		{`{"kind":"a","args":NaN}`, 19},
		{"\ufeff" + `{"kind":"a"}`, 0},
		{"{\"kind\":\"a\x00\"}", 10},
		{"{\"kind\":\"a\n\"}", 10},
		{`{"kind":"a","args":"\x"}`, 20},
		{strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), 1000},
	} {
		p := w.do("POST", "/v1/jobs", c.body).problem(400, "malformed")
		if p.Offset == nil || *p.Offset != c.offset {
			t.Errorf("%.60q: the offset is not %d: %s", c.body, c.offset, p.Detail)
		}
	}
	w.do("POST", "/v1/jobs", "", headers{"Content-Type": "application/json"}).problem(400, "malformed")
	w.do("POST", "/v1/jobs", "\n\n", lines).problem(422, "invalid")
	for _, media := range []headers{
		{"Content-Type": ""},
		{"Content-Type": "text/plain"},
		{"Content-Type": "application/x-www-form-urlencoded"},
		{"Content-Type": "multipart/form-data; boundary=x"},
		{"Content-Type": "application/json; charset=latin1"},
		{"Content-Type": ";;"},
		{"Content-Encoding": "gzip"},
	} {
		w.do("POST", "/v1/jobs", `{"kind":"a"}`, media).problem(415, "media-type")
	}
	w.do("POST", "/v1/jobs?dry=true", `{"kind":"a"}`).problem(400, "parameter")
	if w.stored() != 0 {
		t.Errorf("%d jobs", w.stored())
	}
	w.do("POST", "/v1/jobs", `{"kind":"a"}`, headers{"Content-Type": "Application/JSON; charset=UTF-8"}).want(201)
}

func TestLargeBodiesAreRefused(t *testing.T) {
	w := newWorld(t, api.Options{MaxBodyBytes: 1000})
	body := `{"kind":"a","args":"` + strings.Repeat("x", 1000) + `"}`
	w.do("POST", "/v1/jobs", body).problem(413, "too-large")
	w.do("POST", "/v1/jobs", body, headers{"Content-Type": "application/x-ndjson"}).problem(413, "too-large")
	if w.stored() != 0 {
		t.Errorf("%d jobs", w.stored())
	}
	w.do("POST", "/v1/jobs", body[:20]+`"}`).want(201)
}

// FuzzEnqueue sends anything at all: the reply is a problem, and then nothing was enqueued, or receipts for what was.
func FuzzEnqueue(f *testing.F) {
	for _, c := range badJobs {
		f.Add(c.body, false)
		f.Add(c.body, true)
	}
	f.Add(`[{"kind":"a","args":{"n":1}},{"kind":"b","unique":true}]`, false)
	f.Add("{\"kind\":\"a\"}\n{\"kind\":\"b\"}", true)
	f.Fuzz(func(t *testing.T, body string, many bool) {
		w := newWorld(t, api.Options{MaxBodyBytes: 1 << 20})
		how := lenient
		if many {
			how = lines
		}
		r := w.do("POST", "/v1/jobs", body, how)
		if r.Code >= 500 {
			t.Fatalf("%d: %s", r.Code, r.Body)
		}
		if n := w.stored(); (r.Code == 201) != (n > 0) {
			t.Fatalf("%d, and %d jobs are there: %s", r.Code, n, r.Body)
		}
	})
}
