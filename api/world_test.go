package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server on a store in memory. Every reply that passes through it is compared with the document.
type world struct {
	t      *testing.T
	store  *faulty
	client *bellhop.Client
	server *api.Server
	spec   *spec
	log    *bytes.Buffer
	prefix string
}

// faulty is a store whose verbs can be made to fail before they begin, or after they have taken effect.
type faulty struct {
	bellhop.Store
	before, after func(op bellhop.Op) error
	list          func(q *bellhop.Query) // told of each listing
	countTo       int                    // how far statistics count, if it is not 0

	mu    sync.Mutex
	calls map[bellhop.Op]int
}

func (f *faulty) around(op bellhop.Op, do func() error) error {
	f.mu.Lock()
	f.calls[op]++
	f.mu.Unlock()
	if f.before != nil {
		if err := f.before(op); err != nil {
			return err
		}
	}
	err := do()
	if err == nil && f.after != nil {
		err = f.after(op)
	}
	return err
}

func (f *faulty) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	err = f.around(bellhop.OpEnqueue, func() (err error) { receipts, err = f.Store.Enqueue(ctx, r); return err })
	return receipts, err
}

func (f *faulty) Get(ctx context.Context, ids []bellhop.ID) (found []bellhop.Snapshot, err error) {
	err = f.around(bellhop.OpGet, func() (err error) { found, err = f.Store.Get(ctx, ids); return err })
	return found, err
}

func (f *faulty) List(ctx context.Context, q *bellhop.Query) (page *bellhop.Listing, err error) {
	if f.list != nil {
		f.list(q)
	}
	err = f.around(bellhop.OpList, func() (err error) { page, err = f.Store.List(ctx, q); return err })
	return page, err
}

func (f *faulty) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	if f.countTo > 0 {
		limit = min(limit, f.countTo)
	}
	return f.Store.Stats(ctx, limit)
}

func (f *faulty) Count(ctx context.Context, q *bellhop.Query) (c *bellhop.Counted, err error) {
	err = f.around(bellhop.OpCount, func() (err error) { c, err = f.Store.Count(ctx, q); return err })
	return c, err
}

func (f *faulty) Ping(ctx context.Context) (now time.Time, err error) {
	err = f.around(bellhop.OpPing, func() (err error) { now, err = f.Store.Ping(ctx); return err })
	return now, err
}

func newWorld(t *testing.T, opts api.Options, clientOpts ...bellhop.Option) *world {
	t.Helper()
	w := &world{t: t, log: &bytes.Buffer{}, prefix: opts.Prefix}
	w.store = &faulty{Store: memory.New(), calls: map[bellhop.Op]int{}}
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	if opts.Token == "" && opts.Door == nil && opts.Authorize == nil {
		opts.Authorize = access.Everyone(access.Admin)
	}
	var err error
	if w.client, err = bellhop.NewClient(w.store, append(clientOpts, bellhop.Logger(logger))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.client.Close() })
	if w.server, err = api.New(w.client, opts); err != nil {
		t.Fatal(err)
	}
	w.server.SetPace(5*time.Millisecond, time.Hour)
	w.spec = parseSpec(t, api.Document())
	return w
}

// headers are those of a request in a test: JSON from this machine, if nothing else is said.
type headers map[string]string

// reply is what came back.
type reply struct {
	*httptest.ResponseRecorder
	t *testing.T
}

// do sends one request without a socket, and compares request and reply with the document.
func (w *world) do(method, target, body string, with ...headers) *reply {
	w.t.Helper()
	r := httptest.NewRequest(method, w.prefix+target, strings.NewReader(body))
	r.Host = "localhost:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range with {
		for name, value := range h {
			switch {
			case name == "Host":
				r.Host = value
			case value == "":
				r.Header.Del(name)
			default:
				r.Header.Set(name, value)
			}
		}
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	w.compare(r, body, rec)
	return &reply{rec, w.t}
}

// compare checks a reply, and a request that was granted, against the document.
func (w *world) compare(r *http.Request, body string, rec *httptest.ResponseRecorder) {
	w.t.Helper()
	what := fmt.Sprintf("%s %s: %d %.300s", r.Method, r.URL.Path, rec.Code, rec.Body)
	if h := rec.Header(); h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		w.t.Errorf("%s: the headers are %v", what, h)
	}
	media := rec.Header().Get("Content-Type")
	if rec.Code >= 400 {
		if media != "application/problem+json" {
			w.t.Fatalf("%s: the content type is %q", what, media)
		}
		if err := w.spec.check(map[string]any{"$ref": "#/components/schemas/Problem"}, parse(w.t, rec.Body.Bytes())); err != nil {
			w.t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(rec.Body.String(), "bellhop: ") {
			w.t.Errorf("%s: a prefix of the library shows", what)
		}
		return
	}
	op := w.operation(r)
	if op == nil {
		w.t.Fatalf("%s: the document does not have it", what)
	}
	responses := op["responses"].(map[string]any)
	response, ok := responses[fmt.Sprint(rec.Code)]
	if !ok {
		w.t.Fatalf("%s: the document does not know the status", what)
	}
	content, _ := w.spec.follow(response)["content"].(map[string]any)
	if len(content) == 0 {
		if rec.Body.Len() > 0 {
			w.t.Errorf("%s: a body where the document has none", what)
		}
		return
	}
	if content[media] == nil {
		w.t.Fatalf("%s: the document does not know the content type %q", what, media)
	}
	if media == "application/json" && r.Method != http.MethodHead {
		if err := w.spec.check(content[media].(map[string]any)["schema"], parse(w.t, rec.Body.Bytes())); err != nil {
			w.t.Errorf("%s: %v", what, err)
		}
	}
	request, _ := op["requestBody"].(map[string]any)
	if request != nil && r.Header.Get("Content-Type") == "application/json" {
		schema := request["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
		if err := w.spec.check(schema, parse(w.t, []byte(body))); err != nil {
			w.t.Errorf("%s: a request that was granted does not fit the document: %v", what, err)
		}
	}
}

// operation finds what the document says of a request; literal paths go before patterns.
func (w *world) operation(r *http.Request) map[string]any {
	method := strings.ToLower(r.Method)
	if method == "head" {
		method = "get"
	}
	var found map[string]any
	for path, item := range w.spec.doc["paths"].(map[string]any) {
		pattern := regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(w.prefix+path), `[^/]+`)
		if !regexp.MustCompile("^" + pattern + "$").MatchString(r.URL.EscapedPath()) {
			continue
		}
		op, _ := item.(map[string]any)[method].(map[string]any)
		if op != nil && (found == nil || !strings.Contains(path, "{")) {
			found = op
		}
	}
	return found
}

// want checks the status and returns the reply's JSON as an object.
func (r *reply) want(status int) map[string]any {
	r.t.Helper()
	if r.Code != status {
		r.t.Fatalf("the status is %d, want %d: %s", r.Code, status, r.Body)
	}
	if r.Body.Len() == 0 {
		return nil
	}
	object, _ := parse(r.t, r.Body.Bytes()).(map[string]any)
	return object
}

// problem checks the status and the type of a problem, and returns it.
func (r *reply) problem(status int, kind string) *api.Problem {
	r.t.Helper()
	r.want(status)
	p := &api.Problem{}
	if err := json.Unmarshal(r.Body.Bytes(), p); err != nil {
		r.t.Fatal(err)
	}
	if p.Type != "urn:bellhop:problem:"+kind || p.Status != status || p.Title == "" || p.Detail == "" {
		r.t.Errorf("the problem is %+v, want the type %s", p, kind)
	}
	return p
}

// enqueue hands over a job as JSON and returns its id.
func (w *world) enqueue(body string) string {
	w.t.Helper()
	return w.do("POST", "/v1/jobs", body).want(http.StatusCreated)["id"].(string)
}

// stored counts the jobs in the store.
func (w *world) stored() int {
	w.t.Helper()
	n, err := w.client.Count(context.Background(), bellhop.Filter{}, 100_000)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// hand is a worker that does what a test tells it.
type hand struct {
	w       *world
	process bellhop.Process
}

// hire lets a process live that works kinds of queues.
func (w *world) hire(queues, kinds []string) *hand {
	w.t.Helper()
	h := &hand{w: w, process: bellhop.Process{
		ID: bellhop.NewID(), Name: "hand", Host: "here", PID: 1, StartedAt: time.Now().UTC(), Queues: queues, Kinds: kinds, Slots: 10,
	}}
	if _, err := w.store.Beat(context.Background(), &bellhop.Beat{Process: h.process, Lease: time.Minute}); err != nil {
		w.t.Fatal(err)
	}
	return h
}

// claim takes the next job.
func (h *hand) claim() *bellhop.Claim {
	h.w.t.Helper()
	reply, err := h.w.store.Exchange(context.Background(), &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: h.process.ID, Limit: 1, Kinds: h.process.Kinds,
		Wants: []bellhop.Want{{Queue: h.process.Queues[0], Count: 1}},
	})
	if err != nil || len(reply.Claims) != 1 {
		h.w.t.Fatalf("claims %v, %v", reply, err)
	}
	return &reply.Claims[0]
}

// finish hands in what a claim came to.
func (h *hand) finish(c *bellhop.Claim, r bellhop.Return) {
	h.w.t.Helper()
	r.Started, r.Ended = time.Now().UTC(), time.Now().UTC()
	reply, err := h.w.store.Exchange(context.Background(), &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: h.process.ID, Outcomes: []bellhop.Outcome{c.Settle(bellhop.Policy{}, r)},
	})
	if err != nil || len(reply.Refused) != 0 {
		h.w.t.Fatalf("refused %v, %v", reply, err)
	}
}

// report writes progress.
func (h *hand) report(c *bellhop.Claim, progress string) {
	h.w.t.Helper()
	refused, err := h.w.store.Report(context.Background(), []bellhop.Report{{Token: c.Token, Progress: []byte(progress)}})
	if err != nil || len(refused) > 0 {
		h.w.t.Fatalf("refused %v, %v", refused, err)
	}
}
