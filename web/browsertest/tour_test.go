package browsertest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/browser"
)

var update = flag.Bool("update", false, "make the pictures of docs/dashboard.md anew")

const (
	docs        = "../../docs"
	pictures    = docs + "/pictures"
	mostPicture = 120_000 // bytes
)

// shot is one picture of the tour.
type shot struct {
	name   string
	at     place
	scheme string
	width  int
	most   int // pixels of its height; it is lower if the page is
	before func(p *browser.Page)
}

func (w *world) tour() []shot {
	pages := map[string]place{}
	for _, at := range w.places() {
		pages[at.name] = at
	}
	light := func(name string, most int) shot {
		return shot{name: name, at: pages[name], scheme: "light", width: 1440, most: most}
	}
	ask := light("bulk-new", 800)
	ask.at.path = "/bulk/new?action=retry&all=1&q=kind%3Dorder.charge%26state%3Ddead"
	operation := shot{name: "operation", at: ask.at, scheme: "light", width: 1440, most: 640, before: func(p *browser.Page) {
		p.Fill("input[name=reason]", "the bank is back, INC-2291")
		p.Leads(func() { p.Click(".ask-form button") })
		p.Wait("document.querySelector('main').innerText.includes('Took')")
	}}
	palette := shot{name: "palette-dark", at: pages["overview"], scheme: "dark", width: 1440, most: 860, before: func(p *browser.Page) {
		p.Press("Control+k")
		p.Type("pay")
		p.Wait("document.querySelector('#palette-hits li')?.dataset.url.includes('payments')")
	}}
	charts := light("charts", 1000)
	charts.at.path = "/charts?range=24h"
	jobs := light("jobs-dead", 860)
	jobs.before = func(p *browser.Page) {
		p.Press("j", "x", "j", "j", "x")
		p.Wait("document.querySelector('#picked').textContent === '2 picked'")
	}
	return []shot{
		light("overview", 1000), jobs, light("job", 1180), light("job-running", 800), light("job-edit", 800), light("failures", 900), ask, operation,
		light("queues", 760), light("queue", 1000), light("processes", 520), light("process", 720), charts, light("audit", 560), palette,
		{name: "overview-phone", at: pages["overview"], scheme: "light", width: 390, most: 844},
		{name: "job-phone", at: pages["job"], scheme: "dark", width: 390, most: 844},
	}
}

// TestTour makes the pictures of the tour, if asked; else it sees that the tour shows every picture and has none that are too heavy.
func TestTour(t *testing.T) {
	if *update {
		w := newWorld(t)
		w.check(os.MkdirAll(pictures, 0o755))
		w.died("batch-5d8b6-9xw2c", 3*time.Hour, 2, 1, "running", "retried", "dead")
		w.died("shop-7f9c4-ttq7d", 50*time.Hour, 12, 0, "ready")
		for _, s := range w.tour() {
			w.take(t, s)
		}
	}
	text, err := os.ReadFile(docs + "/dashboard.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, m := range regexp.MustCompile(`[("]pictures/([^)"]+)[)"]`).FindAllStringSubmatch(string(text), -1) {
		shown = append(shown, m[1])
	}
	list, err := os.ReadDir(pictures)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !slices.Contains(shown, e.Name()) {
			t.Errorf("the tour does not show %s", e.Name())
		}
	}
	for _, name := range shown {
		info, err := os.Stat(filepath.Join(pictures, name))
		if err != nil {
			t.Errorf("the tour shows a picture that is not there: %v; go test ./web/browsertest -run Tour -update", err)
		} else if info.Size() > mostPicture {
			t.Errorf("%s has %d bytes, want %d at most", name, info.Size(), mostPicture)
		}
	}
}

// take takes one picture.
func (w *world) take(t *testing.T, s shot) {
	t.Helper()
	w.beat()
	p := browser.Open(t)
	p.Scheme(s.scheme)
	p.Size(s.width, s.most)
	visit(p, w.url, s.at)
	if s.before != nil {
		s.before(p)
	}
	var height int
	p.Eval("Math.ceil(document.documentElement.scrollHeight)", &height)
	if height < s.most {
		p.Size(s.width, height)
	}
	png, err := small(p.Picture(false))
	w.check(err)
	w.check(os.WriteFile(filepath.Join(pictures, s.name+".png"), png, 0o644))
}
