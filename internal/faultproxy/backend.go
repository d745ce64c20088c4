package faultproxy

import (
	"bufio"
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A pool makes at least fewest connections before it uses one again, and at most most of them: then clients wait.
const (
	fewest = 3
	most   = 20
)

// pool is the connections to one database as one user.
type pool struct {
	pooler *Pooler
	config *pgconn.Config
	slots  chan struct{} // one for each connection in use

	mu    sync.Mutex
	made  int
	idle  []*backend        // the one that was used longest ago is the first
	fresh map[string]string // the settings of a new connection; not written any more after the first
}

// backend is a connection to the server.
type backend struct {
	*pgconn.HijackedConn
	pool  *pool
	in    *frames
	owner atomic.Pointer[client] // nil between transactions

	writing sync.Mutex
	out     *bufio.Writer

	mu       sync.Mutex
	settings map[string]string // that it has reported

	used, gone bool // in use, dropped; by the pool's mu
}

// take returns a connection for a transaction, which is not the one that was given back last.
func (l *pool) take() (*backend, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.pooler.ctx.Done():
		return nil, l.pooler.ctx.Err()
	}
	l.mu.Lock()
	if len(l.idle) > 1 && l.made >= fewest {
		b := l.idle[0]
		l.idle = l.idle[1:]
		b.used = true
		l.mu.Unlock()
		return b, nil
	}
	l.made++
	l.mu.Unlock()
	b, err := l.connect()
	if err != nil {
		l.mu.Lock()
		l.made--
		l.mu.Unlock()
		<-l.slots
	}
	return b, err
}

// connect makes a connection, and has somebody read from it as long as it lasts.
func (l *pool) connect() (*backend, error) {
	ctx, cancel := context.WithTimeout(l.pooler.ctx, 30*time.Second)
	defer cancel()
	// What the driver reads from is more than the connection: after a slow write it may be ahead of itself.
	var from io.Reader
	config := l.config.Copy()
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		from = r
		return pgproto3.NewFrontend(r, w)
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	h, err := conn.Hijack()
	if err != nil {
		return nil, err
	}
	if !l.pooler.open(h.Conn) {
		return nil, l.pooler.ctx.Err()
	}
	l.mu.Lock()
	if l.fresh == nil {
		l.fresh = maps.Clone(h.ParameterStatuses)
	}
	l.mu.Unlock()
	b := &backend{HijackedConn: h, pool: l, in: newFrames(from), out: bufio.NewWriter(h.Conn), settings: h.ParameterStatuses, used: true}
	l.pooler.tasks.Go(b.read)
	return b, nil
}

// give gives back a connection whose transaction has ended.
func (l *pool) give(b *backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.gone {
		return
	}
	b.used = false
	l.idle = append(l.idle, b)
	<-l.slots
}

// drop closes a connection for good.
func (l *pool) drop(b *backend) {
	l.pooler.shut(b.Conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.gone {
		return
	}
	b.gone = true
	l.made--
	l.idle = slices.DeleteFunc(l.idle, func(other *backend) bool { return other == b })
	if b.used {
		<-l.slots
	}
}

// read takes what the server says to the client whose transaction this is. Between transactions it is heard by nobody.
func (b *backend) read() {
	for {
		f, err := b.in.next()
		c := b.owner.Load()
		if err != nil {
			b.pool.drop(b)
			if c != nil {
				c.lose()
			}
			return
		}
		if f.kind() == 'S' {
			b.mu.Lock()
			note(b.settings, f)
			b.mu.Unlock()
		}
		if c != nil {
			c.reply(b, f)
		}
	}
}

// write says something to the server, at once or with what comes next. The answer may be there, and with it another client, before
// the writer is done with its books.
func (b *backend) write(f frame, flush bool) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if _, err := b.out.Write(f); err != nil {
		return errBye
	}
	if flush && b.out.Flush() != nil {
		return errBye
	}
	return nil
}

// reported returns the settings that the server has reported.
func (b *backend) reported() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.settings)
}
