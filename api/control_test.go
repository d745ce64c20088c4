package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/api"
)

// Lists tell what people have told workers, until it is taken back.
func TestListsTellWhatWorkersWereTold(t *testing.T) {
	w := newWorld(t, api.Options{})
	w.enqueue(`{"kind":"a","queue":"mail"}`)
	w.hire([]string{"mail"}, []string{"a"})
	w.hire([]string{"other"}, []string{"a"})
	list := func(what string, i int) map[string]any {
		t.Helper()
		return w.do("GET", "/v1/"+what, "").want(200)[what].([]any)[i].(map[string]any)
	}
	wants := func(concurrency, drained any) {
		t.Helper()
		if q := list("queues", 0); q["concurrency"] != concurrency {
			t.Errorf("the queue is %v, want the concurrency %v", q, concurrency)
		}
		p := list("processes", 0)
		_, at := p["drained_at"]
		if p["drained"] != drained || at != drained || (p["drained_by"] == "everyone") != drained || list("processes", 1)["drained"] != false {
			t.Errorf("the process is %v, want drained %v", p, drained)
		}
	}
	wants(nil, false)
	drain := "/v1/processes/" + list("processes", 0)["id"].(string)
	w.do("POST", "/v1/queues/mail/concurrency", `{"concurrency":7}`).want(200)
	w.do("POST", drain+"/drain", "").want(200)
	wants(json.Number("7"), true)
	w.do("POST", "/v1/queues/mail/concurrency", `{"concurrency":0}`).want(200)
	w.do("POST", drain+"/undrain", "").want(200)
	wants(nil, false)
}

// What an action cannot keep is refused, not passed over; what clients send with every POST does not matter.
func TestActionsWithoutBody(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := w.enqueue(`{"kind":"a","queue":"mail"}`)
	w.hire([]string{"mail"}, []string{"a"})
	process := w.do("GET", "/v1/processes", "").want(200)["processes"].([]any)[0].(map[string]any)["id"].(string)
	for _, c := range []struct {
		method, path string
		done         int
	}{
		{"POST", "/v1/queues/mail/pause", 200},
		{"POST", "/v1/queues/mail/resume", 200},
		{"POST", "/v1/processes/" + process + "/drain", 200},
		{"POST", "/v1/processes/" + process + "/undrain", 200},
		{"DELETE", "/v1/jobs/" + id, 204},
	} {
		for _, body := range []string{`{"reason":"deploy"}`, "reason", `[]`, strings.Repeat(" ", 2000)} {
			w.do(c.method, c.path, body).want(422)
		}
		if c.method == "POST" {
			w.do(c.method, c.path, " {}\n").want(c.done)
		}
		w.do(c.method, c.path, "").want(c.done)
	}
}

// A process that is gone is not called a job.
func TestNoSuchProcess(t *testing.T) {
	w := newWorld(t, api.Options{})
	for path, says := range map[string]string{"00000000-0000-7000-8000-000000000000": "no living process", "x": "not an id"} {
		reply := w.do("POST", "/v1/processes/"+path+"/drain", "").want(404)
		if text := fmt.Sprint(reply["title"], reply["detail"]); !strings.Contains(text, says) || !strings.Contains(text, "process") || strings.Contains(text, "retention") {
			t.Errorf("%s: %v", path, reply)
		}
	}
}
