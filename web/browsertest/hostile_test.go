package browsertest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/browser"
	"github.com/gobellhop/bellhop/internal/rollup"
	"github.com/gobellhop/bellhop/store/memory"
)

// hostile texts try to leave the place where they are put: an element, an attribute, a script, an address, a JSON text, a line.
var hostile = []string{
	`</script><script>window.ran="script"</script>`,
	`"><img src=x onerror='window.ran="image"'>`,
	`'><svg onload=window.ran="svg">`,
	`javascript:window.ran="address"`,
	"`${window.ran=\"template\"}`{{.}}<%= 1 %>",
	"</textarea></title></style></pre></option><script>window.ran='closed'</script>",
	"a\u202egnp.exe\u2066\u0000\u0007\x1b[31m\r\nX-Ran: 1\u2028\ufeff",
	`" autofocus onfocus=window.ran=1 x="`,
	strings.Repeat("k", 200) + strings.Repeat(`<b onmouseover=window.ran=1>`, 360), // 10 kB, and no line of a phone can take its beginning
}

// Texts of jobs come from anywhere. In every field that a store keeps they are shown as what they are, and none of them ever runs,
// with the browser's policy and, to see that it is not the policy alone that keeps the door, without.
func TestHostileText(t *testing.T) {
	begin(t)
	client, err := bellhop.NewClient(memory.New(), bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	process := hostileProcess(t, client)
	lists := []string{"/", "/queues", "/processes", "/processes/" + process.String(), "/jobs", "/jobs?state=dead", "/failures", "/charts", "/audit", "/bulk", "/about"}
	var jobs, more []string
	counts := rollup.NewRecorder()
	for _, text := range hostile {
		id := hostileJob(t, client, counts, process, text, bellhop.OutcomeDead)
		jobs = append(jobs, "/jobs/"+id.String())
		more = append(more, "/jobs/"+id.String()+"/edit", "/jobs/"+hostileJob(t, client, counts, process, text, 0).String())
	}
	// What an address says comes back in pages as well. All texts but the long one: no browser sends such an address.
	escaped := url.QueryEscape(strings.Join(hostile[:len(hostile)-1], " "))
	for _, path := range []string{
		"/jobs?text=%s", "/jobs?error=%s&kind=%s&queue=%s&tag=%s", "/jobs?arg=a=%s", "/queues/%s", "/queues?q=%s", "/charts?queue=%s", "/charts?kind=%s",
		"/failures?kind=%s", "/audit?who=%s&action=%s&queue=%s", "/processes/%s", "/jobs/%s", "/%s", "/jobs?after=%s", "/bulk/new?action=retry&all=1&q=text%3D%s&back=%s", "/bulk/new?action=%s",
	} {
		more = append(more, strings.ReplaceAll(path, "%s", escaped))
	}
	if err := rollup.NewWriter(client.Store(), counts, time.Now).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	address, _ := serve(t, client)

	p := browser.Open(t)
	for _, text := range hostile[:3] {
		hostileActions(p, address, text, hostileJob(t, client, counts, process, text, bellhop.OutcomeDead))
	}
	for _, policy := range []bool{true, false} {
		paths := slices.Concat(lists, jobs)
		if !policy {
			p.NoPolicy()
			p.Size(390, 900) // names without an end fit a phone's screen too
			if !testing.Short() {
				paths = append(paths, more...)
			}
		}
		for _, path := range paths {
			p.Go(address + path)
			var ran string
			if p.Eval("String(window.ran ?? document.querySelector('main [onerror], main [onload], main [onmouseover], main script, main a[href^=javascript]')?.outerHTML ?? '')", &ran); ran != "" {
				t.Errorf("%.200s: a text ran, or became what it says: %s", path, ran)
			}
			fits(t, p, fmt.Sprintf("%.200s", path))
			for _, trouble := range p.Trouble() {
				if !strings.HasPrefix(trouble, "reply 4") { // a name that cannot be is refused, or not found
					t.Errorf("%.200s: %s", path, trouble)
				}
			}
		}
		// What scripts make of texts: the palette.
		p.Go(address + "/")
		p.Press("Control+k")
		p.Type("img")
		p.Wait("document.querySelector('#palette-hits li')")
		var ran string
		if p.Eval("String(window.ran ?? document.querySelector('#palette img, #palette script')?.outerHTML ?? '')", &ran); ran != "" {
			t.Errorf("the palette made of a text: %s", ran)
		}
	}
}

// hostileProcess has a process with such names in everything it says of itself.
func hostileProcess(t *testing.T, client *bellhop.Client) bellhop.ID {
	t.Helper()
	id := bellhop.NewID()
	for i, text := range hostile {
		p := bellhop.Process{ID: bellhop.NewID(), Name: text, Host: text, Version: text, StartedAt: time.Now(), Queues: hostile, Kinds: hostile, Slots: 1 << 20}
		if i == 0 {
			p.ID = id
		}
		if _, err := client.Store().Beat(t.Context(), &bellhop.Beat{Lease: time.Hour, Process: p}); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// hostileJob has a job with the text in every field; it ends, or goes on to run.
func hostileJob(t *testing.T, client *bellhop.Client, counts *rollup.Recorder, process bellhop.ID, text string, end bellhop.OutcomeKind) bellhop.ID {
	t.Helper()
	store := client.Store()
	args := []byte(`{"a":` + jsonText(text) + `,` + jsonText(text) + `:[1,{"password":` + jsonText(text) + `}]}`)
	job := &bellhop.Job{
		ID: bellhop.NewID(), Kind: text, Queue: text, Args: args, Attempts: 1, Timeout: time.Hour, Tags: []string{text, "t"},
		Meta: map[string]string{text: text, "traceparent": text}, UniqueKey: text + bellhop.NewID().String(),
	}
	if _, err := store.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{job}}); err != nil {
		t.Fatal(err)
	}
	reply, err := store.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: process, Wants: []bellhop.Want{{Queue: text, Count: 1}}, Limit: 1, Kinds: []string{text}})
	if err != nil || len(reply.Claims) != 1 {
		t.Fatalf("%d claims, %v", len(reply.Claims), err)
	}
	c := reply.Claims[0]
	if _, err := store.Report(t.Context(), []bellhop.Report{{Token: c.Token, Started: true, Progress: []byte(`{"done":1,"total":2,"note":` + jsonText(text) + `}`)}}); err != nil {
		t.Fatal(err)
	}
	if end == 0 {
		return job.ID
	}
	o := bellhop.Outcome{
		Token: c.Token, Kind: end, Attempt: 1, Failures: 1, Number: 1, Started: time.Now(), Ended: time.Now(), Keep: bellhop.Forever,
		Reason: text, Result: []byte(jsonText(text)), Failure: &bellhop.Failure{Class: text, Message: text, Stack: text},
		Log: []byte(`{"trace":` + jsonText(text) + `,"lines":[{"time":"2026-03-01T12:00:00Z","level":"WARN","message":` + jsonText(text) +
			`,"attrs":[{"key":` + jsonText(text) + `,"value":` + jsonText(text) + `}]}]}`),
	}
	if _, err := store.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: process, Outcomes: []bellhop.Outcome{o}}); err != nil {
		t.Fatal(err)
	}
	counts.Outcome(&c, &o, time.Now())
	return job.ID
}

// hostileActions saves a view of such a name, and retries a job for such a reason, on the pages themselves.
func hostileActions(p *browser.Page, address, text string, id bellhop.ID) {
	p.Go(address + "/jobs?state=dead&text=" + url.QueryEscape(text))
	p.Click("details.menu summary")
	p.Eval("document.querySelector('.save-view input[name=name]').value = "+jsonText(text), nil)
	p.Leads(func() { p.Click(".save-view button[value=save]") })
	p.Go(address + "/bulk/new?action=retry&id=" + id.String())
	p.Eval("document.querySelector('input[name=reason]').value = "+jsonText(text), nil)
	p.Leads(func() { p.Click(".ask-form button") })
}

func jsonText(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(out)
}
