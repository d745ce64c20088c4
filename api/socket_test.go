package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

// wire speaks HTTP by hand, to say what no client library would.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, srv *httptest.Server) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, conn)
}

func newWire(t *testing.T, conn net.Conn) *wire {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &wire{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func (w *wire) post(length int, body string) {
	w.t.Helper()
	if _, err := fmt.Fprintf(w.conn, "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s", length, body); err != nil {
		w.t.Fatal(err)
	}
}

// status reads a reply and returns its status, and whether the connection ends with it.
func (w *wire) status() (int, bool) {
	w.t.Helper()
	response, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, response.Close
}

const wholeBody = `{"kind":"a"}` + "\n"

func TestBodiesThatNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api.Options{})
		w.server.SetBodyTimeout(20 * time.Millisecond)
		_, network := w.servePipes(nil)
		slow := network.wire(t)
		slow.post(1000, wholeBody)
		if status, ends := slow.status(); status != 408 || !ends {
			t.Errorf("a body that stops half-way: %d, the connection ends: %v", status, ends)
		}
		if w.stored() != 0 {
			t.Errorf("%d jobs of half a body were enqueued", w.stored())
		}
		// A body's deadline does not reach into the work, nor into the next request of the connection.
		w.store.before = func(bellhop.Op) error {
			time.Sleep(60 * time.Millisecond) // of the bubble's clock: a store that takes longer than the deadline is what is tested
			return nil
		}
		steady := network.wire(t)
		for i := range 3 {
			steady.post(len(wholeBody), wholeBody)
			if status, ends := steady.status(); status != 201 || ends {
				t.Errorf("request %d: %d, the connection ends: %v", i, status, ends)
			}
		}
	})
}

func TestBodiesThatBreakOff(t *testing.T) {
	w := newWorld(t, api.Options{})
	broken := dial(t, w.serve(nil))
	broken.post(1000, wholeBody)
	if err := broken.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if status, _ := broken.status(); status != 400 {
		t.Errorf("a body that breaks off: %d", status)
	}
	if w.stored() != 0 {
		t.Errorf("%d jobs of half a body were enqueued", w.stored())
	}
}

// TestActionsWithATypeAndNoBody: many clients send a content type with every POST.
func TestActionsWithATypeAndNoBody(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := w.enqueue(`{"kind":"a"}`)
	c := dial(t, w.serve(nil))
	if _, err := fmt.Fprintf(c.conn, "POST /v1/jobs/%s/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n", id); err != nil {
		t.Fatal(err)
	}
	if status, _ := c.status(); status != 200 {
		t.Errorf("the status is %d", status)
	}
}

func TestHugeBodiesAreNotRead(t *testing.T) {
	w := newWorld(t, api.Options{MaxBodyBytes: 10_000})
	srv := w.serve(nil)
	told := dial(t, srv)
	told.post(100<<20, "")
	if status, ends := told.status(); status != 413 || !ends {
		t.Errorf("100 MB by Content-Length: %d, the connection ends: %v", status, ends)
	}
	// Chunked: the length is not known before.
	endless := io.LimitReader(zeros{}, 100<<20)
	response, err := srv.Client().Post(srv.URL+"/v1/jobs", "application/json", endless)
	if err == nil {
		defer response.Body.Close()
		if response.StatusCode != 413 {
			t.Errorf("100 MB in chunks: %d", response.StatusCode)
		}
	} else if !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("100 MB in chunks: %v", err)
	}
	if w.stored() != 0 {
		t.Errorf("%d jobs", w.stored())
	}
}

// TestRepliesThatNobodyReads: a caller that does not read its reply is given up, and holds nothing for ever.
func TestRepliesThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api.Options{})
		w.do("POST", "/v1/jobs", strings.Repeat(wholeBody, 100), headers{"Content-Type": "application/x-ndjson"}).want(201)
		w.server.SetReplyTimeout(50 * time.Millisecond)
		given := make(chan struct{})
		_, network := w.servePipes(func(s *http.Server) {
			inner := s.Handler
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inner.ServeHTTP(w, r)
				if r.URL.Path == "/v1/jobs" {
					close(given)
				}
			})
		})
		lazy := network.wire(t)
		if _, err := io.WriteString(lazy.conn, "GET /v1/jobs?limit=100&args=true HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-given:
		case <-time.After(patience):
			t.Error("the handler still writes")
		}
		// The bound is counted anew for each request of a connection.
		steady := network.wire(t)
		for range 3 {
			if _, err := io.WriteString(steady.conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if status, ends := steady.status(); status != 200 || ends {
				t.Errorf("%d, the connection ends: %v", status, ends)
			}
			time.Sleep(60 * time.Millisecond) // of the bubble's clock: longer than the bound, which is what is tested
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}
