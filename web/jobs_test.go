package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
)

// end claims all jobs of a queue and ends them so, with a failure if that is not nil.
func (w *world) end(queue string, kind bellhop.OutcomeKind, failure *bellhop.Failure) {
	w.Helper()
	store, process := w.client.Store(), bellhop.NewID()
	if _, err := store.Beat(w.Context(), &bellhop.Beat{Process: bellhop.Process{ID: process, Name: "p"}, Lease: time.Minute}); err != nil {
		w.Fatal(err)
	}
	jobs, err := store.List(w.Context(), &bellhop.Query{Filter: bellhop.Filter{Queues: []string{queue}}, Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, j := range jobs.Jobs {
		kinds[j.Kind] = true
	}
	got, err := store.Exchange(w.Context(), &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: process, Limit: 1000, Wants: []bellhop.Want{{Queue: queue, Count: 1000}}, Kinds: slices.Sorted(maps.Keys(kinds)),
	})
	if err != nil {
		w.Fatal(err)
	}
	var outcomes []bellhop.Outcome
	for _, c := range got.Claims {
		now := got.Signals.Now
		outcomes = append(outcomes, bellhop.Outcome{
			Token: c.Token, Kind: kind, Attempt: 1, Number: 1, Started: now, Ended: now.Add(time.Second), Failure: failure, Failures: 1,
			Keep: bellhop.Forever, Result: []byte(`{"sent":9007199254740993}`),
		})
	}
	if _, err := store.Exchange(w.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: outcomes}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) state(id bellhop.ID) bellhop.State {
	w.Helper()
	job, err := w.client.Get(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return job.Place.State
}

// audits returns what was written to the audit as "action target refused", newest first.
func (w *world) audits() (list []string) {
	w.Helper()
	p, err := audit.List(w.Context(), w.client.Store(), audit.Query{Limit: 100})
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range p.Entries {
		refused := ""
		if e.Refused != "" {
			refused = " refused"
		}
		list = append(list, e.Action+refused)
	}
	return list
}

// post sends a form and returns where the reply leads.
func (w *world) post(path string, form url.Values) (*http.Response, string) {
	w.Helper()
	reply, body := w.ask("POST", path, form)
	if reply.StatusCode != http.StatusSeeOther {
		w.Fatalf("POST %s %v: %s\n%s", path, form, reply.Status, body)
	}
	return reply, reply.Header.Get("Location")
}

func TestJobsByFilter(t *testing.T) {
	w := newWorld(t)
	w.enqueue("mail.welcome", "mail", 3, bellhop.Tags("vip"))
	w.enqueue("import.row", "imports", 2)
	w.enqueue("mail.welcome", "mail", 1, bellhop.In(time.Hour))
	for query, want := range map[string]int{
		"": 6, "?state=ready": 5, "?queue=imports": 2, "?kind=mail.welcome&state=scheduled": 1, "?tag=vip": 3, "?arg=n%3D1": 6, "?arg=n%3D2": 0,
		"?text=%22n%22": 6, "?queue=mail,imports&state=ready": 5, "?enqueued_after=1h": 6, "?enqueued_before=1h": 0,
	} {
		page := w.get("/jobs" + query)
		if got := strings.Count(page, `<tr id="job-`); got != want {
			t.Errorf("/jobs%s lists %d jobs, want %d", query, got, want)
		}
		var list struct{ Jobs []struct{ Kind string } }
		if err := json.Unmarshal([]byte(w.get("/jobs"+query, "Accept", "application/json")), &list); err != nil || len(list.Jobs) != want {
			t.Errorf("/jobs%s has %d jobs as JSON, %v, want %d", query, len(list.Jobs), err, want)
		}
	}
	var counts map[string]struct {
		Count int
		Text  string
	}
	if err := json.Unmarshal([]byte(w.get("/jobs/count?queue=mail")), &counts); err != nil || counts["ready"].Count != 3 || counts["scheduled"].Text != "1" || len(counts) != 8 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

func TestFormLeadsToAnAddressWorthKeeping(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Prefix = "/admin/jobs" })
	reply, _ := w.ask("GET", "/admin/jobs/jobs?kind=&queue=mail&tag=&arg=&state=dead&text=", nil)
	if got := reply.Header.Get("Location"); reply.StatusCode != http.StatusSeeOther || got != "/admin/jobs/jobs?state=dead&queue=mail" {
		t.Errorf("%s to %q", reply.Status, got)
	}
}

func TestFilterThatCannotBeReadKeepsTheForm(t *testing.T) {
	w := newWorld(t)
	w.enqueue("k", "mail", 1)
	reply, body := w.ask("GET", "/jobs?queue=a%20b&kind=fine&enqueued_after=yesterday&colour=red", nil)
	if reply.StatusCode != http.StatusBadRequest {
		t.Errorf("status %s", reply.Status)
	}
	w.has(body, `value="a b"`, `value="fine"`, `value="yesterday"`, "is not allowed", "how long ago", "known are state, queue", `aria-invalid="true"`)
	if strings.Contains(body, `<tr id="job-`) {
		t.Error("it lists jobs by a filter that it could not read")
	}
}

var nextPage = regexp.MustCompile(`rel="next" href="([^"]*)"`)

func TestPagesVisitAllJobs(t *testing.T) {
	w := newWorld(t)
	w.enqueue("k", "mail", 120)
	seen := map[string]bool{}
	path, pages := "/jobs?queue=mail", 0
	for ; path != "" && pages < 10; pages++ {
		body := w.get(path)
		for _, m := range regexp.MustCompile(`<tr id="job-([^"]*)"`).FindAllStringSubmatch(body, -1) {
			seen[m[1]] = true
		}
		path = ""
		if m := nextPage.FindStringSubmatch(body); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 120 || pages != 3 {
		t.Errorf("%d jobs on %d pages", len(seen), pages)
	}
	if reply, _ := w.ask("GET", "/jobs?after="+strings.Repeat("x", 600), nil); reply.StatusCode != http.StatusBadRequest {
		t.Errorf("a mark that is none: %s", reply.Status)
	}
}

// TestSearchSaysHowFarItLooked: a search that finds little among many jobs comes back with a way to go on.
// A count of none among those that were looked at tells nothing, and the tab goes without; else a bound is told.
func TestTabsWithoutAWorthyCount(t *testing.T) {
	for want, tally := range map[string]bellhop.Tally{
		"": {Count: 0, More: true}, "0": {}, "1,204": {Count: 1204}, "10,000+": {Count: 10_000, More: true},
	} {
		if got := tabText(tally); got != want {
			t.Errorf("%+v: got %q, want %q", tally, got, want)
		}
	}
}

func TestSearchSaysHowFarItLooked(t *testing.T) {
	w := newWorld(t)
	w.enqueue("rare", "mail", 1)
	for range 3 {
		w.enqueue("common", "mail", 5000)
	}
	body := w.get("/jobs?kind=rare")
	w.has(body, "jobs were looked at", "Go on")
	m := nextPage.FindStringSubmatch(body)
	if m == nil {
		t.Fatal("there is no next page")
	}
	for range 3 {
		if body = w.get(strings.ReplaceAll(m[1], "&amp;", "&")); strings.Contains(body, `<tr id="job-`) {
			return
		}
		m = nextPage.FindStringSubmatch(body)
	}
	t.Error("the job is never found")
}

func TestHostileJobs(t *testing.T) {
	w := newWorld(t)
	hostile := []string{
		"</script><script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "a\u202eb\u2066", "\x1b[31m\x07", "'; DROP TABLE jobs; --", "foo/bar.baz",
		"{{.}}", strings.Repeat("10k", 3413),
	}
	var jobs []*bellhop.Job
	for i, text := range hostile {
		raw, _ := json.Marshal(map[string]any{text: []any{text, 12345678901234567890.0}})
		jobs = append(jobs, &bellhop.Job{
			ID: bellhop.NewID(), Kind: text, Queue: text, Args: raw, Attempts: 1, Tags: []string{text}, Meta: map[string]string{text: text}, UniqueKey: fmt.Sprint(i, text),
		})
	}
	if _, err := w.client.Store().Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
	for _, text := range hostile {
		w.end(text, bellhop.OutcomeDead, &bellhop.Failure{Class: text, Message: text, Stack: text})
	}
	paths := []string{"/jobs", "/jobs?state=dead", "/failures"}
	for _, j := range jobs {
		paths = append(paths, "/jobs/"+j.ID.String(), "/jobs/"+j.ID.String()+"/edit", "/bulk/new?action=retry&id="+j.ID.String())
	}
	for _, path := range paths {
		body := w.get(path)
		for _, bad := range []string{"<script>alert", "<img src=x", "\u202e", "\u2066", "\x1b", "\x07"} {
			if strings.Contains(body, bad) {
				at := strings.Index(body, bad)
				t.Errorf("%s holds %q: …%q", path, bad, body[max(at-80, 0):at+40])
			}
		}
		if len(body) > 1<<20 {
			t.Errorf("%s has %d bytes", path, len(body))
		}
	}
	for _, text := range hostile {
		for _, path := range []string{"/jobs?queue=", "/jobs?text=", "/jobs?arg=", "/jobs/", "/bulk/", "/failures?kind=", "/jobs?", "/jobs/export?format=", "/bulk/new?all=1&action=retry&q="} {
			reply, body := w.ask("GET", path+url.QueryEscape(text), nil)
			if reply.StatusCode >= 500 || strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
				t.Errorf("%s%.20q: %s", path, text, reply.Status)
			}
		}
	}
}

func TestExport(t *testing.T) {
	w := newWorld(t)
	w.enqueue("k", "mail", 1200, bellhop.Meta("password", "hunter2"))
	id := w.enqueue("k", "odd", 1, bellhop.Tags("vip"))[0]
	w.end("odd", bellhop.OutcomeDead, &bellhop.Failure{Class: "error", Message: "=cmd|' /C calc'!A1"})
	reply, body := w.ask("GET", "/jobs/export?format=csv", nil)
	if lines := strings.Count(body, "\n"); lines != 1202 || !strings.HasPrefix(reply.Header.Get("Content-Disposition"), "attachment") || !strings.HasPrefix(body, "id,kind,queue,state") {
		t.Errorf("%d lines of CSV, %v", lines, reply.Header)
	}
	w.has(body, id.String(), "'=cmd|", "vip")
	_, body = w.ask("GET", "/jobs/export?format=ndjson&args=1&queue=odd", nil)
	var job struct {
		ID   string
		Args json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &job); err != nil || job.ID != id.String() || string(job.Args) != `{"n":1}` {
		t.Errorf("%s: %v", body, err)
	}
	if _, body := w.ask("GET", "/jobs/export?format=ndjson", nil); strings.Contains(body, "hunter2") || strings.Count(body, "\n") != 1201 {
		t.Error("the export tells a secret, or is not whole")
	}
	if reply, _ := w.ask("GET", "/jobs/export?format=xls", nil); reply.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown format: %s", reply.Status)
	}
	for _, others := range [][]string{{"everyone", "everyone"}, {"a", "a", "b", "b"}} {
		for _, viewer := range others {
			if !w.server.exports.begin(viewer) {
				t.Fatalf("an export of %s is refused", viewer)
			}
		}
		if reply, _ := w.ask("GET", "/jobs/export?format=csv", nil); reply.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("an export beside those of %q: %s", others, reply.Status)
		}
		for _, viewer := range others {
			w.server.exports.end(viewer)
		}
	}
	if reply, _ := w.ask("GET", "/jobs/export?format=csv", nil); reply.StatusCode != http.StatusOK || len(w.server.exports.of) != 0 {
		t.Errorf("after those: %s", reply.Status)
	}
}

func TestCellsAreNoFormulas(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "-17": "-17", "+17": "+17", "=1+1": "'=1+1", "+cmd": "'+cmd", "-1e9": "'-1e9", "@sum": "'@sum", "\t=1": "'\t=1", "\r=1": "'\r=1",
		"\n=1": "'\n=1", "＝1": "'＝1", "＋1": "'＋1", "－x": "'－x", "＠x": "'＠x", " =1": "' =1", "{}": "{}",
	} {
		if got := cell(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestSavedViews(t *testing.T) {
	w := newWorld(t)
	save := url.Values{"action": {"save"}, "name": {"Dead </script> mail"}, "q": {"queue=mail&state=dead&kind="}, "shared": {"1"}}
	if _, to := w.post("/jobs/views", save); to != "/jobs?state=dead&queue=mail" {
		t.Errorf("leads to %s", to)
	}
	w.has(w.get("/jobs"), "Dead &lt;/script&gt; mail", `href="/jobs?state=dead&amp;queue=mail"`)
	key := regexp.MustCompile(`name="view" value="([^"]*)"`).FindStringSubmatch(w.get("/jobs"))
	if key == nil {
		t.Fatal("it cannot be deleted")
	}
	w.post("/jobs/views", url.Values{"action": {"delete"}, "view": {key[1]}})
	if strings.Contains(w.get("/jobs"), "Dead &lt;") {
		t.Error("it is still there")
	}
	for what, form := range map[string]url.Values{
		"no name": {"action": {"save"}, "q": {"state=dead"}}, "no filter": {"action": {"save"}, "name": {"x"}}, "a wrong filter": {"action": {"save"}, "name": {"x"}, "q": {"state=no"}},
		"a long name": {"action": {"save"}, "name": {strings.Repeat("x", 100)}, "q": {"state=dead"}}, "no action": {"q": {"state=dead"}},
	} {
		if reply, _ := w.ask("POST", "/jobs/views", form); reply.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", what, reply.Status)
		}
	}
	if reply, _ := w.ask("POST", "/jobs/views", url.Values{"action": {"delete"}, "view": {"of/someone/else"}}); reply.StatusCode != http.StatusNotFound {
		t.Errorf("another's view: %s", reply.Status)
	}
}

// viewerOf lets everybody in as one viewer.
func viewerOf(v access.Viewer) func(*Options) {
	return func(o *Options) {
		o.Authorize = func(*http.Request) (*access.Viewer, error) { copied := v; return &copied, nil }
	}
}

func TestViewsOfOnePersonAreHisOwn(t *testing.T) {
	w := newWorld(t, viewerOf(access.Viewer{Name: "ann", Role: access.Act}))
	w.post("/jobs/views", url.Values{"action": {"save"}, "name": {"mine"}, "q": {"state=dead"}})
	w.has(w.get("/jobs"), ">mine</a>")
	other, err := New(w.client, Options{Authorize: access.Everyone(access.Admin)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.ops.Close)
	w.server = other
	if strings.Contains(w.get("/jobs"), ">mine</a>") {
		t.Error("another sees it")
	}
}
