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

// Where a look at all queues counts a few jobs of each, those of the one that is asked for are counted on.
func TestScaleAmongVeryManyQueues(t *testing.T) {
	w := newWorld(t, api.Options{})
	w.store.countTo = 2
	for range 7 {
		if _, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("k", []byte("{}"), bellhop.Queue("mail"))); err != nil {
			t.Fatal(err)
		}
	}
	p := bellhop.NewID()
	if _, err := w.store.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	_, err := w.store.Exchange(t.Context(), &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: p, Limit: 3, Kinds: []string{"k"}, Wants: []bellhop.Want{{Queue: "mail", Count: 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err                         error
		value, ready, running, upTo string
	}{{nil, "7", "4", "3", "10000"}, {bellhop.ErrUnavailable, "4", "2", "2", "2"}} {
		w.store.before = func(op bellhop.Op) error {
			if op == bellhop.OpCount {
				return c.err
			}
			return nil
		}
		w.server.ForgetQueues()
		got := w.do("GET", "/v1/queues/mail/scale", "").want(200)
		for key, want := range map[string]string{"value": c.value, "ready": c.ready, "running": c.running, "limit": c.upTo} {
			if got[key] != json.Number(want) {
				t.Errorf("while counting ends with %v, %s is %v, want %s", c.err, key, got[key], want)
			}
		}
	}
}

func TestMetricsAreServedIfThereAreAny(t *testing.T) {
	newWorld(t, api.Options{}).do("GET", "/metrics", "").problem(404, "unknown-route")
	w := newWorld(t, api.Options{Token: "secret-token", Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })})
	w.do("GET", "/metrics", "").problem(401, "unauthorized")
}
