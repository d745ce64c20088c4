package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/worker"
)

// joining is a store with a process that lets enqueues claim for it.
type joining struct {
	*sqlite.Store
	t       *testing.T
	path    string
	process bellhop.Process
	stop    func()
	decline atomic.Bool
	ended   chan bellhop.ExchangeReply // of what was offered; empty after an error
	errs    chan error
	woken   atomic.Int64
	last    *bellhop.ExchangeRequest

	mu    sync.Mutex
	steps []string // "verb: statement" of what has run
	fail  string   // the step that is to fail
}

var errStep = errors.New("the step fails for a test")

func newJoining(t *testing.T) *joining {
	path := filepath.Join(t.TempDir(), "jobs.db")
	j := &joining{
		t: t, Store: openAt(t, path), path: path, process: testProcess(),
		ended: make(chan bellhop.ExchangeReply, 1), errs: make(chan error, 1),
	}
	_, err := j.Beat(t.Context(), &bellhop.Beat{Process: j.process, Lease: time.Hour})
	must(t, err)
	t.Cleanup(j.Notify(func(string) { j.woken.Add(1) }))
	j.stop = j.Join(func([]*bellhop.Job) *bellhop.Offer {
		if j.decline.Load() {
			return nil
		}
		j.last = request(j.process, 5)
		return &bellhop.Offer{Request: j.last, Done: func(reply *bellhop.ExchangeReply, err error) {
			j.errs <- err
			if reply == nil {
				reply = &bellhop.ExchangeReply{}
			}
			j.ended <- *reply
		}}
	})
	t.Cleanup(j.stop)
	j.SetStep(func(_ context.Context, op bellhop.Op, statement string, done bool) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		step := string(op) + ": " + statement
		if !done && step == j.fail {
			j.fail = ""
			return errStep
		}
		if done {
			j.steps = append(j.steps, step)
		}
		return nil
	})
	return j
}

// enqueue enqueues n jobs.
func (j *joining) enqueue(n int) ([]*bellhop.Job, error) {
	jobs := testJobs(n)
	_, err := j.Store.Enqueue(j.t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	return jobs, err
}

// state returns in what state a job is, and under which exchange.
func (j *joining) state(job *bellhop.Job) (bellhop.State, bellhop.ID) {
	j.t.Helper()
	found, err := j.Get(j.t.Context(), []bellhop.ID{job.ID})
	must(j.t, err)
	if len(found) == 0 {
		return 0, bellhop.ID{}
	}
	return found[0].Place.State, found[0].Place.Exchange
}

// ran returns how often a step has run.
func (j *joining) ran(step string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.steps {
		if s == step {
			n++
		}
	}
	return n
}

// One commit does for an enqueue and for the claim that it leads to, and nobody is woken for nothing.
func TestJoinMakesOneCommit(t *testing.T) {
	j := newJoining(t)
	jobs, err := j.enqueue(1)
	must(t, err)
	must(t, <-j.errs)
	reply := <-j.ended
	if len(reply.Claims) != 1 || reply.Claims[0].Job.ID != jobs[0].ID || reply.Signals.NextDue >= 0 {
		t.Errorf("the reply is %+v", reply)
	}
	if state, by := j.state(jobs[0]); state != bellhop.StateRunning || by != j.last.ID {
		t.Errorf("the job is %v under exchange %v, want %v", state, by, j.last.ID)
	}
	if n, woken := j.ran("enqueue: commit"), j.woken.Load(); n != 1 || woken != 0 {
		t.Errorf("%d commits, and somebody was woken %d times", n, woken)
	}
	// Repeated, the exchange tells what it has claimed.
	again, err := j.Exchange(t.Context(), j.last)
	must(t, err)
	if len(again.Claims) != 1 || again.Claims[0].Token != reply.Claims[0].Token {
		t.Errorf("repeated, the exchange returns %+v", again.Claims)
	}
	// What is left over is told to all.
	jobs, err = j.enqueue(8)
	must(t, err)
	must(t, <-j.errs)
	if reply = <-j.ended; len(reply.Claims) != 5 || j.woken.Load() != 1 {
		t.Errorf("of %d jobs %d were claimed, and somebody was woken %d times", len(jobs), len(reply.Claims), j.woken.Load())
	}
}

// A claim that fails harms neither the enqueue nor what the worker does by itself.
func TestJoinThatFails(t *testing.T) {
	for _, step := range []string{"enqueue: look around", "enqueue: claimable", "enqueue: end ready", "enqueue: add exchange"} {
		t.Run(step, func(t *testing.T) {
			j := newJoining(t)
			j.fail = step
			jobs, err := j.enqueue(2)
			must(t, err)
			if err := <-j.errs; !errors.Is(err, errStep) {
				t.Errorf("the error is %v", err)
			}
			<-j.ended
			for _, job := range jobs {
				if state, _ := j.state(job); state != bellhop.StateReady {
					t.Errorf("a job is %v, want ready", state)
				}
			}
			if j.woken.Load() != 1 {
				t.Errorf("somebody was woken %d times, want 1", j.woken.Load())
			}
			reply, err := j.Exchange(t.Context(), j.last)
			must(t, err)
			if len(reply.Claims) != 2 {
				t.Errorf("repeated, the exchange returns %d claims, want 2", len(reply.Claims))
			}
		})
	}
}

// If the enqueue fails, so does the claim.
func TestJoinOfAFailingEnqueue(t *testing.T) {
	j := newJoining(t)
	j.fail = "enqueue: commit"
	jobs, err := j.enqueue(1)
	if !errors.Is(err, errStep) {
		t.Errorf("the enqueue returned %v", err)
	}
	if err := <-j.errs; !errors.Is(err, errStep) {
		t.Errorf("the claim has failed with %v", err)
	}
	if reply := <-j.ended; len(reply.Claims) > 0 {
		t.Errorf("there are claims: %+v", reply)
	}
	if state, _ := j.state(jobs[0]); state != 0 {
		t.Errorf("the job is %v, want none", state)
	}
}

// An enqueue that panics has enqueued nothing, and nothing is claimed.
func TestJoinOfAPanickingEnqueue(t *testing.T) {
	j := newJoining(t)
	j.SetStep(func(_ context.Context, _ bellhop.Op, statement string, _ bool) error {
		if statement == "commit" {
			panic("a test")
		}
		return nil
	})
	func() {
		defer func() { _ = recover() }()
		_, _ = j.enqueue(1)
		t.Error("there was no panic")
	}()
	if err := <-j.errs; err == nil {
		t.Error("the claim was told of as made")
	}
	if reply := <-j.ended; len(reply.Claims) > 0 {
		t.Errorf("there are claims: %+v", reply)
	}
}

// Within a transaction of a user, whose commit may be far, nobody is asked.
func TestNoJoinWithinATransaction(t *testing.T) {
	j := newJoining(t)
	client := newClient(t, j.Store)
	tx, err := raw(t, j.path, "_txlock=immediate").BeginTx(t.Context(), nil)
	must(t, err)
	receipt, err := sendWelcome.Enqueue(t.Context(), sqlite.Within(client, tx), welcome{1})
	must(t, err)
	must(t, tx.Commit())
	found, err := j.Get(t.Context(), []bellhop.ID{receipt.ID})
	must(t, err)
	if len(found) != 1 || found[0].Place.State != bellhop.StateReady || j.last != nil {
		t.Errorf("found %+v; asked: %v", found, j.last != nil)
	}
}

// A transaction that is tried again makes the claim again: what an earlier try has brought counts for nothing.
func TestJoinInASecondTry(t *testing.T) {
	for _, there := range []bool{false, true} {
		j := newJoining(t)
		jobs := testJobs(2)
		tries := 0
		now := time.Now()
		j.SetStep(func(_ context.Context, op bellhop.Op, statement string, done bool) error {
			if statement == "commit" && op == bellhop.OpEnqueue && !done {
				if tries++; tries == 1 {
					if there { // the second try finds nothing to be ready now
						for _, job := range jobs {
							job.RunAt = now.Add(time.Hour)
						}
					}
					return fmt.Errorf("for a test: %w", sqlstore.ErrAgain)
				}
			}
			return nil
		})
		_, err := j.Store.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
		must(t, err)
		must(t, <-j.errs)
		reply := <-j.ended
		want := map[bool]int{false: 2, true: 0}[there]
		if tries != 2 || len(reply.Claims) != want {
			t.Errorf("after %d tries there are %d claims, want %d", tries, len(reply.Claims), want)
		}
		for _, c := range reply.Claims {
			if state, by := j.state(c.Job); state != bellhop.StateRunning || by != j.last.ID {
				t.Errorf("a job is %v under exchange %v", state, by)
			}
		}
	}
}

// A process that was swept claims nothing, and hears of it.
func TestJoinOfAGoneProcess(t *testing.T) {
	j := newJoining(t)
	_, err := j.Beat(t.Context(), &bellhop.Beat{Process: j.process, Leave: true})
	must(t, err)
	jobs, err := j.enqueue(1)
	must(t, err)
	if err := <-j.errs; !errors.Is(err, bellhop.ErrProcessGone) {
		t.Errorf("the error is %v", err)
	}
	<-j.ended
	if state, _ := j.state(jobs[0]); state != bellhop.StateReady || j.woken.Load() != 1 {
		t.Errorf("the job is %v, and somebody was woken %d times", state, j.woken.Load())
	}
}

// Who declines, or has stopped, is woken as ever or hears nothing.
func TestJoinDeclinedAndStopped(t *testing.T) {
	j := newJoining(t)
	for i, before := range []func(){func() { j.decline.Store(true) }, func() { j.decline.Store(false); j.stop() }} {
		before()
		jobs, err := j.enqueue(1)
		must(t, err)
		if state, _ := j.state(jobs[0]); state != bellhop.StateReady || j.woken.Load() != int64(i+1) || len(j.errs) > 0 {
			t.Errorf("%d: the job is %v, somebody was woken %d times, %d calls of Done", i, state, j.woken.Load(), len(j.errs))
		}
	}
}

// An idle worker has a lone job of its own process by the commit that enqueues it; and however enqueues, claims and ends of
// workers meet, each job runs once.
func TestWorkerJoinsEnqueues(t *testing.T) {
	client, err := bellhop.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "jobs.db"))
	must(t, err)
	defer func() { must(t, client.Close()) }()
	s, _ := bellhop.As[*sqlite.Store](client.Store())
	var enqueues, exchanges atomic.Int64
	s.SetStep(func(_ context.Context, op bellhop.Op, statement string, done bool) error {
		if statement == "add exchange" && done {
			map[bellhop.Op]*atomic.Int64{bellhop.OpEnqueue: &enqueues, bellhop.OpExchange: &exchanges}[op].Add(1)
		}
		return nil
	})
	kind := bellhop.Define[int]("test.joined")
	var mu sync.Mutex
	runs := map[int]int{}
	ran := make(chan int, 1400)
	start := func() (stop func()) {
		w := worker.New(client, worker.Config{Queues: worker.Queues{"default": 4}})
		w.Handle(kind.With(func(_ context.Context, n int) error {
			mu.Lock()
			runs[n]++
			mu.Unlock()
			ran <- n
			return nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		return func() { cancel(); must(t, <-ended) }
	}
	stop := start()
	const most, want = 1000, 10
	lone := 0
	for ; lone < most && enqueues.Load() < want; lone++ {
		_, err := kind.Enqueue(t.Context(), client, lone)
		must(t, err)
		<-ran
		time.Sleep(10 * time.Millisecond) // until the worker is idle again, but for a slow moment of the machine
	}
	if enqueues.Load() < want {
		t.Errorf("of %d lone jobs %d were claimed as they were enqueued, %d later", lone, enqueues.Load(), exchanges.Load())
	}
	all := lone + 380
	var senders sync.WaitGroup
	for from := lone; from < all; from += 95 {
		senders.Go(func() {
			for n := from; n < from+95; n++ {
				_, err := kind.Enqueue(t.Context(), client, n)
				must(t, err)
			}
		})
	}
	for range 5 {
		time.Sleep(20 * time.Millisecond) // workers come and go at any moment
		stop()
		stop = start()
	}
	senders.Wait()
	for range all - lone {
		<-ran
	}
	stop()
	for n := range all {
		if runs[n] != 1 {
			t.Errorf("job %d ran %d times", n, runs[n])
		}
	}
	if left, err := client.Count(t.Context(), bellhop.Filter{States: bellhop.AllStates &^ bellhop.States(bellhop.StateSucceeded)}, 10); left > 0 || err != nil {
		t.Errorf("%d jobs are not done, %v", left, err)
	}
}
