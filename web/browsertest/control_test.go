package browsertest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/browser"
	"github.com/gobellhop/bellhop/internal/control"
)

// hands are the ways to do something to an element of a page.
var hands = map[string]func(t *testing.T, p *browser.Page, selector string){
	"mouse": func(_ *testing.T, p *browser.Page, selector string) { p.Click(selector) },
	"keys": func(t *testing.T, p *browser.Page, selector string) {
		tab(t, p, selector)
		p.Press("Enter")
	},
}

// tab presses the tabulator until an element has the focus.
func tab(t *testing.T, p *browser.Page, selector string) {
	t.Helper()
	for range 100 {
		p.Press("Tab")
		var has bool
		if p.Eval("document.activeElement.matches("+strconv.Quote(selector)+")", &has); has {
			return
		}
	}
	t.Fatalf("the tabulator does not lead to %s", selector)
}

// told returns what people have told the workers.
func (w *world) told() *control.State {
	w.tb.Helper()
	state, err := control.Read(w.tb.Context(), w.store)
	w.check(err)
	return state
}

// died notes that a process died so long ago with jobs in hand.
func (w *world) died(name string, ago time.Duration, retried, dead int, jobs ...string) *control.Gone {
	w.tb.Helper()
	now := time.Now()
	g := &control.Gone{
		Process: bellhop.NewID(), Name: name, Host: name, Version: "2026.11.3", StartedAt: now.Add(-ago - 3*time.Hour), LastBeat: now.Add(-ago - 24*time.Second),
		SweptAt: now.Add(-ago), SweptBy: "shop-7f9c4-x2lqp", Retried: retried, Dead: dead,
	}
	for _, job := range jobs {
		g.Jobs = append(g.Jobs, w.jobs[job])
	}
	w.check(control.WriteGone(w.tb.Context(), w.store, []*control.Gone{g}))
	return g
}

// A process is drained after a question, says so wherever it is shown, also where it is being looked at, and takes jobs again.
func TestDrain(t *testing.T) {
	for name, press := range hands {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			here := place{"process", "/processes/" + w.batch.String(), "document.querySelector('button[value=drain]')"}
			p, other := browser.Open(t), browser.Open(t)
			visit(other, w.url, here)
			visit(p, w.url, here)

			press(t, p, "button[value=drain]")
			p.Wait("document.querySelector('#confirm[open]')")
			if text := p.Text("#confirm-text"); !strings.Contains(text, "batch-5d8b6-kk4vz") || !strings.Contains(text, "2 jobs") {
				t.Errorf("the question is %q", text)
			}
			p.Press("Escape")
			p.Wait("!document.querySelector('#confirm[open]')")
			if w.told().Drains(w.batch) {
				t.Error("it is drained although nobody has said yes")
			}

			press(t, p, "button[value=drain]")
			p.Wait("document.querySelector('#confirm[open]')")
			p.Leads(func() { press(t, p, "#confirm-yes") })
			at(t, p, here.path)
			if text := p.Text(".flash"); !strings.Contains(text, "takes no more jobs") {
				t.Errorf("after it was drained the page says %q", text)
			}
			if state := w.told(); !state.Drains(w.batch) || state.Drained[w.batch].By != "ada" || state.Drains(w.web) {
				t.Errorf("drained are %+v", state.Drained)
			}
			for _, page := range []*browser.Page{p, other} {
				page.Wait("document.querySelector('.note-warning')?.innerText.includes('by order of ada') && document.querySelector('button[value=undrain]')")
			}
			p.Go(w.url + "/processes")
			p.Wait("document.querySelector('#p-" + w.batch.String() + " .chip')?.innerText === 'drained' && !document.querySelector('#p-" + w.web.String() + " .chip')")

			visit(p, w.url, place{"process", here.path, "document.querySelector('button[value=undrain]')"})
			if name == "keys" {
				p.Leads(func() { p.Press("r") })
			} else {
				p.Leads(func() { p.Click("button[value=undrain]") })
			}
			if w.told().Drains(w.batch) {
				t.Error("it is still drained")
			}
			for _, page := range []*browser.Page{p, other} {
				page.Wait("!document.querySelector('.note-warning') && document.querySelector('button[value=drain]')")
			}
		})
	}
}

// The concurrency of a queue is set and taken back in its field. What is being typed there stays while the page goes on.
func TestConcurrencyField(t *testing.T) {
	for name, press := range hands {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := browser.Open(t)
			visit(p, w.url, place{"queue", "/queues/webhooks", "document.querySelector('#concurrency')"})
			write := func(text string) {
				t.Helper()
				if name == "mouse" {
					p.Fill("#concurrency", text)
					return
				}
				tab(t, p, "#concurrency") // which selects what is there
				p.Press("Backspace")
				p.Type(text)
			}
			send := func() {
				t.Helper()
				if name == "mouse" {
					p.Leads(func() { press(t, p, "button[value=concurrency]") })
					return
				}
				p.Leads(func() { p.Press("Enter") })
			}
			write("3")
			for range 3 {
				w.enqueue("webhook.deliver", "webhooks", `{}`)
			}
			p.Wait("document.querySelector('.totals').innerText.includes('17')")
			var now string
			if p.Eval("document.querySelector('#concurrency').value", &now); now != "3" {
				t.Errorf("the page goes on, and of what was typed is left %q", now)
			}
			send()
			if text := p.Text(".flash"); !strings.Contains(text, "3 jobs of queue webhooks at once") {
				t.Errorf("the page says %q", text)
			}
			if n := w.told().Concurrency("webhooks"); n != 3 {
				t.Errorf("the concurrency is %d, want 3", n)
			}
			if p.Eval("document.querySelector('#concurrency').value", &now); now != "3" {
				t.Errorf("the field shows %q", now)
			}
			p.Go(w.url + "/queues")
			p.Wait("[...document.querySelectorAll('tbody tr')].find(r => r.innerText.startsWith('webhooks')).innerText.includes('3 at once')")
			visit(p, w.url, place{"queue", "/queues/webhooks", "document.querySelector('#concurrency')"})
			write("")
			send()
			if n := w.told().Concurrency("webhooks"); n != 0 {
				t.Errorf("the concurrency is %d after it was taken back", n)
			}
		})
	}
}

// Processes that died with jobs in hand are listed with what became of those, the newest first; which jobs they were is a press away,
// and stays to be seen while others die.
func TestGoneProcesses(t *testing.T) {
	for name, press := range hands {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			g := w.died("batch-5d8b6-9xw2c", 3*time.Hour, 2, 1, "running", "retried", "dead")
			p := browser.Open(t)
			visit(p, w.url, place{"processes", "/processes", "document.querySelector('details')"})
			row := "tr[id^=gone-" + g.Process.String() + "]"
			if text := p.Text(row); !strings.Contains(text, "2 run again") || !strings.Contains(text, "1 dead") || !strings.Contains(text, "by shop-7f9c4-x2lqp") {
				t.Errorf("the row says %q", text)
			}
			press(t, p, row+" summary")
			p.Wait("document.querySelector('" + row + " details').open && document.querySelectorAll('" + row + " details a').length === 3")
			next := w.died("shop-7f9c4-ttq7d", time.Second, 5, 0, "ready")
			p.Wait("document.querySelector('main section:last-of-type tbody tr').id.startsWith('gone-" + next.Process.String() + "')")
			var open []string
			if p.Eval("[...document.querySelectorAll('details[open]')].map(d => d.closest('tr').id.slice(5, 41))", &open); len(open) != 1 || open[0] != g.Process.String() {
				t.Errorf("open are the jobs of %v, want those of %s", open, g.Process)
			}
			p.Leads(func() { press(t, p, row+" details a") })
			at(t, p, "/jobs/"+w.jobs["running"].String())
		})
	}
	t.Run("rows", func(t *testing.T) { // the row that j leads to opens by Enter
		w := newWorld(t)
		w.died("batch-5d8b6-9xw2c", 3*time.Hour, 2, 1, "running", "retried", "dead")
		p := browser.Open(t)
		visit(p, w.url, place{"processes", "/processes", "document.querySelector('details')"})
		p.Press("j", "j", "j")
		p.Wait("document.activeElement.matches('tr[data-at] summary')")
		p.Press("Enter")
		p.Wait("document.querySelector('tr[data-at] details[open]')")
	})
}

// What people have told workers, and what became of dead ones, in all ways to look.
func TestControlPages(t *testing.T) {
	w := newWorld(t)
	w.died("batch-5d8b6-9xw2c", 3*time.Hour, 2, 1, "running", "retried", "dead")
	w.died("shop-7f9c4-ttq7d", 50*time.Hour, 12, 0, "ready")
	w.died("", 70*time.Hour, 0, 1, "dead")
	w.check(control.Drain(t.Context(), w.store, w.batch, "ben"))
	w.check(control.SetConcurrency(t.Context(), w.store, "payments", 4, "ben"))
	w.lookAll(t, []place{
		{"processes-told", "/processes", "document.querySelector('details') && document.querySelector('.chip-warn')"},
		{"process-drained", "/processes/" + w.batch.String(), "document.querySelector('.note-warning')"},
		{"queue-told", "/queues/payments", "document.querySelector('#concurrency').value === '4' && document.querySelector('.chart-body canvas')"},
		{"queues-told", "/queues", "document.querySelector('tbody tr') && document.querySelector('main').innerText.includes('4 at once')"},
	})
}
