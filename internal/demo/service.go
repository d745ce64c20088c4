package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Mode is how well an outside service is.
type Mode int

// The modes of a service.
const (
	// Normal answers after the service's usual latency.
	Normal Mode = iota
	// Slow answers after three times the usual latency.
	Slow
	// Failing refuses every call at once: 503 with Retry-After over HTTP, 451 over SMTP.
	Failing
	// Down refuses connections; calls under way are cut off. The port stays the same for when it is back.
	Down
)

// slowFactor is how much longer a call takes in [Slow].
const slowFactor = 3

// retryAfter is what a failing HTTP service asks its callers to wait.
const retryAfter = time.Second

var modeNames = []string{"normal", "slow", "failing", "down"}

// String returns normal, slow, failing or down.
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return fmt.Sprintf("mode %d", int(m))
	}
	return modeNames[m]
}

// ParseMode returns the mode of a name as [Mode.String] writes it. Any other name is an error that lists the four.
func ParseMode(name string) (Mode, error) {
	for m, known := range modeNames {
		if name == known {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("demo: no mode %q: use normal, slow, failing or down", name)
}

// errNotRunning is given to calls that arrive while the service stops.
var errNotRunning = errors.New("demo: the service is not running")

// opener starts to serve on a listener and returns the function that ends it: no connection and no goroutine of the server is
// left when that returns. Calls run under ctx, which is cancelled just before.
type opener func(ctx context.Context, s *Service, l net.Listener) (stop func())

// Service is one outside service on loopback.
type Service struct {
	name    string
	effect  string
	latency time.Duration
	open    opener
	book    *book

	switching sync.Mutex // held while the service starts or stops; guards addr and stop
	addr      string
	stop      func()
	closed    bool

	mu      sync.Mutex // guards mode and running; calls grows only while running
	mode    Mode
	running bool
	calls   sync.WaitGroup
}

func newService(name, effect string, latency time.Duration, open opener) *Service {
	return &Service{name: name, effect: effect, latency: latency, open: open, book: newBook()}
}

// Name returns the service's name: payment, mail, list, chat or analytics.
func (s *Service) Name() string { return s.name }

// Effect returns the name of the effect that this service does, such as [EffectCharge].
func (s *Service) Effect() string { return s.effect }

// Latency returns what one call takes in [Normal].
func (s *Service) Latency() time.Duration { return s.latency }

// Addr returns the host and port, such as 127.0.0.1:40123. It stays the same while the service is down.
func (s *Service) Addr() string {
	s.switching.Lock()
	defer s.switching.Unlock()
	return s.addr
}

// Mode returns the present mode.
func (s *Service) Mode() Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// Counts returns what the service has seen.
func (s *Service) Counts() Counts { return s.book.snapshot() }

// Effects returns when the effect was done, by order or member id; more than one time means that it was done more than once.
func (s *Service) Effects() map[string][]time.Time { return s.book.times() }

// Set switches the mode. After it returned for [Down], no call is under way and none has an effect any more; after it returned
// for another mode, connections are accepted. It fails when the service is closed or its port cannot be opened again.
func (s *Service) Set(m Mode) error {
	if m < Normal || m > Down {
		return fmt.Errorf("demo: %s cannot be set to %v: use normal, slow, failing or down", s.name, m)
	}
	s.switching.Lock()
	defer s.switching.Unlock()
	if s.closed {
		return fmt.Errorf("demo: %s cannot be set to %v: it is closed", s.name, m)
	}
	if m == Down {
		s.halt(Down)
		return nil
	}
	if s.stop == nil {
		if err := s.listen(m); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.mode = m
	s.mu.Unlock()
	return nil
}

func (s *Service) start() error {
	s.switching.Lock()
	defer s.switching.Unlock()
	return s.listen(Normal)
}

func (s *Service) close() {
	s.switching.Lock()
	defer s.switching.Unlock()
	s.closed = true
	s.halt(Down)
}

// listen opens the port, the same one as before if there was one, and starts to serve. The caller holds switching.
func (s *Service) listen(m Mode) error {
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := listenAgain(addr)
	if err != nil {
		return fmt.Errorf("demo: %s cannot listen on %s: %w", s.name, addr, err)
	}
	s.addr = l.Addr().String()
	s.mu.Lock()
	s.mode, s.running = m, true
	s.mu.Unlock()

	ctx, cancel := context.WithCancel(context.Background())
	tracked := &trackedListener{Listener: l, conns: make(map[net.Conn]struct{})}
	stopServer := s.open(ctx, s, tracked)
	s.stop = func() {
		cancel()
		tracked.cut()
		stopServer()
	}
	return nil
}

// halt stops to serve and waits for the calls under way. The caller holds switching.
func (s *Service) halt(m Mode) {
	s.mu.Lock()
	s.mode, s.running = m, false
	s.mu.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
	s.calls.Wait()
}

// enter counts a call in and returns the mode it is to be handled in; a nil error obliges the caller to leave.
func (s *Service) enter() (Mode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return Down, errNotRunning
	}
	s.calls.Add(1)
	s.book.note(func(c *Counts) { c.Calls++ })
	return s.mode, nil
}

func (s *Service) leave() { s.calls.Done() }

// unread counts a call that could not be read: as cut when the service went down meanwhile, else as refused.
func (s *Service) unread(ctx context.Context) {
	if ctx.Err() != nil {
		s.book.note(func(c *Counts) { c.Cut++ })
		return
	}
	s.refuse()
}

func (s *Service) refuse() { s.book.note(func(c *Counts) { c.Refused++ }) }

// pause spends a part of the latency in the given mode. When ctx ends first, it counts the call as cut and reports false.
func (s *Service) pause(ctx context.Context, m Mode, part float64) bool {
	d := time.Duration(float64(s.latency) * part)
	if m == Slow {
		d *= slowFactor
	}
	if !wait(ctx, d) {
		s.book.note(func(c *Counts) { c.Cut++ })
		return false
	}
	return true
}

// wait returns true after d, or false as soon as ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// listenAgain opens a port. One that was just given up may be taken for a moment by an outgoing connection, so it tries for up
// to five seconds.
func listenAgain(addr string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return l, nil
		}
		if !wait(ctx, 20*time.Millisecond) {
			return nil, err
		}
	}
}

// trackedListener knows its connections, so that all of them can be cut at once.
type trackedListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended bool
}

// Accept waits for the next connection.
func (l *trackedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.conns[c] = struct{}{}
	return &trackedConn{Conn: c, from: l}, nil
}

// cut closes the port and every connection. Their peers see the end at once, so errors have no reader.
func (l *trackedListener) cut() {
	_ = l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for c := range l.conns {
		_ = c.Close()
	}
}

type trackedConn struct {
	net.Conn
	from *trackedListener
}

// Close closes the connection and forgets it.
func (c *trackedConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.conns, c.Conn)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
