package api_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// pipes is a network in memory. In a synctest bubble, whose clock moves only when all wait, deadlines of milliseconds on it hold
// on any machine.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// servePipes puts the server behind a network in memory.
func (w *world) servePipes(change func(*http.Server)) (*httptest.Server, *pipes) {
	w.t.Helper()
	p := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial() }}}
	srv := httptest.NewUnstartedServer(w.server)
	_ = srv.Listener.Close() // it was made for a socket
	srv.Listener = p
	if change != nil {
		change(srv.Config)
	}
	srv.Start()
	*srv.Client() = *client
	w.t.Cleanup(func() {
		client.CloseIdleConnections()
		srv.Close()
	})
	return srv, p
}

func (p *pipes) dial() (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.accept <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipesAddr{} }

type pipesAddr struct{}

func (pipesAddr) Network() string { return "pipes" }
func (pipesAddr) String() string  { return "localhost" }

// wire opens a connection to speak HTTP by hand.
func (p *pipes) wire(t *testing.T) *wire {
	t.Helper()
	conn, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, conn)
}
