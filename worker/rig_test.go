package worker

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/storetest"
)

func TestMain(m *testing.M) { testservers.Main(m) }

type item struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

// job is the kind that most tests use; quick retries keep them short.
var job = bellhop.Define[item]("test.job", bellhop.RetryBackoff(bellhop.Fixed(time.Second)))

// rig is a store with a client, and workers on it. Unless a test says
// otherwise it lives in a synctest bubble: its time moves only when all wait.
type rig struct {
	t      *testing.T
	ctx    context.Context
	store  *memory.Store
	faulty *storetest.Faulty
	client *bellhop.Client
	log    *logBuffer
	lanes  int // exchanges that workers have under way at once
	worth  int // what makes them have more than one; 0 for the default

	mu     sync.Mutex
	events []bellhop.Event
}

func newRig(t *testing.T, lanes int) *rig {
	t.Helper()
	r := &rig{t: t, lanes: lanes, ctx: context.Background(), store: memory.New(), log: &logBuffer{}}
	r.faulty = storetest.NewFaulty(r.store)
	r.client = r.newClient(r.faulty)
	return r
}

func (r *rig) newClient(s bellhop.Store) *bellhop.Client {
	r.t.Helper()
	client, err := bellhop.NewClient(&wide{storetest.Pass{Store: s}, r.lanes}, bellhop.OnEvent(r.hear), bellhop.Logger(slog.New(slog.NewTextHandler(r.log, nil))))
	if err != nil {
		r.t.Fatal(err)
	}
	return client
}

// wide says that some exchanges at once are worth it.
type wide struct {
	storetest.Pass
	exchanges int
}

func (s *wide) Capabilities() bellhop.Capabilities {
	c := s.Pass.Capabilities()
	c.Exchanges = s.exchanges
	return c
}

func (r *rig) hear(e bellhop.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// count returns how many events fit.
func (r *rig) count(fits func(bellhop.Event) bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if fits(e) {
			n++
		}
	}
	return n
}

func (r *rig) countType(typ bellhop.EventType) int {
	return r.count(func(e bellhop.Event) bool { return e.Type == typ && !e.Stale })
}

func (r *rig) countStale() int { return r.count(func(e bellhop.Event) bool { return e.Stale }) }

// running is a worker under way.
type running struct {
	*Worker
	r    *rig
	end  context.CancelFunc
	done chan error
}

// run starts a worker on the rig's client, and ends it with the test.
func (r *rig) run(config Config, handlers ...bellhop.Handler) *running {
	r.t.Helper()
	return r.runOn(r.client, config, handlers...)
}

func (r *rig) runOn(client *bellhop.Client, config Config, handlers ...bellhop.Handler) *running {
	r.t.Helper()
	w := New(client, config)
	if r.worth > 0 {
		for _, l := range w.lanes {
			l.worth = r.worth
		}
	}
	w.Handle(handlers...)
	ctx, cancel := context.WithCancel(r.ctx)
	run := &running{Worker: w, r: r, end: cancel, done: make(chan error, 1)}
	go func() { run.done <- w.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		w.Hurry()
	})
	return run
}

// stop drains the worker and returns what Run returned.
func (w *running) stop() error {
	w.end()
	return <-w.done
}

// mustStop drains the worker, which must find nothing to complain about.
func (w *running) mustStop() {
	w.r.t.Helper()
	if err := w.stop(); err != nil {
		w.r.t.Errorf("Run returned %v, want nil", err)
	}
}

func (r *rig) enqueue(drafts ...bellhop.Draft) []bellhop.ID {
	r.t.Helper()
	receipts, err := bellhop.Enqueue(r.ctx, r.client, drafts...)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := make([]bellhop.ID, len(receipts))
	for i, receipt := range receipts {
		ids[i] = receipt.ID
	}
	return ids
}

// many makes n drafts of the test's kind, numbered from 0.
func many(n int, opts ...bellhop.Option) []bellhop.Draft {
	drafts := make([]bellhop.Draft, n)
	for i := range drafts {
		drafts[i] = job.New(item{N: i}, opts...)
	}
	return drafts
}

// get reads a job past the faults.
func (r *rig) get(id bellhop.ID) bellhop.Snapshot {
	r.t.Helper()
	found, err := r.store.Get(r.ctx, []bellhop.ID{id})
	if err != nil || len(found) != 1 {
		r.t.Fatalf("get job %v: %d found, error %v", id, len(found), err)
	}
	return found[0]
}

// in returns how many jobs are in the state.
func (r *rig) in(states ...bellhop.State) int {
	r.t.Helper()
	n, err := storetest.CountAll(r.ctx, r.store, bellhop.Filter{States: bellhop.States(states...)}, 1_000_000)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// until waits for a condition on the bubble's clock, at most a minute of it.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	r.within(time.Minute, what, cond)
}

// within waits for a condition for at most d of the bubble's clock.
func (r *rig) within(d time.Duration, what string, cond func() bool) {
	r.t.Helper()
	step := min(max(d/1000, time.Millisecond), 50*time.Millisecond)
	for end := time.Now().Add(d); ; {
		synctest.Wait()
		if cond() {
			return
		}
		if !time.Now().Before(end) {
			r.t.Fatalf("waited for %v, but not: %s", d, what)
		}
		time.Sleep(step) // the bubble's clock: it moves at once when all goroutines wait
	}
}

// pass lets d go by on the bubble's clock.
func pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock: it moves at once when all goroutines wait
	synctest.Wait()
}

// bubble runs a test on a rig whose time moves only when all goroutines wait:
// with one exchange under way at a time, and with three.
func bubble(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	for _, lanes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d lanes", lanes), func(t *testing.T) {
			laneBubble(t, lanes, func(t *testing.T, r *rig) {
				r.worth = 1 // a lane joins in for a single outcome
				test(t, r)
			})
		})
	}
}

// laneBubble is a bubble of a given number of exchanges at a time.
func laneBubble(t *testing.T, lanes int, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t, lanes)) })
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// ok is a handler that does nothing.
func ok(context.Context, item) error { return nil }

// gate is a handler that waits until it is opened, and counts.
type gate struct {
	open chan struct{}
	once sync.Once
	mu   sync.Mutex
	now  int
	most int
	all  int
	ns   []int
}

// newGate returns a closed gate, which is opened when the test ends.
func newGate(t *testing.T) *gate {
	g := &gate{open: make(chan struct{})}
	t.Cleanup(g.free)
	return g
}

func (g *gate) free() { g.once.Do(func() { close(g.open) }) }

func (g *gate) enter(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.all++
	g.most = max(g.most, g.now)
	g.ns = append(g.ns, n)
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
}

// handle waits for the gate or the end of its context.
func (g *gate) handle(ctx context.Context, v item) error {
	g.enter(v.N)
	defer g.leave()
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
}

// deaf waits for the gate alone.
func (g *gate) deaf(_ context.Context, v item) error {
	g.enter(v.N)
	defer g.leave()
	<-g.open
	return nil
}

// read returns how many are inside now, were at most, and entered in all.
func (g *gate) read() (now, most, all int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now, g.most, g.all
}

func (g *gate) inside() int { now, _, _ := g.read(); return now }
func (g *gate) total() int  { _, _, all := g.read(); return all }

// logBuffer keeps what was logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.buf.Bytes(), []byte(text))
}
