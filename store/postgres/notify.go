package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Notifications between processes are a hint: they may be lost, and workers poll
// besides. They are sent by a statement of their own after the commit, because
// PostgreSQL lets the commits of transactions that notify through one at a time,
// and not more often than workers can use them.
const (
	notifyPause = 5 * time.Millisecond // between two for the same queues
	notifyWait  = 2 * time.Second      // no longer for the server to take one
	listenCheck = 30 * time.Second     // a silent connection is asked whether it lives
	listenRetry = 5 * time.Second      // at most, between two tries to connect
)

// channel is what the processes on one schema notify each other by.
func channel(schema string) string {
	sum := sha256.Sum256([]byte(schema))
	return "bellhop_" + hex.EncodeToString(sum[:8])
}

// woken is told what has become ready through this store.
func (s *Store) woken(queue string, again bool) {
	if again {
		s.database.lanes.forget(queue)
	}
	s.sender.add(queue, again)
}

// sender tells the other processes.
type sender struct {
	db      *database
	channel string
	self    string // marks our own notifications
	mu      sync.Mutex
	queues  map[string]bool // to be told of; true if jobs have come back to an old place
	signal  chan struct{}
	end     context.CancelFunc
	done    chan struct{}
}

func newSender(db *database) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sender{
		db: db, channel: channel(db.name), self: bellhop.NewID().String()[24:], queues: map[string]bool{},
		signal: make(chan struct{}, 1), end: cancel, done: make(chan struct{}),
	}
	go s.run(ctx)
	return s
}

func (s *sender) add(queue string, again bool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.queues[queue] = s.queues[queue] || again
	s.mu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

func (s *sender) stop() {
	if s == nil {
		return
	}
	s.end()
	<-s.done
}

// run sends the first notification at once, and gathers what comes soon after.
func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.signal:
		}
		s.send(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(notifyPause):
		}
	}
}

var notify = sqlstore.Define("notify", `select pg_notify(?, t) from unnest(?::text[]) as t`)

func (s *sender) send(ctx context.Context) {
	s.mu.Lock()
	payloads := make([]string, 0, len(s.queues))
	for queue, again := range s.queues {
		payloads = append(payloads, payload(s.self, queue, again))
	}
	clear(s.queues)
	s.mu.Unlock()
	if len(payloads) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, notifyWait)
	defer cancel()
	_ = s.db.pipeline(ctx, nil, []request{{notify, []any{s.channel, payloads}, nothing}}) // a hint
}

func payload(self, queue string, again bool) string {
	how := " . "
	if again {
		how = " < "
	}
	return self + how + queue
}

// heard takes in a notification of another process.
func (s *Store) heard(text string) {
	from, rest, _ := strings.Cut(text, " ")
	how, queue, ok := strings.Cut(rest, " ")
	if !ok || s.sender != nil && from == s.sender.self {
		return
	}
	if how == "<" {
		s.database.lanes.forget(queue)
	}
	s.WakeQueue(queue)
}

// ear listens while somebody wants to know.
type ear struct {
	mu        sync.Mutex
	listeners int
	halt      func() // ends the listening and waits for its end; nil if there is none
}

// Notify implements [bellhop.Notifier]. fn is called at once for what happens
// through this store, and within milliseconds for what happens through others,
// unless the store is behind a pooler in transaction mode without an address to
// listen at.
func (s *Store) Notify(fn func(queue string)) (stop func()) {
	remove := s.Store.Notify(fn)
	s.ear.mu.Lock()
	if s.ear.listeners++; s.ear.listeners == 1 && s.sender != nil {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		s.ear.halt = func() { cancel(); <-done }
		go s.listen(ctx, done)
	}
	s.ear.mu.Unlock()
	var once sync.Once
	return func() {
		once.Do(func() {
			remove()
			s.ear.remove()
		})
	}
}

// remove ends the listening with the last listener. Who begins to listen
// meanwhile begins another listening, which is not touched.
func (e *ear) remove() {
	e.mu.Lock()
	var halt func()
	if e.listeners--; e.listeners == 0 {
		halt, e.halt = e.halt, nil
	}
	e.mu.Unlock()
	if halt != nil {
		halt()
	}
}

// stop ends the listening and waits for its end.
func (e *ear) stop() {
	e.mu.Lock()
	halt := e.halt
	e.halt = nil
	e.mu.Unlock()
	if halt != nil {
		halt()
	}
}

// listen keeps a connection that listens. Whatever came while there was none is
// made up for by asking all queues.
func (s *Store) listen(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for try := 0; ; try++ {
		conn, err := s.listening(ctx)
		if err == nil {
			try = 0
			s.database.lanes.missed()
			s.Wake()
			s.hearAll(ctx, conn)
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyWait)
			_ = conn.Close(closing)
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(loop.Jitter(min(50*time.Millisecond<<min(try, 10), listenRetry), 0.5)):
		}
	}
}

// listening returns a connection that listens. It is taken out of the pool, which
// would close it in the end.
func (s *Store) listening(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var conn *pgx.Conn
	if s.settings.listen != "" {
		direct, err := pgx.Connect(ctx, s.settings.listen)
		if err != nil {
			return nil, err
		}
		conn = direct
	} else {
		pooled, err := s.database.pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		conn = pooled.Hijack()
	}
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{s.sender.channel}.Sanitize()); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// hearAll takes in notifications until the connection fails or ctx ends.
func (s *Store) hearAll(ctx context.Context, conn *pgx.Conn) {
	for {
		waiting, cancel := context.WithTimeout(ctx, listenCheck)
		n, err := conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			s.heard(n.Payload)
		case !quiet || conn.IsClosed():
			return
		default:
			asking, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := conn.Ping(asking)
			cancel()
			if err != nil {
				return
			}
		}
	}
}
