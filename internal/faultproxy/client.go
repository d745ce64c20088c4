package faultproxy

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// client is a connection of a client.
type client struct {
	pooler *Pooler
	conn   net.Conn
	number uint32 // in place of a process id
	secret []byte // with which it may cancel
	pool   *pool

	mu      sync.Mutex
	out     *bufio.Writer
	params  map[string]string // the settings that follow it
	backend *backend          // nil between transactions
	silent  bool              // the answer to our own request is awaited, and is not for the client
	waiting int               // its requests that ReadyForQuery will answer
	unsent  bool              // part of a request has gone out, and its end has not
	lost    bool              // its backend is gone
}

// errBye ends a connection without a word.
var errBye = errors.New("bye")

func newClient(p *Pooler, conn net.Conn) *client {
	c := &client{pooler: p, conn: conn, secret: make([]byte, 4), out: bufio.NewWriter(conn), params: map[string]string{}}
	var number [4]byte
	_, _ = rand.Read(number[:]) // never fails
	_, _ = rand.Read(c.secret)  // never fails
	c.number = binary.BigEndian.Uint32(number[:])
	return c
}

// greet goes through the start-up.
func (c *client) greet() error {
	start := pgproto3.NewBackend(c.conn, c.conn)
	for {
		message, err := start.ReceiveStartupMessage()
		if err != nil {
			return errBye // it left, or speaks something else
		}
		switch m := message.(type) {
		case *pgproto3.CancelRequest:
			return c.pooler.cancel(m)
		case *pgproto3.StartupMessage:
			return c.begin(m)
		default: // it asks for encryption
			if _, err := c.conn.Write([]byte{'N'}); err != nil {
				return errBye
			}
		}
	}
}

// begin answers the start-up message.
func (c *client) begin(m *pgproto3.StartupMessage) error {
	user, database := m.Parameters["user"], m.Parameters["database"]
	if database == "" {
		database = user
	}
	for name, value := range m.Parameters {
		setting, follows := follower(name)
		switch {
		case follows:
			c.params[setting] = value
		case name != "user" && name != "database":
			return &pgconn.PgError{Code: "08P01", Message: "unsupported startup parameter: " + name}
		}
	}
	c.pool = c.pooler.pool(user, database)
	b, err := c.pool.take()
	if err != nil {
		return err
	}
	c.pool.give(b)
	all := maps.Clone(c.pool.fresh)
	maps.Copy(all, c.params)
	hello := []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}}
	for name, value := range all {
		if _, follows := follower(name); follows {
			c.params[name] = value
		}
		hello = append(hello, &pgproto3.ParameterStatus{Name: name, Value: value})
	}
	return c.send(append(hello, &pgproto3.BackendKeyData{ProcessID: c.number, SecretKey: c.secret}, &pgproto3.ReadyForQuery{TxStatus: 'I'})...)
}

func (c *client) send(messages ...pgproto3.BackendMessage) (err error) {
	var data []byte
	for _, m := range messages {
		if data, err = m.Encode(data); err != nil {
			return err
		}
	}
	_, err = c.conn.Write(data)
	return err
}

// fail tells the client of the error that ends its connection.
func (c *client) fail(err error) {
	told := &pgproto3.ErrorResponse{Severity: "FATAL", Code: "08006", Message: err.Error()}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		told.Code, told.Message = server.Code, server.Message
	}
	_ = c.send(told) // it may have left
}

// run passes on what the client says, each transaction to another connection, until it leaves.
func (c *client) run() error {
	in := newFrames(c.conn)
	for {
		f, err := in.next()
		if err == nil && f.kind() != 'X' {
			err = c.request(f, in.Buffered() == 0)
		} else {
			err = errBye
		}
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.backend != nil {
				c.pool.drop(c.backend) // it may be in the middle of a transaction
			}
			return err
		}
	}
}

// request passes on one message of the client.
func (c *client) request(f frame, flush bool) error {
	b, err := c.linked()
	if err != nil {
		return err
	}
	c.mu.Lock()
	switch f.kind() {
	case 'Q', 'S', 'F':
		c.waiting++
		c.unsent = false
	case 'd', 'c', 'f': // COPY is part of a request that is under way
	default:
		c.unsent = true
	}
	c.mu.Unlock()
	return b.write(f, flush)
}

// linked returns the client's connection to the server. Between transactions it takes another, and has the settings that follow the
// client set there.
func (c *client) linked() (*backend, error) {
	c.mu.Lock()
	b, lost := c.backend, c.lost
	c.mu.Unlock()
	if lost {
		return nil, errBye
	}
	if b != nil {
		return b, nil
	}
	b, err := c.pool.take()
	if err != nil {
		return nil, err
	}
	var set strings.Builder
	reported := b.reported()
	for name, value := range c.params {
		if reported[name] != value {
			fmt.Fprintf(&set, "SET %s = '%s';", name, strings.ReplaceAll(value, "'", "''"))
		}
	}
	query, err := (&pgproto3.Query{String: set.String()}).Encode(nil)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backend, c.silent = b, set.Len() > 0
	b.owner.Store(c)
	if c.silent {
		return b, b.write(query, false)
	}
	return b, nil
}

// reply passes on one message of the server. With the end of the transaction the connection is given back.
func (c *client) reply(b *backend, f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent {
		c.silent = f.kind() != 'Z'
		return
	}
	ready := f.kind() == 'Z'
	switch {
	case ready:
		c.waiting--
	case f.kind() == 'S':
		note(c.params, f)
	}
	if _, err := c.out.Write(f); err != nil {
		return // it has left, and run will see that
	}
	if ready && f.body()[0] == 'I' {
		c.pooler.count()
		if c.waiting == 0 && !c.unsent {
			c.backend = nil
			b.owner.Store(nil)
			c.pool.give(b)
		}
	}
	if ready || b.in.Buffered() == 0 {
		_ = c.out.Flush() // as above
	}
}

// lose ends the client's connection because its backend is gone, after what the server has said last.
func (c *client) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
	_ = c.out.Flush()  // it may have left
	_ = c.conn.Close() // run sees that
}

// followers are the settings that follow a client, in the server's spelling: it reports when they change.
var followers = []string{"client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name"}

// follower returns the setting in the server's spelling, if it is one of them.
func follower(name string) (setting string, follows bool) {
	i := slices.IndexFunc(followers, func(f string) bool { return strings.EqualFold(f, name) })
	if i < 0 {
		return "", false
	}
	return followers[i], true
}

// note keeps a setting that the server has reported, if it is one of those that follow.
func note(params map[string]string, f frame) {
	name, rest, _ := strings.Cut(string(f.body()), "\x00")
	if setting, follows := follower(name); follows {
		params[setting] = strings.TrimSuffix(rest, "\x00")
	}
}
