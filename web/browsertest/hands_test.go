package browsertest

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/browser"
)

// at fails unless the page has the address, which is given behind the dashboard's.
func at(t *testing.T, p *browser.Page, want string) {
	t.Helper()
	if got := strings.TrimPrefix(p.Path(), "/admin/jobs"); got != want && got != want+"/" {
		t.Fatalf("the page is at %s, want %s", got, want)
	}
}

// Everything by keys alone: help, places, palette, rows, search, picking, retrying.
func TestKeys(t *testing.T) {
	w := newWorld(t)
	p := browser.Open(t)
	visit(p, w.url, place{"overview", "/", "true"})

	p.Press("?")
	p.Wait("document.querySelector('#keys[open]')")
	p.Press("Escape")
	p.Wait("!document.querySelector('dialog[open]')")

	var places []struct{ Key, Path string }
	p.Eval("[...document.querySelectorAll('#nav a[data-key]')].map(a => ({key: a.dataset.key, path: a.pathname}))", &places)
	if len(places) < 8 {
		t.Fatalf("only %d places have a key", len(places))
	}
	for _, to := range slices.Backward(places) { // the first is where we are
		p.Leads(func() { p.Press("g", to.Key) })
		if p.Path() != to.Path {
			t.Errorf("g %s led to %s, want %s", to.Key, p.Path(), to.Path)
		}
	}

	// The palette, from anywhere.
	p.Press("Control+k")
	p.Wait("document.querySelector('#palette[open] li')")
	p.Type("payments")
	p.Wait("document.querySelector('#palette-hits li').dataset.url.endsWith('/queues/payments')")
	p.Press("Down", "Up")
	p.Leads(func() { p.Press("Enter") })
	at(t, p, "/queues/payments")

	// Rows: down twice, up once, and in.
	visit(p, w.url, place{"queues", "/queues", "document.querySelector('tbody tr')"})
	p.Press("j", "j", "k")
	p.Wait("document.activeElement === document.querySelector('tbody tr[data-at] .row-link')")
	var name string
	p.Eval("document.activeElement.textContent", &name)
	p.Leads(func() { p.Press("Enter") })
	at(t, p, "/queues/"+name)

	// A paused queue is resumed by r.
	visit(p, w.url, place{"queue", "/queues/imports", "document.querySelector('[data-key-action=r]')"})
	p.Leads(func() { p.Press("r") })
	if said := p.Text(".flash"); !strings.Contains(said, "imports") {
		t.Errorf("after r on a paused queue the page says %q", said)
	}
	stats, err := w.client.Queues(t.Context())
	w.check(err)
	if i := slices.IndexFunc(stats, func(q bellhop.QueueStats) bool { return q.Queue == "imports" }); i < 0 || stats[i].Paused {
		t.Error("the queue is still paused")
	}

	// Search, pick, retry.
	visit(p, w.url, place{"jobs", "/jobs?state=dead", "document.querySelector('tbody tr')"})
	p.Press("/")
	p.Wait("document.activeElement.matches('[data-slash]')")
	p.Type("webhook.deliver")
	p.Leads(func() { p.Press("Enter") })
	at(t, p, "/jobs?state=dead&kind=webhook.deliver")
	p.Press("j", "x", "j", "x", "j", "x", "x")
	p.Wait("document.querySelector('#picked').textContent === '2 picked'")
	var ids []string
	p.Eval("[...document.querySelectorAll('input[name=id]:checked')].map(b => b.value)", &ids)
	p.Leads(func() { p.Press("r") })
	p.Wait("document.activeElement.matches('main form button')")
	p.Leads(func() { p.Press("Enter") })
	p.Wait("document.querySelector('main').innerText.includes('2 jobs retried')")
	for _, text := range ids {
		id, err := bellhop.ParseID(text)
		w.check(err)
		job, err := w.client.Get(t.Context(), id)
		w.check(err)
		if job.Place.State != bellhop.StateReady {
			t.Errorf("job %s is %v after it was retried", id, job.Place.State)
		}
	}

	// Pages of a list, and exact times.
	visit(p, w.url, place{"jobs", "/jobs?queue=imports", "document.querySelector('a[rel=next]')"})
	p.Leads(func() { p.Press("]") })
	if !strings.Contains(p.Path(), "after=") {
		t.Errorf("] led to %s", p.Path())
	}
	p.Press("t")
	p.Wait("document.querySelector('tbody time').textContent.startsWith('20')")
	p.Press("t")
	p.Wait("!document.querySelector('tbody time').textContent.startsWith('20')")
}

// Back and reload show what was there: the filter, the page of the list, the theme.
func TestBackAndReload(t *testing.T) {
	w := newWorld(t)
	p := browser.Open(t)
	view := "/jobs?kind=order.charge&state=dead"
	visit(p, w.url, place{"jobs", view, "document.querySelector('tbody tr')"})
	first := p.Text("tbody tr .job-id")
	p.Leads(func() { p.Click("tbody tr .row-link") })
	p.Back()
	at(t, p, view)
	if again := p.Text("tbody tr .job-id"); again != first || p.Count("tbody tr") != 25 {
		t.Errorf("back shows %d jobs from %s, was 25 from %s", p.Count("tbody tr"), again, first)
	}
	p.Click("#theme")
	p.Click("#theme")
	p.Wait("document.documentElement.dataset.theme === 'dark'")
	p.Reload()
	at(t, p, view)
	var kept bool
	if p.Eval("document.documentElement.dataset.theme === 'dark' && document.querySelector('input[name=kind]').value === 'order.charge'", &kept); !kept {
		t.Error("a reload loses the theme or the filter")
	}
	visit(p, w.url, place{"charts", "/charts?range=6h&queue=payments", "document.querySelector('.chart-body canvas')"})
	p.Reload()
	at(t, p, "/charts?range=6h&queue=payments")
}

// A page changes as jobs do, without being loaded again, and what a person has marked in it stays.
func TestLive(t *testing.T) {
	w := newWorld(t)
	p := browser.Open(t)
	visit(p, w.url, place{"queues", "/queues", "document.querySelector('tbody tr')"})
	p.Eval("window.stillHere = true", nil)
	p.Press("j", "j")
	p.Eval("window.marked = document.querySelector('tr[data-at]').id", nil)
	for range 3 {
		w.enqueue("webhook.deliver", "webhooks", `{}`)
	}
	p.Wait("[...document.querySelectorAll('tbody tr')].find(r => r.innerText.startsWith('webhooks')).querySelector('[data-label=Ready]').innerText === '17'")
	w.enqueue("fresh.kind", "afresh", `{}`)
	p.Wait("document.querySelector('tbody tr').innerText.startsWith('afresh')")
	var same bool
	if p.Eval("window.stillHere === true && document.querySelector('tr[data-at]')?.id === window.marked", &same); !same {
		t.Error("the page was loaded again, or lost the row that was marked")
	}

	// A job's page tells its end.
	id := w.enqueue("mail.receipt", "mail", `{"to":"a@example.com"}`)
	visit(p, w.url, place{"job", "/jobs/" + id.String(), "document.querySelector('main').innerText.includes('ready')"})
	c := w.claim("mail", "mail.receipt")
	p.Wait("document.querySelector('.state-running')")
	w.finish(c, &bellhop.Outcome{Kind: bellhop.OutcomeSucceeded, Attempt: 1, Number: 1, Result: []byte(`{"n":12345678901234567890}`), Keep: time.Hour})
	p.Wait("document.querySelector('.state-succeeded') && document.querySelector('main').innerText.includes('12345678901234567890')")
}

// A tab that nobody sees asks for nothing.
func TestHiddenTabPauses(t *testing.T) {
	w := newWorld(t)
	p := browser.Open(t)
	visit(p, w.url, place{"overview", "/", "true"})
	w.streaming(t, 1)
	front := p.Behind()
	w.streaming(t, 0)
	w.enqueue("fresh.kind", "afresh", `{}`)
	front()
	w.streaming(t, 1)
	p.Wait("document.querySelector('#stream').dataset.state === 'live' && document.querySelector('#q-afresh, tbody').innerText.includes('afresh')")
}

// Without scripts everything can be read, and single actions work.
func TestWithoutScripts(t *testing.T) {
	w := newWorld(t)
	p := browser.Open(t)
	p.NoScripts()
	for _, at := range w.places() {
		p.Go(w.url + at.path)
		if text := p.Text("main"); len(text) < 40 {
			t.Errorf("%s shows only %q", at.name, text)
		}
		if strings.HasPrefix(at.name, "queue") || at.name == "charts" {
			if at.name != "queues" && p.Count(".chart-body svg") == 0 {
				t.Errorf("%s has no drawn chart", at.name)
			}
		}
	}
	p.Go(w.url + "/jobs?state=dead&kind=order.charge")
	p.Leads(func() { p.Click("tbody tr .row-link") })
	path := p.Path()
	p.Leads(func() { p.Click("button[value=retry]") })
	if said := p.Text(".flash"); p.Path() != path || said == "" {
		t.Errorf("retry leads to %s and says %q", p.Path(), said)
	}
	if !strings.Contains(p.Text("main .facts"), "ready") {
		t.Error("the job is not ready after a retry")
	}
	p.Go(w.url + "/queues/mail")
	p.Leads(func() { p.Click("button[value=pause]") })
	p.Leads(func() { p.Click("button[value=resume]") })
	p.Go(w.url + "/queues")
	p.Fill("input[name=q]", "pay")
	p.Leads(func() { p.Press("Enter") })
	if n := p.Count("tbody tr"); n != 1 {
		t.Errorf("the filter leaves %d queues, want 1", n)
	}
	p.Go(w.url + "/bulk/new?action=discard&all=1&q=" + url.QueryEscape("queue=videos"))
	p.Leads(func() { p.Click("main form button") })
	if text := p.Text("main h1"); !strings.Contains(text, "in bulk") {
		t.Errorf("a bulk action leads to %q", text)
	}
}
