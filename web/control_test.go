package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/control"
)

func TestConcurrencyOfAQueueIsSetAndTakenBack(t *testing.T) {
	w := newWorld(t)
	w.enqueue("kind", "mail", 1)
	for value, want := range map[string]int{"7": http.StatusSeeOther, "-1": http.StatusBadRequest, "100001": http.StatusBadRequest, "x": http.StatusBadRequest, "1e3": http.StatusBadRequest} {
		if reply, body := w.ask("POST", "/queues/mail", url.Values{"action": {"concurrency"}, "concurrency": {value}}); reply.StatusCode != want {
			t.Errorf("%q: %s\n%s", value, reply.Status, body)
		}
	}
	told, err := control.Read(t.Context(), w.client.Store())
	if err != nil || told.Concurrency("mail") != 7 {
		t.Fatal(told, err)
	}
	w.has(w.get("/queues"), "7 at once")
	w.has(w.get("/queues/mail"), `value="7"`)
	w.ask("POST", "/queues/mail", url.Values{"action": {"concurrency"}, "concurrency": {""}})
	if body := w.get("/queues"); strings.Contains(body, "7 at once") {
		t.Error("it is still set")
	}
}

func TestDrainIsForThoseWhoMayDoAll(t *testing.T) {
	viewer := &access.Viewer{Name: "anna", Role: access.Act}
	w := newWorld(t, func(o *Options) { o.Authorize = func(*http.Request) (*access.Viewer, error) { return viewer, nil } })
	id := w.work("worker-1", []string{"mail"}, []string{"kind"})
	at := "/processes/" + id.String()
	drain := url.Values{"action": {"drain"}}
	if reply, _ := w.ask("POST", at, drain); reply.StatusCode != http.StatusForbidden || strings.Contains(w.get(at), `value="drain"`) {
		t.Errorf("without the role: %s", reply.Status)
	}
	viewer = &access.Viewer{Name: "anna", Role: access.Admin}
	w.has(w.get(at), `value="drain"`)
	if reply, body := w.ask("POST", at, drain); reply.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s\n%s", reply.Status, body)
	}
	w.has(w.get(at), "takes no more jobs, by order of anna", `value="undrain"`)
	w.has(w.get("/processes"), "drained")
	w.ask("POST", at, url.Values{"action": {"undrain"}})
	w.has(w.get(at), `value="drain"`)
	if reply, _ := w.ask("POST", "/processes/"+bellhop.NewID().String(), drain); reply.StatusCode != http.StatusNotFound {
		t.Errorf("a process that is not there: %s", reply.Status)
	}
	if reply, _ := w.ask("POST", at, url.Values{"action": {"kill"}}); reply.StatusCode != http.StatusBadRequest {
		t.Errorf("an action that is none: %s", reply.Status)
	}
}

func TestDeadProcessesAreListedWithTheirJobs(t *testing.T) {
	w := newWorld(t)
	job := bellhop.NewID()
	g := &control.Gone{Process: bellhop.NewID(), Name: "late <b>", SweptAt: time.Now(), SweptBy: "other", Jobs: []bellhop.ID{job}, Retried: 2, Dead: 1}
	if err := control.WriteGone(t.Context(), w.client.Store(), []*control.Gone{g}); err != nil {
		t.Fatal(err)
	}
	w.has(w.get("/processes"), "late &lt;b&gt;", "2 run again", "1 dead", "/jobs/"+job.String(), "by other")
}
