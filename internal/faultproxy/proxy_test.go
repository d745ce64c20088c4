package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/testservers"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// soon is enough for what happens at once, on a busy machine too.
const soon = 10 * time.Second

// echo is a server that answers with what it is told, and keeps all of it.
type echo struct {
	net.Listener
	mu    sync.Mutex
	heard bytes.Buffer
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, io.TeeReader(conn, e)) // ends as the client or the test does
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); tasks.Wait() })
	return e
}

// Write keeps what was heard.
func (e *echo) Write(data []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.Write(data)
}

func (e *echo) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.String()
}

// pair is a proxy before an echo, with a connection through it.
func pair(t *testing.T) (*Proxy, *echo, net.Conn) {
	t.Helper()
	e := newEcho(t)
	p := New(t, e.Addr().String())
	return p, e, dial(t, p)
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// hear reads until it has so many bytes, an error, or no patience.
func hear(t *testing.T, conn net.Conn, n int, patience time.Duration) (string, error) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, n)
	got, err := io.ReadFull(conn, buffer)
	return string(buffer[:got]), err
}

// works sees that the connection is whole.
func works(t *testing.T, conn net.Conn) {
	t.Helper()
	say(t, conn, "hello")
	if got, err := hear(t, conn, 5, soon); got != "hello" {
		t.Fatalf("heard %q, %v", got, err)
	}
}

func TestPassesOn(t *testing.T) {
	p, _, conn := pair(t)
	works(t, conn)
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go conn.Write(text)
	if got, err := hear(t, conn, len(text), soon); got != string(text) {
		t.Errorf("heard %d bytes of %d or other ones, %v", len(got), len(text), err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := hear(t, conn, 1, soon); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestCut(t *testing.T) {
	p, _, conn := pair(t)
	works(t, conn)
	p.Cut()
	if _, err := hear(t, conn, 1, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("cut, and got %v", err)
	}
	works(t, dial(t, p))
}

func TestRefuse(t *testing.T) {
	p, _, conn := pair(t)
	works(t, conn)
	for range 3 {
		p.Refuse()
		if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialled, and got %v", err)
		}
		works(t, conn)
		p.Restore()
		works(t, dial(t, p))
	}
}

func TestBlackHole(t *testing.T) {
	p, e, conn := pair(t)
	works(t, conn)
	p.BlackHole()
	say(t, conn, "lost?")
	other := dial(t, p)
	say(t, other, "new")
	for _, c := range []net.Conn{conn, other} {
		if got, err := hear(t, c, 1, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("heard %q, %v out of a black hole", got, err)
		}
	}
	if got := e.text(); got != "hello" {
		t.Errorf("the server has heard %q", got)
	}
	p.Restore()
	if got, err := hear(t, conn, 5, soon); got != "lost?" {
		t.Errorf("heard %q, %v after it", got, err)
	}
	if got, err := hear(t, other, 3, soon); got != "new" {
		t.Errorf("heard %q, %v after it", got, err)
	}
	p.BlackHole()
	p.Cut() // ends connections that wait, too
	if _, err := hear(t, conn, 1, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("cut, and got %v", err)
	}
}

func TestForget(t *testing.T) {
	p, e, conn := pair(t)
	works(t, conn)
	p.Forget()
	p.Restore()
	say(t, conn, "lost")
	works(t, dial(t, p))
	if got, err := hear(t, conn, 1, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %q, %v from a forgotten connection", got, err)
	}
	if got := e.text(); got != "hellohello" {
		t.Errorf("the server has heard %q", got)
	}
	p.Cut()
	if _, err := hear(t, conn, 1, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("cut, and got %v", err)
	}
}

func TestSwallowReplies(t *testing.T) {
	p, e, conn := pair(t)
	works(t, conn)
	swallowed := p.SwallowReplies()
	say(t, conn, " done")
	select {
	case <-swallowed:
	case <-time.After(soon):
		t.Fatal("no answer was swallowed")
	}
	if got := e.text(); got != "hello done" {
		t.Errorf("the server has heard %q", got)
	}
	p.Restore()
	say(t, conn, " more")
	if got, err := hear(t, conn, 1, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %q, %v from behind a gap", got, err)
	}
	works(t, dial(t, p))
	p.Cut()
	if _, err := hear(t, conn, 1, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("cut, and got %v", err)
	}
}

func TestCutAfter(t *testing.T) {
	for _, d := range []Direction{ToServer, ToClient} {
		for _, n := range []int{0, 1, 7, 10} {
			p, e, conn := pair(t)
			works(t, conn)
			cut := p.CutAfter(d, n)
			say(t, conn, "0123456789")
			select {
			case <-cut:
			case <-time.After(soon):
				t.Fatal("it was not cut")
			}
			got, err := hear(t, conn, 11, soon)
			if d == ToClient && (got != "0123456789"[:n] || err == nil) {
				t.Errorf("heard %q, %v, want %d bytes", got, err, n)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still open")
			}
			want := "hello0123456789"
			if d == ToServer {
				want = want[:5+n]
			}
			for deadline := time.Now().Add(soon); e.text() != want && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond) // polled: the server takes its time to read
			}
			if e.text() != want {
				t.Errorf("the server has heard %q, want %q", e.text(), want)
			}
			works(t, dial(t, p))
		}
	}
}

// The delay is that of a round trip, and is paid once by what is said at once: throughput is not serialised.
func TestDelay(t *testing.T) {
	const delay = 40 * time.Millisecond
	p, _, conn := pair(t)
	works(t, conn)
	p.Delay(delay)
	began := time.Now()
	works(t, conn)
	if took := time.Since(began); took < delay {
		t.Errorf("a round trip took %v", took)
	}
	// 100 requests, one each millisecond: none waits for another's answer. If they did, each would take longer than the one before;
	// on a busy machine some take long, but not all.
	const requests = 100
	var sent [requests]time.Time
	written := make(chan int, requests)
	go func() {
		for n := range requests {
			sent[n] = time.Now()
			written <- n
			_, _ = conn.Write([]byte("x")) // the reader misses what fails
			time.Sleep(time.Millisecond)   // requests come apart, as they do on a network
		}
	}()
	var took []time.Duration
	for range requests {
		if got, err := hear(t, conn, 1, soon); got != "x" {
			t.Fatal(err)
		}
		took = append(took, time.Since(sent[<-written]))
	}
	if least := slices.Min(took[requests/2:]); least > 5*delay {
		t.Errorf("each of %d requests in a row took %v or more: they waited for each other", requests/2, least)
	}
	began = time.Now()
	works(t, dial(t, p))
	if took := time.Since(began); took < 2*delay {
		t.Errorf("a new connection and a round trip took %v", took)
	}
	p.Restore()
	works(t, conn)
}

// Ends of a proxy while everything is in use leave nothing behind: goleak sees it.
func TestEnd(t *testing.T) {
	t.Run("proxy", func(t *testing.T) {
		e := newEcho(t)
		p := New(t, "tcp://"+e.Addr().String())
		if got := p.Through("redis://:pw@10.0.0.1:6379/0"); got != "redis://:pw@"+p.Addr()+"/0" {
			t.Errorf("through: %s", got)
		}
		for range 20 {
			conn := dial(t, p)
			works(t, conn)
			say(t, conn, "more")
		}
		p.BlackHole()
	})
}

// A server that is down is as good as a cut.
func TestNoServer(t *testing.T) {
	p := New(t, "127.0.0.1:1")
	if _, err := hear(t, dial(t, p), 1, soon); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
