package web

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

const secretArgs = `{"user":{"id":12345678901234567890,"password":"hunter2"},"amount":1.10}`

// one enqueues a job with a secret.
func (w *world) one(queue string, opts ...bellhop.Option) bellhop.ID {
	w.Helper()
	receipts, err := bellhop.Enqueue(w.Context(), w.client, bellhop.RawJob("pay", []byte(secretArgs), append(opts, bellhop.Queue(queue))...))
	if err != nil {
		w.Fatal(err)
	}
	return receipts[0].ID
}

func TestJobShowsItsWay(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Links = Links{Trace: "https://traces.example.com/{trace}?x=1", Logs: "https://logs.example.com/?job={job}"}
	})
	id := w.one("mail", bellhop.Meta("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), bellhop.Tags("vip"), bellhop.UniqueKey("order 7"), bellhop.Timeout(time.Minute))
	w.has(w.get("/jobs/"+id.String()), "It waits: there is no living process", "way-ready", `value="cancel"`, "order 7", "1 min an attempt")
	w.end("mail", bellhop.OutcomeDead, &bellhop.Failure{Class: "panic", Message: "no <b>card</b>", Stack: "goroutine 1 [running]"})
	body := w.get("/jobs/" + id.String())
	w.has(body, "12345678901234567890", "1.10", "9007199254740993", "[redacted]", "no &lt;b&gt;card&lt;/b&gt;", "goroutine 1 [running]", "way-dead way-here",
		`href="https://traces.example.com/0af7651916cd43dd8448eb211c80319c?x=1"`, `href="https://logs.example.com/?job=`+id.String(), `value="retry"`, "fingerprint=")
	if strings.Contains(body, "hunter2") || strings.Contains(body, `value="cancel"`) {
		t.Error("it shows a secret, or an action that means nothing")
	}
	w.has(w.get("/jobs/"+id.String(), "Accept", "application/json"), `"id": 12345678901234567890`, `"state": "dead"`, `[redacted]`)
	for path, want := range map[string]string{"/args": `{"user":{"id":12345678901234567890,"password":"[redacted]"},"amount":1.10}`, "/result": `{"sent":9007199254740993}`} {
		if got := w.get("/jobs/" + id.String() + path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{"/jobs/" + bellhop.NewID().String(), "/jobs/x", "/jobs/" + id.String() + "/nothing"} {
		if reply, _ := w.ask("GET", path, nil); reply.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, reply.Status)
		}
	}
}

// TestFailuresAlike: what is hidden of an error for the page is not hidden for its group, or the link would lead to nothing.
func TestFailuresAlike(t *testing.T) {
	w := newWorld(t)
	id := w.one("mail")
	failure := &bellhop.Failure{Class: "error", Message: "password=hunter2 is wrong"}
	w.end("mail", bellhop.OutcomeDead, failure)
	body := w.get("/jobs/" + id.String())
	w.has(body, "[redacted]", "fingerprint="+bellhop.Fingerprint("pay", failure))
	if strings.Contains(body, "hunter2") {
		t.Error("it tells the secret")
	}
}

func TestActionsOnOneJob(t *testing.T) {
	w := newWorld(t)
	id := w.one("mail", bellhop.In(time.Hour))
	path := "/jobs/" + id.String()
	for _, c := range []struct {
		action string
		want   bellhop.State
	}{{"run", bellhop.StateReady}, {"cancel", bellhop.StateCancelled}, {"retry", bellhop.StateReady}, {"discard", bellhop.StateDiscarded}} {
		if _, to := w.post(path, url.Values{"action": {c.action}, "reason": {"since </b>"}}); to != path || w.state(id) != c.want {
			t.Errorf("%s leads to %s, and the job is %v", c.action, to, w.state(id))
		}
	}
	w.has(w.get(path), "discarded by everyone: since &lt;/b&gt;")
	w.post(path, url.Values{"action": {"cancel"}}) // which means nothing now, and says so
	if w.state(id) != bellhop.StateDiscarded {
		t.Errorf("it is %v", w.state(id))
	}
	if _, to := w.post(path, url.Values{"action": {"delete"}}); to != "/jobs" {
		t.Errorf("delete leads to %s", to)
	}
	if reply, _ := w.ask("POST", path, url.Values{"action": {"retry"}}); reply.StatusCode != http.StatusNotFound {
		t.Errorf("a job that is gone: %s", reply.Status)
	}
	if reply, _ := w.ask("POST", path, url.Values{"action": {"explode"}}); reply.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown action: %s", reply.Status)
	}
	if got := w.audits(); !slices.Equal(got, []string{"delete", "cancel refused", "discard", "retry", "cancel", "run"}) {
		t.Errorf("audit: %v", got)
	}
}

var newJob = regexp.MustCompile(`^/jobs/([0-9a-f-]{36})$`)

func TestEditAndRunAgain(t *testing.T) {
	w := newWorld(t)
	id := w.one("mail", bellhop.Meta("tenant", "acme"), bellhop.Meta("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), bellhop.Timeout(time.Minute))
	path := "/jobs/" + id.String() + "/edit"
	body := w.get(path)
	w.has(body, "12345678901234567890", "[redacted]")
	if strings.Contains(body, "hunter2") {
		t.Error("the form tells a secret")
	}
	form := url.Values{
		"args": {`{"user":{"id":12345678901234567891,"password":"[redacted]"},"amount":1.20}`}, "queue": {"other"}, "priority": {"-3"},
		"attempts": {"4"}, "tags": {"again, vip"}, "run_at": {"2100-01-01"},
	}
	_, to := w.post(path, form)
	m := newJob.FindStringSubmatch(to)
	if m == nil || m[1] == id.String() {
		t.Fatalf("it leads to %s", to)
	}
	made, err := bellhop.ParseID(m[1])
	if err != nil {
		t.Fatal(err)
	}
	j, err := w.client.Get(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	if string(j.Args) != `{"user":{"id":12345678901234567891,"password":"hunter2"},"amount":1.20}` || j.Queue != "other" || j.Priority != -3 || j.Attempts != 4 ||
		j.Timeout != time.Minute || j.Place.State != bellhop.StateScheduled || !slices.Equal(j.Tags, []string{"again", "vip"}) {
		t.Errorf("the new job is %+v with %s", j, j.Args)
	}
	if j.Meta["copy_of"] != id.String() || j.Meta["tenant"] != "acme" || j.Meta["traceparent"] != "" {
		t.Errorf("its metadata: %v", j.Meta)
	}
	w.has(w.get("/jobs/"+made.String()), "Edited copy of", id.String())
	for name, value := range map[string]string{"args": `{"a":`, "queue": "a b", "priority": "x", "attempts": "0", "run_at": "soon", "tags": "<b>"} {
		bad := url.Values{}
		for k, v := range form {
			bad[k] = v
		}
		bad.Set(name, value)
		reply, body := w.ask("POST", path, bad)
		if reply.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, `role="alert"`) || !strings.Contains(body, "again, vip") && name != "tags" {
			t.Errorf("%s %q: %s", name, value, reply.Status)
		}
	}
	if n, err := w.client.Count(t.Context(), bellhop.Filter{States: bellhop.AllStates}, 10); err != nil || n != 2 {
		t.Errorf("there are %d jobs, %v", n, err)
	}
}

func TestSecretsAreRevealedToThoseWhoMay(t *testing.T) {
	w := newWorld(t)
	id := w.one("mail")
	w.has(w.get("/jobs/"+id.String()), "?reveal=1")
	w.has(w.get("/jobs/"+id.String()+"?reveal=1"), "hunter2", "written to the audit")
	w = newWorld(t, viewerOf(access.Viewer{Name: "bob", Role: access.Act}))
	id = w.one("mail")
	if strings.Contains(w.get("/jobs/"+id.String()), "?reveal=1") {
		t.Error("it offers what it will refuse")
	}
	reply, body := w.ask("GET", "/jobs/"+id.String()+"?reveal=1", nil)
	download, secret := w.ask("GET", "/jobs/"+id.String()+"/args?reveal=1", nil)
	if reply.StatusCode != http.StatusForbidden || download.StatusCode != http.StatusForbidden || strings.Contains(body+secret, "hunter2") {
		t.Errorf("%s, %s", reply.Status, download.Status)
	}
	if got := w.audits(); len(got) == 0 || got[0] != "reveal refused" {
		t.Errorf("audit: %v", got)
	}
}

// TestSecretsStayInTheirQueue: who may not see the secrets of a queue cannot take them, by a copy of the job, to one where he may, nor
// to a name under which they are shown.
func TestSecretsStayInTheirQueue(t *testing.T) {
	w := newWorld(t, viewerOf(access.Viewer{Name: "bob", Role: access.Act, Queues: map[string]access.Role{"his": access.Admin}}))
	receipts, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("k", []byte(`{"password":"hunter2","h":{"name":"Cookie","value":"c-1-2-3"}}`), bellhop.Queue("mail")))
	if err != nil {
		t.Fatal(err)
	}
	path := "/jobs/" + receipts[0].ID.String() + "/edit"
	send := func(queue, args string) int {
		reply, body := w.ask("POST", path, url.Values{"args": {args}, "queue": {queue}, "priority": {"0"}, "attempts": {"1"}})
		if strings.Contains(body, "hunter2") || strings.Contains(body, "c-1-2-3") {
			t.Errorf("%s is told", args)
		}
		return reply.StatusCode
	}
	whole := `{"password":"[redacted]","h":{"name":"Cookie","value":"[redacted]"}}`
	for _, c := range []struct {
		queue, args string
		want        int
	}{
		{"mail", whole, http.StatusSeeOther},
		{"his", `{"password":"mine"}`, http.StatusSeeOther},
		{"his", whole, http.StatusUnprocessableEntity},
		{"mail", `{"h":{"name":"colour","value":"[redacted]"}}`, http.StatusUnprocessableEntity},
	} {
		if got := send(c.queue, c.args); got != c.want {
			t.Errorf("%s to %s: %d, want %d", c.args, c.queue, got, c.want)
		}
	}
	if got := w.audits(); !slices.Contains(got, "edit and run again refused") {
		t.Errorf("audit: %v", got)
	}
}

// TestJobsOfOneQueue: who may act on one queue may do nothing to the jobs of another, and learns nothing of those of a third.
func TestJobsOfOneQueue(t *testing.T) {
	w := newWorld(t, viewerOf(access.Viewer{Name: "bob", Role: access.Read, Queues: map[string]access.Role{"mine": access.Act, "hidden": access.None}}))
	mine, read, hidden := w.one("mine"), w.one("read"), w.one("hidden")
	body := w.get("/jobs")
	w.has(body, "job-"+mine.String(), "job-"+read.String(), "hidden from you")
	if strings.Contains(body, hidden.String()) {
		t.Error("the list tells of a hidden job")
	}
	if got := w.get("/jobs/count"); !strings.Contains(got, `"ready":{"count":2`) {
		t.Errorf("counts: %s", got)
	}
	if got := w.get("/jobs/export?format=ndjson"); strings.Contains(got, hidden.String()) || strings.Count(got, "\n") != 2 {
		t.Errorf("export: %s", got)
	}
	for _, suffix := range []string{"", "/edit", "/args", "?reveal=1"} {
		if reply, _ := w.ask("GET", "/jobs/"+hidden.String()+suffix, nil); reply.StatusCode != http.StatusNotFound {
			t.Errorf("hidden%s: %s", suffix, reply.Status)
		}
	}
	for id, want := range map[bellhop.ID]int{mine: http.StatusSeeOther, read: http.StatusForbidden, hidden: http.StatusNotFound} {
		if reply, _ := w.ask("POST", "/jobs/"+id.String(), url.Values{"action": {"cancel"}}); reply.StatusCode != want {
			t.Errorf("cancel: %s, want %d", reply.Status, want)
		}
	}
	if reply, _ := w.ask("POST", "/jobs/"+mine.String(), url.Values{"action": {"delete"}}); reply.StatusCode != http.StatusForbidden {
		t.Errorf("delete without the role admin: %s", reply.Status)
	}
	edited := url.Values{"args": {"{}"}, "queue": {"read"}, "priority": {"0"}, "attempts": {"1"}}
	if reply, _ := w.ask("POST", "/jobs/"+mine.String()+"/edit", edited); reply.StatusCode != http.StatusForbidden {
		t.Errorf("a copy into a queue that is not his: %s", reply.Status)
	}
	if w.state(read) != bellhop.StateReady || w.state(hidden) != bellhop.StateReady || w.state(mine) != bellhop.StateCancelled {
		t.Error("something else was done")
	}
	other := w.one("mine")
	form := url.Values{"action": {"cancel"}, "id": {other.String(), read.String(), hidden.String()}}
	_, to := w.post("/bulk", form)
	w.until(to, `"state": "done"`)
	if w.state(other) != bellhop.StateCancelled || w.state(read) != bellhop.StateReady || w.state(hidden) != bellhop.StateReady {
		t.Error("a selection reaches jobs that are not his")
	}
	again := w.one("mine")
	_, to = w.post("/bulk", url.Values{"action": {"cancel"}, "all": {"1"}, "q": {"state=ready"}})
	w.until(to, `"state": "done"`)
	if w.state(again) != bellhop.StateCancelled || w.state(read) != bellhop.StateReady || w.state(hidden) != bellhop.StateReady {
		t.Error("an operation reaches jobs that are not his")
	}
}
