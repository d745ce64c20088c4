package api_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/access/accesstest"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// use is one way to use a route, on things of the queue mail.
type use struct {
	target, body string
	need         access.Role // on mail
	all          bool        // on all queues
	list         bool        // whoever sees any queue gets an answer; of mail it tells only to those who see that
	part         bool        // whoever has the role on some queue gets an answer; of mail it touches nothing without the role there
}

// uses says for each route what it takes. {id} is a job of mail that has been given up; {other} one of another queue.
var uses = map[string][]use{
	"POST /v1/jobs": {
		{body: `{"kind":"k","queue":"mail"}`, need: access.Act},
		{body: `[{"kind":"k","queue":"mail"},{"kind":"k","queue":"mail"}]`, need: access.Act},
		{body: `[{"kind":"k","queue":"other"},{"kind":"k","queue":"mail"}]`, need: access.Act, all: true},
	},
	"GET /v1/jobs":       {{need: access.Read, list: true}, {target: "?queue=mail", need: access.Read, list: true}, {target: "?args=true&reveal=true", need: access.Admin, list: true}, {target: "?queue=mail&arg=password%3Dx", need: access.Admin, list: true}, {target: "?arg=user.api_key%3Dx", need: access.Admin, list: true}},
	"GET /v1/jobs/count": {{target: "?queue=mail", need: access.Read, list: true}, {target: "?arg=password%3Dx", need: access.Admin, list: true}},
	"POST /v1/jobs/actions": {
		{body: `{"action":"retry","ids":["{id}"]}`, need: access.Act, list: true},
		{body: `{"action":"delete","ids":["{id}"]}`, need: access.Admin, list: true},
		{body: `{"action":"retry","filter":{"queues":["mail"],"states":["discarded"]}}`, need: access.Act, list: true},
		{body: `{"action":"delete","filter":{"queues":["mail"],"states":["discarded"]}}`, need: access.Admin, list: true},
		{body: `{"action":"retry","filter":{"states":["discarded"]}}`, need: access.Act, part: true},
		{body: `{"action":"retry","filter":{"not_queues":["other"],"states":["discarded"]}}`, need: access.Act, part: true},
		{body: `{"action":"delete","filter":{"states":["discarded"]}}`, need: access.Admin, part: true},
		{body: `{"action":"retry","filter":{"states":["discarded"],"args":[{"path":"password","value":"hunter2"}]}}`, need: access.Admin, part: true},
		{body: `{"action":"retry","filter":{"states":["discarded"],"text":"hunter2"}}`, need: access.Admin, part: true},
		{body: `{"action":"retry","filter":{"states":["discarded"],"text":"password"}}`, need: access.Act, part: true},
		{body: `{"action":"retry","all":true}`, need: access.Act, part: true},
	},
	"GET /v1/jobs/{id}":              {{need: access.Read}, {target: "?reveal=true", need: access.Admin}},
	"DELETE /v1/jobs/{id}":           {{need: access.Admin}},
	"GET /v1/jobs/{id}/events":       {{need: access.Read}},
	"POST /v1/jobs/{id}/{action}":    {{need: access.Act}},
	"GET /v1/queues":                 {{need: access.Read, list: true}},
	"POST /v1/queues/{queue}/pause":  {{need: access.Act}},
	"POST /v1/queues/{queue}/resume": {{need: access.Act}},
	"GET /v1/queues/{queue}/scale":   {{need: access.Read}},

	"POST /v1/queues/{queue}/concurrency":  {{body: `{"concurrency":3}`, need: access.Act}},
	"POST /v1/processes/{process}/drain":   {{need: access.Admin, all: true}},
	"POST /v1/processes/{process}/undrain": {{need: access.Admin, all: true}},
	"GET /v1/metrics": {
		{target: "?queue=mail", need: access.Read},
		{need: access.Read, all: true},
		{target: "?queue=mail&failures=true", need: access.Read, all: true},
	},
	"POST /v1/marks":       {{body: `{"text":"deploy 42"}`, need: access.Act, all: true}},
	"GET /v1/processes":    {{need: access.Read, list: true}},
	"GET /v1/audit":        {{need: access.Admin, all: true}},
	"GET /v1/openapi.json": {{need: access.Read, list: true}},
	"GET /metrics":         {{need: access.Read, all: true}},
	"GET /livez":           {{need: access.None}},
	"GET /readyz":          {{need: access.None}},
}

// rolesWorld is a world with a job in mail and one in another queue, and a worker of each.
func rolesWorld(t *testing.T, v accesstest.Visitor) (w *world, replace *strings.Replacer) {
	w = newWorld(t, api.Options{
		Metrics:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "mail 1\n") }),
		Authorize: v.Authorize,
	})
	var ids []bellhop.ID
	var process bellhop.ID
	secrets := map[string]string{"mail": `{"password":"hunter2"}`, "other": `{"password":"another"}`}
	for _, queue := range []string{"mail", "other"} {
		r, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("kind-of-"+queue, []byte(secrets[queue]), bellhop.Queue(queue)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r[0].ID)
		process = w.hire([]string{queue}, []string{"kind-of-" + queue}).process.ID
	}
	if err := control.Drain(t.Context(), w.store, process, "somebody"); err != nil { // so that a drain and its end both change something
		t.Fatal(err)
	}
	if _, err := w.client.Act(t.Context(), bellhop.ActDiscard, "", ids[0]); err != nil {
		t.Fatal(err)
	}
	return w, strings.NewReplacer("{id}", ids[0].String(), "{other}", ids[1].String(), "{queue}", "mail", "{process}", process.String(), "{action}", "retry")
}

// state tells all that a request could have changed.
func (w *world) state() string {
	w.t.Helper()
	page, err := w.client.List(w.t.Context(), bellhop.Query{})
	if err != nil {
		w.t.Fatal(err)
	}
	stats, err := w.client.Queues(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	marks, err := w.store.Records(w.t.Context(), &bellhop.RecordQuery{Space: rollup.MarkSpace})
	if err != nil {
		w.t.Fatal(err)
	}
	orders, err := w.store.Records(w.t.Context(), &bellhop.RecordQuery{Space: control.Space})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("%+v %+v %+v %+v", page.Jobs, stats, marks, orders)
}

// TestRouteRoleTable tries every way to use every route as every visitor. Shown with -v, it is the table of what takes what.
func TestRouteRoleTable(t *testing.T) {
	w, _ := rolesWorld(t, accesstest.Visitor{})
	for _, rt := range w.server.Routes() {
		name := rt.Method + " " + rt.Path
		if len(uses[name]) == 0 {
			t.Errorf("%s is a route of which nobody has said what it takes", name)
		}
		for _, u := range uses[name] {
			where := "on its queue"
			if u.all {
				where = "on all queues"
			}
			t.Logf("%-32s %-72s %s %s", name, cmp.Or(u.target+u.body, "-"), u.need, where)
			for _, v := range accesstest.Visitors(testing.Short()) {
				tryRoute(t, rt, u, v)
			}
		}
	}
	if len(uses) != len(w.server.Routes()) {
		t.Errorf("%d routes are described, and there are %d", len(uses), len(w.server.Routes()))
	}
}

func tryRoute(t *testing.T, rt api.Route, u use, v accesstest.Visitor) {
	t.Helper()
	w, replace := rolesWorld(t, v)
	before := w.state()
	var r *reply
	if rt.Path == "/metrics" { // which the document does not have
		r = w.undocumented("GET", rt.Path)
	} else {
		r = w.do(rt.Method, replace.Replace(rt.Path+u.target), replace.Replace(u.body))
	}
	what := fmt.Sprintf("%s %s%s %s as %s: %d %.200s", rt.Method, rt.Path, u.target, u.body, v.Name, r.Code, r.Body)
	has := v.Mail
	if u.all {
		has = min(v.Mail, v.Rest)
	}
	changed := w.state() != before
	if allowed := has >= u.need && (v.Name != accesstest.Stranger || u.need == access.None); allowed {
		if r.Code >= 300 {
			t.Errorf("%s: refused", what)
		}
		if acts := rt.Action != "" && rt.Action != "resume"; acts != changed {
			t.Errorf("%s: something was changed: %v", what, changed)
		}
		return
	}
	if changed {
		t.Errorf("%s: something was changed", what)
	}
	switch {
	case v.Name == accesstest.Stranger:
		if r.Code != 401 {
			t.Errorf("%s: want 401", what)
		}
	case u.part && r.Code < 300: // an answer that touched nothing
	case u.list && r.Code < 300: // an answer that tells nothing
		if v.Mail >= access.Read || v.Rest == access.None && v.Mail == access.None {
			t.Errorf("%s: want a refusal", what)
		}
	case r.Code != 403 && (r.Code != 404 || v.Mail >= access.Read):
		t.Errorf("%s: want 403, or 404 if the job is hidden", what)
	}
	told := strings.ReplaceAll(r.Body.String(), `"queue":"mail","paused"`, "") // what was asked for by name is no news
	if v.Mail == access.None && (strings.Contains(told, "kind-of-mail") || strings.Contains(told, replace.Replace("{id}")) && rt.Action == "" || strings.Contains(told, "hunter2")) {
		t.Errorf("%s: it tells of what is hidden", what)
	}
	if rt.Action != "" && r.Code == 403 {
		page, err := audit.List(t.Context(), w.client.Store(), audit.Query{Refused: true})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Who != v.Name || page.Entries[0].Action != rt.Action || page.Entries[0].Via != audit.ViaAPI {
			t.Errorf("%s: the audit has %+v, %v", what, page, err)
		}
	}
}

// undocumented does a request that the document does not have.
func (w *world) undocumented(method, target string) *reply {
	w.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Host = "localhost"
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return &reply{rec, w.t}
}

// TestHiddenQueues: what a viewer does not see is in no list, count, event or process.
func TestHiddenQueues(t *testing.T) {
	for _, v := range []accesstest.Visitor{{Name: "all but mail", Mail: access.None, Rest: access.Admin}, {Name: "mail only", Mail: access.Admin, Rest: access.None}} {
		w, replace := rolesWorld(t, v)
		seen, hidden := "other", "mail"
		if v.Mail == access.Admin {
			seen, hidden = hidden, seen
		}
		for _, target := range []string{"/v1/jobs", "/v1/jobs?queue=mail,other", "/v1/jobs?state=discarded,ready&args=true", "/v1/queues", "/v1/processes"} {
			w.do("GET", target, "").want(200)
			body := w.do("GET", target, "").Body.String()
			hiddenThere := strings.Contains(body, `"`+hidden+`"`) || strings.Contains(body, "kind-of-"+hidden)
			seenThere := strings.Contains(body, `"`+seen+`"`) || target == "/v1/queues" && seen == "mail" // its only job has ended
			if hiddenThere || !seenThere {
				t.Errorf("%s for %s: %s", target, v.Name, body)
			}
		}
		for target, want := range map[string]string{"": "1", "?queue=mail,other": "1", "?queue=" + seen: "1", "?queue=" + hidden: "0", "?kind=kind-of-" + hidden: "0"} {
			if got := w.do("GET", "/v1/jobs/count"+target, "").want(200)["count"]; got != json.Number(want) {
				t.Errorf("count%s for %s: %v, want %s", target, v.Name, got, want)
			}
		}
		ids := map[string]string{"mail": replace.Replace("{id}"), "other": replace.Replace("{other}")}
		w.do("GET", "/v1/jobs/"+ids[hidden], "").problem(404, "not-found")
		w.do("GET", "/v1/jobs/"+ids[hidden]+"/events", "").problem(404, "not-found")
		w.do("POST", "/v1/jobs/"+ids[hidden]+"/discard", "").problem(404, "not-found")
		w.do("DELETE", "/v1/jobs/"+ids[hidden], "").problem(404, "not-found")
		out := w.do("POST", "/v1/jobs/actions", fmt.Sprintf(`{"action":"delete","ids":[%q,%q]}`, ids[seen], ids[hidden])).want(200)
		if list, _ := out["skipped"].([]any); out["count"] == json.Number("2") || len(list) == 0 {
			t.Errorf("an action on both for %s: %v", v.Name, out)
		}
		w.do("POST", "/v1/jobs/actions", fmt.Sprintf(`{"action":"discard","filter":{"queues":[%q]}}`, hidden)).want(200)
		if _, err := w.client.Get(t.Context(), mustID(t, ids[hidden])); err != nil {
			t.Errorf("the hidden job is gone: %v", err)
		}
	}
}

func mustID(t *testing.T, text string) bellhop.ID {
	t.Helper()
	id, err := bellhop.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
