package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/storetest"
)

// seldom keeps polls out of these tests: while one is under way, and for a moment after it has found nothing, the worker declines.
const seldom = time.Minute

// joinable is a store that lets enqueues claim, by an exchange right after each. It notifies
// nobody: what runs at once was claimed so, for polls come later.
type joinable struct {
	storetest.Pass
	offer func([]*bellhop.Job) *bellhop.Offer
	made  int           // offers
	hang  chan struct{} // if not nil, what was offered hangs until it is closed
	ended chan struct{} // closed when that has ended
}

func (r *rig) joinable() *joinable {
	return &joinable{Pass: storetest.Pass{Store: r.faulty}, ended: make(chan struct{})}
}

func (s *joinable) Notify(func(queue string)) (stop func()) { return func() {} }

func (s *joinable) Join(offer func([]*bellhop.Job) *bellhop.Offer) (stop func()) {
	s.offer = offer
	return func() {
		s.offer = nil
		if s.hang != nil {
			<-s.ended
		}
	}
}

func (s *joinable) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	receipts, err := s.Pass.Enqueue(ctx, r)
	if err != nil || s.offer == nil {
		return receipts, err
	}
	o := s.offer(r.Jobs)
	if o == nil {
		return receipts, nil
	}
	s.made++
	if s.hang != nil {
		go func() {
			defer close(s.ended)
			<-s.hang
			o.Done(nil, errors.New("it has hung"))
		}()
		return receipts, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	reply, err := s.Exchange(ctx, o.Request)
	done := make(chan struct{})
	go func() { defer close(done); o.Done(reply, err) }()
	<-done
	return receipts, nil
}

// TestJoinedClaims: a job of an idle worker's own process is claimed as it is enqueued, and whatever happens to that
// claim, the job runs, once.
func TestJoinedClaims(t *testing.T) {
	for _, mode := range []storetest.FaultMode{0, storetest.Before, storetest.After, storetest.Hang, storetest.SwallowReply} {
		t.Run(mode.String(), func(t *testing.T) {
			laneBubble(t, 1, func(t *testing.T, r *rig) {
				s := r.joinable()
				client := r.newClient(s)
				var l ledger
				w := r.runOn(client, Config{Queues: Queues{"default": 2}, Poll: seldom}, job.With(func(ctx context.Context, _ item) error { l.add(ctx); return nil }))
				pass(5 * time.Second)
				if mode != 0 {
					r.faulty.Fail(bellhop.OpExchange, mode, 1, nil)
				}
				for n := range 5 {
					_, err := job.Enqueue(r.ctx, client, item{N: n})
					if err != nil {
						t.Fatal(err)
					}
					pass(20 * time.Millisecond)
				}
				expect(t, "jobs that ran at once", len(l.runs), 5)
				expect(t, "jobs that ran twice", l.twice(), 0)
				expect(t, "claimed as they were enqueued", s.made, 5)
				expect(t, "succeeded", r.in(bellhop.StateSucceeded), 5)
				w.mustStop()
				expect(t, "alive processes", len(r.processes()), 0)
			})
		})
	}
}

// TestJoinsAreDeclined by whoever could not start the jobs, or has an exchange of its own to make.
func TestJoinsAreDeclined(t *testing.T) {
	laneBubble(t, 1, func(t *testing.T, r *rig) {
		s := r.joinable()
		client := r.newClient(s)
		g := newGate(t)
		w := r.runOn(client, Config{Queues: Queues{"default": 2}, Poll: seldom}, job.With(g.handle))
		pass(5 * time.Second)
		other := bellhop.Define[item]("test.unknown")
		enqueue := func(what string, made int, d ...bellhop.Draft) {
			t.Helper()
			if _, err := bellhop.Enqueue(r.ctx, client, d...); err != nil {
				t.Fatal(err)
			}
			expect(t, what, s.made, made)
			pass(20 * time.Millisecond)
		}
		enqueue("of a kind without a handler", 0, other.New(item{}))
		enqueue("of another queue", 0, job.New(item{}, bellhop.Queue("else")))
		enqueue("of a queue that it works", 1, many(1)...)
		enqueue("with a slot left", 2, many(1)...)
		enqueue("with no slot left", 2, many(1)...)
		g.free()
		r.until("all done", func() bool { return r.in(bellhop.StateSucceeded) == 3 })
		w.mu.Lock()
		w.remote.drained = true
		w.mu.Unlock()
		enqueue("drained from elsewhere", 2, many(1)...)
		w.mu.Lock()
		w.remote.drained, w.draining = false, true
		w.mu.Unlock()
		enqueue("shutting down", 2, many(1)...)
		w.mustStop()
	})
}

// TestJoinOfAProcessThatIsHeldDead: the worker hears of it, begins anew, and has the job then.
func TestJoinOfAProcessThatIsHeldDead(t *testing.T) {
	laneBubble(t, 1, func(t *testing.T, r *rig) {
		s := r.joinable()
		client := r.newClient(s)
		w := r.runOn(client, Config{Queues: Queues{"default": 2}, Poll: seldom}, job.With(ok))
		pass(5*time.Second + 500*time.Millisecond)
		r.sweepAway(w)
		if _, err := job.Enqueue(r.ctx, client, item{}); err != nil {
			t.Fatal(err)
		}
		expect(t, "offers", s.made, 1)
		r.within(3*time.Second, "done by the new process", func() bool { return r.in(bellhop.StateSucceeded) == 1 })
		expect(t, "lines about it", r.log.count("begins again"), 1)
		w.mustStop()
	})
}

// TestDrainWithAJoinThatHangs: a worker ends in time though an enqueue that claims for it does not, and what its
// handlers came to is handed in.
func TestDrainWithAJoinThatHangs(t *testing.T) {
	laneBubble(t, 1, func(t *testing.T, r *rig) {
		s := r.joinable()
		client := r.newClient(s)
		g := newGate(t)
		w := r.runOn(client, Config{Queues: Queues{"default": 2}, Poll: seldom, Grace: 20 * time.Second, Shutdown: 25 * time.Second}, job.With(g.handle))
		pass(5 * time.Second)
		for hangs := range 2 {
			if hangs > 0 {
				s.hang = make(chan struct{})
			}
			if _, err := job.Enqueue(r.ctx, client, item{}); err != nil {
				t.Fatal(err)
			}
			pass(20 * time.Millisecond)
		}
		expect(t, "offers", s.made, 2)
		g.free()
		began := time.Now()
		w.end()
		select {
		case err := <-w.done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the drain waits for the enqueue")
		}
		if took := time.Since(began); took > 27*time.Second {
			t.Errorf("the drain took %v, want 27 s at most", took)
		}
		expect(t, "succeeded", r.in(bellhop.StateSucceeded), 1)
		expect(t, "ready for others", r.in(bellhop.StateReady), 1)
		expect(t, "alive processes", len(r.processes()), 0)
		close(s.hang) // what it says then is too late
		<-s.ended
	})
}
