package rig

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// echo serves what it is sent, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	return "test://user:word@" + listener.Addr().String() + "/place?x=1"
}

func TestDelay(t *testing.T) {
	const roundTrip = 20 * time.Millisecond
	d, err := NewDelay(echo(t), roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !strings.HasPrefix(d.Address, "test://user:word@127.0.0.1:") || !strings.HasSuffix(d.Address, "/place?x=1") {
		t.Errorf("the address is %s", d.Address)
	}
	conn, err := net.Dial("tcp", d.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	// Both are under way at once: the way is longer, not narrower.
	for _, word := range []string{"one ", "two "} {
		if _, err := io.WriteString(conn, word); err != nil {
			t.Fatal(err)
		}
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "one two " {
		t.Fatalf("%q, %v", answer, err)
	}
	if took := time.Since(began); took < roundTrip {
		t.Errorf("a round trip took %v, want at least %v", took, roundTrip)
	}
}

func TestDelayCloses(t *testing.T) {
	d, err := NewDelay(echo(t), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", d.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection through a closed proxy ends with %v", err)
	}
}

func TestFamilyCPU(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("this system has no /proc")
	}
	before := familyCPU(os.Getpid())
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); { // work that takes processor time
	}
	if after := familyCPU(os.Getpid()); after <= before {
		t.Errorf("processor time stayed at %v after work", after)
	}
	if parent(os.Getpid()) != os.Getppid() {
		t.Errorf("the parent is %d, not %d", parent(os.Getpid()), os.Getppid())
	}
}

func TestFiles(t *testing.T) {
	f := &files{folder: t.TempDir() + "/sqlite"}
	address, err := f.Fresh(context.Background(), "one")
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimPrefix(address, "sqlite:")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fresh(context.Background(), "one"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("what an earlier run left is still there: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMachine(t *testing.T) {
	if text := strings.Join(Machine(t.TempDir()), "\n"); !strings.Contains(text, "fsync") || !strings.Contains(text, "go1") {
		t.Errorf("the machine is described as %q", text)
	}
}
