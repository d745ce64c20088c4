package cli

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ask does a request as a user, and returns status and reply.
func ask(t *testing.T, method, url, user, password, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	} else if password != "" {
		r.Header.Set("Authorization", "Bearer "+password)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return do(t, r)
}

// TestUsersOfAServer: people and programs with roles, on a server that others reach under a prefix.
func TestUsersOfAServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("anna annas-password admin\nbert berts-password read\nshop shops-password none mail=act\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := newStore(t)
	p := launch(t, []string{"BELLHOP_BASIC_AUTH_USER=root", "BELLHOP_BASIC_AUTH_PASSWORD=roots-password"},
		"serve", "--store", store, "--listen", "0.0.0.0:0", "--users-file", file, "--prefix", "/work/jobs")
	root := "http://127.0.0.1" + p.url[strings.LastIndex(p.url, ":"):strings.LastIndex(p.url, "/work")]
	url := root + "/work/jobs"
	awaitReady(t, root)
	job := `{"kind":"k","queue":"mail","args":{"password":"hunter2"}}`
	for _, c := range []struct {
		method, path, user, password, body string
		want                               int
	}{
		{"GET", "/v1/jobs", "", "", "", 401},
		{"GET", "/v1/jobs", "anna", "berts-password", "", 401},
		{"GET", "/v1/jobs", "root", "roots-password", "", 200},
		{"GET", "/v1/jobs", "bert", "berts-password", "", 200},
		{"POST", "/v1/jobs", "bert", "berts-password", job, 403},
		{"POST", "/v1/jobs", "", "shops-password", job, 201},
		{"POST", "/v1/jobs", "", "shops-password", `{"kind":"k"}`, 403},
		{"POST", "/v1/queues/mail/pause", "shop", "shops-password", "", 200},
		{"POST", "/v1/queues/other/pause", "shop", "shops-password", "", 403},
		{"GET", "/v1/jobs?reveal=true", "bert", "berts-password", "", 403},
		{"GET", "/v1/jobs?args=true&reveal=true", "anna", "annas-password", "", 200},
		{"GET", "/v1/audit", "bert", "berts-password", "", 403},
		{"GET", "/", "bert", "berts-password", "", 200},
		{"GET", "/", "", "", "", 401},
		{"GET", "/livez", "", "", "", 200},
	} {
		status, body := ask(t, c.method, url+c.path, c.user, c.password, c.body)
		if status != c.want || strings.Contains(body, "hunter2") != strings.Contains(c.path, "args=true") {
			t.Errorf("%s %s as %s: %d %.300s", c.method, c.path, c.user, status, body)
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 401, "/v1/jobs": 404} {
		if status, _ := ask(t, "GET", root+path, "", "", ""); status != want && (want != 404 || status != 401) {
			t.Errorf("%s without the prefix: %d, want %d", path, status, want)
		}
	}
	out := must(t, store, "", "audit", "--json")
	for _, want := range []string{`"who":"shop","via":"api","remote":"127.0.0.1","action":"pause","queue":"mail"`, `"action":"login"`, `"who":"anna","via":"api","remote":"127.0.0.1","action":"reveal"`, `"who":"bert"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the audit lacks %s: %s", want, out)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != exitOK || strings.Contains(p.output.String(), "-password") {
		t.Errorf("exit code %d, or a password is in the log:\n%s", code, p.output)
	}
}

// TestWorkersAreUndisturbed: while strangers hold hundreds of connections that never get on, send huge bodies and ask for the
// impossible, jobs are accepted and done.
func TestWorkersAreUndisturbed(t *testing.T) {
	o, store := newOutside(t), newStore(t)
	p := launch(t, nil, "serve", "--store", store, "--listen", "127.0.0.1:0", "--allow-private-addresses")
	address := strings.TrimPrefix(p.url, "http://")
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	open := func(first string) net.Conn {
		t.Helper()
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		if _, err := io.WriteString(c, first); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for i := range 200 { // headers that never end, and bodies that never come
		first := "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-A: "
		if i%2 == 0 {
			first = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
		}
		open(first)
	}
	for target, want := range map[string]int{"/v1/jobs?limit=1e9": 400, "/v1/jobs/count?limit=1e9": 400, "/v1/jobs?days=-1": 400, "/v1/metrics?since=1e9h": 400} {
		if status, body := get(t, p.url+target); status != want {
			t.Errorf("%s: %d %.200s", target, status, body)
		}
	}
	huge := open("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
	_ = huge.SetReadDeadline(time.Now().Add(patience))
	reply := make([]byte, 12)
	if _, err := io.ReadFull(huge, reply); err != nil || string(reply) != "HTTP/1.1 413" {
		t.Errorf("100 MB are answered %q, %v", reply, err)
	}
	long := open("GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("x", 200<<10) + "\r\n\r\n")
	_ = long.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(long, reply); err != nil || string(reply) != "HTTP/1.1 431" {
		t.Errorf("a header of 200 KB is answered %q, %v", reply, err)
	}
	wait := []string{"jobs", "wait", "--timeout", patience.String()}
	for i := range 20 {
		wait = append(wait, call(t, p.url, fmt.Sprintf("%s/job%d", o.URL, i)))
	}
	must(t, store, "", wait...)
	if testing.Short() {
		return
	}
	// A header that does not end is given up after ten seconds.
	_ = held[1].SetReadDeadline(time.Now().Add(readHeaderTimeout + patience))
	if _, err := io.Copy(io.Discard, held[1]); err != nil {
		t.Errorf("a connection whose header never ends is kept: %v", err)
	}
}
