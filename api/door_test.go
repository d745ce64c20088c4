package api_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/audit"
)

// audited returns what the audit has, newest first.
func (w *world) audited(q audit.Query) []audit.Entry {
	w.t.Helper()
	page, err := audit.List(w.t.Context(), w.client.Store(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return page.Entries
}

// TestTokenAndAuthorize: either will do, and the audit knows who it was.
func TestTokenAndAuthorize(t *testing.T) {
	w := newWorld(t, api.Options{Token: "of-the-program", Authorize: access.Basic("anna", "sesame-street", access.Act)})
	id := w.enqueueAs(`{"kind":"k"}`, headers{"Authorization": "Bearer of-the-program"})
	w.do("POST", "/v1/jobs/"+id+"/discard", `{"reason":"no need"}`, headers{"Authorization": "Basic YW5uYTpzZXNhbWUtc3RyZWV0"}).want(200)
	w.do("DELETE", "/v1/jobs/"+id, "", headers{"Authorization": "Basic YW5uYTpzZXNhbWUtc3RyZWV0"}).problem(403, "forbidden")
	w.do("DELETE", "/v1/jobs/"+id, "", headers{"Authorization": "Bearer of-the-program"}).want(204)
	r := w.do("DELETE", "/v1/jobs/"+id, "", headers{"Authorization": "Bearer guessed"})
	r.problem(401, "unauthorized")
	if got := r.Header().Values("WWW-Authenticate"); len(got) != 2 {
		t.Errorf("the challenges are %q", got)
	}
	got := w.audited(audit.Query{})
	var lines []string
	for _, e := range got {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %t", e.Who, e.Action, e.Reason, e.Refused != "")))
		if e.Via != audit.ViaAPI || e.Remote != "192.0.2.1" || e.Refused == "" && (e.Target != id || e.Count != 1) {
			t.Errorf("an entry is %+v", e)
		}
	}
	if text := strings.Join(lines, "\n"); text != "login  true\ntoken delete  false\nanna delete  true\nanna discard no need false" {
		t.Errorf("the audit has\n%s", text)
	}
	page := w.do("GET", "/v1/audit?refused=true&action=delete", "", headers{"Authorization": "Bearer of-the-program"}).want(200)
	if list, _ := page["entries"].([]any); len(list) != 1 {
		t.Errorf("the audit answers %v", page)
	}
}

func (w *world) enqueueAs(body string, h headers) string {
	w.t.Helper()
	return w.do("POST", "/v1/jobs", body, h).want(http.StatusCreated)["id"].(string)
}

// TestActionsAreAudited: each that has changed something, with what it was done to.
func TestActionsAreAudited(t *testing.T) {
	w := newWorld(t, api.Options{})
	a, b := w.enqueue(`{"kind":"k","queue":"mail"}`), w.enqueue(`{"kind":"k","queue":"mail"}`)
	w.do("POST", "/v1/queues/mail/pause", "").want(200)
	w.do("POST", "/v1/queues/mail/resume", "").want(200)
	w.do("POST", "/v1/jobs/actions", fmt.Sprintf(`{"action":"cancel","ids":[%q,%q],"reason":"both"}`, a, b)).want(200)
	w.do("POST", "/v1/jobs/actions", `{"action":"retry","filter":{"queues":["mail"],"states":["cancelled"],"text":"x"}}`).want(200)
	w.do("GET", "/v1/jobs/"+a+"?reveal=true", "").want(200)
	w.do("POST", "/v1/jobs/"+a+"/run", "").problem(409, "state") // nothing was changed: no entry
	var lines []string
	for _, e := range w.audited(audit.Query{}) {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(e.Action, " ", e.Queue, " ", strings.ReplaceAll(e.Target, a, "A"), " ", e.Filter, " ", e.Count, " ", e.Reason)), " "))
	}
	want := "reveal mail A 0\nretry state=cancelled&queue=mail&text=x 0\ncancel 2 both\nresume mail 0\npause mail 0"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("the audit has\n%s\nwant\n%s", got, want)
	}
}

// TestSecretsAreHidden wherever a job is told of, unless an admin asks for them.
func TestSecretsAreHidden(t *testing.T) {
	w := newWorld(t, api.Options{})
	h := w.hire([]string{"default"}, []string{"k"})
	args := `{ "user":"anna", "password":"hunter2", "n":12345678901234567890.10 }`
	id := w.enqueue(`{"kind":"k","args":` + args + `,"meta":{"api_key":"hunter2","tenant":"7"}}`)
	c := h.claim()
	h.report(c, `{"done":1,"note":"token=hunter2"}`)
	h.finish(c, bellhop.Return{Err: fmt.Errorf("login with password=hunter2 failed")})
	shown := strings.Replace(args, "hunter2", "[redacted]", 1)
	for _, target := range []string{"/v1/jobs/" + id, "/v1/jobs?args=true"} {
		body := w.do("GET", target, "").Body.String()
		if strings.Contains(body, "hunter2") || !strings.Contains(body, shown) || !strings.Contains(body, `"tenant":"7"`) {
			t.Errorf("%s: %s", target, body)
		}
		revealed := w.do("GET", target+map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")]+"reveal=true", "").Body.String()
		if !strings.Contains(revealed, args) || !strings.Contains(revealed, `"api_key":"hunter2"`) {
			t.Errorf("%s revealed: %s", target, revealed)
		}
	}
	w.do("GET", "/v1/jobs/"+id+"?reveal=yes", "").problem(400, "parameter")
	if got := w.audited(audit.Query{Action: "reveal"}); len(got) != 2 {
		t.Errorf("the audit has %+v", got)
	}
	w.do("POST", "/v1/jobs/"+id+"/discard", `{"reason":"password=hunter2"}`).want(200)
	stream := w.do("GET", "/v1/jobs/"+id+"/events", "").Body.String()
	if strings.Contains(stream, "hunter2") || !strings.Contains(stream, "discarded") {
		t.Errorf("the events are %s", stream)
	}
	for _, e := range w.audited(audit.Query{}) {
		if strings.Contains(e.Reason, "hunter2") {
			t.Errorf("the audit keeps %q", e.Reason)
		}
	}
}

// In a bubble, whose clock stands still meanwhile: what is allowed again with time is no more.
func TestLimitsOfTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api.Options{Door: &access.Door{Rate: 5, Logins: 3, Authorize: access.First(
			access.Bearer("right", access.Admin),
			func(r *http.Request) (*access.Viewer, error) {
				if r.Header.Get("X-Case") == "down" {
					return nil, fmt.Errorf("the directory said: password=hunter2")
				}
				return nil, nil
			})}})
		guess := func() *reply { return w.do("GET", "/v1/queues", "", headers{"Authorization": "Bearer wrong"}) }
		for range 3 {
			guess().problem(401, "unauthorized")
		}
		r := guess()
		if r.problem(429, "logins"); r.Header().Get("Retry-After") != "20" {
			t.Errorf("Retry-After is %q", r.Header().Get("Retry-After"))
		}
		r = w.do("GET", "/v1/queues", "", headers{"X-Case": "down"})
		if r.problem(503, "login-failed"); strings.Contains(r.Body.String(), "hunter2") || !strings.Contains(w.log.String(), "the directory said") {
			t.Errorf("the reply is %s, the log %s", r.Body, w.log)
		}
		for range 20 {
			r = w.do("GET", "/v1/queues", "")
		}
		if r.problem(429, "rate"); r.Header().Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", r.Header().Get("Retry-After"))
		}
		w.do("GET", "/livez", "").want(200) // probes are no clients
		if got := w.audited(audit.Query{Action: "login"}); len(got) != 4 || got[0].Refused == "" {
			t.Errorf("the audit has %+v", got)
		}
	})
}

// TestNumbersThatAreTooLarge: what asks for too much is refused before any store is asked.
func TestNumbersThatAreTooLarge(t *testing.T) {
	w := newWorld(t, api.Options{})
	for _, target := range []string{
		"/v1/jobs?limit=1e9", "/v1/jobs?limit=1000000000", "/v1/jobs?limit=-1", "/v1/jobs?limit=0", "/v1/jobs?limit=99999999999999999999", "/v1/jobs?days=-1",
		"/v1/jobs/count?limit=1e9", "/v1/jobs/count?limit=100001", "/v1/audit?limit=1001", "/v1/audit?limit=1e9", "/v1/audit?since=-1", "/v1/audit?after=../x",
		"/v1/metrics?since=1000000h", "/v1/metrics?step=1ns", "/v1/metrics?limit=1e9", "/v1/metrics?days=-1", "/v1/jobs?enqueued_after=99999-01-01T00:00:00Z",
		"/v1/jobs?after=" + strings.Repeat("x", 10_000), "/v1/jobs?text=" + strings.Repeat("x", 10_000), "/v1/jobs?queue=" + strings.Repeat("x,", 1000),
	} {
		w.do("GET", target, "").problem(400, "parameter")
	}
	if n := w.store.calls[bellhop.OpList]; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestStrangersSendNoBodies: who is not let in is answered before the body is read, however large it is.
func TestStrangersSendNoBodies(t *testing.T) {
	w := newWorld(t, api.Options{Token: "sesame"})
	w.server.SetBodyTimeout(time.Hour) // so that a server that waits for the body is seen to
	srv := w.serve(nil)
	c := dial(t, srv)
	c.post(100<<20, `{"kind":"a"}`)
	if status, ends := c.status(); status != 401 || !ends {
		t.Errorf("the status is %d, the connection ends: %v", status, ends)
	}
	if _, err := io.Copy(io.Discard, c.in); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the connection does not end: %v", err)
	}
}
