package web

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a dashboard on a store in memory.
type world struct {
	*testing.T
	client *bellhop.Client
	server *Server
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	return newWorldOn(t, memory.New(), change...)
}

// newWorldOn is newWorld on a store of the test's own.
func newWorldOn(t *testing.T, store bellhop.Store, change ...func(*Options)) *world {
	t.Helper()
	client, err := bellhop.NewClient(store, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	opts := Options{Authorize: access.Everyone(access.Admin)}
	for _, fn := range change {
		fn(&opts)
	}
	s, err := New(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.ops.Close)
	return &world{t, client, s}
}

// ask sends a request, and returns the reply with its body read.
func (w *world) ask(method, path string, form url.Values, header ...string) (*http.Response, string) {
	w.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, "http://localhost"+path, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	reply := rec.Result()
	var from io.Reader = reply.Body
	if reply.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(reply.Body)
		if err != nil {
			w.Fatal(err)
		}
		from = z
	}
	got, err := io.ReadAll(from)
	if err != nil {
		w.Fatal(err)
	}
	return reply, string(got)
}

// get is ask for a page that must be there.
func (w *world) get(path string, header ...string) string {
	w.Helper()
	reply, body := w.ask("GET", path, nil, header...)
	if reply.StatusCode != http.StatusOK {
		w.Fatalf("GET %s: %s\n%s", path, reply.Status, body)
	}
	return body
}

// enqueue puts jobs of a kind into a queue.
func (w *world) enqueue(kind, queue string, n int, opts ...bellhop.Option) []bellhop.ID {
	w.Helper()
	drafts := make([]bellhop.Draft, n)
	for i := range drafts {
		drafts[i] = bellhop.RawJob(kind, []byte(`{"n":1}`), append(opts, bellhop.Queue(queue))...)
	}
	receipts, err := bellhop.Enqueue(w.Context(), w.client, drafts...)
	if err != nil {
		w.Fatal(err)
	}
	ids := make([]bellhop.ID, n)
	for i, r := range receipts {
		ids[i] = r.ID
	}
	return ids
}

// work makes a process known that works queues and kinds.
func (w *world) work(name string, queues, kinds []string) bellhop.ID {
	w.Helper()
	id := bellhop.NewID()
	_, err := w.client.Store().Beat(context.Background(), &bellhop.Beat{Lease: time.Minute, Process: bellhop.Process{
		ID: id, Name: name, Host: "host", PID: 7, Version: "v1", StartedAt: time.Now(), Queues: queues, Kinds: kinds, Slots: 10,
	}})
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// has fails unless the text holds all of the parts.
func (w *world) has(text string, parts ...string) {
	w.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			w.Errorf("%q is missing in\n%s", part, text)
		}
	}
}
