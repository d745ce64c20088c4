package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Pooler stands before a PostgreSQL server as PgBouncer does in transaction mode, in the form that is hardest on clients:
//
//   - no two transactions of a client in a row are carried out on the same connection to the server;
//   - what belongs to a session is therefore lost with its transaction, and may show up in somebody else's: prepared statements,
//     settings, advisory locks, temporary tables; nobody cleans up between, and what LISTEN would bring never arrives;
//   - only those settings follow the client that the server reports: client_encoding, DateStyle, TimeZone,
//     standard_conforming_strings, application_name;
//   - any other parameter in the start-up message is refused, such as lock_timeout or options;
//   - encryption is declined, and passwords are not asked for.
type Pooler struct {
	tb       testing.TB
	config   *pgconn.Config
	listener net.Listener
	tasks    sync.WaitGroup
	ctx      context.Context // ends with the pooler
	end      context.CancelFunc

	mu           sync.Mutex
	clients      map[uint32]*client    // by the number that they were given in place of a process id
	pools        map[string]*pool      // by user and database
	connections  map[net.Conn]struct{} // open ones, of either side
	transactions int
}

// NewPooler starts a pooler before the server at the address, a postgres:// URL, whose password it uses for all users. It ends with
// the test.
func NewPooler(tb testing.TB, address string) *Pooler {
	tb.Helper()
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		tb.Fatalf("faultproxy: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Pooler{
		tb: tb, config: config, listener: l,
		clients: map[uint32]*client{}, pools: map[string]*pool{}, connections: map[net.Conn]struct{}{},
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.tasks.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// Addr returns the host and port where the pooler listens.
func (p *Pooler) Addr() string { return p.listener.Addr().String() }

// Through returns the postgres:// URL with the pooler's host and port in place of its own.
func (p *Pooler) Through(address string) string {
	p.tb.Helper()
	return through(p.tb, address, p.Addr())
}

// Transactions returns how many transactions have ended so far.
func (p *Pooler) Transactions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.transactions
}

func (p *Pooler) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // it was closed
		}
		if !p.open(conn) {
			return
		}
		p.tasks.Go(func() {
			defer p.shut(conn)
			p.serve(conn)
		})
	}
}

// open notes a connection, and closes it if the pooler has ended.
func (p *Pooler) open(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		_ = conn.Close() // nobody waits for it
		return false
	}
	p.connections[conn] = struct{}{}
	return true
}

func (p *Pooler) shut(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.connections, conn)
	_ = conn.Close() // it may be closed already
}

func (p *Pooler) close() {
	p.mu.Lock()
	p.end()
	_ = p.listener.Close() // it is not used again
	for conn := range p.connections {
		_ = conn.Close() // it may be closed already
	}
	p.mu.Unlock()
	p.tasks.Wait()
}

// serve greets a client and carries out its transactions.
func (p *Pooler) serve(conn net.Conn) {
	c := newClient(p, conn)
	err := c.greet()
	if err == nil {
		p.mu.Lock()
		p.clients[c.number] = c
		p.mu.Unlock()
		err = c.run()
		p.mu.Lock()
		delete(p.clients, c.number)
		p.mu.Unlock()
	}
	if !errors.Is(err, errBye) {
		c.fail(err)
	}
}

// cancel cancels what a client has the server do at the moment, if it comes with the client's secret.
func (p *Pooler) cancel(m *pgproto3.CancelRequest) error {
	p.mu.Lock()
	c := p.clients[m.ProcessID]
	p.mu.Unlock()
	if c == nil || string(c.secret) != string(m.SecretKey) {
		return errBye
	}
	c.mu.Lock()
	b := c.backend
	c.mu.Unlock()
	if b == nil {
		return errBye
	}
	request, err := (&pgproto3.CancelRequest{ProcessID: b.PID, SecretKey: b.SecretKey}).Encode(nil)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(p.ctx, "tcp", net.JoinHostPort(p.config.Host, strconv.Itoa(int(p.config.Port))))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, conn) // the server closes when it has seen to it
	return errBye
}

// pool returns the pool for a user and a database.
func (p *Pooler) pool(user, database string) *pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := fmt.Sprintf("%q of %q", database, user)
	if p.pools[key] == nil {
		config := p.config.Copy()
		config.User, config.Database = user, database
		p.pools[key] = &pool{pooler: p, config: config, slots: make(chan struct{}, most)}
	}
	return p.pools[key]
}

// count counts a transaction.
func (p *Pooler) count() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transactions++
}
