package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/internal/browser"
)

func TestMain(m *testing.M) { browser.Main(m) }

// site serves one page under every path, closed to inline scripts.
func site(t *testing.T, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		switch r.URL.Path {
		case "/own.js":
			w.Header().Set("Content-Type", "text/javascript")
			source, _ := url.PathUnescape(strings.TrimPrefix(r.URL.RawQuery, "run="))
			_, _ = w.Write([]byte(source))
		case "/missing":
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, `<!doctype html><meta name="viewport" content="width=device-width"><title>t</title><body>%s</body>`, body)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A page that misbehaves is heard, whatever the way.
func TestTroubleIsHeard(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"exception", `<script src="/own.js?run=null.x"></script>`, "exception:"},
		{"console", `<script src="/own.js?run=console.error(42)"></script>`, "console: 42"},
		{"inline script", `<script>window.ran=1</script>`, "content security policy: script-src"},
		{"inline style", `<p style="color:red">x</p>`, "content security policy: style-src"},
		{"handler", `<img src="data:," alt="" onerror="window.ran=1">`, "content security policy:"},
		{"reply", `<img src="/missing" alt="">`, "reply 404:"},
		{"elsewhere", `<a id="a" href="http://example.com/">x</a><script src="/own.js?run=a.click()"></script>`, "elsewhere: http://example.com/"},
		{"nothing", `<p>calm</p>`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := browser.Open(t)
			p.Go(site(t, c.body))
			if c.name == "elsewhere" {
				p.Wait("location.protocol === 'chrome-error:'") // nothing has that name here
			}
			got := strings.Join(p.Trouble(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("heard %q, want %q", got, c.want)
			}
		})
	}
}

func TestPageIsDriven(t *testing.T) {
	p := browser.Open(t)
	home := site(t, `<input id="in" autofocus><a href="/next">next</a><script src="/own.js?run=window.n=0;onkeydown=e=>n+=e.ctrlKey?10:1"></script>`)
	p.Go(home)
	p.Press("Escape", "Control+k")
	var n int
	if p.Eval("n", &n); n != 11 {
		t.Errorf("keys came as %d, want 11", n)
	}
	p.Fill("#in", "two words")
	var value string
	if p.Eval("document.querySelector('#in').value", &value); value != "two words" {
		t.Errorf("the field holds %q", value)
	}
	p.Leads(func() { p.Click("a") })
	if p.Path() != "/next" {
		t.Errorf("the link led to %s", p.Path())
	}
	p.Back()
	if p.Path() != "/" {
		t.Errorf("back led to %s", p.Path())
	}
	front := p.Behind()
	p.Wait("document.hidden")
	front()
	p.Wait("!document.hidden")
	p.Size(390, 844)
	p.Scheme("dark")
	var phone bool
	if p.Eval("innerWidth === 390 && matchMedia('(prefers-color-scheme: dark)').matches", &phone); !phone {
		t.Error("the page is not a dark phone's")
	}
	if png := p.Picture(false); len(png) < 100 || string(png[1:4]) != "PNG" {
		t.Errorf("the picture has %d bytes and is no PNG", len(png))
	}
	p.NoScripts()
	p.Go(home)
	var ran bool
	if p.Eval("typeof n !== 'undefined'", &ran); ran {
		t.Error("a script ran although they are off")
	}
	replies := p.Replies()
	if len(replies) < 4 || replies[0].Status != 200 || replies[0].Type == "" || replies[0].Bytes == 0 {
		t.Errorf("replies %+v", replies)
	}
}

// Without the browser there is one line that says what to do; left out, tests are skipped.
func TestFind(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := browser.Find(); err == nil || !strings.Contains(err.Error(), "apt-get install --no-install-recommends "+browser.Package) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a browser: %v", err)
	}
	name := os.Getenv("PATH") + "/chromium"
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := browser.Find(); err != nil || got != name {
		t.Errorf("found %q, %v", got, err)
	}
	t.Setenv(browser.Variable, "no")
	if browser.Selected() {
		t.Error("browsers are left out, and yet selected")
	}
}
