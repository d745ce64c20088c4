package api_test

import (
	"encoding/json"
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
