package web

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/access/accesstest"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/bulk"
)

// use is one way to use a route, on things of the queue mail: {id} is a job of it, {process} works it alone, {operation} acts on it.
type use struct {
	path string // default: the route's
	form url.Values
	need access.Role // on mail
	all  bool        // on all queues
	open bool        // whoever sees any queue gets an answer; of mail it tells only to those who see that
}

func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

// uses says for each route what it takes.
var uses = map[string][]use{
	"GET /":                     {{need: access.Read, open: true}},
	"GET /queues":               {{need: access.Read, open: true}},
	"GET /queues/{queue...}":    {{path: "/queues/mail", need: access.Read}},
	"POST /queues/{queue...}":   {{path: "/queues/mail", form: form("action", "pause"), need: access.Act}},
	"GET /processes":            {{need: access.Read, open: true}},
	"GET /processes/{process}":  {{need: access.Read}},
	"GET /jobs":                 {{need: access.Read, open: true}, {path: "/jobs?arg=password%3Dx", need: access.Admin, open: true}, {path: "/jobs?queue=mail&arg=a.token.b%3Dx", need: access.Admin, open: true}},
	"GET /jobs/count":           {{need: access.Read, open: true}, {path: "/jobs/count?arg=password%3Dx", need: access.Admin, open: true}},
	"GET /jobs/export":          {{path: "/jobs/export?format=ndjson", need: access.Read, open: true}, {path: "/jobs/export?format=ndjson&args=1&arg=password%3Dx", need: access.Admin, open: true}},
	"GET /jobs/{id}":            {{need: access.Read}, {path: "/jobs/{id}?reveal=1", need: access.Admin}},
	"POST /jobs/{id}":           {{form: form("action", "cancel"), need: access.Act}, {form: form("action", "delete"), need: access.Admin}},
	"GET /jobs/{id}/edit":       {{need: access.Act}},
	"GET /jobs/{id}/{what}":     {{path: "/jobs/{id}/args", need: access.Read}, {path: "/jobs/{id}/args?reveal=1", need: access.Admin}},
	"GET /audit":                {{need: access.Admin, all: true}},
	"GET /about":                {{need: access.Read, open: true}},
	"GET /palette":              {{path: "/palette?q=m", need: access.Read, open: true}},
	"GET /bulk":                 {{need: access.Read, open: true}},
	"GET /bulk/{operation}":     {{need: access.Read}},
	"POST /processes/{process}": {{form: form("action", "drain"), need: access.Admin, all: true}},
	"GET /charts":               {{need: access.Read, open: true}, {path: "/charts?queue=mail", need: access.Read, open: true}},
	"POST /charts/marks":        {{form: form("text", "deploy"), need: access.Act, all: true}},
	"POST /jobs/views":          {{form: form("action", "save", "name", "mine", "q", "state=dead"), need: access.Act, open: true}},
	"POST /jobs/{id}/edit":      {{form: form("args", "{}", "action", "enqueue"), need: access.Act}},
	"GET /failures":             {{need: access.Read, open: true}},
	"GET /bulk/new":             {{path: "/bulk/new?action=cancel&id={id}", need: access.Act, open: true}, {path: "/bulk/new?action=delete&id={id}", need: access.Admin, open: true}},
	"POST /bulk": {
		{form: form("action", "cancel", "id", "{id}"), need: access.Act, open: true},
		{form: form("action", "delete", "id", "{id}"), need: access.Admin, open: true},
		{form: form("action", "cancel", "all", "1", "q", "kind=pay"), need: access.Act, open: true},
		{form: form("action", "delete", "all", "1", "q", "kind=pay&state=ready"), need: access.Admin, open: true},
		{form: form("action", "cancel", "all", "1", "q", "queue=mail"), need: access.Act, open: true},
		{form: form("action", "cancel", "all", "1", "q", "arg=user.password%3Dhunter2"), need: access.Admin, open: true},
	},
	"POST /bulk/{operation}": {{form: form("action", "stop"), need: access.Act}},
	"GET /live":              {{path: "/live?at=/jobs/{id}", need: access.Read}},
}

// rolesWorld is a dashboard with a job, a worker and an operation of mail, and a job of another queue.
func rolesWorld(t *testing.T, v accesstest.Visitor) (w *world, fill *strings.Replacer) {
	w = newWorld(t, func(o *Options) {
		o.Authorize = v.Authorize
	})
	job := w.one("mail")
	w.enqueue("other-kind", "other", 1)
	process := w.work("mailer", []string{"mail"}, []string{"kind-of-mail"})
	w.work("other-worker", []string{"other"}, []string{"other-kind"})
	op, err := w.server.ops.Start(t.Context(), bulk.Request{Action: bellhop.ActRetry, By: "anna", Filter: bellhop.Filter{Queues: []string{"mail"}, States: bellhop.States(bellhop.StateDead)}})
	if err != nil {
		t.Fatal(err)
	}
	return w, strings.NewReplacer("{id}", job.String(), "{process}", process.String(), "{operation}", op.ID, "{queue...}", "mail")
}

// seenState tells what a request could have changed.
func (w *world) seenState() string {
	w.Helper()
	page, err := w.client.List(w.Context(), bellhop.Query{})
	if err != nil {
		w.Fatal(err)
	}
	stats, err := w.client.Queues(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return fmt.Sprintf("%+v %+v", page.Jobs, stats)
}

// TestRouteRoleTable tries every way to use every route as every visitor. Shown with -v, it is the table of what takes what.
func TestRouteRoleTable(t *testing.T) {
	w, _ := rolesWorld(t, accesstest.Visitor{})
	for _, rt := range w.server.routes {
		if len(uses[rt.pattern]) == 0 {
			t.Errorf("%s is a route of which nobody has said what it takes", rt.pattern)
		}
		for _, u := range uses[rt.pattern] {
			where := "on its queue"
			if u.all {
				where = "on all queues"
			}
			t.Logf("%-26s %-44s %s %s", rt.pattern, cmp.Or(strings.TrimSpace(u.path+" "+u.form.Encode()), "-"), u.need, where)
			for _, v := range accesstest.Visitors(testing.Short()) {
				tryRoute(t, rt.pattern, u, v)
			}
		}
	}
	if len(uses) != len(w.server.routes) {
		t.Errorf("%d routes are described, and there are %d", len(uses), len(w.server.routes))
	}
}

func tryRoute(t *testing.T, pattern string, u use, v accesstest.Visitor) {
	t.Helper()
	w, fill := rolesWorld(t, v)
	method, path, _ := strings.Cut(pattern, " ")
	if strings.HasPrefix(path, "/live") {
		w.server.Drain() // else the page would be told of for minutes
	}
	path = fill.Replace(cmp.Or(u.path, path))
	var sent url.Values
	if method == "POST" {
		sent = url.Values{}
		for name, values := range u.form {
			for _, value := range values {
				sent.Add(name, fill.Replace(value))
			}
		}
	}
	before := w.seenState()
	reply, body := w.ask(method, path, sent)
	changed := w.seenState() != before
	what := fmt.Sprintf("%s as %s: %d", fill.Replace(method+" "+path+" "+sent.Encode()), v.Name, reply.StatusCode)
	has := v.Mail
	if u.all {
		has = min(v.Mail, v.Rest)
	}
	if has >= u.need && v.Name != accesstest.Stranger { // 4xx of other kinds are about what was sent
		if reply.StatusCode == 401 || reply.StatusCode == 403 || reply.StatusCode == 404 || reply.StatusCode >= 500 {
			t.Errorf("%s: refused: %.300s", what, body)
		}
		return
	}
	if changed {
		t.Errorf("%s: something was changed", what)
	}
	switch {
	case v.Name == accesstest.Stranger:
		if reply.StatusCode != 401 {
			t.Errorf("%s: want 401", what)
		}
	case u.open && reply.StatusCode < 400: // an answer that tells nothing
	case reply.StatusCode != 403 && (reply.StatusCode != 404 || v.Mail >= access.Read):
		t.Errorf("%s: want 403, or 404 if it is hidden", what)
	}
	for _, secret := range []string{"kind-of-mail", "hunter2", "mailer", fill.Replace("{process}")} {
		if v.Mail == access.None && strings.Contains(body, secret) && !strings.Contains(path, secret) {
			t.Errorf("%s: it tells of %s", what, secret)
		}
	}
	if method == "POST" && reply.StatusCode == 403 && v.Rest != v.Mail {
		page, err := audit.List(t.Context(), w.client.Store(), audit.Query{Refused: true})
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Who != v.Name || page.Entries[0].Via != audit.ViaWeb {
			t.Errorf("%s: the audit has %+v, %v", what, page, err)
		}
	}
}
