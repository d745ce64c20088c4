package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
)

// chaos is a store behind a bad network. It loses requests and replies, delivers some requests long after the caller was told that
// they are lost, and lets some callers stand still before they send.
type chaos struct {
	bellhop.Store
	calm     atomic.Bool
	unfenced bool // it forgets the outbox's cursor
	late     sync.WaitGroup
}

var errCut = fmt.Errorf("the connection was cut: %w", bellhop.ErrUnavailable)

func (c *chaos) Unwrap() bellhop.Store { return c.Store }

func (c *chaos) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	if c.unfenced {
		r = &bellhop.EnqueueRequest{Jobs: r.Jobs}
	}
	if c.calm.Load() {
		return c.Store.Enqueue(ctx, r)
	}
	switch rand.IntN(10) {
	case 0: // the request is lost
		return nil, errCut
	case 1: // the reply is lost
		if _, err := c.Store.Enqueue(ctx, r); err != nil {
			return nil, err
		}
		return nil, errCut
	case 2: // the request comes in late
		c.late.Go(func() {
			time.Sleep(time.Duration(rand.Int64N(int64(50 * time.Millisecond)))) // so late
			_, _ = c.Store.Enqueue(context.WithoutCancel(ctx), r)                // nobody hears the answer
		})
		return nil, errCut
	case 3: // the relay stands still
		time.Sleep(time.Duration(rand.Int64N(int64(50 * time.Millisecond)))) // so long
		return c.Store.Enqueue(ctx, r)
	case 4: // the relay is killed when the jobs are in the store and the rows are still there
		if _, err := c.Store.Enqueue(ctx, r); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return c.Store.Enqueue(ctx, r)
}

func (c *chaos) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	if !c.calm.Load() && rand.IntN(20) == 0 {
		return nil, errCut
	}
	return c.Store.Records(ctx, q)
}

var queues = []string{"a", "b", "c", "d"}

// mill works jobs off, and forgets them at once: a job that comes a second time runs a second time.
type mill struct {
	t       *testing.T
	store   bellhop.Store
	clock   *bellhop.ManualClock
	process bellhop.Process
	runs    map[bellhop.ID]int
}

func (m *mill) turn() {
	m.t.Helper()
	ctx := m.t.Context()
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	_, err := m.store.Beat(ctx, &bellhop.Beat{Process: m.process, Lease: 100 * 365 * 24 * time.Hour})
	must(err)
	var wants []bellhop.Want
	for _, queue := range queues {
		wants = append(wants, bellhop.Want{Queue: queue, Count: 1000})
	}
	reply, err := m.store.Exchange(ctx, &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: m.process.ID, Wants: wants, Limit: 4000, Kinds: []string{greet.Kind()},
	})
	must(err)
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: m.process.ID}
	for i := range reply.Claims {
		c := &reply.Claims[i]
		m.runs[c.Token.JobID]++
		r.Outcomes = append(r.Outcomes, c.Settle(bellhop.Policy{}, bellhop.Return{Started: m.clock.Now(), Ended: m.clock.Now()}))
	}
	_, err = m.store.Exchange(ctx, r)
	must(err)
	m.clock.Advance(25 * time.Hour) // longer than what has succeeded is kept
	_, err = m.store.Prune(ctx, 1000)
	must(err)
}

// Every job of a committed transaction runs once, and no other runs, whatever happens between the two databases; also when the
// store has forgotten the job by the time at which it comes again.
func TestOnce(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			if twice, lost := churn(t, d.make(t), inMemory, false); twice+lost > 0 {
				t.Errorf("%d jobs ran twice, %d were lost", twice, lost)
			}
		})
	}
}

// The same with a store of several parts.
func TestOnceInParts(t *testing.T) {
	t.Parallel()
	inParts := func(clock bellhop.Clock) bellhop.Store {
		s, err := partition.New(partition.Config{By: partition.ByQueue, Parts: []partition.Part{
			{Name: "one", Store: memory.New(memory.WithClock(clock))}, {Name: "two", Store: memory.New(memory.WithClock(clock))},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if twice, lost := churn(t, databases[0].make(t), inParts, false); twice+lost > 0 {
		t.Errorf("%d jobs ran twice, %d were lost", twice, lost)
	}
}

func inMemory(clock bellhop.Clock) bellhop.Store { return memory.New(memory.WithClock(clock)) }

// The test above would see jobs that run twice.
func TestOnceSeesDoubles(t *testing.T) {
	t.Parallel()
	if twice, _ := churn(t, databases[0].make(t), inMemory, true); twice == 0 {
		t.Error("without the cursor no job has run twice: the test sees nothing")
	}
}

// churn enqueues, relays and works through a bad network for a while, and counts jobs that ran more than once, and those that never ran.
func churn(t *testing.T, address string, open func(bellhop.Clock) bellhop.Store, unfenced bool) (twice, lost int) {
	clock := bellhop.NewManualClock(time.Now())
	store := open(clock)
	net := &chaos{Store: store, unfenced: unfenced}
	r := newRig(t, address, net)
	m := &mill{t: t, store: store, clock: clock, process: bellhop.Process{ID: bellhop.NewID(), Name: "mill"}, runs: map[bellhop.ID]int{}}
	committed, rolledBack := map[bellhop.ID]bool{}, map[bellhop.ID]bool{}

	rounds := 150
	if testing.Short() {
		rounds = 40
	}
	stops := make([]func(), 3)
	for round := range rounds {
		if i := rand.IntN(len(stops)); rand.IntN(3) == 0 { // a relay is killed, and another begins
			if stops[i] != nil {
				stops[i]()
			}
			_, stops[i] = r.relay(func(c *outbox.Config) {
				c.Batch, c.Poll, c.Name = 1+rand.IntN(20), 10*time.Millisecond, fmt.Sprint("relay ", round)
			})
		}
		commit := rand.IntN(4) > 0
		r.tx(func(tx *sql.Tx) bool {
			for range 1 + rand.IntN(10) {
				receipt, err := greet.Enqueue(r.ctx, r.box.Within(tx), "x", bellhop.Queue(queues[rand.IntN(len(queues))]))
				r.must(err)
				if commit {
					committed[receipt.ID] = true
				} else {
					rolledBack[receipt.ID] = true
				}
			}
			return commit
		})
		m.turn()
		time.Sleep(time.Duration(rand.Int64N(int64(10 * time.Millisecond)))) // so that relays and network get on
	}
	for _, stop := range stops {
		if stop != nil {
			stop()
		}
	}
	net.calm.Store(true)
	net.late.Wait()
	r.relay()
	r.moved()
	m.turn()
	for id := range committed {
		switch n := m.runs[id]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	for id := range rolledBack {
		if m.runs[id] > 0 {
			t.Errorf("job %s ran, and its transaction was rolled back", id)
		}
	}
	if s := r.status(); s.SetAside > 0 {
		t.Errorf("%d jobs were set aside", s.SetAside)
	}
	t.Logf("%d jobs committed, %d rolled back", len(committed), len(rolledBack))
	return twice, lost
}

// Many relays on one table double nothing, and leave nothing lying.
func TestManyRelays(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const n = 1500
		var relays []*outbox.Relay
		for i := range 5 {
			relay, _ := r.relay(func(c *outbox.Config) { c.Batch, c.Name = 100, fmt.Sprint("relay ", i) })
			relays = append(relays, relay)
		}
		for range n / 100 {
			drafts := make([]bellhop.Draft, 100)
			for i := range drafts {
				drafts[i] = greet.New("x")
			}
			r.enqueue(drafts...)
		}
		r.moved()
		if found := r.count(); found != n {
			t.Errorf("%d jobs in the store, want %d", found, n)
		}
		moved := int64(0)
		for _, relay := range relays {
			s := relay.Stats()
			moved += s.Moved
			if s.Existing > 0 {
				t.Errorf("%+v", s)
			}
		}
		if moved != n {
			t.Errorf("the relays have moved %d jobs, want %d", moved, n)
		}
	})
}
