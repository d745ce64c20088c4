package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

func TestActionsOnOneJob(t *testing.T) {
	w := newWorld(t, api.Options{})
	h := w.hire([]string{"default"}, []string{"a"})
	later := w.enqueue(`{"kind":"a","delay":"1h"}`)
	act := func(id, action, body string) *reply { return w.do("POST", "/v1/jobs/"+id+"/"+action, body) }

	act(later, "retry", "").problem(409, "state")
	if got := act(later, "run", `{}`).want(200); got["state"] != "ready" || got["id"] != later {
		t.Errorf("run answers %v", got)
	}
	if p := act(later, "run", "").problem(409, "state"); !strings.Contains(p.Detail, "the job is ready") {
		t.Errorf("the problem is %+v", p)
	}
	c := h.claim()
	w.do("DELETE", "/v1/jobs/"+later, "").problem(409, "state")
	act(later, "discard", "").problem(409, "state")
	if got := act(later, "cancel", `{"reason":"by alice: not wanted"}`).want(202); got["state"] != "running" || got["signalled"] != true {
		t.Errorf("cancel answers %v", got)
	}
	if j := w.do("GET", "/v1/jobs/"+later, "").want(200); j["cancel_requested"] != true {
		t.Errorf("the job reads %v", j)
	}
	h.finish(c, bellhop.Return{Err: context.Canceled, Cause: bellhop.ErrCancelled})
	if got := act(later, "retry", "").want(200); got["state"] != "ready" {
		t.Errorf("retry answers %v", got)
	}
	act(later, "discard", `{"reason":"by bob: too late"}`).want(200)
	if j := w.do("GET", "/v1/jobs/"+later, "").want(200); j["state"] != "discarded" || j["reason"] != "by bob: too late" || fmt.Sprint(j["generation"]) != "1" {
		t.Errorf("the job reads %v", j)
	}
	if r := w.do("DELETE", "/v1/jobs/"+later, ""); r.Code != 204 || r.Body.Len() != 0 || w.stored() != 0 {
		t.Errorf("delete answers %d %s, %d jobs", r.Code, r.Body, w.stored())
	}
	w.do("DELETE", "/v1/jobs/"+later, "").problem(404, "not-found")
}

func TestRetryWhileTheKeyIsHeld(t *testing.T) {
	w := newWorld(t, api.Options{})
	first := w.enqueue(`{"kind":"a","unique":"k"}`)
	w.do("POST", "/v1/jobs/"+first+"/cancel", "").want(200)
	holder := w.enqueue(`{"kind":"a","unique":"k"}`)
	p := w.do("POST", "/v1/jobs/"+first+"/retry", "").problem(409, "state")
	if len(p.IDs) != 1 || p.IDs[0].String() != holder {
		t.Errorf("the problem is %+v, the holder %s", p, holder)
	}
	got := w.do("POST", "/v1/jobs/actions", `{"action":"retry","ids":["`+first+`"]}`).want(200)
	if skipped := got["skipped"].([]any)[0].(map[string]any); skipped["holder"] != holder || skipped["state"] != "cancelled" {
		t.Errorf("skipped %v", skipped)
	}
}

func TestBadActionsAreRefused(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := w.enqueue(`{"kind":"a"}`)
	for _, action := range []string{"delete", "Cancel", "explode", "%00"} {
		w.do("POST", "/v1/jobs/"+id+"/"+action, "").problem(404, "unknown-route")
	}
	for _, body := range []string{`[]`, `{"reason":5}`, `{"why":"x"}`, `{"reason":"` + strings.Repeat("x", 401) + `"}`, `{"reason":"\u0000"}`} {
		w.do("POST", "/v1/jobs/"+id+"/cancel", body).problem(422, "invalid")
	}
	w.do("POST", "/v1/jobs/"+id+"/cancel", "   ", headers{"Content-Type": "application/json"}).problem(400, "malformed")
	w.do("POST", "/v1/jobs/"+id+"/cancel", `{`).problem(400, "malformed")
	w.do("POST", "/v1/jobs/"+id+"/cancel", `reason=x`, headers{"Content-Type": "application/x-www-form-urlencoded"}).problem(415, "media-type")
	for body, field := range map[string]string{
		`{}`:                                                                       "action",
		`{"ids":["` + id + `"]}`:                                                   "action",
		`{"action":"explode","all":true}`:                                          "action",
		`{"action":"cancel"}`:                                                      "filter",
		`{"action":"cancel","filter":{}}`:                                          "filter",
		`{"action":"cancel","all":false}`:                                          "filter",
		`{"action":"cancel","all":"yes"}`:                                          "all",
		`{"action":"cancel","ids":[]}`:                                             "ids",
		`{"action":"cancel","ids":["7"]}`:                                          "ids",
		`{"action":"cancel","ids":"` + id + `"}`:                                   "ids",
		`{"action":"cancel","ids":["` + id + `"],"all":true}`:                      "ids",
		`{"action":"cancel","ids":["` + id + `"],"filter":{"kinds":["a"]}}`:        "ids",
		`{"action":"cancel","filter":{"state":["ready"]}}`:                         "state",
		`{"action":"cancel","filter":{"states":["done"]}}`:                         "states",
		`{"action":"cancel","filter":{"states":"ready"}}`:                          "states",
		`{"action":"cancel","filter":{"queues":["a b"]}}`:                          "queues",
		`{"action":"cancel","filter":{"process":"x"}}`:                             "process",
		`{"action":"cancel","filter":{"enqueued_after":"0001-01-01T00:00:00Z"}}`:   "enqueued_after",
		`{"action":"cancel","filter":{"text":"` + strings.Repeat("x", 201) + `"}}`: "text",
		`{"action":"cancel","filter":[]}`:                                          "filter",
	} {
		if p := w.do("POST", "/v1/jobs/actions", body).problem(422, "invalid"); p.Field != field {
			t.Errorf("%s: the problem is %+v", body, p)
		}
	}
	if j := w.do("GET", "/v1/jobs/"+id, "").want(200); j["state"] != "ready" {
		t.Errorf("the job is %v", j["state"])
	}
}

func TestActionsOnManyJobs(t *testing.T) {
	w := newWorld(t, api.Options{})
	a, b := w.enqueue(`{"kind":"a"}`), w.enqueue(`{"kind":"b","tags":["x"],"args":"needle"}`)
	missing := bellhop.NewID().String()
	h := w.hire([]string{"default"}, []string{"a"})
	h.claim()
	got := w.do("POST", "/v1/jobs/actions", fmt.Sprintf(`{"action":"cancel","ids":[%q,%q,%q],"reason":"by alice"}`, a, b, missing)).want(200)
	if fmt.Sprintf("%v %v %v %v", got["count"], got["signalled"], got["changed"], got["complete"]) != fmt.Sprintf("2 [%s] [%s] true", a, b) {
		t.Errorf("cancel answers %v", got)
	}
	if skipped := got["skipped"].([]any)[0].(map[string]any); skipped["id"] != missing || skipped["state"] != nil {
		t.Errorf("skipped %v", skipped)
	}
	got = w.do("POST", "/v1/jobs/actions", `{"action":"retry","filter":{"states":["cancelled"],"queues":["default"],"kinds":["b"],
		"tags":["x"],"text":"needle","enqueued_after":"2020-01-01T00:00:00Z","enqueued_before":"2199-01-01T00:00:00Z"}}`).want(200)
	if fmt.Sprint(got["count"]) != "1" || got["complete"] != true {
		t.Errorf("retry answers %v", got)
	}
	w.do("POST", "/v1/jobs", `[{"kind":"c"}`+strings.Repeat(`,{"kind":"c"}`, 2499)+`]`).want(201)
	got = w.do("POST", "/v1/jobs/actions", `{"action":"delete","all":true}`).want(200)
	if fmt.Sprint(got["count"]) != "2501" || w.stored() != 1 {
		t.Errorf("delete answers %v, %d jobs", got, w.stored())
	}
}

func TestActionsWithoutAStore(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := w.enqueue(`{"kind":"a"}`)
	if err := w.client.Close(); err != nil {
		t.Fatal(err)
	}
	w.do("POST", "/v1/jobs/actions", `{"action":"delete","all":true}`).problem(503, "unavailable")
	w.do("POST", "/v1/jobs/"+id+"/cancel", "").problem(503, "unavailable")
	w.do("POST", "/v1/queues/mail/pause", "").problem(503, "unavailable")
	if _, err := w.client.Queues(context.Background()); !errors.Is(err, bellhop.ErrClosed) {
		t.Errorf("the client says %v", err)
	}
}
