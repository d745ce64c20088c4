package browsertest

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/browser"
	"github.com/gobellhop/bellhop/web"
)

func TestMain(m *testing.M) { browser.Main(m) }

// world is a dashboard on loopback, and the shop behind it.
type world struct {
	*shop
	url     string        // without a slash at its end
	streams *atomic.Int64 // live streams that are open
}

func newWorld(t *testing.T) *world {
	t.Helper()
	begin(t)
	w := &world{shop: newShop(t)}
	w.url, w.streams = serve(t, w.client)
	return w
}

// begin begins a test, beside others.
func begin(t *testing.T) {
	t.Helper()
	t.Parallel()
	if !browser.Selected() {
		browser.Open(t) // skips
	}
}

// streaming waits until so many live streams are open.
func (w *world) streaming(t *testing.T, want int64) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for look := time.Tick(20 * time.Millisecond); w.streams.Load() != want; {
		select {
		case <-look:
		case <-deadline:
			t.Fatalf("%d live streams are open, want %d", w.streams.Load(), want)
		}
	}
}

// serve serves the dashboard of a client under a prefix, for an administrator by name.
func serve(t *testing.T, client *bellhop.Client) (url string, streams *atomic.Int64) {
	t.Helper()
	dashboard, err := web.New(client, web.Options{
		Prefix: "/admin/jobs", Authorize: ada, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Links: web.Links{Trace: "http://localhost/trace/{trace}", Logs: "http://localhost/logs?job={job}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	streams = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/live") {
			streams.Add(1)
			defer streams.Add(-1)
		}
		dashboard.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		dashboard.Drain()
		server.Close()
	})
	return server.URL + "/admin/jobs", streams
}

// ada is who looks.
func ada(*http.Request) (*access.Viewer, error) {
	return &access.Viewer{Name: "ada", Role: access.Admin}, nil
}

// place is a page of the dashboard.
type place struct {
	name, path string
	ready      string // an expression that holds when it is all there
}

// places are all pages, each with something on it.
func (w *world) places() []place {
	return []place{
		{"overview", "/", "document.querySelector('tbody tr')"},
		{"jobs", "/jobs", "document.querySelector('tbody tr')"},
		{"jobs-dead", "/jobs?state=dead&kind=order.charge", "document.querySelector('tbody tr')"},
		{"job", "/jobs/" + w.jobs["retried"].String(), "document.querySelector('.attempt')"},
		{"job-running", "/jobs/" + w.jobs["running"].String(), "document.querySelector('.job-progress')"},
		{"job-edit", "/jobs/" + w.jobs["retried"].String() + "/edit", "document.querySelector('textarea')"},
		{"failures", "/failures?range=24h", "document.querySelector('.group')"},
		{"bulk", "/bulk", "true"},
		{"bulk-new", "/bulk/new?action=retry&all=1&q=state%3Ddead", "document.querySelector('form')"},
		{"queues", "/queues", "document.querySelector('tbody tr')"},
		{"queue", "/queues/payments", "document.querySelector('.chart-body canvas')"},
		{"processes", "/processes", "document.querySelector('tbody tr')"},
		{"process", "/processes/" + w.batch.String(), "document.querySelector('.facts')"},
		{"charts", "/charts?range=6h", "document.querySelector('.chart-body canvas')"},
		{"audit", "/audit", "true"},
		{"about", "/about", "true"},
	}
}

// visit opens a page and waits until it is all there, with its stream if it has one.
func visit(p *browser.Page, url string, at place) {
	p.Go(url + at.path)
	p.Wait(at.ready)
	p.Wait("!document.querySelector('#stream') || document.querySelector('#stream').dataset.state === 'live'")
}

// keep leaves a picture where a person who looks at all of them wants it.
func keep(t *testing.T, name string, png []byte) {
	t.Helper()
	if folder := os.Getenv(browser.PicturesVariable); folder != "" {
		if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

//go:embed testdata/axe.js
var axe string

// axeHash pins what looks for barriers: npm's axe-core 4.14.1, axe.min.js, licence beside it.
const axeHash = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"

// finding is one kind of barrier that axe has found.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML    string
		Summary string `json:"failureSummary"`
	}
}

// barriers returns what keeps people out of a part of the page, of the graver sorts; if asked only for what colours do.
func barriers(p *browser.Page, part string, colours bool) (grave []finding) {
	rules := ""
	if colours {
		rules = `, runOnly: ["color-contrast", "link-in-text-block"]`
	}
	p.Eval("(() => {"+axe+"\n})()", nil)
	p.Eval(`axe.run("`+part+`", {resultTypes: ["violations"]`+rules+`}).then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical"))`, &grave)
	return grave
}

func report(t *testing.T, at string, grave []finding) {
	t.Helper()
	for _, f := range grave {
		t.Errorf("%s: %s (%s, %s), at %d places", at, f.Help, f.ID, f.Impact, len(f.Nodes))
		for i, n := range f.Nodes {
			if i < 3 {
				t.Logf("  %.300s\n    %.400s", n.HTML, strings.ReplaceAll(n.Summary, "\n", "; "))
			}
		}
	}
}

func TestAxeIsTheOneThatWasReviewed(t *testing.T) {
	if sum := sha256.Sum256([]byte(axe)); hex.EncodeToString(sum[:]) != axeHash {
		t.Errorf("testdata/axe.js has the hash %x, want %s", sum, axeHash)
	}
}
