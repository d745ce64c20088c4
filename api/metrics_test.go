package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// worked lets a worker count jobs of some queues and kinds, a tenth of which failed, and write that down.
func (w *world) worked(queues, kinds, jobs int) {
	w.t.Helper()
	r := rollup.NewRecorder()
	now := time.Now().UTC()
	for i := range queues * kinds * jobs {
		queue, kind := fmt.Sprintf("q%d", i%queues), fmt.Sprintf("k%d", i/queues%kinds)
		c := &bellhop.Claim{Token: bellhop.Token{JobID: bellhop.NewID()}, Job: &bellhop.Job{Queue: queue, Kind: kind}, Place: bellhop.Place{Due: now.Add(-3 * time.Second)}}
		o := &bellhop.Outcome{Kind: bellhop.OutcomeSucceeded, Started: now.Add(-2 * time.Second), Ended: now}
		if i%10 == 0 {
			o.Kind, o.Failure = bellhop.OutcomeRetry, bellhop.NewFailure(errors.New("no answer from 10.0.0.1"))
		}
		r.Outcome(c, o, now)
	}
	if err := rollup.NewWriter(w.store, r, time.Now).Write(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, api.Options{})
	if got := w.do("GET", "/v1/metrics", "").want(http.StatusOK); fmt.Sprint(got["attempts"]) != "0" || len(got["points"].([]any)) != 60 {
		t.Errorf("before anything happened: %v attempts, %d points", got["attempts"], len(got["points"].([]any)))
	}
	w = newWorld(t, api.Options{})
	w.worked(3, 2, 10)
	if _, err := rollup.AddMark(t.Context(), w.store, "deploy 42", "anna"); err != nil {
		t.Fatal(err)
	}
	got := w.do("GET", "/v1/metrics?since=30m&by=queue_and_kind&failures=true&limit=4", "").want(http.StatusOK)
	for name, want := range map[string]string{"attempts": "60", "succeeded": "54", "retried": "6", "failed": "6", "error_rate": "0.1", "step_seconds": "60"} {
		if fmt.Sprint(got[name]) != want {
			t.Errorf("%s is %v, want %s", name, got[name], want)
		}
	}
	if rows, groups := got["rows"].([]any), got["failures"].([]any); len(rows) != 4 || got["more"] != true || len(groups) != 2 {
		t.Errorf("%d rows, %d groups, more: %v", len(rows), len(groups), got["more"])
	}
	if mark := got["marks"].([]any)[0].(map[string]any); mark["text"] != "deploy 42" || mark["by"] != "anna" {
		t.Errorf("the mark is %v", mark)
	}
	one := w.do("GET", "/v1/metrics?queue=q1&kind=k1&by=kind&step=5m", "").want(http.StatusOK)
	if rows := one["rows"].([]any); fmt.Sprint(one["attempts"]) != "10" || len(rows) != 1 || rows[0].(map[string]any)["kind"] != "k1" {
		t.Errorf("of one: %v attempts, rows %v", one["attempts"], rows)
	}
	if wait := one["wait"].(map[string]any); fmt.Sprint(wait["count"]) != "10" || fmt.Sprint(wait["mean_seconds"]) != "1" {
		t.Errorf("the wait is %v", wait)
	}
}

func TestMarks(t *testing.T) {
	w := newWorld(t, api.Options{})
	if got := w.do("POST", "/v1/marks", `{"text":"deploy 42"}`).want(http.StatusCreated); got["text"] != "deploy 42" {
		t.Errorf("the mark is %v", got)
	}
	for _, body := range []string{`{}`, `{"text":" "}`, `{"text":1}`, `{"words":"x"}`} {
		if r := w.do("POST", "/v1/marks", body); r.Code != http.StatusUnprocessableEntity && r.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, r.Code, r.Body)
		}
	}
	got := w.do("GET", "/v1/metrics", "").want(http.StatusOK)
	if marks := got["marks"].([]any); len(marks) != 1 {
		t.Errorf("the marks are %v", marks)
	}
}

func TestMetricsRefuseWhatCannotBeHad(t *testing.T) {
	w := newWorld(t, api.Options{})
	for _, query := range []string{
		"days=-1", "since=-1h", "since=0s", "since=1s", "since=8760h", "since=x", "since=", "limit=1e9", "limit=1000000000", "limit=0", "limit=-1",
		"step=1s", "step=7m", "step=-5m", "since=336h&step=1m", "since=20h&step=1m", "from=2001-01-01T00:00:00Z", "from=2190-01-01T00:00:00Z",
		"to=2026-01-01T00:00:00Z", "since=1h&from=2026-01-01T00:00:00Z", "by=all", "queue=two%20words", "kind=a&kind=b", "failures=1",
	} {
		w.do("GET", "/v1/metrics?"+query, "").problem(http.StatusBadRequest, "parameter")
	}
}
