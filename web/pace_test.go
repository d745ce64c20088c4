package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// narrow is a listener whose connections hold little that was not taken yet, as those of slow networks do.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(8 << 10) // without it the test only takes longer
	}
	return c, err
}

// TestSlowReadersAreCutOff: an export whose reader takes nothing, or a little now and then, ends soon and leaves its place to others; its reader does not take it
// for whole. One who keeps the pace gets all.
func TestSlowReadersAreCutOff(t *testing.T) {
	w := newWorld(t)
	w.server.pace = pace{300 * time.Millisecond, 4 << 20}
	for range 30 {
		args := fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", 100_000))
		if _, err := bellhop.Enqueue(t.Context(), w.client, bellhop.RawJob("k", []byte(args), bellhop.Queue("mail"))); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewUnstartedServer(w.server)
	srv.Listener = narrow{srv.Listener}
	srv.Start()
	t.Cleanup(srv.Close)
	export := func() (*http.Response, net.Conn) {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.(*net.TCPConn).SetReadBuffer(8 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /jobs/export?format=ndjson&args=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		reply, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil)
		if err != nil {
			t.Fatal(err)
		}
		return reply, c
	}
	underWay := func() int {
		w.server.exports.mu.Lock()
		defer w.server.exports.mu.Unlock()
		return w.server.exports.all
	}
	ends := func(who string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); underWay() > 0; {
			if time.Now().After(deadline) {
				t.Fatalf("the export of %s goes on", who)
			}
			time.Sleep(10 * time.Millisecond) // there is no signal for the end of a handler
		}
	}
	reply, _ := export()
	ends("who takes nothing")
	if _, err := io.Copy(io.Discard, reply.Body); err == nil {
		t.Error("who took nothing takes what is left for the whole")
	}

	reply, _ = export()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond): // a slow reader
				_, _ = io.CopyN(io.Discard, reply.Body, 512)
			}
		}
	}()
	ends("who takes a little now and then")
	close(stop)
	<-stopped

	w.server.pace = exportPace
	reply, _ = export()
	if n, err := io.Copy(io.Discard, reply.Body); err != nil || n < 3_000_000 {
		t.Errorf("who keeps the pace gets %d bytes, %v", n, err)
	}
	ends("who has all")
}
