package prom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/prom"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/worker"
)

type mail struct{ To string }

var welcome = bellhop.Define[mail]("mail.welcome", bellhop.Queue("mail"), bellhop.Attempts(1))

// scrape returns what a scraper gets.
func scrape(t *testing.T, m *prom.Metrics) string {
	t.Helper()
	server := httptest.NewServer(m.Handler(nil))
	defer server.Close()
	reply, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v\n%s", reply.Status, err, body)
	}
	return string(body)
}

func expect(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no line %q", line)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "bellhop_") && !strings.Contains(line, "bucket") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
}

// Bounds that do not rise are refused at once: later nobody but the log would hear of it, and the metrics would be missing.
func TestBucketsRise(t *testing.T) {
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "increasing order") {
			t.Errorf("New said %q", text)
		}
	}()
	prom.New(prom.Options{Buckets: []float64{1, 0.5}})
}

// Open leaves the caller's options as they are, also those behind the end of the slice.
func TestOpenLeavesOptionsAlone(t *testing.T) {
	opts := append(make([]bellhop.Option, 0, 2), bellhop.Queue("mail"), bellhop.Queue("other"))
	client, err := prom.New(prom.Options{}).Open(t.Context(), "memory:", opts[:1]...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	second, err := bellhop.NewClient(memory.New(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if queue, err := second.QueueOf(bellhop.RawJob("k", nil)); queue != "other" || err != nil {
		t.Errorf("the second option says %q, %v", queue, err)
	}
}

func TestJobsAreCounted(t *testing.T) {
	m := prom.New(prom.Options{Fresh: time.Nanosecond})
	ended := make(chan struct{}, 10)
	client, err := bellhop.NewClient(m.Store(memory.New()), append(m.Options(), bellhop.OnEvent(func(e bellhop.Event) {
		if e.To.Final() {
			ended <- struct{}{}
		}
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w := worker.New(client, worker.Config{Queues: worker.Queues{"mail": 2, "idle": 1}})
	w.Handle(welcome.With(func(_ context.Context, m mail) error {
		if m.To == "" {
			return errors.New("no address")
		}
		return nil
	}))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for _, to := range []string{"a", "b", ""} {
		if _, err := welcome.Enqueue(t.Context(), client, mail{to}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		<-ended
	}
	if _, err := welcome.Enqueue(t.Context(), client, mail{"later"}, bellhop.In(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := client.Pause(t.Context(), "idle"); err != nil {
		t.Fatal(err)
	}
	expect(t, scrape(t, m),
		`bellhop_jobs_enqueued_total{kind="mail.welcome",queue="mail"} 4`,
		`bellhop_jobs_finished_total{kind="mail.welcome",outcome="succeeded",queue="mail"} 2`,
		`bellhop_jobs_finished_total{kind="mail.welcome",outcome="dead",queue="mail"} 1`,
		`bellhop_job_run_duration_seconds_count{kind="mail.welcome",queue="mail"} 3`,
		`bellhop_job_wait_duration_seconds_count{queue="mail"} 3`,
		`bellhop_queue_jobs{queue="mail",state="scheduled"} 1`,
		`bellhop_queue_jobs{queue="mail",state="dead"} 1`,
		`bellhop_queue_jobs{queue="mail",state="ready"} 0`,
		`bellhop_queue_oldest_ready_age_seconds{queue="mail"} 0`,
		`bellhop_queue_paused{queue="idle"} 1`,
		`bellhop_queue_workers{queue="mail"} 1`,
		`bellhop_processes 1`, `bellhop_worker_slots 3`, `bellhop_store_up 1`,
		`bellhop_store_operation_duration_seconds_count{op="enqueue"} 4`,
	)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestNamesAndHelp keeps the habits of Prometheus: a type that suits the name, a help text, base units.
func TestNamesAndHelp(t *testing.T) {
	m := prom.New(prom.Options{})
	if _, err := bellhop.NewClient(m.Store(memory.New()), m.Options()...); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.CollectAndLint(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestKindsAreBounded(t *testing.T) {
	m := prom.New(prom.Options{MaxSeries: 3, WithoutQueues: true})
	client, err := bellhop.NewClient(memory.New(), m.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 10 {
		if _, err := bellhop.Enqueue(t.Context(), client, bellhop.RawJob(fmt.Sprintf("kind-%d", i), []byte("{}"))); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, scrape(t, m), `bellhop_jobs_enqueued_total{kind="(other)",queue="(other)"} 7`, `bellhop_jobs_enqueued_total{kind="kind-0",queue="default"} 1`)
}

// broken is a store that does not answer.
type broken struct{ bellhop.Store }

func (broken) Ping(context.Context) (time.Time, error) {
	return time.Time{}, fmt.Errorf("no route: %w", bellhop.ErrUnavailable)
}

func TestStoreAway(t *testing.T) {
	m := prom.New(prom.Options{})
	m.Store(broken{memory.New()})
	text := scrape(t, m)
	expect(t, text, "bellhop_store_up 0")
	if strings.Contains(text, "bellhop_queue_jobs{") {
		t.Error("gauges of queues are shown that nobody knows")
	}
}

// counting counts the looks at the queues.
type counting struct {
	bellhop.Store
	looks int
}

func (c *counting) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	c.looks++
	return c.Store.Stats(ctx, limit)
}

func TestManyScrapersMeanOneLook(t *testing.T) {
	m := prom.New(prom.Options{Fresh: time.Hour})
	c := &counting{Store: memory.New()}
	m.Store(c)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	for range 5 {
		if _, err := registry.Gather(); err != nil {
			t.Fatal(err)
		}
	}
	if c.looks != 1 {
		t.Errorf("%d looks for 5 scrapes, want 1", c.looks)
	}
}
