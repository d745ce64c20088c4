package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/rollup"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestBulkAsksWithTheNumber(t *testing.T) {
	w := newWorld(t)
	ids := w.enqueue("k", "mail", 1500)
	w.enqueue("k", "other", 3)
	w.has(w.get("/bulk/new?action=cancel&all=1&q=queue%3Dmail"), "Cancel 1,500 jobs?", "queue", "mail", "scheduled, blocked, ready, running")
	w.has(w.get("/bulk/new?action=delete&id="+ids[0].String()+"&id="+ids[1].String()), "Delete 2 jobs?", ids[1].String())
	w.has(w.get("/bulk/new?action=retry&all=1&q="), "There is nothing to do")
	for _, back := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "javascript:alert(1)", "/../evil", "/jobs/%2e%2e/../evil"} {
		if body := w.get("/bulk/new?action=cancel&all=1&q=queue%3Dmail&back=" + url.QueryEscape(back)); strings.Contains(body, "evil") || strings.Contains(body, "javascript:") {
			t.Errorf("it leads back to %s", back)
		}
	}
	w.has(w.get("/bulk/new?action=cancel&all=1&q=queue%3Dmail&back=%2Fjobs%3Fqueue%3Dmail"), `href="/jobs?queue=mail"`)
	for _, query := range []string{"", "?action=cancel", "?action=explode&all=1", "?action=cancel&id=7", "?action=retry&all=1&q=state%3Dready", "?action=run&all=1&q=%zz", "?action=run&all=1&q=colour%3Dred"} {
		if reply, _ := w.ask("GET", "/bulk/new"+query, nil); reply.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, reply.Status)
		}
	}
}

// shortLooks counts no more than 600 jobs in one look, as stores do that have to look at each.
type shortLooks struct{ bellhop.Store }

func (s shortLooks) Count(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
	page := *q
	page.Limit = min(q.Limit, 600)
	l, err := s.List(ctx, &page)
	if err != nil {
		return nil, err
	}
	return &bellhop.Counted{Count: len(l.Jobs), Next: l.Next, Examined: len(l.Jobs)}, nil
}

// Who is asked is told the number, also where one look does not find it: in a bubble, where it is found at once.
func TestBulkGoesOnCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOn(t, shortLooks{memory.New()})
		w.enqueue("k", "mail", 1500)
		w.has(w.get("/bulk/new?action=cancel&all=1&q=kind%3Dk"), "Cancel 1,500 jobs?")
	})
}

// The button that loses jobs for good does not wait for the next press of Enter.
func TestDeleteIsNotInFocus(t *testing.T) {
	w := newWorld(t)
	w.enqueue("k", "mail", 1)
	w.has(w.get("/bulk/new?action=delete&all=1&q=kind%3Dk"), `autofocus href="/jobs">No, go back`, `button-bad">Delete 1 job`)
	w.has(w.get("/bulk/new?action=cancel&all=1&q=kind%3Dk"), `button-main" autofocus>Cancel 1 job`)
}

func TestBulkOnAllThatMatch(t *testing.T) {
	w := newWorld(t)
	w.enqueue("k", "mail", 2500)
	w.enqueue("k", "other", 3)
	_, to := w.post("/bulk", url.Values{"action": {"cancel"}, "all": {"1"}, "q": {"queue=mail"}, "reason": {"wrong text"}, "bound": {"100000"}})
	if !strings.HasPrefix(to, "/bulk/") {
		t.Fatalf("it leads to %s", to)
	}
	w.until(to, `"state": "done"`)
	w.has(w.get(to), "2,500", "wrong text", "progress-part", "done")
	w.has(w.get("/bulk"), "Cancel", "2,500", "everyone")
	if n, err := w.client.Count(t.Context(), bellhop.Filter{States: bellhop.States(bellhop.StateCancelled)}, 5000); err != nil || n != 2500 {
		t.Errorf("%d jobs are cancelled, %v", n, err)
	}
	w.post(to, url.Values{"action": {"stop"}}) // too late, which is no mistake
	w.server.ops.Close()
	if got := w.audits(); !slices.Equal(got, []string{"bulk stop", "bulk cancel done", "bulk cancel"}) && !slices.Equal(got, []string{"bulk cancel done", "bulk stop", "bulk cancel"}) {
		t.Errorf("audit: %v", got)
	}
	for _, bound := range []string{"0", "-1", "x", "1000000000"} {
		if reply, _ := w.ask("POST", "/bulk", url.Values{"action": {"cancel"}, "all": {"1"}, "q": {"queue=mail"}, "bound": {bound}}); reply.StatusCode != http.StatusBadRequest {
			t.Errorf("the bound %s: %s", bound, reply.Status)
		}
	}
}

// until asks for a page as JSON until it holds a text.
func (w *world) until(path, text string) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if strings.Contains(w.get(path, "Accept", "application/json"), text) {
			return
		}
		time.Sleep(5 * time.Millisecond) // there is no signal for what a page will show
	}
	w.Fatalf("%s never holds %s", path, text)
}

// TestTend: a process that serves the dashboard takes up what another has left, though nobody looks.
func TestTend(t *testing.T) {
	w := newWorld(t)
	w.enqueue("k", "mail", 10)
	id := "000000000000000000000001"
	left := `{"action":3,"filter":{"States":8,"Queues":["mail"]},"bound":100,"total":10,"state":"running","by":"ann"}`
	err := w.client.Store().Put(t.Context(), []bellhop.RecordWrite{{Space: "bulk", Key: id, Value: []byte(left)}, {Space: "bulk.running", Key: id, Value: []byte("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.server.Tend(ctx); close(ended) }()
	w.until("/bulk/"+id, `"state": "done"`)
	cancel()
	<-ended
	if n, err := w.client.Count(t.Context(), bellhop.Filter{States: bellhop.States(bellhop.StateCancelled)}, 20); err != nil || n != 10 {
		t.Errorf("%d jobs are cancelled, %v", n, err)
	}
}

// TestOperationsTellNoSecrets: what an admin has looked for is told to nobody who looks at the operation or the audit, and is in no view.
func TestOperationsTellNoSecrets(t *testing.T) {
	w := newWorld(t)
	id := w.one("mail")
	_, to := w.post("/bulk", url.Values{"action": {"cancel"}, "all": {"1"}, "q": {"arg=user.password%3Dhunter2&text=token%3Dhunter2"}})
	w.until(to, `"state": "done"`)
	_, other := w.post("/bulk", url.Values{"action": {"cancel"}, "all": {"1"}, "q": {"arg=user.password%3Dhunter2"}})
	w.until(other, `"state": "done"`)
	if got := w.state(id); got != bellhop.StateCancelled {
		t.Fatalf("the job is %v", got)
	}
	for _, path := range []string{to, "/bulk", "/audit"} {
		for _, accept := range []string{"text/html", "application/json"} {
			if body := w.get(path, "Accept", accept); strings.Contains(body, "hunter2") || !strings.Contains(body, "redacted") {
				t.Errorf("%s as %s:\n%s", path, accept, body)
			}
		}
	}
	if reply, _ := w.ask("POST", "/jobs/views", url.Values{"action": {"save"}, "name": {"x"}, "shared": {"1"}, "q": {"arg=password%3Dhunter2"}}); reply.StatusCode != http.StatusBadRequest {
		t.Errorf("a view of it: %s", reply.Status)
	}
}

func TestOperationsOfOthers(t *testing.T) {
	w := newWorld(t)
	w.enqueue("k", "mail", 1)
	w.enqueue("k", "mine", 1)
	_, all := w.post("/bulk", url.Values{"action": {"cancel"}, "all": {"1"}, "q": {"state=ready"}})
	_, mine := w.post("/bulk", url.Values{"action": {"cancel"}, "all": {"1"}, "q": {"queue=mine"}})
	bob, err := New(w.client, Options{Authorize: func(*http.Request) (*access.Viewer, error) {
		return &access.Viewer{Name: "bob", Queues: map[string]access.Role{"mine": access.Read}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bob.ops.Close)
	w.server = bob
	if reply, _ := w.ask("GET", all, nil); reply.StatusCode != http.StatusNotFound {
		t.Errorf("an operation on queues that he does not see: %s", reply.Status)
	}
	w.get(mine)
	if got := strings.Count(w.get("/bulk"), `<tr id="op-`); got != 1 {
		t.Errorf("he sees %d operations, want 1", got)
	}
	if reply, _ := w.ask("POST", mine, url.Values{"action": {"stop"}}); reply.StatusCode != http.StatusForbidden {
		t.Errorf("stop by one who only reads: %s", reply.Status)
	}
	for _, path := range []string{"/bulk/new?action=cancel&all=1&q=queue%3Dmine", "/bulk/new?action=cancel&all=1&q="} {
		if reply, _ := w.ask("GET", path, nil); reply.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", path, reply.Status)
		}
	}
	if reply, _ := w.ask("GET", "/bulk/ffffffffffffffffffffffff", nil); reply.StatusCode != http.StatusNotFound {
		t.Errorf("no operation: %s", reply.Status)
	}
}

// TestGroupsOfHiddenQueues: a group that names as many queues as it may could be of a hidden one as well.
func TestGroupsOfHiddenQueues(t *testing.T) {
	some := &view{viewer: &access.Viewer{Role: access.Read, Queues: map[string]access.Role{"hidden": access.None}}}
	all := &view{viewer: &access.Viewer{Role: access.Read}}
	for _, c := range []struct {
		queues []string
		want   bool
	}{
		{[]string{"a"}, true},
		{[]string{"a", "b", "c", "d"}, true},
		{[]string{"a", "hidden"}, false},
		{[]string{"a", "b", "c", "d", "e"}, false},
		{nil, false},
	} {
		g := &rollup.FailureGroup{Queues: c.queues}
		if got := some.seesGroup(g); got != c.want || !all.seesGroup(g) {
			t.Errorf("a group of %v is shown: %v, want %v", c.queues, got, c.want)
		}
	}
}

func TestFailuresAreGrouped(t *testing.T) {
	w := newWorld(t)
	w.has(w.get("/failures"), "Nothing failed")
	rec := rollup.NewRecorder()
	writer := rollup.NewWriter(w.client.Store(), rec, time.Now)
	fail := func(kind, queue, message string, outcome bellhop.OutcomeKind) bellhop.ID {
		id := bellhop.NewID()
		rec.Outcome(&bellhop.Claim{Token: bellhop.Token{JobID: id}, Job: &bellhop.Job{ID: id, Kind: kind, Queue: queue}},
			&bellhop.Outcome{Kind: outcome, Failure: &bellhop.Failure{Class: "error", Message: message}, Started: time.Now(), Ended: time.Now()}, time.Now())
		return id
	}
	for i := range 5 {
		fail("pay", "bank", fmt.Sprintf("card %d was <b>declined</b>", i), bellhop.OutcomeRetry)
	}
	last := fail("pay", "bank", "card 7 was <b>declined</b>", bellhop.OutcomeDead)
	fail("mail", "hidden", "no route to host, password=hunter2", bellhop.OutcomeRetry)
	if err := writer.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.server.reader = rollup.NewReader(w.client.Store())
	group := bellhop.Fingerprint("pay", &bellhop.Failure{Class: "error", Message: "card 1 was <b>declined</b>"})
	body := w.get("/failures?range=1h&sort=last")
	w.has(body, "<b>7</b> failed attempts", "card &lt;n&gt; was &lt;b&gt;declined&lt;/b&gt;", "card 7 was", "6×", "/jobs/"+last.String(),
		"/jobs?kind=pay&amp;fingerprint="+group, "action=retry&amp;all=1&amp;q=state%3Ddead", "bar-bad", "no route to host")
	if strings.Contains(body, "hunter2") {
		t.Error("it tells a secret")
	}
	if only := w.get("/failures?kind=mail"); strings.Contains(only, "declined") || !strings.Contains(only, "no route") {
		t.Error("one kind alone is not")
	}
	w.has(w.get("/failures", "Accept", "application/json"), `"fingerprint": "`+group+`"`)
	w.server.door.Authorize = func(*http.Request) (*access.Viewer, error) {
		return &access.Viewer{Name: "bob", Role: access.Read, Queues: map[string]access.Role{"hidden": access.None}}, nil
	}
	if body := w.get("/failures"); strings.Contains(body, "no route") || strings.Contains(body, "action=retry") || !strings.Contains(body, "declined") {
		t.Error("it shows groups of hidden queues, or actions to one who reads")
	}
	for _, query := range []string{"?range=2h", "?range=-1", "?kind=a%20b"} {
		if reply, _ := w.ask("GET", "/failures"+query, nil); reply.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, reply.Status)
		}
	}
}
