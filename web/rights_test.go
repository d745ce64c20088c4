package web

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/bulk"
)

// as lets requests with the header X-As in as one of some viewers.
func as(viewers map[string]*access.Viewer) func(*Options) {
	return func(o *Options) {
		o.Authorize = func(r *http.Request) (*access.Viewer, error) { return viewers[r.Header.Get("X-As")], nil }
	}
}

// TestOperationsGoByRoleAndQueue: who may see and stop an operation depends on his role on the queues that it touches, and on nothing else: not
// on a name that he shares with the one who began it.
func TestOperationsGoByRoleAndQueue(t *testing.T) {
	w := newWorld(t, as(map[string]*access.Viewer{
		"root":     {Name: "anna", Role: access.Admin},
		"namesake": {Name: "anna", Queues: map[string]access.Role{"mail": access.Admin}},
		"mail":     {Name: "bert", Queues: map[string]access.Role{"mail": access.Act}},
		"reader":   {Name: "carl", Role: access.Read, Queues: map[string]access.Role{"other": access.Act}},
		"other":    {Name: "dora", Queues: map[string]access.Role{"other": access.Admin}},
	}))
	start := func(f bellhop.Filter) string {
		f.States = bellhop.States(bellhop.StateDead)
		op, err := w.server.ops.Start(t.Context(), bulk.Request{Action: bellhop.ActRetry, By: "anna", Filter: f})
		if err != nil {
			t.Fatal(err)
		}
		return op.ID
	}
	everywhere, mail, others := start(bellhop.Filter{}), start(bellhop.Filter{Queues: []string{"mail"}}), start(bellhop.Filter{NotQueues: []string{"mail"}})
	for who, want := range map[string]map[string]int{ // what a stop is answered
		"root":     {everywhere: 303, mail: 303, others: 303},
		"namesake": {everywhere: 404, mail: 303, others: 404},
		"mail":     {everywhere: 404, mail: 303, others: 404},
		"reader":   {everywhere: 403, mail: 403, others: 403},
		"other":    {everywhere: 404, mail: 404, others: 404},
	} {
		list := w.get("/bulk", "X-As", who)
		for id, status := range want {
			if reply, _ := w.ask("POST", "/bulk/"+id, form("action", "stop"), "X-As", who); reply.StatusCode != status {
				t.Errorf("%s stops an operation: %d, want %d", who, reply.StatusCode, status)
			}
			if seen := strings.Contains(list, id); seen != (status != 404) {
				t.Errorf("%s sees an operation: %v", who, seen)
			}
		}
	}
}

// TestOperationsStayWithinTheRole: an operation on all that match touches the queues on which the viewer has the role, and whoever has it there may stop it.
func TestOperationsStayWithinTheRole(t *testing.T) {
	w := newWorld(t, as(map[string]*access.Viewer{
		"some":  {Name: "anna", Role: access.Read, Queues: map[string]access.Role{"mail": access.Act}},
		"most":  {Name: "bert", Role: access.Act, Queues: map[string]access.Role{"mail": access.Read}},
		"admin": {Name: "carl", Role: access.Act, Queues: map[string]access.Role{"mail": access.Admin}},
	}))
	for who, want := range map[string]struct {
		action string
		left   []string // queues whose jobs are as they were
	}{"some": {"cancel", []string{"other"}}, "most": {"cancel", []string{"mail"}}, "admin": {"delete", []string{"other"}}} {
		jobs := map[string]bellhop.ID{"mail": w.enqueue("k", "mail", 1)[0], "other": w.enqueue("k", "other", 1)[0]}
		w.has(w.get("/bulk/new?action="+want.action+"&all=1&q=state%3Dready", "X-As", who), " 1 job?")
		reply, body := w.ask("POST", "/bulk", form("action", want.action, "all", "1", "q", "state=ready"), "X-As", who)
		if reply.StatusCode != 303 {
			t.Fatalf("%s: %s %s", who, reply.Status, body)
		}
		for queue, id := range jobs {
			job, err := w.client.Get(t.Context(), id)
			same := err == nil && job.Place.State == bellhop.StateReady
			if same != (want.left[0] == queue) {
				t.Errorf("%s: the job of %s is as it was: %v", who, queue, same)
			}
			_, _ = w.client.Act(t.Context(), bellhop.ActDelete, "", id) // it may be gone
		}
		// A queue that he names, and on which he lacks the role, is refused and not passed over.
		reply, _ = w.ask("POST", "/bulk", form("action", want.action, "all", "1", "q", "queue=mail&queue=other"), "X-As", who)
		if reply.StatusCode != 403 {
			t.Errorf("%s names a queue on which he lacks the role: %s", who, reply.Status)
		}
	}
	if page, err := audit.List(t.Context(), w.client.Store(), audit.Query{Refused: true}); err != nil || len(page.Entries) != 3 {
		t.Errorf("the audit has %+v, %v", page, err)
	}
}

// TestAuditLeadsToItsJobs: the link beside an entry, whichever way it came, leads to a list that the dashboard can show; what cannot be one is no link.
func TestAuditLeadsToItsJobs(t *testing.T) {
	w := newWorld(t)
	f := bellhop.Filter{
		States: bellhop.States(bellhop.StateDead, bellhop.StateReady), Queues: []string{"mail", "a/b"}, Kinds: []string{"k"}, Tags: []string{"x"},
		Text: `a&b=c d`, Error: "50% off", Args: []bellhop.ArgMatch{{Path: "user.id", Value: "7&8"}},
	}
	secret, long := f, f
	secret.Args = []bellhop.ArgMatch{{Path: "password", Value: "hunter2"}}
	for range 100 {
		long.IDs = append(long.IDs, bellhop.NewID())
	}
	for via, text := range map[string]string{
		audit.ViaAPI: audit.FilterText(&f), audit.ViaCLI: audit.FilterText(&f), "web": audit.FilterText(&secret), "long": audit.FilterText(&long), "old": "state=dead queue=mail", "bad": "%zz",
	} {
		w.server.audit.Write(t.Context(), audit.Entry{Who: "anna", Via: via, Action: "retry", Filter: text})
	}
	body := w.get("/audit")
	links := regexp.MustCompile(`href="(/jobs\?[^"]*)"`).FindAllStringSubmatch(body, -1)
	if len(links) != 2 || strings.Contains(body, "hunter2") {
		t.Fatalf("%d of 6 filters are links, want 2: %v", len(links), links)
	}
	for _, link := range links {
		page := w.get(html.UnescapeString(link[1]))
		w.has(page, "a&amp;b=c d", "50% off", "user.id=7&amp;8")
	}
	if _, err := url.ParseQuery(audit.FilterText(&long)); err != nil || len(audit.FilterText(&long)) > 1024 || !strings.HasSuffix(audit.FilterText(&long), "&…") {
		t.Errorf("a long filter is told as %s, %v", audit.FilterText(&long), err)
	}
}

// TestLiveRunsPagesOnly: what is no page is refused before anything of it is run.
func TestLiveRunsPagesOnly(t *testing.T) {
	w := newWorld(t)
	id := w.one("mail")
	for _, viewer := range []string{"a", "a", "b", "b"} { // an export that was run would be refused for want of a place, and not as what it is
		w.server.exports.begin(viewer)
	}
	for _, at := range []string{
		"/jobs/export?format=csv", "/jobs/count", "/palette", "/live?at=/", "/live", "/jobs/" + id.String() + "/args?reveal=1", "/assets/x/app.js", "/nothing", "//evil.example/", "/queues/../jobs/export?format=csv",
	} {
		if reply, body := w.ask("GET", "/live?at="+url.QueryEscape(at), nil); reply.StatusCode != 404 && reply.StatusCode != 400 {
			t.Errorf("%s: %s %.200s", at, reply.Status, body)
		}
	}
	if page, err := audit.List(t.Context(), w.client.Store(), audit.Query{}); err != nil || len(page.Entries) > 0 {
		t.Errorf("something was run: %+v, %v", page, err)
	}
}
