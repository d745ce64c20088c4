package web

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

func TestNobodyComesInUnlessAuthorizeSaysSo(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Authorize = nil })
	w.enqueue("kind", "secret-queue", 1)
	for _, rt := range w.server.routes {
		method, path, _ := strings.Cut(rt.pattern, " ")
		reply, body := w.ask(method, strings.NewReplacer("{", "", "}", "", "...", "").Replace(path), nil)
		if reply.StatusCode != http.StatusUnauthorized || strings.Contains(body, "secret-queue") {
			t.Errorf("%s: %s", rt.pattern, reply.Status)
		}
	}
}

func TestOptionsAreRefusedAtTheDoor(t *testing.T) {
	client := newWorld(t).client
	for option, opts := range map[string]Options{
		"Prefix":      {Prefix: "/a/"},
		"Hosts":       {Hosts: []string{"http://x"}},
		"Door":        {Door: &access.Door{}, ReadOnly: true},
		"Links.Trace": {Links: Links{Trace: "javascript:alert(1)"}},
	} {
		_, err := New(client, opts)
		if err == nil || !strings.Contains(err.Error(), "web: Options."+option+": ") {
			t.Errorf("%s: %v", option, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Handler did not panic")
		}
	}()
	Handler(client, Options{Prefix: "nonsense"})
}

func TestPagesSayWhatMayHappenOnThem(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/nothing/here", "/queues"} {
		reply, _ := w.ask("GET", path, nil)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
			"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := reply.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestOtherSitesMayNotAct(t *testing.T) {
	w := newWorld(t)
	w.enqueue("kind", "mail", 1)
	form := url.Values{"action": {"pause"}}
	reply, _ := w.ask("POST", "/queues/mail", form, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	if reply.StatusCode != http.StatusForbidden {
		t.Errorf("cross-site: %s", reply.Status)
	}
	if reply, _ = w.ask("POST", "/queues/mail", form, "Sec-Fetch-Site", "same-origin"); reply.StatusCode != http.StatusSeeOther {
		t.Errorf("same site: %s", reply.Status)
	}
}

// Under a prefix every address that a page names stays under it, and the slash at the end does not matter.
func TestPrefix(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Prefix = "/admin/jobs" })
	w.enqueue("kind", "mail", 1)
	link := regexp.MustCompile(`(?:href|action|src|data-live|data-url)="(/[^"]*)"`)
	for _, path := range []string{"/admin/jobs", "/admin/jobs/", "/admin/jobs/queues/", "/admin/jobs/queues/mail", "/admin/jobs/processes", "/admin/jobs/about"} {
		body := w.get(path)
		found := link.FindAllStringSubmatch(body, -1)
		if len(found) < 10 {
			t.Errorf("%s: only %d links", path, len(found))
		}
		for _, l := range found {
			if !strings.HasPrefix(l[1], "/admin/jobs") {
				t.Errorf("%s leads to %s", path, l[1])
			}
		}
	}
	reply, _ := w.ask("GET", "/queues", nil)
	if reply.StatusCode != http.StatusNotFound {
		t.Errorf("outside of the prefix: %s", reply.Status)
	}
	// No header of a request has a say in it.
	for _, header := range []string{"X-Script-Name", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Original-URL", "X-Rewrite-URL"} {
		if body := w.get("/admin/jobs/about", header, "/evil"); strings.Contains(body, "/evil") || !strings.Contains(body, `"/admin/jobs/queues"`) {
			t.Errorf("%s changes where the page leads", header)
		}
	}
}

// What all pages need together with their scripts and styles stays small.
func TestPagesAreLight(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.enqueue("some.kind", fmt.Sprintf("some-queue-%03d", i), 3)
	}
	w.work("worker-1", []string{"some-queue-001"}, []string{"some.kind"})
	address := regexp.MustCompile(`(?:href|src)="/assets/[0-9a-f]{12}/([^"#]+)`)
	for _, path := range []string{"/", "/queues", "/queues/some-queue-001", "/processes", "/about"} {
		reply, body := w.ask("GET", path, nil)
		if reply.StatusCode != http.StatusOK {
			t.Fatal(path, reply.Status)
		}
		total := zippedSize(t, []byte(body))
		fetched := map[string]bool{}
		for _, m := range address.FindAllStringSubmatch(body, -1) {
			if name := m[1]; !fetched[name] && !strings.HasSuffix(name, ".txt") {
				fetched[name] = true
				total += zippedSize(t, assets[name].body)
			}
		}
		if len(fetched) < 6 || total >= 100_000 {
			t.Errorf("%s: %d bytes in %d files", path, total, len(fetched)+1)
		}
		t.Logf("%-28s %6d bytes", path, total)
	}
}

func zippedSize(t *testing.T, body []byte) int {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func TestAssetsAreServedForEver(t *testing.T) {
	w := newWorld(t)
	at, err := w.server.assetURL("app.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []string{"", "gzip"} {
		reply, body := w.ask("GET", at, nil, "Accept-Encoding", encoding)
		if reply.Header.Get("Content-Encoding") != encoding || body != string(assets["app.css"].body) || !strings.Contains(reply.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%q: %s %v", encoding, reply.Status, reply.Header)
		}
	}
	reply, _ := w.ask("GET", strings.Replace(at, assets["app.css"].hash, "000000000000", 1), nil)
	if reply.StatusCode != http.StatusNotFound || reply.Header.Get("Cache-Control") == "public, max-age=31536000, immutable" {
		t.Errorf("another hash: %s", reply.Status)
	}
}

func TestFormsWorkWithoutScripts(t *testing.T) {
	w := newWorld(t)
	w.enqueue("kind", "a/b.c", 2)
	body := w.get("/queues/a%2Fb.c")
	w.has(body, `action="/queues/a%2Fb.c"`, `value="pause"`)
	reply, _ := w.ask("POST", "/queues/a%2Fb.c", url.Values{"action": {"pause"}, "back": {"/queues?q=a"}})
	if reply.StatusCode != http.StatusSeeOther || reply.Header.Get("Location") != "/queues?q=a" {
		t.Fatalf("%s to %q", reply.Status, reply.Header.Get("Location"))
	}
	cookie := reply.Cookies()[0]
	body = w.get("/queues?q=a", "Cookie", cookie.Name+"="+cookie.Value)
	w.has(body, "Queue a/b.c is paused", `value="resume"`)
	if stats, err := w.client.Queues(t.Context()); err != nil || !stats[0].Paused {
		t.Error(stats, err)
	}
	for _, back := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "queues", "/\r\nX: y", "/../x", "/a/%2E%2e/%2e./x"} {
		reply, _ = w.ask("POST", "/queues/a%2Fb.c", url.Values{"action": {"resume"}, "back": {back}})
		if to := reply.Header.Get("Location"); to != "/queues/a%2Fb.c" {
			t.Errorf("back %q leads to %q", back, to)
		}
	}
}

func TestRolesHoldForEachQueue(t *testing.T) {
	viewer := access.Viewer{Name: "anna", Role: access.Read, Queues: map[string]access.Role{"hers": access.Act, "hidden": access.None}}
	w := newWorld(t, func(o *Options) {
		o.Authorize = func(*http.Request) (*access.Viewer, error) { v := viewer; return &v, nil }
	})
	for _, queue := range []string{"hers", "hidden", "others"} {
		w.enqueue("kind", queue, 1)
	}
	for _, path := range []string{"/", "/queues", "/palette?q=h", "/?q=hidden"} {
		if body := w.get(path); strings.Contains(strings.ReplaceAll(body, `value="hidden"`, ""), "/queues/hidden") || strings.Contains(body, `"queue":"hidden"`) {
			t.Errorf("%s shows a hidden queue", path)
		}
	}
	w.work("worker", []string{"hers", "hidden"}, nil)
	w.server.live.forget()
	if body := w.get("/queues/hers"); strings.Contains(body, "hidden</a>") || !strings.Contains(body, ">worker</a>") {
		t.Error("a queue's page shows what else its processes work")
	}
	body := w.get("/queues")
	w.has(body, `action="/queues/hers"`)
	if strings.Contains(body, `action="/queues/others"`) {
		t.Error("a button for what she may not do")
	}
	for queue, want := range map[string]int{"hers": 303, "others": 403, "hidden": 404} {
		if reply, _ := w.ask("POST", "/queues/"+queue, url.Values{"action": {"pause"}}); reply.StatusCode != want {
			t.Errorf("pause %s: %s, want %d", queue, reply.Status, want)
		}
	}
	if reply, _ := w.ask("GET", "/queues/hidden", nil); reply.StatusCode != http.StatusNotFound {
		t.Errorf("a hidden queue: %s", reply.Status)
	}
}

// Whatever stands in names and texts stays text.
func TestHostileText(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Title = `</script><script>alert(1)</script>` })
	evil := "\"><img src=x onerror=alert(1)></script>'\u202e\x00" + strings.Repeat("A", 10_000)
	w.work(evil, []string{"a/../b"}, []string{"kind"})
	w.enqueue("kind", "a/../b", 1)
	shot, err := w.server.live.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/queues", "/queues/a%2F..%2Fb", "/processes", "/processes/" + shot.Processes[0].ID.String(), "/?q=" + url.QueryEscape(evil), "/palette?q=" + url.QueryEscape(evil)} {
		body := w.get(path)
		for _, never := range []string{"<img src=x", "<script>alert", "</script>'", "\u202e"} {
			if strings.Contains(body, never) {
				t.Errorf("%.60s holds %q", path, never)
			}
		}
	}
	if reply, _ := w.ask("GET", "/queues/"+url.PathEscape(evil), nil); reply.StatusCode != http.StatusNotFound {
		t.Errorf("a queue that cannot be: %s", reply.Status)
	}
}

// What people type into an address never breaks a page.
func TestAnyAddressIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.enqueue("kind", "mail", 1)
	for _, path := range []string{"/?page=", "/?page=1000000", "/?sort=nonsense", "/?sort=-", "/?show=x&q=%00", "/queues?q=%zz"} {
		w.get(path)
	}
	for path, want := range map[string]int{
		"/processes/x": 404, "/processes/" + bellhop.NewID().String(): 404, "/live?at=https://x/": 400, "/live?at=/palette": 404, "/live": 400,
		"/?page=-1": 400, "/queues?page=0": 400, "/queues?page=1e9": 400, "/processes?page=999999999999999999999": 400, "/failures?page=x": 400, "/live?at=/queues?page=-1": 400,
	} {
		if reply, _ := w.ask("GET", path, nil); reply.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, reply.Status, want)
		}
	}
	if reply, _ := w.ask("DELETE", "/queues", nil); reply.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a method that is none of the page's: %s", reply.Status)
	}
	if reply, _ := w.ask("POST", "/queues/mail", url.Values{"action": {strings.Repeat("a", 3<<20)}}); reply.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: %s", reply.Status)
	}
}
