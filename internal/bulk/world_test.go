package bulk_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bulk"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"

	_ "github.com/gobellhop/bellhop/store/all" // the stores of these tests
)

// where are the stores of these tests, and how many jobs an operation on many touches there: as many in short runs, and in long
// ones. Every store has as many as take it a few seconds.
var where = []struct {
	name        string
	short, long int
	address     func(t *testing.T) string // empty: in memory
}{
	{"memory", 4_000, 50_000, nil},
	{"sqlite", 4_000, 20_000, func(t *testing.T) string {
		return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") + "?synchronous=normal"
	}},
	{"postgres", 4_000, 20_000, newPostgres},
	{"mariadb", 4_000, 10_000, func(t *testing.T) string {
		return testservers.With(testservers.MariaDB(t).Database(t), "migrate", "auto")
	}},
	{"redis", 4_000, 50_000, newRedis},
}

func newPostgres(t *testing.T) string {
	return testservers.With(testservers.Postgres(t).Database(t), "migrate", "auto")
}

func newRedis(t *testing.T) string {
	return testservers.With(testservers.Redis(t).Address, "namespace", strings.ToLower(bellhop.NewID().String()))
}

func open(t *testing.T, address string) bellhop.Store {
	t.Helper()
	client, err := bellhop.Open(t.Context(), address, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client.Store()
}

// onStores runs a test on every store, and on one that is made of a PostgreSQL and a Redis.
func onStores(t *testing.T, test func(w *world)) {
	for _, s := range where {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			store := bellhop.Store(memory.New())
			if s.address != nil {
				store = open(t, s.address(t))
			}
			test(newWorld(t, store, s.short, s.long))
		})
	}
	t.Run("partition", func(t *testing.T) {
		t.Parallel()
		store, err := partition.New(partition.Config{By: partition.ByKey, Parts: []partition.Part{
			{Name: "a", Store: open(t, newPostgres(t))}, {Name: "b", Store: open(t, newRedis(t))},
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		test(newWorld(t, store, 4_000, 10_000))
	})
}

// world is a store with jobs, and processes that work at its operations.
type world struct {
	t     *testing.T
	store bellhop.Store // whose clock [world.advance] moves on
	ahead *atomic.Int64
	many  int // jobs of an operation on many

	mu    sync.Mutex
	ended []*bulk.Operation
}

func newWorld(t *testing.T, s bellhop.Store, short, long int) *world {
	w := &world{t: t, ahead: &atomic.Int64{}, many: long}
	if testing.Short() {
		w.many = short
	}
	w.store = &early{s, w.ahead}
	return w
}

// early is a store whose clock says a later time, to those who ask for it. Leases of operations are by that clock.
type early struct {
	bellhop.Store
	ahead *atomic.Int64
}

func (s *early) Unwrap() bellhop.Store { return s.Store }

func (s *early) Ping(ctx context.Context) (time.Time, error) {
	now, err := s.Store.Ping(ctx)
	return now.Add(time.Duration(s.ahead.Load())), err
}

func (w *world) advance(d time.Duration) { w.ahead.Add(int64(d)) }

func (w *world) now() time.Time {
	w.t.Helper()
	now, err := w.store.Ping(w.t.Context())
	w.must(err)
	return now
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// mortal is a store for a process that dies without a word at its n-th call for work.
type mortal struct {
	bellhop.Store
	left  atomic.Int64 // calls until it dies
	after bool         // the last call takes effect, and its reply is lost
	dead  chan struct{}
}

var errDead = errors.New("this process is dead")

func (m *mortal) Unwrap() bellhop.Store { return m.Store }

func (m *mortal) call(fn func() error) error {
	left := m.left.Add(-1)
	if left < 0 {
		return errDead
	}
	if left > 0 {
		return fn()
	}
	if m.after {
		_ = fn() // its process will not learn
	}
	close(m.dead)
	return errDead
}

func (m *mortal) Act(ctx context.Context, r *bellhop.ActRequest) (reply *bellhop.ActReply, err error) {
	err = m.call(func() error { reply, err = m.Store.Act(ctx, r); return err })
	return reply, err
}

func (m *mortal) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	return m.call(func() error { return m.Store.Put(ctx, writes) })
}

// process is a process that works at operations.
type process struct {
	*bulk.Runner
	dead chan struct{}
}

// start returns a process that dies at its n-th call; with 0 it never does.
func (w *world) start(calls int64, after bool) *process {
	w.t.Helper()
	m := &mortal{Store: w.store, after: after, dead: make(chan struct{})}
	if calls == 0 {
		calls = 1 << 60
	}
	m.left.Store(calls)
	client, err := bellhop.NewClient(m)
	w.must(err)
	runner := bulk.New(client, bulk.Options{Logger: slog.New(slog.DiscardHandler), Ended: func(_ context.Context, o *bulk.Operation) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = append(w.ended, o)
	}})
	runner.Rush()
	w.t.Cleanup(runner.Close)
	return &process{runner, m.dead}
}

// enqueue adds n jobs to a queue.
func (w *world) enqueue(n int, queue string) {
	w.t.Helper()
	router, parts := bellhop.As[bellhop.Router](w.store)
	for ; n > 0; n -= min(n, 5000) {
		calls := map[int][]*bellhop.Job{}
		for range min(n, 5000) {
			j := &bellhop.Job{ID: bellhop.NewID(), Kind: "k", Queue: queue, Args: []byte("{}"), Attempts: 1}
			to := 0
			if parts {
				to = router.Route(j)
			}
			calls[to] = append(calls[to], j)
		}
		for _, jobs := range calls {
			_, err := w.store.Enqueue(w.t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
			w.must(err)
		}
	}
}

// count counts by listing, which has no bound.
func (w *world) count(f bellhop.Filter) (n int) {
	w.t.Helper()
	q := &bellhop.Query{Filter: f, Limit: 1000, WithoutArgs: true}
	for {
		l, err := w.store.List(w.t.Context(), q)
		w.must(err)
		if n += len(l.Jobs); l.Next == "" {
			return n
		}
		q.After = l.Next
	}
}

// wait waits until the operation is over, or the process dead.
func (w *world) wait(p *process, id string) *bulk.Operation {
	w.t.Helper()
	client, err := bellhop.NewClient(w.store)
	w.must(err)
	reader := bulk.New(client, bulk.Options{})
	defer reader.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		o, err := reader.Get(w.t.Context(), id)
		w.must(err)
		if o.Ended() || time.Now().After(deadline) {
			return o
		}
		select {
		case <-p.dead:
			return o
		case <-time.After(5 * time.Millisecond): // there is no signal for a record that has changed
		}
	}
}

func (w *world) begin(p *process, q bulk.Request) *bulk.Operation {
	w.t.Helper()
	o, err := p.Start(w.t.Context(), q)
	w.must(err)
	return o
}
