package freeport

import (
	"net"
	"runtime"
	"testing"
)

// A reserved port refuses connections, can be listened on again and again, and is given to nobody else.
func TestReserve(t *testing.T) {
	p, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if conn, err := net.Dial("tcp", p.Addr()); err == nil {
			t.Fatalf("connected to %v, where nobody listens", conn.RemoteAddr())
		}
		l, err := net.Listen("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
}

// Nobody who asks for any port is given a reserved one, not even when there are hardly others left.
func TestReservedIsKept(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ports are held on Linux only")
	}
	held := map[int]*Port{}
	for range 500 {
		p, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		if held[p.Number] != nil {
			t.Fatalf("port %d was reserved twice", p.Number)
		}
		held[p.Number] = p
	}
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if port := l.Addr().(*net.TCPAddr).Port; held[port] != nil {
			t.Errorf("port %d was given to a listener", port)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, p := range held {
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	}
}
