package browsertest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/browser"
	"github.com/gobellhop/bellhop/store/memory"
)

// gate is a store that lets so many bites of a bulk action through, and holds the next until it is let go.
type gate struct {
	bellhop.Store
	left atomic.Int64
	open chan struct{}
}

func (g *gate) Unwrap() bellhop.Store { return g.Store }

func (g *gate) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	if g.left.Add(-1) < 0 {
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return g.Store.Act(ctx, r)
}

// Fifty thousand dead jobs are retried: the page asks with their number, shows how far it is, stops when it is told to, and does the
// rest when it is asked again.
func TestBulk(t *testing.T) {
	const jobs = 50_000
	begin(t)
	g := &gate{Store: memory.New(), open: make(chan struct{})}
	g.left.Store(12)
	client, err := bellhop.NewClient(g, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	die(t, client, jobs)
	url, _ := serve(t, client)

	p := browser.Open(t)
	visit(p, url, place{"jobs", "/jobs?state=dead", "document.querySelector('.tab-count[data-state=dead]').textContent !== ''"})
	p.Click("input[name=all]")
	p.Leads(func() { p.Click("button[value=retry]") })
	if text := p.Text("main"); !strings.Contains(text, "50,000") {
		t.Errorf("the question does not name the number: %s", text)
	}
	p.Fill("input[name=reason]", "the bank is back")
	p.Leads(func() { p.Click(".ask-form button") })

	// It stands at the gate, a part of the way.
	p.Wait("document.querySelector('.op-number').innerText.startsWith('12,000')")
	p.Eval("window.stillHere = true", nil)
	var part float64
	const of = ".getBoundingClientRect().width"
	if p.Eval("document.querySelector('.op-bar .progress-part')"+of+" / document.querySelector('.op-bar')"+of, &part); part < 0.22 || part > 0.25 {
		t.Errorf("the progress bar shows %.3f of the width of its place at 12,000 of 50,000", part)
	}
	if os.Getenv(browser.PicturesVariable) != "" {
		keep(t, "operation-running", p.Picture(true))
	}
	p.Click("button[value=stop]")
	p.Wait("document.querySelector('#confirm[open]')")
	p.Leads(func() { p.Click("#confirm-yes") })
	p.Wait("document.querySelector('main').innerText.includes('asked to stop')")
	g.left.Store(1 << 40)
	close(g.open)
	p.Wait("!document.querySelector('button[value=stop]') && document.querySelector('main').innerText.includes('Stopped by')")
	if n := dead(t, client); n <= 0 || n >= jobs-12_000+1 {
		t.Errorf("%d jobs are dead after the stop, want some, and fewer than %d", n, jobs-12_000+1)
	}

	// The rest.
	p.Go(url + "/bulk/new?action=retry&all=1&q=state%3Ddead")
	p.Leads(func() { p.Click(".ask-form button") })
	p.WaitLong(time.Minute, "document.querySelector('main').innerText.includes('Took')")
	if n := dead(t, client); n != 0 {
		t.Errorf("%d jobs are still dead", n)
	}
	p.Go(url + "/audit")
	if text := p.Text("main"); !strings.Contains(text, "the bank is back") {
		t.Errorf("the audit does not tell why: %s", text)
	}
}

func dead(t *testing.T, client *bellhop.Client) int {
	t.Helper()
	n, err := client.Count(t.Context(), bellhop.Filter{States: bellhop.States(bellhop.StateDead)}, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// die enqueues jobs and has them all die.
func die(t *testing.T, client *bellhop.Client, jobs int) {
	t.Helper()
	store, process := client.Store(), bellhop.NewID()
	if _, err := store.Beat(t.Context(), &bellhop.Beat{Lease: time.Hour, Process: bellhop.Process{ID: process, Name: "p", Queues: []string{"payments"}, Kinds: []string{"order.charge"}, Slots: jobs}}); err != nil {
		t.Fatal(err)
	}
	for begin := 0; begin < jobs; begin += 1000 {
		drafts := make([]bellhop.Draft, 1000)
		for i := range drafts {
			drafts[i] = bellhop.RawJob("order.charge", fmt.Appendf(nil, `{"order":%d}`, begin+i), bellhop.Queue("payments"), bellhop.Attempts(1))
		}
		if _, err := bellhop.Enqueue(t.Context(), client, drafts...); err != nil {
			t.Fatal(err)
		}
		reply, err := store.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: process, Wants: []bellhop.Want{{Queue: "payments", Count: 1000}}, Limit: 1000, Kinds: []string{"order.charge"}})
		if err != nil || len(reply.Claims) != 1000 {
			t.Fatalf("%d claims, %v", len(reply.Claims), err)
		}
		outcomes := make([]bellhop.Outcome, len(reply.Claims))
		now := time.Now()
		for i, c := range reply.Claims {
			outcomes[i] = bellhop.Outcome{Token: c.Token, Kind: bellhop.OutcomeDead, Attempt: 1, Failures: 1, Number: 1, Started: now, Ended: now, Keep: bellhop.Forever, Failure: &bellhop.Failure{Class: "e", Message: "the bank is away"}}
		}
		if _, err := store.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: process, Outcomes: outcomes}); err != nil {
			t.Fatal(err)
		}
	}
}
