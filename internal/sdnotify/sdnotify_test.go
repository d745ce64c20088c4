package sdnotify_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/sdnotify"
)

// manager listens as systemd does.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func hear(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4096)
	n, err := conn.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(text[:n])
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestTell(t *testing.T) {
	folder, err := os.MkdirTemp("", "sd") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	for _, name := range []string{filepath.Join(folder, "s"), "@bellhop-test-" + filepath.Base(folder)} {
		listen := name
		if strings.HasPrefix(name, "@") {
			listen = "\x00" + name[1:]
		}
		conn := manager(t, listen)
		n, err := sdnotify.New(environment(map[string]string{"NOTIFY_SOCKET": name}), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Tell("READY=1", "STATUS=works"); err != nil {
			t.Fatal(err)
		}
		if got := hear(t, conn); got != "READY=1\nSTATUS=works" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWithoutManager(t *testing.T) {
	n, err := sdnotify.New(environment(nil), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Tell("READY=1"); err != nil {
		t.Error(err)
	}
	n.Watch(t.Context(), func() error { return nil }) // returns
	n, err = sdnotify.New(environment(map[string]string{"NOTIFY_SOCKET": "/nowhere/at/all"}), 1)
	if err != nil {
		t.Fatal(err)
	}
	if n.Tell("READY=1") == nil {
		t.Error("a manager that is not there was told")
	}
}

func TestBadEnvironment(t *testing.T) {
	for _, values := range []map[string]string{
		{"NOTIFY_SOCKET": "relative"},
		{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "soon"},
		{"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "-1"},
	} {
		if _, err := sdnotify.New(environment(values), 1); err == nil {
			t.Errorf("%v was accepted", values)
		}
	}
}

func TestWatchdog(t *testing.T) {
	folder, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "s")
	conn := manager(t, name)
	n, err := sdnotify.New(environment(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "7"}), 7)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	asked, enough := 0, make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Watch(ctx, func() error {
			switch asked++; {
			case asked <= 3:
				return nil
			case asked == 6:
				close(enough)
			}
			return errors.New("a loop hangs")
		})
	}()
	<-enough
	last, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if _, err := last.Write([]byte("the last")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "the last"} { // and none while it hangs
		if got := hear(t, conn); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	stop()
	<-done
	other, err := sdnotify.New(environment(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "8"}), 7)
	if err != nil {
		t.Fatal(err)
	}
	other.Watch(t.Context(), func() error { t.Error("asked for another process's watchdog"); return nil })
}
