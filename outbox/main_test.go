package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/outboxdb"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/storetest"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// databases are those that an outbox can be in: each returns the address of a new empty one.
var databases = []struct {
	name string
	make func(t testing.TB) string
}{
	{"sqlite", func(t testing.TB) string {
		path := filepath.Join(t.TempDir(), "app.db")
		if err := os.WriteFile(path, nil, 0o600); err != nil { // an empty file is an empty database
			t.Fatal(err)
		}
		return "sqlite:" + path
	}},
	{"postgres", func(t testing.TB) string { return testservers.Postgres(t).Database(t) }},
	{"mariadb", func(t testing.TB) string { return testservers.MariaDB(t).Database(t) }},
}

// each runs a test on every database.
func each(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, d.make(t), memory.New()))
		})
	}
}

// rig is a user's database with an outbox, and a store.
type rig struct {
	t       testing.TB
	ctx     context.Context
	db      *sql.DB
	dialect outbox.Dialect
	store   bellhop.Store
	client  *bellhop.Client
	box     *outbox.Outbox
	log     *logged
}

// openPool opens a pool. With SQLite there are more writers in these tests than programs have, whose turn comes by chance: they wait
// long for each other, and never for the disk.
func openPool(address string) (*sql.DB, outbox.Dialect, error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		db, err := sql.Open("sqlite", "file:"+path+"?mode=rw&_txlock=immediate&_pragma=busy_timeout(60000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)")
		return db, outbox.SQLite, err
	}
	return outboxdb.Open(address)
}

func newRig(t testing.TB, address string, store bellhop.Store, opts ...outbox.Option) *rig {
	db, dialect, err := openPool(address)
	r := &rig{t: t, ctx: t.Context(), db: db, dialect: dialect, store: store, log: &logged{}}
	r.must(err)
	t.Cleanup(func() { _ = db.Close() })
	r.client, err = bellhop.NewClient(store, bellhop.Logger(slog.New(slog.NewTextHandler(r.log, nil))))
	r.must(err)
	t.Cleanup(func() { _ = r.client.Close() })
	r.box, err = outbox.New(r.client, dialect, opts...)
	r.must(err)
	r.must(r.box.Create(t.Context(), db))
	return r
}

// logged keeps what was logged.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// tx runs fn in a transaction and commits it, or rolls it back if fn says so.
func (r *rig) tx(fn func(tx *sql.Tx) (commit bool)) {
	r.t.Helper()
	tx, err := r.db.BeginTx(r.ctx, nil)
	r.must(err)
	if fn(tx) {
		r.must(tx.Commit())
		return
	}
	r.must(tx.Rollback())
}

// greet is the kind of the tests.
var greet = bellhop.Define[string]("test.greet")

// enqueue enqueues jobs in a transaction and commits it.
func (r *rig) enqueue(drafts ...bellhop.Draft) (receipts []bellhop.Receipt) {
	r.t.Helper()
	r.tx(func(tx *sql.Tx) bool {
		var err error
		receipts, err = bellhop.Enqueue(r.ctx, r.box.Within(tx), drafts...)
		r.must(err)
		return true
	})
	return receipts
}

// relay runs a relay until the returned function is called, or the test ends.
func (r *rig) relay(set ...func(*outbox.Config)) (relay *outbox.Relay, stop func()) {
	r.t.Helper()
	config := outbox.Config{Poll: 20 * time.Millisecond}
	for _, f := range set {
		f(&config)
	}
	relay, err := outbox.NewRelay(r.box, r.db, config)
	r.must(err)
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				r.t.Error(err)
			}
		})
	}
	r.t.Cleanup(stop)
	return relay, stop
}

// eventually waits until what is asked for is so.
func (r *rig) eventually(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within 20 s: %s; the log: %q", what, r.log.all())
		}
		time.Sleep(5 * time.Millisecond) // polled, with a deadline
	}
}

// answers waits until the database answers after a restart. The pool forgets its idle connections of before,
// each of which would tell once that its server has ended.
func (r *rig) answers() {
	r.t.Helper()
	r.eventually("the database answers", func() bool {
		r.db.SetMaxIdleConns(0)
		r.db.SetMaxIdleConns(2) // the default of database/sql
		return r.db.PingContext(r.ctx) == nil
	})
}

func (r *rig) status() outbox.Status {
	r.t.Helper()
	s, err := r.box.Status(r.ctx, r.db)
	r.must(err)
	return s
}

// moved waits until nothing waits in the outbox.
func (r *rig) moved() {
	r.t.Helper()
	r.eventually("the outbox is empty", func() bool { return r.status().Waiting == 0 })
}

// get returns a job from the store; nil if it is not there.
func (r *rig) get(id bellhop.ID) *bellhop.Snapshot {
	r.t.Helper()
	s, err := r.client.Get(r.ctx, id)
	if errors.Is(err, bellhop.ErrNotFound) {
		return nil
	}
	r.must(err)
	return s
}

func (r *rig) count() int {
	r.t.Helper()
	n, err := storetest.CountAll(r.ctx, r.store, bellhop.Filter{}, 100_000)
	r.must(err)
	return n
}
