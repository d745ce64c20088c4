package web

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// tried enqueues a job and ends one attempt of it, which took a time and left a log behind.
func (w *world) tried(queue string, took time.Duration, log any) bellhop.ID {
	w.Helper()
	store, process, id := w.client.Store(), bellhop.NewID(), w.one(queue)
	if _, err := store.Beat(w.Context(), &bellhop.Beat{Process: bellhop.Process{ID: process, Name: "p"}, Lease: time.Minute}); err != nil {
		w.Fatal(err)
	}
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: process, Limit: 1, Wants: []bellhop.Want{{Queue: queue, Count: 1}}, Kinds: []string{"pay"}}
	got, err := store.Exchange(w.Context(), r)
	if err != nil || len(got.Claims) != 1 {
		w.Fatalf("%d claims, %v", len(got.Claims), err)
	}
	c := got.Claims[0]
	o := c.Settle(bellhop.Policy{}, bellhop.Return{Err: bellhop.Dead(bellhop.ErrTimeout), Started: c.Place.ClaimedAt, Ended: c.Place.ClaimedAt.Add(took)})
	if o.Log, err = json.Marshal(log); err != nil {
		w.Fatal(err)
	}
	if _, err := store.Exchange(w.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{o}}); err != nil {
		w.Fatal(err)
	}
	return id
}

// In a bubble, whose clock says when an attempt began.
func TestJobShowsLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const trace = "0af7651916cd43dd8448eb211c80319c"
		w := newWorld(t, func(o *Options) { o.Links.Trace = "https://traces.example.com/{trace}" })
		began := time.Now()
		log := bellhop.Log{Trace: trace, Lines: []bellhop.LogLine{
			{Time: began.Add(-time.Hour), Message: "token=hunter2 is used"},
			{Time: began.Add(1234 * time.Millisecond), Level: 4, Message: "</script><b>\u202e\n", Skipped: 17, Attrs: []bellhop.LogAttr{{Key: "apiKey", Value: "hunter2"}, {Key: "<i>", Value: `a "b"`}}},
			{Time: began.Add(time.Minute), Level: 8, Message: strings.Repeat("x", 10_000)},
		}}
		id := w.tried("mail", 2*time.Second, log)
		path := "/jobs/" + id.String()
		body := w.get(path)
		w.has(body, `href="https://traces.example.com/`+trace+`"`, "token=[redacted] is used", ">&#43;0<", "17 lines left out", "&lt;/script&gt;&lt;b&gt;", `\u202e`, "apiKey=", "[redacted]",
			"&lt;i&gt;=", "a &#34;b&#34;", ">&#43;1.23 s<", ">WARN<", ">ERROR<", "log-error", "3 lines", "reveal=1", strings.Repeat("x", 10_000))
		if strings.Contains(body, "hunter2") || strings.Contains(body, "</script><b>") {
			t.Error("it shows a secret, or what was logged as it is")
		}
		w.has(w.get(path+"?reveal=1"), "hunter2")
		w.has(w.get(path, "Accept", "application/json"), `"trace": "`+trace+`"`, `"skipped": 17`, `"level": "WARN"`)
		if body := w.get("/jobs/" + w.tried("mail", time.Second, "no log").String()); strings.Contains(body, "log-line") {
			t.Error("what is no log is shown as one")
		}
		w = newWorld(t) // that knows of no place for traces
		body = w.get("/jobs/" + w.tried("mail", time.Second, bellhop.Log{Trace: trace}).String())
		w.has(body, "trace <span", `data-copy="`+trace+`"`)
		if body = w.get("/jobs/" + w.tried("mail", time.Second, bellhop.Log{Trace: `"><b>`}).String()); strings.Contains(body, "trace") {
			t.Error("what is no trace is shown as one")
		}
	})
}

func TestJobShowsHowLongItsKindRuns(t *testing.T) {
	w := newWorld(t)
	path := "/jobs/" + w.tried("mail", 2*time.Second, nil).String()
	counts := rollup.NewRecorder()
	for i := range 100 {
		c := &bellhop.Claim{Job: &bellhop.Job{Kind: "pay", Queue: "mail"}, Place: bellhop.Place{Due: time.Now()}}
		o := &bellhop.Outcome{Kind: bellhop.OutcomeSucceeded, Number: 1, Started: time.Now()}
		o.Ended = o.Started.Add(time.Duration(i+1) * 25 * time.Millisecond) // to 2.5 s
		counts.Outcome(c, o, time.Now())
	}
	if err := rollup.NewWriter(w.client.Store(), counts, time.Now).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := html.UnescapeString(w.get(path)) // what was read is kept for some seconds, so this comes first
	w.has(body, "run-times", "100 attempts in 24 h", "Attempt 1 ran 2.00 s: longer than ", "this one: 2s", "bars-mark", "How long attempts run", "p95")
	m := regexp.MustCompile(`longer than (\d+)`).FindStringSubmatch(body)
	if m == nil || m[1] < "76" || m[1] > "82" {
		t.Errorf("2 s are longer than %v %% of what takes up to 2.5 s, want about 79", m)
	}
	waiting := w.get("/jobs/" + w.one("mail").String())
	if w.has(waiting, "run-times"); strings.Contains(waiting, "bars-mark") {
		t.Error("a job that has not run is marked")
	}
	w = newWorld(t)
	if strings.Contains(w.get("/jobs/"+w.tried("mail", 2*time.Second, nil).String()), "run-times") {
		t.Error("it compares with nothing")
	}
}
