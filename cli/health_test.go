package cli

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/freeport"
)

func TestHealth(t *testing.T) {
	store := newStore(t)
	p := launch(t, nil, "serve", "--store", store, "--listen", "127.0.0.1:0")
	address := strings.TrimPrefix(p.url, "http://")
	awaitReady(t, p.url)
	for _, args := range [][]string{{address}, {p.url}, {p.url, "--live"}, {"0.0.0.0:" + address[strings.LastIndex(address, ":")+1:]}} {
		if out := must(t, store, "", append([]string{"health"}, args...)...); out != "ok\n" {
			t.Errorf("health %v says %q", args, out)
		}
	}
	if out := must(t, store, "", "health", address, "--json"); !strings.Contains(out, `"healthy":true`) {
		t.Errorf("as JSON: %s", out)
	}
	p.signal(syscall.SIGTERM)
	p.ended()
	if code, _, text := run(t, store, "", "health", address); code != exitUnavailable || strings.Count(text, "\n") != 1 {
		t.Errorf("nobody there: exit code %d, %q", code, text)
	}
	for _, bad := range []string{"nonsense", "ftp://x", "http://", "127.0.0.1", "http://user:password@127.0.0.1:1/"} {
		if code, _, text := run(t, store, "", "health", bad); code != exitUsage || strings.Contains(text, "password") {
			t.Errorf("health %s: exit code %d, %q", bad, code, text)
		}
	}
}

// awaitReady waits until a process says that it is ready, as a probe does.
func awaitReady(t *testing.T, url string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		if status, _ := get(t, url+"/readyz"); status == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it does not become ready")
		}
		time.Sleep(10 * time.Millisecond) // a probe's pause: there is no signal from outside
	}
}

// TestWorkAnswersProbes: a worker without the API has probes and metrics where it is told to.
func TestWorkAnswersProbes(t *testing.T) {
	port, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = port.Release() }()
	address := port.Addr()
	p := launch(t, nil, "work", "--store", newStore(t), "--probe", address, "--metrics")
	awaitReady(t, "http://"+address)
	for path, want := range map[string]string{"/livez": "ok", "/metrics": "bellhop_store_up 1"} {
		if status, body := get(t, "http://"+address+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	if status, _ := get(t, "http://"+address+"/v1/jobs"); status != http.StatusNotFound {
		t.Errorf("the API answers at the address of the probes: %d", status)
	}
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.output)
	}
	if code, _, text := run(t, newStore(t), "", "work", "--metrics"); code != exitUsage {
		t.Errorf("--metrics without an address: exit code %d, %q", code, text)
	}
	if code, _, text := run(t, newStore(t), "", "work", "--probe", "nowhere"); code != exitRefused {
		t.Errorf("a bad address: exit code %d, %q", code, text)
	}
}

// TestSystemdIsTold: ready, alive, stopping.
func TestSystemdIsTold(t *testing.T) {
	folder, err := os.MkdirTemp("", "sd") // the names of t.TempDir are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	socket := filepath.Join(folder, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	heard := func(want string) {
		t.Helper()
		_ = manager.SetReadDeadline(time.Now().Add(patience))
		for text := make([]byte, 1024); ; {
			n, err := manager.Read(text)
			if err != nil {
				t.Fatalf("no %s: %v", want, err)
			}
			if strings.Contains(string(text[:n]), want) {
				return
			}
		}
	}
	p := launch(t, []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=100000"}, "work", "--store", newStore(t))
	heard("READY=1")
	heard("WATCHDOG=1")
	p.signal(syscall.SIGTERM)
	heard("STOPPING=1")
	if code := p.ended(); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.output)
	}
}
