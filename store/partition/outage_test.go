package partition_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/storetest"
	"github.com/gobellhop/bellhop/worker"
)

// rig is a partition by queue of two parts in memory that can be broken: queue
// "one" is in part one, "two" in part two.
type rig struct {
	*testing.T
	ctx   context.Context
	s     *partition.Store
	parts map[string]*storetest.Faulty
	log   *log
}

// log gathers lines.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r := &rig{T: t, ctx: ctx, parts: map[string]*storetest.Faulty{}, log: &log{}}
	c := partition.Config{By: partition.ByQueue, Pins: map[string]string{"one": "one", "two": "two"}, Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	for _, name := range []string{"one", "two"} {
		r.parts[name] = storetest.NewFaulty(memory.New())
		c.Parts = append(c.Parts, partition.Part{Name: name, Store: r.parts[name]})
	}
	var err error
	if r.s, err = partition.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.s.Close() })
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

const kind = "test.job"

func (r *rig) add(queues ...string) (ids []bellhop.ID) {
	r.Helper()
	for _, q := range queues {
		j := &bellhop.Job{ID: bellhop.NewID(), Kind: kind, Queue: q, Args: []byte(`{}`), Attempts: 3}
		_, err := r.s.Enqueue(r.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
		r.must(err)
		ids = append(ids, j.ID)
	}
	return ids
}

func (r *rig) beat(id bellhop.ID, held ...bellhop.Token) (*bellhop.BeatReply, error) {
	return r.s.Beat(r.ctx, &bellhop.Beat{Process: bellhop.Process{ID: id}, Lease: time.Hour, Held: held})
}

func request(p bellhop.ID, limit int) *bellhop.ExchangeRequest {
	return &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: p, Limit: limit, Kinds: []string{kind},
		Wants: []bellhop.Want{{Queue: "one", Count: limit}, {Queue: "two", Count: limit}},
	}
}

func (r *rig) exchange(x *bellhop.ExchangeRequest) *bellhop.ExchangeReply {
	r.Helper()
	reply, err := r.s.Exchange(r.ctx, x)
	r.must(err)
	return reply
}

// claim claims all jobs of both queues.
func (r *rig) claim(p bellhop.ID) map[string]bellhop.Claim {
	r.Helper()
	claims := map[string]bellhop.Claim{}
	for _, c := range r.exchange(request(p, 10)).Claims {
		claims[c.Job.Queue] = c
	}
	return claims
}

func succeeded(c bellhop.Claim) bellhop.Outcome {
	return bellhop.Outcome{Token: c.Token, Kind: bellhop.OutcomeSucceeded, Attempt: 1, Number: 1, Keep: time.Hour}
}

func (r *rig) state(id bellhop.ID) bellhop.State {
	r.Helper()
	found, err := r.s.Get(r.ctx, []bellhop.ID{id})
	r.must(err)
	if len(found) != 1 {
		r.Fatalf("%d jobs have the id %s", len(found), id)
	}
	return found[0].Place.State
}

// until calls fn until it reports true.
func (r *rig) until(what string, fn func() bool) {
	r.Helper()
	for !fn() {
		select {
		case <-r.ctx.Done():
			r.Fatalf("%s: did not come to be", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// One part fails: its outcomes are unsettled, the other part goes on, and when it is
// back each outcome counts once.
func TestPartFails(t *testing.T) {
	for _, mode := range []storetest.FaultMode{storetest.Before, storetest.After} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t)
			p := bellhop.NewID()
			_, err := r.beat(p)
			r.must(err)
			r.add("one", "two")
			held := r.claim(p)
			more := r.add("one", "two")
			r.parts["two"].FailAll(mode, storetest.Always, nil)
			x := request(p, 10)
			x.Outcomes = []bellhop.Outcome{succeeded(held["two"]), succeeded(held["one"])}
			reply := r.exchange(x)
			if !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 || len(reply.Claims) != 1 || reply.Claims[0].Token.JobID != more[0] {
				t.Fatalf("unsettled %v, refused %v, claimed %v; want outcome 0 unsettled, and a claim of part one", reply.Unsettled, reply.Refused, reply.Claims)
			}
			for range 20 { // the others go on, and nothing is said twice
				ids := r.add("one")
				claims := r.exchange(request(p, 10)).Claims
				if len(claims) != 1 || claims[0].Token.JobID != ids[0] {
					t.Fatalf("claimed %v; want job %s", claims, ids[0])
				}
			}
			if n := r.log.count("out of reach"); n != 1 {
				t.Errorf("the log says %d times that a part is out of reach", n)
			}
			r.parts["two"].Heal()
			again := &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: p, Outcomes: x.Outcomes[:1]}
			r.until("the outcome is settled", func() bool {
				reply := r.exchange(again)
				if len(reply.Refused) > 0 {
					t.Fatalf("refused: %v", reply.Refused)
				}
				return len(reply.Unsettled) == 0
			})
			found, err := r.s.Get(r.ctx, []bellhop.ID{held["two"].Token.JobID})
			r.must(err)
			if found[0].Place.State != bellhop.StateSucceeded || len(found[0].History) != 1 {
				t.Errorf("the job is %s with %d records", found[0].Place.State, len(found[0].History))
			}
			if n := r.log.count("is back"); n != 1 {
				t.Errorf("the log says %d times that a part is back", n)
			}
		})
	}
}

// A frozen part costs the exchange its patience once, and what it claimed meanwhile
// comes with a later exchange. A beat between takes it neither for lost nor for unknown.
func TestPartFrozen(t *testing.T) {
	r := newRig(t)
	p := bellhop.NewID()
	_, err := r.beat(p)
	r.must(err)
	ids := r.add("one", "two")
	thaw := make(chan struct{})
	frozen := &frozen{Pass: storetest.Pass{Store: r.parts["two"]}, thaw: thaw}
	s, err := partition.New(partition.Config{
		By: partition.ByQueue, Pins: map[string]string{"one": "one", "two": "two"}, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Parts: []partition.Part{{Name: "one", Store: r.parts["one"]}, {Name: "two", Store: frozen}},
	})
	r.must(err)
	r.s = s
	reply := r.exchange(request(p, 10))
	if len(reply.Claims) != 1 || reply.Claims[0].Token.JobID != ids[0] {
		t.Fatalf("claimed %v; want the job of part one", reply.Claims)
	}
	for range 50 {
		r.exchange(request(p, 10))
	}
	if n := r.parts["two"].Calls(bellhop.OpExchange); n != 1 {
		t.Errorf("the frozen part was asked %d times; it owes an answer since the first", n)
	}
	// The part has the claim, and its answer is on its way.
	beat, err := r.beat(p, reply.Claims[0].Token)
	r.must(err)
	if len(beat.Extra)+len(beat.Lost) > 0 {
		t.Errorf("a beat found extra %v, lost %v", beat.Extra, beat.Lost)
	}
	close(thaw)
	var late []bellhop.Claim
	r.until("the late claim arrives", func() bool {
		late = append(late, r.exchange(request(p, 10)).Claims...)
		return len(late) > 0
	})
	if len(late) != 1 || late[0].Token.JobID != ids[1] {
		t.Errorf("late claims are %v; want job %s once", late, ids[1])
	}
	r.exchange(&bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{succeeded(late[0])}})
	if got := r.state(ids[1]); got != bellhop.StateSucceeded {
		t.Errorf("the job is %s", got)
	}
}

// frozen is a part whose exchanges take effect and answer only when it thaws.
type frozen struct {
	storetest.Pass
	thaw chan struct{}
}

func (f *frozen) Exchange(ctx context.Context, x *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	reply, err := f.Store.Exchange(ctx, x)
	select {
	case <-f.thaw:
		return reply, err
	case <-ctx.Done():
		return nil, fmt.Errorf("frozen: %w: %w", bellhop.ErrUnavailable, ctx.Err())
	}
}

// All parts fail: so does the call, and a repeat of it works once one is back.
func TestAllPartsFail(t *testing.T) {
	r := newRig(t)
	p := bellhop.NewID()
	_, err := r.beat(p)
	r.must(err)
	ids := r.add("one", "two")
	for _, part := range r.parts {
		part.FailAll(storetest.Before, storetest.Always, fmt.Errorf("down: %w: %w", bellhop.ErrUnavailable, bellhop.ErrUnchanged))
	}
	x := request(p, 10)
	for range 3 {
		_, err := r.s.Exchange(r.ctx, x)
		if !errors.Is(err, bellhop.ErrUnavailable) || !errors.Is(err, bellhop.ErrUnchanged) || !strings.Contains(err.Error(), "part ") {
			t.Fatalf("error is %v; want one that names a part", err)
		}
	}
	if _, err := r.beat(p); !errors.Is(err, bellhop.ErrUnavailable) {
		t.Errorf("beat: error is %v", err)
	}
	r.parts["one"].Heal()
	if _, err := r.beat(p); err != nil {
		t.Errorf("beat: %v; one part is back", err)
	}
	var got []bellhop.ID
	take := func() bool {
		reply, err := r.s.Exchange(r.ctx, x)
		if err == nil && len(reply.Claims) > 0 {
			got = append(got, reply.Claims[0].Token.JobID)
		}
		return err == nil && len(reply.Claims) > 0
	}
	r.until("the repeat reaches part one", take)
	r.parts["two"].Heal()
	x = request(p, 10)
	if _, err := r.beat(p); err != nil {
		t.Errorf("beat: %v", err)
	}
	r.until("part two gives its job", take)
	if !slices.Equal(got, ids) {
		t.Errorf("claimed %v; want %v", got, ids)
	}
}

// Beats: a part that has not heard of the process is not asked for jobs, and a process that
// was cut off from a part judges nobody there before it has beaten twice.
func TestBeatMissesAPart(t *testing.T) {
	r := newRig(t)
	p, doomed := bellhop.NewID(), bellhop.NewID()
	if _, err := r.s.Beat(r.ctx, &bellhop.Beat{Process: bellhop.Process{ID: doomed}, Lease: time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	ids := r.add("one", "two")
	r.claim(doomed)
	r.parts["two"].Fail(bellhop.OpBeat, storetest.Before, storetest.Always, nil)
	more := r.add("one", "two")
	if _, err := r.beat(p); err != nil {
		t.Fatalf("a beat that reached one part of two: %v", err)
	}
	if got := r.claim(p); len(got) != 1 || got["one"].Token.JobID != more[0] {
		t.Errorf("claimed %v; part two knows nothing of the process", got)
	}
	swept := func() (ids []bellhop.ID) {
		r.Helper()
		claims, err := r.s.Sweep(r.ctx, 100)
		r.must(err)
		for _, c := range claims {
			ids = append(ids, c.Token.JobID)
		}
		return ids
	}
	r.until("part one is swept", func() bool { return slices.Equal(swept(), ids[:1]) })
	r.parts["two"].Heal()
	for beats := range 3 {
		if got := swept(); len(got) != 1 && beats < 2 {
			t.Errorf("after %d beats that reached part two %d claims were swept; want 1", beats, len(got))
		}
		_, err := r.beat(p)
		r.must(err)
	}
	r.until("both parts are swept", func() bool { return len(swept()) == 2 })
	if got := r.claim(p); len(got) != 1 || got["two"].Token.JobID != more[1] {
		t.Errorf("claimed %v; part two knows the process now", got)
	}
}

// One part holds the process dead: so do all, and claims that the others gave in the same call go back.
func TestGoneInOnePart(t *testing.T) {
	r := newRig(t)
	p := bellhop.NewID()
	_, err := r.beat(p)
	r.must(err)
	if _, err := r.parts["two"].Beat(r.ctx, &bellhop.Beat{Process: bellhop.Process{ID: p}, Leave: true}); err != nil {
		t.Fatal(err)
	}
	ids := r.add("one", "two")
	reply, err := r.s.Exchange(r.ctx, request(p, 10))
	if !errors.Is(err, bellhop.ErrProcessGone) || reply == nil || len(reply.Claims) > 0 {
		t.Fatalf("reply %v, error %v; want ErrProcessGone beside a reply without claims", reply, err)
	}
	for _, id := range ids {
		if got := r.state(id); got != bellhop.StateReady {
			t.Errorf("job %s is %s", id, got)
		}
	}
	if _, err := r.beat(p); !errors.Is(err, bellhop.ErrProcessGone) {
		t.Errorf("beat: error is %v", err)
	}
}

// What would leave a part out fails and names it.
func TestReadsNameThePart(t *testing.T) {
	r := newRig(t)
	r.add("one", "two")
	r.parts["two"].FailAll(storetest.Before, storetest.Always, nil)
	for op, call := range map[bellhop.Op]func() error{
		bellhop.OpList:      func() error { _, err := r.s.List(r.ctx, &bellhop.Query{}); return err },
		bellhop.OpCount:     func() error { _, err := r.s.Count(r.ctx, &bellhop.Query{Limit: 9}); return err },
		bellhop.OpStats:     func() error { _, err := r.s.Stats(r.ctx, 9); return err },
		bellhop.OpGet:       func() error { _, err := r.s.Get(r.ctx, []bellhop.ID{bellhop.NewID()}); return err },
		bellhop.OpPause:     func() error { return r.s.Pause(r.ctx, "one", true) },
		bellhop.OpPing:      func() error { _, err := r.s.Ping(r.ctx); return err },
		bellhop.OpProcesses: func() error { _, err := r.s.Processes(r.ctx); return err },
		bellhop.OpAct: func() error {
			_, err := r.s.Act(r.ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: []bellhop.ID{bellhop.NewID()}})
			return err
		},
		bellhop.OpEnqueue: func() error {
			j := &bellhop.Job{ID: bellhop.NewID(), Kind: kind, Queue: "two", Args: []byte(`{}`), Attempts: 1}
			_, err := r.s.Enqueue(r.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
			return err
		},
	} {
		err := call()
		if !errors.Is(err, bellhop.ErrUnavailable) || !strings.Contains(err.Error(), "part two") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error is %v; want one line that names part two", op, err)
		}
	}
	findings, err := r.s.Diagnose(r.ctx)
	r.must(err)
	if len(findings) == 0 || findings[0].Level != "problem" || findings[0].Subject != "two: reach" {
		t.Errorf("findings are %+v", findings)
	}
	r.parts["two"].Heal()
	findings, err = r.s.Diagnose(r.ctx)
	r.must(err)
	if !slices.ContainsFunc(findings, func(f bellhop.Finding) bool { return f.Level == "warning" && f.Subject == "queue one" }) {
		t.Errorf("no finding says that queue one is paused in one part: %+v", findings)
	}
	r.must(r.s.Pause(r.ctx, "one", true)) // again: it is whole now
	if _, _, err := r.s.Promote(r.ctx, 5); err != nil {
		t.Error(err)
	}
}

// A worker on a partition: jobs of both parts are run once while one part comes and goes.
func TestWorkerOverAnOutage(t *testing.T) {
	r := newRig(t)
	ran := map[int]int{}
	var mu sync.Mutex
	type item struct {
		N int `json:"n"`
	}
	job := bellhop.Define[item]("test.item")
	client, err := bellhop.NewClient(r.s, bellhop.Logger(slog.New(slog.NewTextHandler(r.log, nil))))
	r.must(err)
	w := worker.New(client, worker.Config{Queues: worker.Queues{"one": 4, "two": 4}, Shutdown: 5 * time.Second, Grace: 4 * time.Second})
	w.Handle(job.With(func(_ context.Context, it item) error {
		mu.Lock()
		defer mu.Unlock()
		ran[it.N]++
		return nil
	}))
	ctx, stop := context.WithCancel(r.ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	n := 0
	enqueue := func(queue string) {
		r.Helper()
		_, err := job.Enqueue(r.ctx, client, item{n}, bellhop.Queue(queue))
		r.must(err)
		n++
	}
	done := func(want int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(ran) >= want
		}
	}
	for range 50 {
		enqueue("one")
		enqueue("two")
	}
	r.parts["two"].Fail(bellhop.OpExchange, storetest.After, storetest.Always, nil)
	for range 50 {
		enqueue("one")
	}
	r.until("what is in part one is run", func() bool {
		left, err := storetest.CountAll(r.ctx, r.parts["one"], bellhop.Filter{Queues: []string{"one"}, States: bellhop.States(bellhop.StateSucceeded)}, 1000)
		return err == nil && left == 100
	})
	r.parts["two"].Heal()
	for range 50 {
		enqueue("two")
	}
	r.until("all is run", done(n))
	r.until("all outcomes are in", func() bool {
		left, err := storetest.CountAll(r.ctx, r.s, bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}, 1000)
		return err == nil && left == n
	})
	stop()
	r.must(<-ended)
	mu.Lock()
	defer mu.Unlock()
	for i := range n {
		if ran[i] != 1 {
			t.Errorf("job %d ran %d times", i, ran[i])
		}
	}
}
