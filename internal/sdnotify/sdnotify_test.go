package sdnotify_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	var hangs atomic.Bool
	asked := make(chan struct{}, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Watch(ctx, func() error {
			asked <- struct{}{}
			if hangs.Load() {
				return errors.New("a loop hangs")
			}
			return nil
		})
	}()
	for range 3 {
		if got := hear(t, conn); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	hangs.Store(true)
	for len(asked) > 0 {
		<-asked
	}
	<-asked // one that may have begun before
	<-asked
	for range 2 { // signs of life that were on their way
		_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, _ = conn.Read(make([]byte, 64))
	}
	<-asked
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 64)); err == nil {
		t.Errorf("a sign of life of %d bytes from a process that hangs", n)
	}
	stop()
	<-done
	other, err := sdnotify.New(environment(map[string]string{"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "8"}), 7)
	if err != nil {
		t.Fatal(err)
	}
	other.Watch(t.Context(), func() error { t.Error("asked for another process's watchdog"); return nil })
}
