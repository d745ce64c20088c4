package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
	"github.com/gobellhop/bellhop/internal/rollup"
)

func TestProcessShowsWhatItRuns(t *testing.T) {
	w := newWorld(t)
	id := w.work("worker-1", []string{"mail", "hidden"}, []string{"kind"})
	w.enqueue("kind", "mail", 1)
	w.enqueue("kind", "hidden", 1)
	reply, err := w.client.Store().Exchange(t.Context(), &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: id, Limit: 2, Kinds: []string{"kind"}, Wants: []bellhop.Want{{Queue: "mail", Count: 1}, {Queue: "hidden", Count: 1}},
	})
	if err != nil || len(reply.Claims) != 2 {
		t.Fatal(reply, err)
	}
	progress := []byte(`{"done":3,"total":12,"note":"<b>pages"}`)
	if _, err := w.client.Store().Report(t.Context(), []bellhop.Report{{Token: reply.Claims[0].Token, Started: true, Progress: progress}}); err != nil {
		t.Fatal(err)
	}
	first, second := reply.Claims[0].Job.ID.String(), reply.Claims[1].Job.ID.String()
	w.has(w.get("/processes/"+id.String()), first, second, "3 of 12 &lt;b&gt;pages", `value="25"`, "host")
	w.server.door = &access.Door{Authorize: func(*http.Request) (*access.Viewer, error) {
		return &access.Viewer{Name: "anna", Role: access.Read, Queues: map[string]access.Role{"hidden": access.None}}, nil
	}}
	body := w.get("/processes/" + id.String())
	w.has(body, first)
	if strings.Contains(body, second) {
		t.Error("a job of a hidden queue is shown")
	}
}

// A page of processes says how many there are, not how many it lists.
func TestProcessesOnSeveralPages(t *testing.T) {
	w := newWorld(t)
	for i := range rowsPerPage + 3 {
		w.work(fmt.Sprint("worker-", i), []string{"mail"}, nil)
	}
	for _, path := range []string{"/processes", "/processes?page=2"} {
		w.has(w.get(path), "53 processes alive")
	}
}

func TestTimeWithoutAttemptsHasNoFigures(t *testing.T) {
	w := newWorld(t)
	body := w.get("/")
	w.has(body, "no attempt in 5 min", "nothing started in 5 min", "nothing ended in 5 min")
	if strings.Contains(body, "p50 0") || strings.Contains(body, "0 of 0") {
		t.Error("what did not happen has figures")
	}
}

func TestChartsShowWhatWorkersHaveWritten(t *testing.T) {
	w := newWorld(t)
	if _, err := rollup.AddMark(t.Context(), w.client.Store(), "deploy <7>", "anna"); err != nil {
		t.Fatal(err)
	}
	body := w.get("/charts?range=15m")
	w.has(body, `data-chart="run"`, `class="lines"`, "deploy &lt;7&gt;", `aria-current="true">15 min`, "uplot.js")
	var numbers struct {
		Step   float64   `json:"step"`
		Times  []float64 `json:"times"`
		Charts []struct {
			ID    string
			Lines []struct {
				Class  string
				Values []*float64
			}
		}
		Marks []struct{ Text string }
	}
	if err := json.Unmarshal([]byte(w.get("/charts?range=15m", "Accept", "application/json")), &numbers); err != nil {
		t.Fatal(err)
	}
	colours := map[string]bool{}
	for _, c := range numbers.Charts {
		for _, l := range c.Lines {
			if colours[c.ID+l.Class] {
				t.Errorf("two lines of chart %s are of one colour, %s", c.ID, l.Class)
			}
			colours[c.ID+l.Class] = true
		}
	}
	if len(numbers.Charts) != 4 || len(numbers.Times) < 15 || len(numbers.Marks) != 1 || numbers.Step != 60 {
		t.Errorf("%+v", numbers)
	}
	for _, c := range numbers.Charts {
		for _, l := range c.Lines {
			if len(l.Values) != len(numbers.Times) {
				t.Errorf("%s: %d values for %d times", c.ID, len(l.Values), len(numbers.Times))
			}
		}
	}
	for _, r := range chartRanges {
		w.get("/charts?range=" + r.Name)
	}
	for address, want := range map[string]int{
		"/charts?range=1000d": 400, "/charts?range=-1": 400, "/charts?queue=" + url.QueryEscape("</script>"): 400, "/charts?kind=%20": 400, "/charts?queue=none": 200,
	} {
		if reply, _ := w.ask("GET", address, nil); reply.StatusCode != want {
			t.Errorf("%s: %s, want %d", address, reply.Status, want)
		}
	}
}

func TestChartsOfAllQueuesAreForThoseWhoSeeAll(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Authorize = func(*http.Request) (*access.Viewer, error) {
			return &access.Viewer{Name: "anna", Role: access.Read, Queues: map[string]access.Role{"hidden": access.None}}, nil
		}
	})
	w.has(w.get("/charts"), "Name a queue")
	if body := w.get("/charts?queue=mail"); strings.Contains(body, "Name a queue") {
		t.Error("a queue that she may see has no charts")
	}
	if reply, _ := w.ask("GET", "/charts?queue=hidden", nil); reply.StatusCode != http.StatusNotFound {
		t.Errorf("a hidden queue: %s", reply.Status)
	}
	if reply, _ := w.ask("POST", "/charts/marks", url.Values{"text": {"x"}}); reply.StatusCode != http.StatusForbidden {
		t.Errorf("a mark by a reader: %s", reply.Status)
	}
}

func TestWhatIsDoneIsInTheAudit(t *testing.T) {
	w := newWorld(t)
	w.has(w.get("/audit"), "Nothing was done yet")
	w.has(w.get("/audit?who=anna"), "No action fits", "Show all actions")
	w.enqueue("kind", "mail", 1)
	w.ask("POST", "/queues/mail", url.Values{"action": {"pause"}})
	w.ask("POST", "/charts/marks", url.Values{"text": {"deploy"}})
	w.server.door = &access.Door{Authorize: access.Everyone(access.Read)}
	w.ask("POST", "/queues/mail", url.Values{"action": {"resume"}})
	if reply, _ := w.ask("GET", "/audit", nil); reply.StatusCode != http.StatusForbidden {
		t.Errorf("the audit for a reader: %s", reply.Status)
	}
	w.server.door = &access.Door{Authorize: access.Everyone(access.Admin)}
	var page audit.Page
	if err := json.Unmarshal([]byte(w.get("/audit", "Accept", "application/json")), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Entries) < 2 {
		t.Fatalf("%+v", page)
	}
	for _, e := range page.Entries {
		if e.Who != "everyone" || e.Via != audit.ViaWeb || time.Since(e.At) > time.Minute {
			t.Errorf("%+v", e)
		}
	}
	body := w.get("/audit?action=pause")
	w.has(body, "<b>pause</b>", "/queues/mail")
	if strings.Contains(body, "<b>mark</b>") {
		t.Error("the filter lets others through")
	}
	w.get("/audit?who=" + url.QueryEscape(`"><script>`) + "&refused=1")
	if reply, _ := w.ask("GET", "/audit?after=nonsense", nil); reply.StatusCode >= 500 {
		t.Errorf("a mark that is none: %s", reply.Status)
	}
}

// Who has only to look does not even reach the action: the route's role refuses him, and that is in the audit too.
func TestRefusedActionsAreInTheAudit(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Authorize = func(*http.Request) (*access.Viewer, error) {
			return &access.Viewer{Name: "anna", Role: access.Read, Queues: map[string]access.Role{"hers": access.Act}}, nil
		}
	})
	w.enqueue("kind", "mail", 1)
	w.ask("POST", "/queues/mail", url.Values{"action": {"pause"}})
	w.ask("POST", "/processes/"+bellhop.NewID().String(), url.Values{"action": {"drain"}})
	w.server.door = &access.Door{}
	w.ask("POST", "/queues/mail", url.Values{"action": {"pause"}})
	list, err := audit.List(t.Context(), w.client.Store(), audit.Query{Refused: true})
	if err != nil || len(list.Entries) != 3 {
		t.Fatalf("%+v %v", list, err)
	}
	for i, e := range list.Entries {
		if (e.Who == "anna") != (i > 0) || e.Refused == "" {
			t.Errorf("%+v", e)
		}
	}
}

// A browser logs in with whatever page it opens. A stranger who knocks at many addresses makes few entries.
func TestWrongPasswordsAreInTheAudit(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Authorize = func(r *http.Request) (*access.Viewer, error) {
			if user, _, _ := r.BasicAuth(); user == "former" {
				return &access.Viewer{Name: user}, access.ErrForbidden
			}
			return nil, nil
		}
	})
	w.ask("GET", "/", nil)
	w.ask("GET", "/jobs", nil, "Authorization", "Basic bmFtZTp3cm9uZw==")
	w.ask("POST", "/queues/mail", url.Values{"action": {"pause"}}, "Authorization", "Basic Zm9ybWVyOng=")
	for i := range 100 {
		w.ask("POST", fmt.Sprint("/", i), url.Values{})
	}
	list, err := audit.List(t.Context(), w.client.Store(), audit.Query{Refused: true, Limit: 1000})
	if err != nil || len(list.Entries) < 3 || len(list.Entries) > 20 {
		t.Fatalf("%d entries, %v", len(list.Entries), err)
	}
	first, second := list.Entries[len(list.Entries)-1], list.Entries[len(list.Entries)-2]
	if first.Action != "login" || first.Target != "/jobs" || first.Who != "" || second.Action != "POST" || second.Who != "former" {
		t.Errorf("%+v, %+v", first, second)
	}
}

// A name that is wrong by a letter is told from a queue that is quiet.
func TestQueueOfWhichNothingIsKnown(t *testing.T) {
	w := newWorld(t)
	const nothing = "Nothing is known of a queue of this name"
	w.enqueue("kind", "mail", 1)
	w.work("worker", []string{"worked"}, nil)
	if err := w.client.Pause(t.Context(), "paused"); err != nil {
		t.Fatal(err)
	}
	if err := control.SetConcurrency(t.Context(), w.client.Store(), "set", 3, "anna"); err != nil {
		t.Fatal(err)
	}
	past := &rollup.History{Series: []rollup.Series{{Queue: "ended", Kind: "kind"}}, Jobs: 1, Processes: 1, Ago: time.Hour}
	if err := past.Fill(t.Context(), w.client.Store(), func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	w.has(w.get("/queues/mial"), nothing, "Is the name right?")
	for _, known := range []string{"mail", "worked", "paused", "set", "ended"} {
		if strings.Contains(w.get("/queues/"+known), nothing) {
			t.Errorf("nothing is known of %s", known)
		}
	}
	w.has(w.get("/queues/ended"), ", of ", " runs<")
	w.has(w.get("/queues/set"), `name="concurrency" min="0" max="100000" step="1" inputmode="numeric" placeholder="as set" value="3"`)
}

// A page of failures over two weeks is no heavier than any other, and its bars add up.
func TestWeightOfFailures(t *testing.T) {
	w := newWorld(t)
	past := &rollup.History{Series: []rollup.Series{{Queue: "mail", Kind: "kind"}}, Jobs: 1, Processes: 1, Ago: rollup.Longest}
	for i := range rowsPerPage {
		failure := &bellhop.Failure{Class: "c", Message: "reason " + string(rune('A'+i))}
		past.Groups = append(past.Groups, rollup.FailureGroup{
			Fingerprint: bellhop.Fingerprint("kind", failure), Kind: "kind", Class: "c", Pattern: failure.Message, Sample: failure.Message, Queues: []string{"mail"},
		})
	}
	if err := past.Fill(t.Context(), w.client.Store(), func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	reply, body := w.ask("GET", "/failures?range=14d", nil)
	if n := strings.Count(body, "<rect"); reply.StatusCode != http.StatusOK || n < 40*rowsPerPage || n > maxBars*rowsPerPage {
		t.Errorf("%s: %d bars for %d groups, want 40 to %d each", reply.Status, n, rowsPerPage, maxBars)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(body)); err != nil || z.Close() != nil || zipped.Len() > 60<<10 {
		t.Errorf("the page has %d bytes when it is packed (%v), beside scripts and styles", zipped.Len(), err)
	}
	t.Logf("%d bytes, packed %d", len(body), zipped.Len())
}
