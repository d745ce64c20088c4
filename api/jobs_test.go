package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

func TestJobTellsItsStory(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := w.enqueue(`{"kind":"a","queue":"mail","args":{"n":1}}`)
	h := w.hire([]string{"mail"}, []string{"a"})
	c := h.claim()
	h.report(c, `{"done":3,"total":10,"note":"sending"}`)
	j := w.do("GET", "/v1/jobs/"+id, "").want(200)
	if j["state"] != "running" || j["process"] != h.process.ID.String() || j["progress"].(map[string]any)["note"] != "sending" || j["final"] != false {
		t.Errorf("the running job reads %v", j)
	}
	h.finish(c, bellhop.Return{Err: errors.New("no route to <host>")})
	j = w.do("GET", "/v1/jobs/"+id, "").want(200)
	failure := j["history"].([]any)[0].(map[string]any)["failure"].(map[string]any)
	if j["state"] != "scheduled" || fmt.Sprint(j["failures"]) != "1" || failure["message"] != "no route to <host>" {
		t.Errorf("the failed job reads %v", j)
	}
	w.do("POST", "/v1/jobs/"+id+"/run", "").want(200)
	h.finish(h.claim(), bellhop.Return{Result: []byte(`{"sent": 10.0}`)})
	r := w.do("GET", "/v1/jobs/"+id, "")
	j = r.want(200)
	if j["state"] != "succeeded" || j["final"] != true || len(j["history"].([]any)) != 2 || !strings.Contains(r.Body.String(), `"result":{"sent": 10.0}`) {
		t.Errorf("the finished job reads %s", r.Body)
	}
	if r := w.do("HEAD", "/v1/jobs/"+id, ""); r.Code != 200 {
		t.Errorf("HEAD answers %d", r.Code)
	}
}

func TestMissingJobs(t *testing.T) {
	w := newWorld(t, api.Options{})
	for _, id := range []string{bellhop.NewID().String(), "7", "x%00y", "%ff", "a%2Fb", strings.Repeat("9", 5000)} {
		for _, c := range []struct{ method, tail string }{{"GET", ""}, {"DELETE", ""}, {"GET", "/events"}, {"POST", "/retry"}} {
			if p := w.do(c.method, "/v1/jobs/"+id+c.tail, "").problem(404, "not-found"); len(p.Detail) > 300 {
				t.Errorf("the detail is long: %s", p.Detail)
			}
		}
	}
}

func TestListFiltersAndPages(t *testing.T) {
	w := newWorld(t, api.Options{})
	var ids []string
	for i := range 7 {
		ids = append(ids, w.enqueue(fmt.Sprintf(`{"kind":"k%d","queue":"q%d","tags":["t%d","all"],"args":{"n":"needle %d"},"delay":"%ds"}`, i%2, i%3, i, i, i*100)))
	}
	for query, want := range map[string]int{
		"":                                    7,
		"state=ready":                         1,
		"state=ready,scheduled":               7,
		"state=ready&state=dead":              1,
		"queue=q0":                            3,
		"queue=q0,q1&kind=k0":                 3,
		"tag=t3":                              1,
		"tag=t3,all":                          1,
		"tag=t3&tag=t4":                       0,
		"text=needle+5":                       1,
		"arg=n%3Dneedle+5":                    1,
		"arg=n%3Dneedle":                      0,
		"arg=n%3Dneedle+5&arg=m%3D1":          0,
		"not_queue=q0,q1":                     2,
		"error=x":                             0,
		"fingerprint=0123456789abcdef":        0,
		"finished_after=2020-01-01T00:00:00Z": 0,
		"process=" + ids[0]:                   0,
		"enqueued_after=2020-01-01T00:00:00Z": 7,
		"enqueued_before=2020-01-01T00:00:00%2B01:00": 0,
	} {
		if list := w.do("GET", "/v1/jobs?"+query, "").want(200)["jobs"].([]any); len(list) != want {
			t.Errorf("%s lists %d jobs, want %d", query, len(list), want)
		}
		count := w.do("GET", "/v1/jobs/count?"+query, "").want(200)
		if fmt.Sprint(count["count"]) != fmt.Sprint(want) || count["capped"] != false {
			t.Errorf("%s counts %v, want %d", query, count, want)
		}
	}
	if c := w.do("GET", "/v1/jobs/count?limit=7", "").want(200); fmt.Sprint(c["count"]) != "7" || c["capped"] != true {
		t.Errorf("the capped count is %v", c)
	}
	var seen []string
	for after := ""; ; {
		page := w.do("GET", "/v1/jobs?limit=3"+after, "").want(200)
		for _, j := range page["jobs"].([]any) {
			seen = append([]string{j.(map[string]any)["id"].(string)}, seen...)
			if j.(map[string]any)["args"] != nil {
				t.Error("arguments come without being asked for")
			}
		}
		next, more := page["next"].(string)
		if !more {
			break
		}
		after = "&after=" + url.QueryEscape(next)
	}
	if strings.Join(seen, " ") != strings.Join(ids, " ") {
		t.Errorf("the pages hold %v, want %v", seen, ids)
	}
}

func TestBadParametersAreRefused(t *testing.T) {
	w := newWorld(t, api.Options{})
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=1001": "limit", "limit=1e9": "limit", "limit=-1": "limit", "limit=": "limit", "limit=1&limit=2": "limit",
		"limit=99999999999999999999": "limit", "limit=101&args=true": "limit", "args=yes": "args", "days=-1": "days", "State=ready": "State",
		"state=done": "state", "state=": "state", "state=READY": "state", "queue=a%20b": "queue", "queue=": "queue", "kind=%3Cscript%3E": "kind",
		"tag=a,,b": "tag", "process=7": "process", "enqueued_after=yesterday": "enqueued_after",
		"enqueued_after=0001-01-01T00:00:00Z": "enqueued_after", "enqueued_before=9999-01-01T00:00:00Z": "enqueued_before",
		"text=%00": "text", "arg=x": "arg", "fingerprint=12": "fingerprint", "error=%00": "error", "finished_after=now": "finished_after", "not_queue=a%20b": "not_queue",
		"text=%ff": "text", "text=" + strings.Repeat("x", 201): "text", "after=nonsense": "after",
		"after=" + strings.Repeat("1", 513): "after", "queue=q" + strings.Repeat(",q", 100): "queue",
	} {
		if p := w.do("GET", "/v1/jobs?"+query, "").problem(400, "parameter"); p.Field != field || p.Index != nil {
			t.Errorf("%.60s: the problem is %+v", query, p)
		}
	}
	for _, target := range []string{"/v1/jobs?a=%zz", "/v1/jobs?a;b", "/v1/jobs/count?limit=100001", "/v1/jobs/count?after=1", "/v1/queues?x=1", "/livez?x=1"} {
		w.do("GET", target, "").problem(400, "parameter")
	}
}

func TestHints(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := w.enqueue(`{"kind":"a","queue":"mail"}`)
	hint := func() any { return w.do("GET", "/v1/jobs/"+id, "").want(200)["hint"] }
	if got := hint(); got != "there is no living process" {
		t.Errorf("the hint is %v", got)
	}
	w.hire([]string{"other"}, []string{"b"})
	if got := hint(); got != `no living process works the kind "a", nor the queue "mail"` {
		t.Errorf("the hint is %v", got)
	}
	queues := w.do("GET", "/v1/queues", "").want(200)["queues"].([]any)
	if q := queues[0].(map[string]any); q["hint"] != `no living process works the queue "mail"` || fmt.Sprint(q["ready"]) != "1" {
		t.Errorf("the queue is %v", q)
	}
	w.hire([]string{"mail"}, []string{"b"})
	if got := hint(); got != `no living process works the kind "a"` {
		t.Errorf("the hint is %v", got)
	}
	page := w.do("GET", "/v1/jobs", "").want(200)["jobs"].([]any)
	if got := page[0].(map[string]any)["hint"]; got != `no living process works the kind "a"` {
		t.Errorf("the hint in the list is %v", got)
	}
	w.hire([]string{"default"}, []string{"a"})
	if got := hint(); got != `no living process works the kind "a" on the queue "mail": some work the one, some the other` {
		t.Errorf("the hint is %v", got)
	}
	h := w.hire([]string{"mail"}, []string{"a"})
	if got := hint(); got != nil {
		t.Errorf("the hint is %v", got)
	}
	w.do("POST", "/v1/queues/mail/pause", "").want(200)
	page = w.do("GET", "/v1/jobs", "").want(200)["jobs"].([]any)
	for _, got := range []any{hint(), page[0].(map[string]any)["hint"]} {
		if got != "queue mail is paused; bellhop queues resume mail" {
			t.Errorf("the hint is %v", got)
		}
	}
	w.do("POST", "/v1/queues/mail/resume", "").want(200)
	if got := hint(); got != nil {
		t.Errorf("the hint is %v", got)
	}
	h.finish(h.claim(), bellhop.Return{})
	if got := hint(); got != nil {
		t.Errorf("the hint is %v", got)
	}
	over := w.enqueue(`{"kind":"nobody"}`)
	w.do("POST", "/v1/jobs/"+over+"/cancel", "").want(200)
	if got := w.do("GET", "/v1/jobs/"+over, "").want(200)["hint"]; got != nil {
		t.Errorf("a job that does not wait has the hint %v", got)
	}
	list := w.do("GET", "/v1/processes", "").want(200)["processes"].([]any)
	if len(list) != 4 || list[3].(map[string]any)["name"] != "hand" {
		t.Errorf("the processes are %v", list)
	}
}

func TestQueuesArePausedUnderOddNames(t *testing.T) {
	w := newWorld(t, api.Options{})
	for _, name := range []string{"mail", "foo/bar.baz", "a:b_c-d", "pause", "q/pause", "0"} {
		path := "/v1/queues/" + url.PathEscape(name)
		if got := w.do("POST", path+"/pause", "").want(200); got["queue"] != name || got["paused"] != true {
			t.Errorf("%s: %v", name, got)
		}
		queues := w.do("GET", "/v1/queues", "").want(200)["queues"].([]any)
		if len(queues) != 1 || queues[0].(map[string]any)["queue"] != name || queues[0].(map[string]any)["paused"] != true {
			t.Errorf("%s: the queues are %v", name, queues)
		}
		w.do("POST", path+"/resume", "").want(200)
	}
	for _, bad := range []string{"a%20b", "%2e%2e%2fx", "%00", "%ff", strings.Repeat("q", 129)} {
		if p := w.do("POST", "/v1/queues/"+bad+"/pause", "").problem(422, "invalid"); p.Field != "queue" {
			t.Errorf("%s: the problem is %+v", bad, p)
		}
	}
	if q, err := w.client.Queues(context.Background()); err != nil || len(q) != 0 {
		t.Errorf("queues %v, %v", q, err)
	}
}

func TestProbes(t *testing.T) {
	ready := errors.New("secret reason")
	w := newWorld(t, api.Options{Token: "sesame", Ready: func(context.Context) error { return ready }})
	w.server.ForgetProbe()
	pod := headers{"Host": "10.1.2.3:8080"}
	w.do("GET", "/livez", "", pod).want(200)
	if p := w.do("GET", "/readyz", "", pod).problem(503, "not-ready"); strings.Contains(p.Detail, "secret") {
		t.Errorf("the problem is %+v", p)
	}
	ready = nil
	w.do("GET", "/readyz", "", pod).want(200)
	w.store.before = func(bellhop.Op) error { return errors.New("secret address") }
	if p := w.do("GET", "/readyz", "", pod).problem(503, "unavailable"); strings.Contains(p.Detail, "secret") {
		t.Errorf("the problem is %+v", p)
	}
	calls := len(w.store.calls)
	w.do("GET", "/livez", "", pod).want(200)
	if len(w.store.calls) != calls {
		t.Error("/livez asks the store")
	}
	w.store.before = nil
	w.do("GET", "/readyz", "", pod).want(200)
	w.server.Drain()
	w.server.Drain()
	w.do("GET", "/readyz", "", pod).problem(503, "not-ready")
	w.do("GET", "/livez", "", pod).want(200)
}

func TestReadinessAsksTheStoreOnceASecond(t *testing.T) {
	w := newWorld(t, api.Options{})
	begun := time.Now()
	for range 100 {
		w.do("GET", "/readyz", "").want(200)
	}
	if most := 1 + int(time.Since(begun)/time.Second); w.store.calls[bellhop.OpPing] > most {
		t.Errorf("%d pings, want at most %d", w.store.calls[bellhop.OpPing], most)
	}
}

// A page on which large jobs come after small ones does not read all that are left at once.
func TestLargeJobsAfterSmallOnes(t *testing.T) {
	w := newWorld(t, api.Options{})
	var drafts []bellhop.Draft
	for range 100 {
		drafts = append(drafts, bellhop.RawJob("large", fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", 100_000))))
	}
	for range 8 {
		drafts = append(drafts, bellhop.RawJob("small", []byte(`{}`)))
	}
	if _, err := bellhop.Enqueue(t.Context(), w.client, drafts...); err != nil {
		t.Fatal(err)
	}
	most := 0
	w.store.list = func(q *bellhop.Query) { most = max(most, q.Limit) }
	page := w.do("GET", "/v1/jobs?limit=100&args=true", "").want(200)
	if n := len(page["jobs"].([]any)); n < 40 || n > 60 || most > 32 || page["next"] == nil {
		t.Errorf("%d jobs on the page, and up to %d were read at once", n, most)
	}
}

// A page of large jobs has fewer of them, and the pages together have each once.
func TestPagesOfLargeJobs(t *testing.T) {
	w := newWorld(t, api.Options{})
	var drafts []bellhop.Draft
	for i := range 100 {
		drafts = append(drafts, bellhop.RawJob("large", fmt.Appendf(nil, `{"n":%d,"text":%q}`, i, strings.Repeat("x", 100_000))))
	}
	for range 150 {
		drafts = append(drafts, bellhop.RawJob("small", []byte(`{}`)))
	}
	if _, err := bellhop.Enqueue(t.Context(), w.client, drafts...); err != nil {
		t.Fatal(err)
	}
	for args, most := range map[string]int{"true": 100, "false": 1000} {
		seen, pages, after := map[string]bool{}, 0, ""
		for {
			page := w.do("GET", fmt.Sprintf("/v1/jobs?limit=%d&args=%s%s", most, args, after), "").want(200)
			size, _ := json.Marshal(page)
			if len(size) > 5<<20 {
				t.Errorf("a page has %d bytes", len(size))
			}
			pages++
			for _, j := range page["jobs"].([]any) {
				id := j.(map[string]any)["id"].(string)
				if seen[id] {
					t.Errorf("%s comes twice", id)
				}
				seen[id] = true
			}
			next, more := page["next"].(string)
			if !more {
				break
			}
			after = "&after=" + url.QueryEscape(next)
		}
		if want := map[string]int{"true": 4, "false": 1}[args]; len(seen) != 250 || pages < want || pages > want+2 {
			t.Errorf("with arguments %s: %d jobs on %d pages, want 250 on about %d", args, len(seen), pages, want)
		}
	}
}
