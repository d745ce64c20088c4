package cli

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// browse gets a page as a browser does, with a password if one is given.
func browse(t *testing.T, url, password string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if password != "" {
		r.SetBasicAuth(dashboardUser, password)
	}
	return do(t, r)
}

func TestUIShowsTheStoreOfAnother(t *testing.T) {
	store := newStore(t)
	must(t, store, "", "enqueue", "some.kind", "{}", "--queue", "far/away")
	p := launch(t, nil, "ui", "--store", store, "--listen", "127.0.0.1:0", "--prefix", "/jobs/", "--title", "a < b", "--read-only")
	status, body := browse(t, p.url, "")
	for _, want := range []string{"a &lt; b", "/jobs/queues/far%2Faway", "no living process", "read-only"} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d, without %q:\n%s", status, want, body)
		}
	}
	if status, _ := post(t, p.url+"queues/far%2Faway", "application/x-www-form-urlencoded", "action=pause"); status != http.StatusForbidden {
		t.Errorf("a read-only dashboard paused a queue: %d", status)
	}
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != exitInterrupted && code != exitOK {
		t.Errorf("ended with %d:\n%s", code, p.output)
	}
}

func TestDashboardAsksForTheToken(t *testing.T) {
	p := launch(t, []string{"BELLHOP_TOKEN=t0ken-t0ken"}, "serve", "--store", "memory:", "--listen", "127.0.0.1:0")
	if status, body := browse(t, p.url+"/", ""); status != http.StatusUnauthorized || strings.Contains(body, "Overview</h1>") {
		t.Errorf("without: %d", status)
	}
	if status, _ := browse(t, p.url+"/", "wrong"); status != http.StatusUnauthorized {
		t.Errorf("wrong: %d", status)
	}
	if status, body := browse(t, p.url+"/", "t0ken-t0ken"); status != http.StatusOK || !strings.Contains(body, "Overview</h1>") {
		t.Errorf("right: %d", status)
	}
}

func TestUIRefusesWhatItCannotUse(t *testing.T) {
	for flag, args := range map[string][]string{
		"--prefix: ":     {"--prefix", "a b"},
		"--trace-link: ": {"--trace-link", "ftp://x"},
		"--listen: ":     {"--listen", "0.0.0.0:0"},
		"memory":         {"--store", "memory:"},
	} {
		code, _, stderr := run(t, newStore(t), "", append([]string{"ui", "--listen", "127.0.0.1:0"}, args...)...)
		if code == exitOK || !strings.Contains(stderr, flag) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: %d %s", args, code, stderr)
		}
	}
}
