package faultproxy

import (
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/freeport"
)

// Direction is a way through the proxy.
type Direction int

// The two ways.
const (
	ToServer Direction = iota
	ToClient
)

// Proxy passes connections on to a server, and breaks them when told to. All methods may be called from any goroutine.
type Proxy struct {
	tb     testing.TB
	target string // host and port
	port   *freeport.Port
	tasks  sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and made anew when what follows changes
	closed   bool
	listener net.Listener // nil while it refuses
	links    map[*link]struct{}
	faults   faults
}

// faults is what the proxy does wrong at the moment.
type faults struct {
	hole    bool
	swallow chan struct{} // nil, or closed once an answer was swallowed
	delay   time.Duration // of a round trip
	limits  [2]*limit     // by direction; nil for none
}

// limit is the number of bytes that may still pass until the connection is cut.
type limit struct {
	left int
	done chan struct{}
}

// New starts a proxy before the target: a host and port, or a URL that has them. It ends with the test.
func New(tb testing.TB, target string) *Proxy {
	tb.Helper()
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		target = u.Host
	}
	port, err := freeport.Reserve()
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{tb: tb, target: target, port: port, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.Restore()
	tb.Cleanup(p.close)
	return p
}

// Addr returns the host and port where the proxy listens.
func (p *Proxy) Addr() string { return p.port.Addr() }

// Through returns the URL of a server with the proxy's host and port in place of its own.
func (p *Proxy) Through(address string) string {
	p.tb.Helper()
	return through(p.tb, address, p.Addr())
}

func through(tb testing.TB, address, host string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		tb.Fatalf("faultproxy: %q is no URL with a host", address)
	}
	u.Host = host
	return u.String()
}

// Connections returns the number of connections that are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// change changes the faults, and lets all connections look at them again.
func (p *Proxy) change(to func(f *faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to(&p.faults)
	close(p.changed)
	p.changed = make(chan struct{})
}

// Restore ends all faults: new connections are accepted, bytes that a black hole held back go on their way. A connection whose answers
// were swallowed stays mute, since a stream cannot go on behind a gap: Cut it.
func (p *Proxy) Restore() {
	p.tb.Helper()
	p.change(func(f *faults) { *f = faults{} })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return
	}
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		p.tb.Errorf("faultproxy: %v", err)
		return
	}
	p.listener = l
	p.tasks.Go(func() { p.accept(l) })
}

// Refuse has new connections refused, as if nobody listened; those that are open stay.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut()
}

func (p *Proxy) shut() {
	if p.listener != nil {
		_ = p.listener.Close() // its error would be that it is closed
		p.listener = nil
	}
}

// Cut resets all connections now; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// BlackHole has connections stay open, and new ones accepted, while not a byte passes, nor the end of a connection. What is said
// meanwhile arrives after Restore, as it does when a network is there again.
func (p *Proxy) BlackHole() { p.change(func(f *faults) { f.hole = true }) }

// Forget has the connections that are open now pass nothing any more, ever, and stay open; new ones are as usual. So does a firewall
// that was restarted, or that has waited long enough for a word.
func (p *Proxy) Forget() {
	p.change(func(*faults) {
		for l := range p.links {
			l.forgotten = true
		}
	})
}

// SwallowReplies has requests pass and answers vanish. The channel is closed once the first answer, or a part of it, is gone: then the
// server has done what it was asked for and the client does not know. Restore and Cut are for what follows.
func (p *Proxy) SwallowReplies() (swallowed <-chan struct{}) {
	c := make(chan struct{})
	p.change(func(f *faults) { f.swallow = c })
	return c
}

// Delay has every round trip take so much longer; 0 for no more. Each byte takes half of it in either direction, without waiting for
// those before it, and a new connection takes one round trip before its first byte.
func (p *Proxy) Delay(roundTrip time.Duration) {
	p.change(func(f *faults) { f.delay = roundTrip })
}

// CutAfter lets n more bytes pass in a direction, counted over all connections, and then closes the connection that carried the last
// of them. The channel is closed when that has happened.
func (p *Proxy) CutAfter(d Direction, n int) (cut <-chan struct{}) {
	l := &limit{left: n, done: make(chan struct{})}
	p.change(func(f *faults) { f.limits[d] = l })
	return l.done
}

// accept makes a link of each new connection.
func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // it was closed
		}
		p.tasks.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve connects a client to the server and passes on what they say until one of them has enough.
func (p *Proxy) serve(client *net.TCPConn) {
	conn, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close() // the client sees that the server is not there
		return
	}
	l := &link{proxy: p, ends: [2]*net.TCPConn{ToServer: conn.(*net.TCPConn), ToClient: client}, gone: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		l.reset()
	}
	p.links[l] = struct{}{}
	l.opened = time.Now().Add(p.faults.delay)
	p.mu.Unlock()
	l.run()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// close ends the proxy and waits until nothing of it runs.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.shut()
	p.mu.Unlock()
	p.Cut()
	p.tasks.Wait()
	if err := p.port.Release(); err != nil && !errors.Is(err, net.ErrClosed) {
		p.tb.Error(err)
	}
}
