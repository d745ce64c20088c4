package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

var (
	lines = headers{"Content-Type": "application/x-ndjson"}
	// lenient is JSON that is not compared with the document, which does not tell of nulls that count as left out.
	lenient = headers{"Content-Type": "application/json; charset=utf-8"}
)

func (w *world) get(id string) *bellhop.Snapshot {
	w.t.Helper()
	parsed, err := bellhop.ParseID(id)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := w.client.Get(context.Background(), parsed)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestEnqueueKeepsWhatWasAsked(t *testing.T) {
	w := newWorld(t, api.Options{Prefix: "/p"})
	id := bellhop.NewID().String()
	due := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	r := w.do("POST", "/v1/jobs", fmt.Sprintf(`{"kind":"mail.welcome","args":{"user":42},"queue":"mail","priority":-3,"run_at":%q,
		"attempts":7,"timeout":"1m30s","retention":"forever","id":%q,"unique":"user 42","tags":["b","a"],"meta":{"tenant":"ä"}}`,
		due.Format(time.RFC3339), id))
	got := r.want(http.StatusCreated)
	if got["id"] != id || got["state"] != "scheduled" || got["existing"] != nil || r.Header().Get("Location") != "/p/v1/jobs/"+id {
		t.Errorf("the reply is %v, at %q", got, r.Header().Get("Location"))
	}
	s := w.get(id)
	want := bellhop.Job{
		ID: s.ID, Kind: "mail.welcome", Queue: "mail", Priority: -3, Args: []byte(`{"user":42}`), RunAt: due, Attempts: 7,
		Timeout: 90 * time.Second, Retention: bellhop.Forever, UniqueKey: "mail.welcome key user 42", Tags: []string{"a", "b"},
		Meta: map[string]string{"tenant": "ä"},
	}
	if !s.SameContent(&want) {
		t.Errorf("the job is %+v, want %+v", s.Job, want)
	}
	j := w.do("GET", "/v1/jobs/"+id, "").want(http.StatusOK)
	if j["retention"] != "forever" || j["timeout"] != "1m30s" || j["run_at"] != due.Format(time.RFC3339) || j["due"] != j["run_at"] {
		t.Errorf("the job reads %v", j)
	}
}

func TestEnqueueWithDefaults(t *testing.T) {
	w := newWorld(t, api.Options{})
	created := w.do("POST", "/v1/jobs", `{"kind":"a","queue":null,"priority":null,"unique":false,"tags":[],"meta":{}}`, lenient)
	s := w.get(created.want(201)["id"].(string))
	if s.Queue != "default" || s.Attempts != 25 || string(s.Args) != "{}" || s.UniqueKey != "" || s.Place.State != bellhop.StateReady {
		t.Errorf("the job is %+v", s)
	}
	s = w.get(w.enqueue(`{"kind":"a","args":null,"delay":"90s"}`))
	if string(s.Args) != "null" || s.Place.State != bellhop.StateScheduled || s.Place.Due.Sub(s.EnqueuedAt) != 90*time.Second {
		t.Errorf("the job is %+v", s)
	}
}

func TestDefinitionsGiveDefaultsAndCheckArguments(t *testing.T) {
	type call struct {
		URL string `json:"url"`
	}
	def := bellhop.Define[call]("http.call", bellhop.Queue("calls"), bellhop.Attempts(3), bellhop.Check(func(c call) error {
		if c.URL == "" {
			return errors.New("the url is missing")
		}
		return nil
	}))
	w := newWorld(t, api.Options{Definitions: []bellhop.Kinded{def}})
	s := w.get(w.enqueue(`{"kind":"http.call","args":{ "url" : "x" }}`))
	if s.Queue != "calls" || s.Attempts != 3 || string(s.Args) != `{ "url" : "x" }` {
		t.Errorf("the job is %+v", s.Job)
	}
	if p := w.do("POST", "/v1/jobs", `{"kind":"http.call"}`).problem(422, "invalid"); p.Field != "args" || !strings.Contains(p.Detail, "the url is missing") {
		t.Errorf("the problem is %+v", p)
	}
	if p := w.do("POST", "/v1/jobs", `{"kind":"http.call","args":{"url":5}}`).problem(422, "invalid"); p.Field != "args" {
		t.Errorf("the problem is %+v", p)
	}
	p := w.do("POST", "/v1/jobs", `[{"kind":"other"},{"kind":"http.call","args":[]}]`).problem(422, "invalid")
	if p.Index == nil || *p.Index != 1 || p.Field != "args" || w.stored() != 1 {
		t.Errorf("the problem is %+v, %d jobs", p, w.stored())
	}
}

// TestArgumentsAreKeptByteForByte sends what decoders like to change, by every way in.
func TestArgumentsAreKeptByteForByte(t *testing.T) {
	const args = `{  "big":9007199254740993, "exact":0.123456789012345678901234567890,"huge":1e400,"zero":-0,` +
		`"escaped":"\u00e9\u003c\/","plain":"é<>&` + "\u2028" + `", "twice":1,"twice":2, "pair":"\ud83d\ude00" , "list":[ ] }`
	w := newWorld(t, api.Options{Definitions: []bellhop.Kinded{bellhop.Define[map[string]json.RawMessage]("known")}})
	for _, kind := range []string{"known", "unknown"} {
		job := `{"kind":"` + kind + `","args":` + args + ` }`
		ids := []string{w.enqueue(job)}
		for _, body := range []string{"[" + job + "]", job + "\n"} {
			how := headers{}
			if body[0] != '[' {
				how = lines
			}
			list := parse(t, w.do("POST", "/v1/jobs", body, how).Body.Bytes()).([]any)
			ids = append(ids, list[0].(map[string]any)["id"].(string))
		}
		for _, id := range ids {
			if got := string(w.get(id).Args); got != args {
				t.Errorf("%s: the store has %s", kind, got)
			}
			if body := w.do("GET", "/v1/jobs/"+id, "").Body.String(); !strings.Contains(body, `"args":`+args) {
				t.Errorf("%s: the reply is %s", kind, body)
			}
		}
	}
	if body := w.do("GET", "/v1/jobs?args=true", "").Body.String(); strings.Count(body, `"args":`+args) != 6 {
		t.Errorf("the listing is %s", body)
	}
}

func TestRepeatsAreTheSameJob(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := bellhop.NewID().String()
	one := `{"kind":"a","id":"` + id + `","delay":"1h"}`
	w.do("POST", "/v1/jobs", one).want(201)
	if again := w.do("POST", "/v1/jobs", one).want(200); again["id"] != id || again["existing"] != true || again["state"] != "scheduled" {
		t.Errorf("the repeat is %v", again)
	}
	p := w.do("POST", "/v1/jobs", `{"kind":"b","id":"`+id+`"}`).problem(409, "id-taken")
	if p.Index != nil || len(p.IDs) != 1 || p.IDs[0].String() != id {
		t.Errorf("the problem is %+v", p)
	}
	p = w.do("POST", "/v1/jobs", `[{"kind":"a"},{"kind":"b","id":"`+id+`"}]`).problem(409, "id-taken")
	if p.Index == nil || *p.Index != 1 || p.IDs[0].String() != id {
		t.Errorf("the problem is %+v", p)
	}
	if w.stored() != 1 {
		t.Errorf("%d jobs, want 1", w.stored())
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, api.Options{})
	key := headers{"Idempotency-Key": `"order 7"`}
	first := w.do("POST", "/v1/jobs", `{"kind":"a"}`, key).want(201)
	again := w.do("POST", "/v1/jobs", `{"kind":"a"}`, key).want(200)
	other := w.do("POST", "/v1/jobs", `{"kind":"a"}`, headers{"Idempotency-Key": "order 8"}).want(201)
	if first["id"] != again["id"] || again["existing"] != true || other["id"] == first["id"] {
		t.Errorf("%v, again %v, other %v", first, again, other)
	}
	w.do("POST", "/v1/jobs", `{"kind":"b"}`, key).problem(409, "id-taken")
	many := `[{"kind":"a"},{"kind":"a"}]`
	created := w.do("POST", "/v1/jobs", many, key)
	if created.Code != 201 || w.stored() != 4 {
		t.Fatalf("%d: %s, %d jobs", created.Code, created.Body, w.stored())
	}
	repeated := w.do("POST", "/v1/jobs", `{"kind":"a"}`+"\n"+`{"kind":"a"}`, key, lines)
	if repeated.Code != 200 || w.stored() != 4 {
		t.Errorf("%d: %s, %d jobs", repeated.Code, repeated.Body, w.stored())
	}
	w.do("POST", "/v1/jobs", `{"kind":"a","id":"`+bellhop.NewID().String()+`"}`, key).problem(422, "invalid")
	for _, bad := range []string{strings.Repeat("k", 256), "a\x01", "ä"} {
		w.do("POST", "/v1/jobs", `{"kind":"a"}`, headers{"Idempotency-Key": bad}).problem(400, "parameter")
	}
}

func TestUniqueJobs(t *testing.T) {
	w := newWorld(t, api.Options{})
	winner := w.enqueue(`{"kind":"a","args":{"x":1,"y":2},"unique":true}`)
	if loser := w.do("POST", "/v1/jobs", `{"kind":"a","args":{ "y":2,"x":1},"unique":true}`).want(200); loser["id"] != winner || loser["existing"] != true {
		t.Errorf("the loser is told %v", loser)
	}
	mixed := w.do("POST", "/v1/jobs", `[{"kind":"a","args":{"x":1,"y":2},"unique":true},{"kind":"a","unique":"k"},{"kind":"a","unique":"k"}]`)
	list := parse(t, mixed.Body.Bytes()).([]any)
	if mixed.Code != 201 || list[0].(map[string]any)["id"] != winner || list[2].(map[string]any)["id"] != list[1].(map[string]any)["id"] || w.stored() != 2 {
		t.Errorf("%d %v, %d jobs", mixed.Code, list, w.stored())
	}
}

func TestTenThousandJobsWithABadOne(t *testing.T) {
	w := newWorld(t, api.Options{})
	jobs := make([]string, 10_000)
	for i := range jobs {
		jobs[i] = fmt.Sprintf(`{"kind":"a","args":{"n":%d}}`, i)
	}
	good := jobs[7777]
	for what, bad := range map[string]string{
		"NUL":      `{"kind":"a","args":{"s":"\u0000"}}`,
		"priority": `{"kind":"a","priority":10}`,
	} {
		jobs[7777] = bad
		for media, body := range map[string]string{
			"application/json":     "[" + strings.Join(jobs, ",") + "]",
			"application/x-ndjson": strings.Join(jobs, "\n"),
		} {
			p := w.do("POST", "/v1/jobs", body, headers{"Content-Type": media}).problem(422, "invalid")
			if p.Index == nil || *p.Index != 7777 || p.Field == "" || !strings.HasPrefix(p.Detail, "job 7777") {
				t.Errorf("%s as %s: the problem is %+v", what, media, p)
			}
		}
	}
	if w.stored() != 0 {
		t.Fatalf("%d jobs were enqueued", w.stored())
	}
	jobs[7777] = good
	w.do("POST", "/v1/jobs", "["+strings.Join(append(jobs, good), ",")+"]").problem(422, "invalid")
	if w.stored() != 0 {
		t.Fatalf("%d jobs were enqueued", w.stored())
	}
	if r := w.do("POST", "/v1/jobs", "["+strings.Join(jobs, ",")+"]"); r.Code != 201 || w.stored() != 10_000 {
		t.Errorf("%d, %d jobs", r.Code, w.stored())
	}
}

func TestLinesMayBeEmptyAndUnfinished(t *testing.T) {
	w := newWorld(t, api.Options{})
	r := w.do("POST", "/v1/jobs", "\r\n{\"kind\":\"a\"}\r\n\n{\"kind\":\"b\"}", lines)
	if list := parse(t, r.Body.Bytes()).([]any); r.Code != 201 || len(list) != 2 || r.Header().Get("Location") != "" {
		t.Errorf("%d %v", r.Code, list)
	}
	p := w.do("POST", "/v1/jobs", "{\"kind\":\"a\"}\n\n{\"kind\":\n", lines).problem(400, "malformed")
	if p.Index == nil || *p.Index != 1 || p.Offset == nil || !strings.Contains(p.Detail, "line 3") || w.stored() != 2 {
		t.Errorf("the problem is %+v, %d jobs", p, w.stored())
	}
}

func TestUnknownOutcomeNamesTheJobs(t *testing.T) {
	w := newWorld(t, api.Options{})
	w.store.after = func(bellhop.Op) error { return fmt.Errorf("the link broke: %w", bellhop.ErrUnavailable) }
	r := w.do("POST", "/v1/jobs", `[{"kind":"a"},{"kind":"b"}]`)
	p := r.problem(503, "unknown")
	if len(p.IDs) != 2 || r.Header().Get("Retry-After") == "" || !strings.Contains(w.log.String(), "the link broke") {
		t.Errorf("the problem is %+v with %v; the log is %s", p, r.Header(), w.log)
	}
	w.store.after = nil
	again := w.do("POST", "/v1/jobs", fmt.Sprintf(`[{"kind":"a","id":%q},{"kind":"b","id":%q}]`, p.IDs[0], p.IDs[1]))
	if again.Code != 200 || w.stored() != 2 {
		t.Errorf("%d %s, %d jobs", again.Code, again.Body, w.stored())
	}
}

func TestFailuresInside(t *testing.T) {
	w := newWorld(t, api.Options{})
	w.store.before = func(bellhop.Op) error { return errors.New("secret detail") }
	if p := w.do("POST", "/v1/jobs", `{"kind":"a"}`).problem(500, "internal"); strings.Contains(p.Detail, "secret") {
		t.Errorf("the problem is %+v", p)
	}
	if !strings.Contains(w.log.String(), "secret detail") {
		t.Errorf("the log is %s", w.log)
	}
	w.store.before = func(bellhop.Op) error { panic("secret panic") }
	if p := w.do("GET", "/v1/jobs/"+bellhop.NewID().String(), "").problem(500, "internal"); strings.Contains(p.Detail, "secret") {
		t.Errorf("the problem is %+v", p)
	}
	w.store.before = func(bellhop.Op) error { return bellhop.ErrUnavailable }
	w.do("GET", "/v1/jobs/"+bellhop.NewID().String(), "").problem(503, "unavailable")
	w.store.before = nil
	if err := w.client.Close(); err != nil {
		t.Fatal(err)
	}
	w.do("POST", "/v1/jobs", `{"kind":"a"}`).problem(503, "unavailable")
	w.do("GET", "/v1/queues", "").problem(503, "unavailable")
}
