package storetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// TestClausesCanFail proves that the test of a clause finds a breach of it: for
// each clause there is a store that breaks it, and one of the tests that name
// the clause must fail on that store.
func TestClausesCanFail(t *testing.T) {
	for _, number := range strings.Fields(clauses) {
		spoil := spoilers[number]
		if spoil == nil {
			t.Errorf("no store breaks clause %s", number)
			continue
		}
		t.Run(number, func(t *testing.T) {
			h := mutantHarness(func(s bellhop.Store) bellhop.Store {
				broken := &spoiled{Pass: Pass{s}}
				spoil(broken, s)
				return broken
			})
			h.Reopen = func(t testing.TB, s bellhop.Store) bellhop.Store {
				if reopen := s.(*spoiled).reopen; reopen != nil {
					reopen()
				}
				return s
			}
			for _, g := range groups {
				for _, c := range g.tests {
					if !strings.Contains(" "+c.clauses+" ", " "+number+" ") {
						continue
					}
					run := part{c.name, func(t testing.TB, h Harness) { c.run(newTry(t, h)) }}
					if found := fails(t, run, h); found != "" {
						t.Logf("found by %s/%s: %.200s", g.name, c.name, found)
						return
					}
				}
			}
			t.Errorf("none of %v found the breach", proved()[number])
		})
	}
}

// spoiled is a store with some of its verbs replaced.
type spoiled struct {
	Pass
	enqueue  func(context.Context, *bellhop.EnqueueRequest) ([]bellhop.Receipt, error)
	exchange func(context.Context, *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error)
	report   func(context.Context, []bellhop.Report) ([]bellhop.Refusal, error)
	beat     func(context.Context, *bellhop.Beat) (*bellhop.BeatReply, error)
	sweep    func(context.Context, int) ([]bellhop.Claim, error)
	promote  func(context.Context, int) (int, time.Duration, error)
	prune    func(context.Context, int) (int, error)
	act      func(context.Context, *bellhop.ActRequest) (*bellhop.ActReply, error)
	get      func(context.Context, []bellhop.ID) ([]bellhop.Snapshot, error)
	list     func(context.Context, *bellhop.Query) (*bellhop.Listing, error)
	count    func(context.Context, *bellhop.Query) (*bellhop.Counted, error)
	stats    func(context.Context, int) ([]bellhop.QueueStats, error)
	pause    func(context.Context, string, bool) error
	records  func(context.Context, *bellhop.RecordQuery) ([]bellhop.Record, error)
	put      func(context.Context, []bellhop.RecordWrite) error
	ping     func(context.Context) (time.Time, error)
	reopen   func()
}

func (s *spoiled) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	if s.enqueue != nil {
		return s.enqueue(ctx, r)
	}
	return s.Store.Enqueue(ctx, r)
}

func (s *spoiled) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	if s.exchange != nil {
		return s.exchange(ctx, r)
	}
	return s.Store.Exchange(ctx, r)
}

func (s *spoiled) Report(ctx context.Context, reports []bellhop.Report) ([]bellhop.Refusal, error) {
	if s.report != nil {
		return s.report(ctx, reports)
	}
	return s.Store.Report(ctx, reports)
}

func (s *spoiled) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	if s.beat != nil {
		return s.beat(ctx, b)
	}
	return s.Store.Beat(ctx, b)
}

func (s *spoiled) Sweep(ctx context.Context, limit int) ([]bellhop.Claim, error) {
	if s.sweep != nil {
		return s.sweep(ctx, limit)
	}
	return s.Store.Sweep(ctx, limit)
}

func (s *spoiled) Promote(ctx context.Context, limit int) (int, time.Duration, error) {
	if s.promote != nil {
		return s.promote(ctx, limit)
	}
	return s.Store.Promote(ctx, limit)
}

func (s *spoiled) Prune(ctx context.Context, limit int) (int, error) {
	if s.prune != nil {
		return s.prune(ctx, limit)
	}
	return s.Store.Prune(ctx, limit)
}

func (s *spoiled) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	if s.act != nil {
		return s.act(ctx, r)
	}
	return s.Store.Act(ctx, r)
}

func (s *spoiled) Get(ctx context.Context, ids []bellhop.ID) ([]bellhop.Snapshot, error) {
	if s.get != nil {
		return s.get(ctx, ids)
	}
	return s.Store.Get(ctx, ids)
}

func (s *spoiled) List(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
	if s.list != nil {
		return s.list(ctx, q)
	}
	return s.Store.List(ctx, q)
}

func (s *spoiled) Count(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
	if s.count != nil {
		return s.count(ctx, q)
	}
	return s.Store.Count(ctx, q)
}

func (s *spoiled) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	if s.stats != nil {
		return s.stats(ctx, limit)
	}
	return s.Store.Stats(ctx, limit)
}

func (s *spoiled) Pause(ctx context.Context, queue string, paused bool) error {
	if s.pause != nil {
		return s.pause(ctx, queue, paused)
	}
	return s.Store.Pause(ctx, queue, paused)
}

func (s *spoiled) Records(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
	if s.records != nil {
		return s.records(ctx, q)
	}
	return s.Store.Records(ctx, q)
}

func (s *spoiled) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	if s.put != nil {
		return s.put(ctx, writes)
	}
	return s.Store.Put(ctx, writes)
}

func (s *spoiled) Ping(ctx context.Context) (time.Time, error) {
	if s.ping != nil {
		return s.ping(ctx)
	}
	return s.Store.Ping(ctx)
}

// eachOutcome makes an exchange with every outcome changed.
func eachOutcome(s bellhop.Store, change func(ctx context.Context, o *bellhop.Outcome)) func(context.Context, *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	return func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
		own := *r
		own.Outcomes = append([]bellhop.Outcome(nil), r.Outcomes...)
		for i := range own.Outcomes {
			change(ctx, &own.Outcomes[i])
		}
		return s.Exchange(ctx, &own)
	}
}

// exchanged makes an exchange whose reply is changed.
func exchanged(s bellhop.Store, change func(reply *bellhop.ExchangeReply)) func(context.Context, *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	return func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
		reply, err := s.Exchange(ctx, r)
		if reply != nil {
			change(reply)
		}
		return reply, err
	}
}

// beaten makes a beat whose reply is changed.
func beaten(s bellhop.Store, change func(reply *bellhop.BeatReply)) func(context.Context, *bellhop.Beat) (*bellhop.BeatReply, error) {
	return func(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
		reply, err := s.Beat(ctx, b)
		if reply != nil {
			change(reply)
		}
		return reply, err
	}
}

// got makes a Get whose snapshots are changed.
func got(s bellhop.Store, change func(*bellhop.Snapshot)) func(context.Context, []bellhop.ID) ([]bellhop.Snapshot, error) {
	return func(ctx context.Context, ids []bellhop.ID) ([]bellhop.Snapshot, error) {
		list, err := s.Get(ctx, ids)
		for i := range list {
			change(&list[i])
		}
		return list, err
	}
}

// acted makes an Act whose reply is changed.
func acted(s bellhop.Store, change func(*bellhop.ActReply)) func(context.Context, *bellhop.ActRequest) (*bellhop.ActReply, error) {
	return func(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
		reply, err := s.Act(ctx, r)
		if reply != nil {
			change(reply)
		}
		return reply, err
	}
}

// runScheduled runs all scheduled jobs now that the filter finds.
func runScheduled(ctx context.Context, s bellhop.Store, due func(*bellhop.Snapshot) bool) (n int, next time.Duration, err error) {
	jobs, err := listAll(ctx, s, bellhop.Filter{States: bellhop.States(bellhop.StateScheduled)}, 1000)
	if err != nil {
		return 0, 0, err
	}
	for i := range jobs {
		if !due(&jobs[i]) {
			continue
		}
		if _, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActRunNow, IDs: []bellhop.ID{jobs[i].ID}}); err != nil {
			return n, 0, err
		}
		n++
	}
	_, next, err = s.Promote(ctx, 0)
	return n, next, err
}

// alone makes Enqueue fail while another is under way.
func alone(s bellhop.Store) func(context.Context, *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	var busy atomic.Int32
	return func(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
		defer busy.Add(-1)
		if busy.Add(1) > 1 {
			return nil, errors.New("deadlock found: try again")
		}
		for range 1000 { // others may come in meanwhile
			gosched()
		}
		return s.Enqueue(ctx, r)
	}
}
