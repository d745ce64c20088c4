package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

func TestScaleWithNoWorker(t *testing.T) {
	w := newWorld(t, api.Options{})
	scale := func(queue string) map[string]any {
		t.Helper()
		w.server.ForgetQueues()
		return w.do("GET", "/v1/queues/"+queue+"/scale", "").want(200)
	}
	if got := scale("mail"); got["value"] != json.Number("0") || got["workers"] != json.Number("0") {
		t.Errorf("a queue that nobody knows: %v", got)
	}
	for range 3 {
		if _, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("k", []byte("{}"), bellhop.Queue("mail"))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("k", []byte("{}"), bellhop.Queue("mail"), bellhop.In(time.Millisecond))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond) // until the fourth job is due, by the clock of the store in memory
	if got := scale("mail"); got["value"] != json.Number("4") || got["ready"] != json.Number("4") || got["oldest_ready_seconds"] == json.Number("0") {
		t.Errorf("the scheduled job's time has come, and nobody else is there to promote it: %v", got)
	}
	w.do("POST", "/v1/queues/mail/pause", "").want(200)
	if got := scale("mail"); got["value"] != json.Number("0") || got["ready"] != json.Number("4") || got["paused"] != true {
		t.Errorf("workers are of no use to a paused queue: %v", got)
	}
	w.do("GET", "/v1/queues/%00/scale", "").problem(422, "invalid")
}

func TestMetricsAreServedIfThereAreAny(t *testing.T) {
	newWorld(t, api.Options{}).do("GET", "/metrics", "").problem(404, "unknown-route")
	w := newWorld(t, api.Options{Token: "secret-token", Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })})
	w.do("GET", "/metrics", "").problem(401, "unauthorized")
}
