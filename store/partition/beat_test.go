package partition_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/partition"
	"github.com/gobellhop/bellhop/store/storetest"
)

// stalling is a part whose exchanges and beats take effect and answer only when
// what they wait for has come, if they are to wait.
type stalling struct {
	storetest.Pass
	exchanges, beats atomic.Pointer[chan struct{}]
	came             chan struct{} // takes a word for each exchange that waits
}

func stall(p *atomic.Pointer[chan struct{}]) (thaw func()) {
	c := make(chan struct{})
	p.Store(&c)
	return func() {
		p.Store(nil)
		close(c)
	}
}

func wait(ctx context.Context, p *chan struct{}) error {
	if p == nil {
		return nil
	}
	select {
	case <-*p:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stalling: %w: %w", bellhop.ErrUnavailable, ctx.Err())
	}
}

func (s *stalling) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	reply, err := s.Store.Exchange(ctx, r)
	p := s.exchanges.Load()
	if p != nil {
		s.came <- struct{}{}
	}
	if late := wait(ctx, p); late != nil {
		return nil, late
	}
	return reply, err
}

func (s *stalling) Beat(ctx context.Context, b *bellhop.Beat) (*bellhop.BeatReply, error) {
	reply, err := s.Store.Beat(ctx, b)
	if late := wait(ctx, s.beats.Load()); late != nil {
		return nil, late
	}
	return reply, err
}

// stallingRig is a rig whose parts can stall.
func stallingRig(t *testing.T) (r *rig, one, two *stalling) {
	t.Helper()
	r = newRig(t)
	one = &stalling{Pass: storetest.Pass{Store: r.parts["one"]}, came: make(chan struct{}, 100)}
	two = &stalling{Pass: storetest.Pass{Store: r.parts["two"]}, came: make(chan struct{}, 100)}
	s, err := partition.New(partition.Config{
		By: partition.ByQueue, Pins: map[string]string{"one": "one", "two": "two"}, Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		Parts: []partition.Part{{Name: "one", Store: one}, {Name: "two", Store: two}},
	})
	r.must(err)
	r.s = s
	return r, one, two
}

// A claim that a slow part has brought late is on its way to the worker with an
// exchange that still waits for another part: a beat meanwhile does not take it for
// one that the worker will never hear of.
func TestBeatWhileLateClaimsAreHandedOver(t *testing.T) {
	r, one, two := stallingRig(t)
	p := bellhop.NewID()
	_, err := r.beat(p)
	r.must(err)
	ids := r.add("one", "two")
	arrived := make(chan struct{}, 100)
	defer r.s.Notify(func(queue string) {
		if queue == "" {
			arrived <- struct{}{}
		}
	})()
	thaw := stall(&two.exchanges)
	first := r.exchange(request(p, 10)).Claims
	if len(first) != 1 || first[0].Token.JobID != ids[0] {
		t.Fatalf("claimed %v; want the job of part one", first)
	}
	thaw()
	<-arrived
	thaw = stall(&one.exchanges)
	over := make(chan []bellhop.Claim, 1)
	go func() {
		reply, err := r.s.Exchange(r.ctx, request(p, 10))
		if err != nil {
			t.Error(err)
			reply = &bellhop.ExchangeReply{}
		}
		over <- reply.Claims
	}()
	<-one.came
	beat, err := r.beat(p, first[0].Token)
	r.must(err)
	if len(beat.Extra)+len(beat.Lost) > 0 {
		t.Errorf("the beat found extra %v, lost %v", beat.Extra, beat.Lost)
	}
	thaw()
	if late := <-over; len(late) != 1 || late[0].Token.JobID != ids[1] {
		t.Errorf("the exchange brought %v; want the late claim of part two", late)
	}
	beat, err = r.beat(p, first[0].Token)
	r.must(err)
	if len(beat.Extra) != 1 { // nobody is about to tell of it any more
		t.Errorf("the beat found extra %v; want the late claim, which is not held", beat.Extra)
	}
}

// A part that does not answer costs a beat no more time than it has: the others
// have heard it.
func TestBeatEndsInTime(t *testing.T) {
	r, _, two := stallingRig(t)
	p := bellhop.NewID()
	defer stall(&two.beats)()
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
	defer cancel()
	if _, err := r.s.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour}); err != nil {
		t.Errorf("part one has heard the beat, and the error is %v", err)
	}
}

// A part that is slow at each beat hears it all the same, and is asked for jobs.
func TestBeatWaitsForASlowPart(t *testing.T) {
	r, _, two := stallingRig(t)
	r.s.WaitWithBeats()
	p := bellhop.NewID()
	time.AfterFunc(1200*time.Millisecond, stall(&two.beats))
	_, err := r.beat(p)
	r.must(err)
	ids := r.add("two")
	if got := r.exchange(request(p, 10)).Claims; len(got) != 1 || got[0].Token.JobID != ids[0] {
		t.Errorf("claimed %v; want the job of part two", got)
	}
}

// A process that one part holds dead is forgotten by those that were out of reach too,
// and of processes that never come again a bounded number is remembered.
func TestForgottenProcesses(t *testing.T) {
	r := newRig(t)
	p := bellhop.NewID()
	_, err := r.beat(p)
	r.must(err)
	r.parts["two"].Fail(bellhop.OpBeat, storetest.Before, storetest.Always, nil)
	_, err = r.beat(p)
	r.must(err)
	if n := r.s.Remembered(); n != 1 {
		t.Errorf("%d processes have missed a beat; want 1", n)
	}
	_, err = r.parts["one"].Beat(r.ctx, &bellhop.Beat{Process: bellhop.Process{ID: p}, Leave: true})
	r.must(err)
	if _, err := r.beat(p); !errors.Is(err, bellhop.ErrProcessGone) {
		t.Fatal(err)
	}
	if n := r.s.Remembered(); n != 0 {
		t.Errorf("%d processes are remembered; want none", n)
	}
	for range 2500 {
		_, err := r.beat(bellhop.NewID())
		r.must(err)
	}
	if n := r.s.Remembered(); n > 1000 {
		t.Errorf("%d processes are remembered; want at most 1000", n)
	}
}

// While all parts are taken for out of reach they are tried all the same, but who
// has missed beats in one does not judge others there.
func TestSweepAfterAllWereOut(t *testing.T) {
	r := newRig(t)
	p, doomed := bellhop.NewID(), bellhop.NewID()
	if _, err := r.s.Beat(r.ctx, &bellhop.Beat{Process: bellhop.Process{ID: doomed}, Lease: time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	ids := r.add("one", "two")
	r.claim(doomed)
	r.parts["two"].Fail(bellhop.OpBeat, storetest.Before, storetest.Always, nil)
	_, err := r.beat(p)
	r.must(err)
	for _, part := range r.parts {
		part.FailAll(storetest.Before, storetest.Always, nil)
	}
	for range 8 { // each time they are left alone for longer
		if _, err := r.s.Ping(r.ctx); err == nil {
			t.Fatal("all parts fail, and a ping does not")
		}
	}
	for _, part := range r.parts {
		part.Heal()
	}
	claims, err := r.s.Sweep(r.ctx, 100)
	r.must(err)
	var got []bellhop.ID
	for _, c := range claims {
		got = append(got, c.Token.JobID)
	}
	if !slices.Equal(got, ids[:1]) {
		t.Errorf("swept %v; want %v, which is in the part that has heard the beat", got, ids[:1])
	}
}
