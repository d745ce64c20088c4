package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/storetest"
)

// A delay counts from the enqueue, not from the move; a run-at is kept as it is.
func TestDelayCountsFromTheCall(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		at := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		before := time.Now()
		receipts := r.enqueue(greet.New("in", bellhop.In(time.Minute)), greet.New("at", bellhop.At(at)), greet.New("soon", bellhop.In(time.Millisecond)))
		after := time.Now()
		const waits = 300 * time.Millisecond
		time.Sleep(waits) // as long as the outbox is not emptied
		r.relay()
		r.moved()
		moved := time.Now()
		const clocks = 5 * time.Millisecond // the database's clock may be that coarse
		due := r.get(receipts[0].ID).Place.Due
		// The wait of the row is subtracted when it is read, so that what the move itself takes comes on top.
		if latest := moved.Add(time.Minute - waits); due.Before(before.Add(time.Minute-clocks)) || due.After(latest.Add(clocks)) {
			t.Errorf("due %v after the call, want a minute; it was moved after %v", due.Sub(before), moved.Sub(after))
		}
		if s := r.get(receipts[1].ID); !s.Place.Due.Equal(at) || !s.RunAt.Equal(at) {
			t.Errorf("due at %v, want %v", s.Place.Due, at)
		}
		if s := r.get(receipts[2].ID); s.Place.State != bellhop.StateReady {
			t.Errorf("a job whose delay had passed is %s", s.Place.State)
		}
	})
}

// trouble is a store that refuses as it is told.
type trouble struct {
	bellhop.Store
	refuse atomic.Pointer[func(jobs []*bellhop.Job) error]
	calls  atomic.Int64
}

func newTrouble(refuse func(jobs []*bellhop.Job) error) *trouble {
	s := &trouble{Store: memory.New()}
	s.set(refuse)
	return s
}

func (s *trouble) set(refuse func(jobs []*bellhop.Job) error) { s.refuse.Store(&refuse) }

func (s *trouble) Unwrap() bellhop.Store { return s.Store }

func (s *trouble) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	s.calls.Add(1)
	if err := (*s.refuse.Load())(r.Jobs); err != nil {
		return nil, err
	}
	return s.Store.Enqueue(ctx, r)
}

func takes([]*bellhop.Job) error { return nil }

func refusesBad(jobs []*bellhop.Job) error {
	for _, j := range jobs {
		if string(j.Args) == `"bad"` {
			return errors.New("a value is too large for a column")
		}
	}
	return nil
}

// A store that refuses a batch without saying for which job is asked for ever smaller parts. The culprit is set aside once it was
// refused again while others were taken; the others go on.
func TestCulpritIsFound(t *testing.T) {
	t.Parallel()
	store := newTrouble(refusesBad)
	r := newRig(t, databases[0].make(t), store)
	var drafts []bellhop.Draft
	for i := range 100 {
		text := fmt.Sprint(i)
		if i == 0 || i == 41 {
			text = "bad"
		}
		drafts = append(drafts, greet.New(text))
	}
	r.enqueue(drafts...)
	r.relay()
	r.eventually("the good ones are moved", func() bool { return r.count() == 98 })
	r.eventually("the bad ones are set aside", func() bool { s := r.status(); return s.SetAside == 2 && s.Waiting == 0 })
	list, err := r.box.Asides(r.ctx, r.db, 10)
	r.must(err)
	if list[1].Seq != 42 || !strings.Contains(list[1].Reason, "too large for a column") {
		t.Errorf("%+v", list)
	}
}

// A store that refuses everything is no reason to set anything aside.
func TestStoreThatRefusesAll(t *testing.T) {
	t.Parallel()
	store := newTrouble(func([]*bellhop.Job) error { return errors.New("permission denied") })
	r := newRig(t, databases[0].make(t), store)
	for range 30 {
		r.enqueue(greet.New("x"))
	}
	relay, _ := r.relay()
	r.eventually("the relay has given up on more than ten of them", func() bool { return relay.Stats().Err != nil })
	if s := r.status(); s.SetAside != 0 || s.Waiting != 30 {
		t.Errorf("%+v", s)
	}
	store.set(takes)
	r.moved()
	if s := r.status(); s.SetAside != 0 || r.count() != 30 {
		t.Errorf("%+v, %d in the store", s, r.count())
	}
}

// A bad job that is alone waits, and is not set aside before the store has taken others.
func TestLoneCulprit(t *testing.T) {
	t.Parallel()
	store := newTrouble(refusesBad)
	r := newRig(t, databases[0].make(t), store)
	r.enqueue(greet.New("bad"))
	relay, _ := r.relay()
	r.eventually("the relay says why it does not get on", func() bool {
		err := relay.Stats().Err
		return err != nil && strings.Contains(err.Error(), "too large for a column")
	})
	r.eventually("it was tried twice", func() bool { return store.calls.Load() >= 2 })
	if s := r.status(); s.Waiting != 1 || s.SetAside != 0 {
		t.Errorf("%+v", s)
	}
	good := r.enqueue(greet.New("good"))
	r.eventually("the good one passes it", func() bool { return r.get(good[0].ID) != nil })
	r.eventually("the bad one is set aside", func() bool { return r.status().SetAside == 1 })
}

// While the store is down, enqueues go on, the relay says one line, and when the store is back everything is moved.
func TestStoreDown(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		store := newTrouble(func([]*bellhop.Job) error { return fmt.Errorf("connection refused: %w", bellhop.ErrUnavailable) })
		store.Store = r.store
		r = rebuilt(r, store)
		relay, _ := r.relay()
		const n = 100
		for range n {
			r.enqueue(greet.New("x"))
		}
		r.eventually("the relay has tried a few times", func() bool { return store.calls.Load() >= 4 })
		if s := relay.Stats(); s.Err == nil || s.Moved != 0 {
			t.Errorf("%+v", s)
		}
		if s := r.status(); s.Waiting != n || s.Lag < 100*time.Millisecond {
			t.Errorf("%+v", s)
		}
		store.set(takes)
		r.moved()
		if r.count() != n {
			t.Errorf("%d jobs in the store", r.count())
		}
		count := func(text string) (n int) {
			for _, line := range r.log.all() {
				if strings.Contains(line, text) {
					n++
				}
			}
			return n
		}
		r.eventually("the end of the outage is said", func() bool { return count("takes jobs from the outbox again") == 1 })
		if n := count("does not take jobs"); n != 1 {
			t.Errorf("%d lines about the outage, want one", n)
		}
	})
}

// A part of the store that is down holds up no other part, and order within each part is kept.
func TestParts(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		down := newTrouble(func([]*bellhop.Job) error { return fmt.Errorf("connection refused: %w", bellhop.ErrUnavailable) })
		store, err := partition.New(partition.Config{
			By:    partition.ByQueue,
			Parts: []partition.Part{{Name: "one", Store: memory.New()}, {Name: "two", Store: down}, {Name: "unused", Store: memory.New()}},
			Pins:  map[string]string{"*": "one", "slow": "two"},
		})
		r.must(err)
		r = rebuilt(r, store)
		const n = 200
		var drafts []bellhop.Draft
		for i := range n {
			drafts = append(drafts, greet.New(fmt.Sprint(i), bellhop.Queue([]string{"slow", "slow", "slow", "quick"}[i%4])))
		}
		receipts := r.enqueue(drafts...)
		relay, _ := r.relay(func(c *outbox.Config) { c.Batch = 10 })
		quick := bellhop.Filter{Queues: []string{"quick"}}
		r.eventually("the jobs of the part that answers are moved", func() bool {
			found, err := storetest.CountAll(r.ctx, store, quick, n)
			return err == nil && found == n/4
		})
		late := r.enqueue(greet.New("late", bellhop.Queue("quick")))
		r.eventually("a later one too", func() bool { return r.get(late[0].ID) != nil })
		r.eventually("only the jobs of the other part wait", func() bool { return r.status().Waiting == n*3/4 })
		r.eventually("the other part was tried", func() bool { return relay.Stats().Err != nil })
		down.set(takes)
		r.moved()
		page, err := store.List(r.ctx, &bellhop.Query{Filter: bellhop.Filter{Queues: []string{"slow"}}, Limit: 1000})
		r.must(err)
		if len(page.Jobs) != n*3/4 {
			t.Fatalf("%d jobs in the other part", len(page.Jobs))
		}
		for i, k := len(page.Jobs)-1, 0; i >= 0; i, k = i-1, k+1 { // newest first
			if want := receipts[k/3*4+k%3]; page.Jobs[i].ID != want.ID {
				t.Fatalf("job %d is %s", k, page.Jobs[i].Args)
			}
		}
		if s := relay.Stats(); s.Moved != n+1 || s.Existing != 0 || s.SetAside != 0 {
			t.Errorf("%+v", s)
		}
		_, err = r.db.ExecContext(r.ctx, "drop table bellhop_outbox")
		r.must(err)
		r.eventually("the relay misses the table", func() bool { return relay.Stats().Err != nil })
		r.must(r.box.Create(r.ctx, r.db))
		r.eventually("it gets on, with nothing to move", func() bool { return relay.Stats().Err == nil })
	})
}

// rebuilt returns the rig on another store.
func rebuilt(r *rig, store bellhop.Store) *rig {
	other := *r
	var err error
	other.store = store
	other.client, err = bellhop.NewClient(store, bellhop.Logger(r.client.Logger()))
	r.must(err)
	r.t.Cleanup(func() { _ = other.client.Close() })
	other.box, err = outbox.New(other.client, r.dialect)
	r.must(err)
	return &other
}

// The user's database may go away and come back, killed or standing still, and so may its table.
func TestDatabaseDown(t *testing.T) {
	servers := map[string]func(testing.TB, ...string) *testservers.Server{
		"postgres": testservers.StartPostgres, "mariadb": testservers.StartMariaDB,
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			r := newRig(t, server.Database(t), memory.New())
			relay, _ := r.relay()
			r.enqueue(greet.New("before"))
			r.moved()
			server.Kill()
			r.eventually("the relay notices", func() bool { return relay.Stats().Err != nil })
			server.Start()
			r.answers()
			r.enqueue(greet.New("after a kill"))
			r.eventually("moved after a kill", func() bool { return r.count() == 2 })
			server.Freeze()
			time.Sleep(100 * time.Millisecond) // so long nobody answers
			server.Thaw()
			r.enqueue(greet.New("after a freeze"))
			r.eventually("moved after a freeze", func() bool { return r.count() == 3 })
			_, err := r.db.ExecContext(r.ctx, "drop table bellhop_outbox")
			r.must(err)
			r.eventually("the relay misses the table", func() bool { return relay.Stats().Err != nil })
			if err := r.box.Check(r.ctx, r.db); err == nil || !strings.Contains(err.Error(), "bellhop relay create") {
				t.Errorf("error %v", err)
			}
			r.must(r.box.Create(r.ctx, r.db))
			r.enqueue(greet.New("in a new table"))
			r.eventually("moved from a new table", func() bool { return r.count() == 4 })
		})
	}
}

// The table may be emptied, as tests do, and a restored database may give numbers a second time.
func TestNumbersComeAgain(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		_, stop := r.relay()
		r.enqueue(greet.New("a"), greet.New("b"), greet.New("c"))
		r.moved()
		_, err := r.db.ExecContext(r.ctx, "delete from bellhop_outbox")
		r.must(err)
		r.enqueue(greet.New("d"))
		r.eventually("moved from an emptied table", func() bool { return r.count() == 4 })

		r.enqueue(greet.New("e"), greet.New("f"), greet.New("g"))
		r.eventually("moved", func() bool { return r.count() == 7 })
		stop()
		var identity string
		r.must(r.db.QueryRowContext(r.ctx, "select id from bellhop_outbox where seq = 0").Scan(&identity))
		_, err = r.db.ExecContext(r.ctx, "drop table bellhop_outbox")
		r.must(err)
		r.must(r.box.Create(r.ctx, r.db))
		for range 12 { // the numbers of the last batch are among these
			r.enqueue(greet.New("h"))
		}
		_, err = r.db.ExecContext(r.ctx, fmt.Sprintf("insert into bellhop_outbox (id, format, job, args, written_at, place) values ('%s', 0, '', '', 0, 9)", identity))
		r.must(err)
		_, err = r.db.ExecContext(r.ctx, "update bellhop_outbox set seq = 0 where place = 9")
		r.must(err)
		r.relay()
		r.moved()
		if n := r.count(); n != 19 {
			t.Errorf("%d jobs in the store, want 19: a restored database has lost some", n)
		}
	})
}

// A relay in the process of the enqueue does not wait for its next poll, whether the commit comes at once or a little later.
func TestWake(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.relay(func(c *outbox.Config) { c.Poll = time.Hour })
		first := r.enqueue(greet.New("first"))
		r.eventually("moved at once", func() bool { return r.get(first[0].ID) != nil })
		r.tx(func(tx *sql.Tx) bool {
			_, err := greet.Enqueue(r.ctx, r.box.Within(tx), "slow")
			r.must(err)
			time.Sleep(50 * time.Millisecond) // what a handler of a request does before it commits
			return true
		})
		r.eventually("moved soon after", func() bool { return r.count() == 2 })
		// Written by somebody else: nobody wakes the relay but the caller.
		other := rebuilt(r, r.store)
		other.enqueue(greet.New("elsewhere"))
		r.box.Wake()
		r.eventually("moved when told", func() bool { return r.count() == 3 })
	})
}

// A transaction that stays open holds up no others, whatever becomes of their rows, and its own job comes when it has committed.
func TestLateCommit(t *testing.T) {
	for name, keep := range map[string]time.Duration{"deleted": 0, "kept": time.Hour} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, r *rig) {
				if r.dialect == outbox.SQLite {
					t.Skip("SQLite has one writing transaction at a time")
				}
				taken := bellhop.IDFromKey("test", "taken") // by other work, so that rows are set aside too
				_, err := greet.Enqueue(r.ctx, r.client, "other", bellhop.WithID(taken))
				r.must(err)
				var late bellhop.Receipt
				r.tx(func(tx *sql.Tx) bool { // it is there when the relay begins
					var err error
					late, err = greet.Enqueue(r.ctx, r.box.Within(tx), "late")
					r.must(err)
					relay, _ := r.relay(func(c *outbox.Config) { c.Keep = keep })
					for range 20 { // these overtake it
						r.enqueue(greet.New("x"), greet.New("y"), greet.New("z"), greet.New("x", bellhop.WithID(taken)))
					}
					r.eventually("the others are moved past an open transaction", func() bool { return r.count() == 61 && r.status().Waiting == 0 })
					if s := relay.Stats(); s.Err != nil {
						t.Error(s.Err)
					}
					return true
				})
				r.eventually("the late one is moved", func() bool { return r.get(late.ID) != nil })
				for _, line := range r.log.all() {
					if strings.Contains(line, "does not answer") {
						t.Error(line)
					}
				}
			})
		})
	}
}

// What makes no sense is refused in one line, and before anything is written.
func TestRefusals(t *testing.T) {
	r := newRig(t, databases[0].make(t), memory.New())
	wants := func(err error, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q", err, part)
			}
		}
	}
	_, err := greet.Enqueue(r.ctx, r.box.Within(nil), "x")
	wants(err, "transaction is nil")
	_, err = outbox.New(nil, outbox.SQLite)
	wants(err, "client is nil")
	_, err = outbox.New(r.client, 77)
	wants(err, "Dialect(77)", "outbox.PostgreSQL")
	for _, c := range []outbox.Config{{Batch: -1}, {Batch: 5001}, {Poll: time.Millisecond}, {Keep: -1}} {
		_, err = outbox.NewRelay(r.box, r.db, c)
		wants(err, "outbox: Config.")
	}
	_, err = outbox.NewRelay(r.box, nil, outbox.Config{})
	wants(err, "nil")
	nowhere, err := outbox.NewClient()
	r.must(err)
	box, err := outbox.New(nowhere, outbox.SQLite)
	r.must(err)
	_, err = outbox.NewRelay(box, r.db, outbox.Config{})
	wants(err, "NewClient", bellhop.ErrUnsupported.Error())
	_, err = greet.Enqueue(r.ctx, nowhere, "x")
	wants(err, "only enqueues through an outbox")
	if s := r.status(); s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	r.tx(func(tx *sql.Tx) bool { // but through the outbox it does
		_, err := greet.Enqueue(r.ctx, box.Within(tx), "x")
		r.must(err)
		claim := &bellhop.Claim{Token: bellhop.Token{JobID: bellhop.NewID()}, Job: &bellhop.Job{}}
		run := bellhop.NewRun(r.client, claim, time.Now(), time.Now)
		wants(run.Complete(r.ctx, box.Within(tx)), "another database", bellhop.ErrUnsupported.Error())
		return true
	})
	if s := r.status(); s.Waiting != 1 {
		t.Errorf("%+v", s)
	}
	relay, stop := r.relay()
	r.moved()
	stop()
	wants(relay.Run(r.ctx), "called before")
}

// An enqueue through an outbox passes the client's middleware and tells its listeners, once.
func TestMiddlewareAndEvents(t *testing.T) {
	r := newRig(t, databases[0].make(t), memory.New())
	var mu sync.Mutex
	var seen []string
	client, err := bellhop.NewClient(r.store,
		bellhop.OnEnqueue(func(ctx context.Context, jobs []*bellhop.Job, next bellhop.EnqueueFunc) ([]bellhop.Receipt, error) {
			jobs[0].Meta = map[string]string{"trace": "abc"}
			return next(ctx, jobs)
		}),
		bellhop.OnEvent(func(e bellhop.Event) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, e.Type.String()+" "+e.JobID.String())
		}))
	r.must(err)
	r.box, err = outbox.New(client, r.dialect)
	r.must(err)
	r.relay()
	receipt := r.enqueue(greet.New("x"))
	r.moved()
	if s := r.get(receipt[0].ID); s.Meta["trace"] != "abc" {
		t.Errorf("metadata %v", s.Meta)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 1 || seen[0] != bellhop.EventEnqueued.String()+" "+receipt[0].ID.String() {
		t.Errorf("events %q", seen)
	}
}

// A relay that is stopped while it looks over the rows that it keeps says nothing of a database in trouble.
func TestStopIsNoTrouble(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		relay, err := outbox.NewRelay(r.box, r.db, outbox.Config{Keep: time.Hour})
		r.must(err)
		stopped, stop := context.WithCancel(r.ctx)
		stop()
		relay.Idle(stopped)
		if lines := r.log.all(); len(lines) > 0 {
			t.Errorf("it said %q", lines)
		}
	})
}
