package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// faultStorms are runs of many calls of which some break.
var faultStorms = []part{
	{"storm of lost calls", func(t testing.TB, h Harness) { faultStorm(t, h, 1) }},
	{"storm of lost calls 2", func(t testing.TB, h Harness) { faultStorm(t, h, 2) }},
}

// shaky is a caller whose calls break, and who repeats each until it has
// succeeded, with the same ids, as clients and workers do.
type shaky struct {
	t      testing.TB
	ctx    context.Context
	h      Harness
	s      bellhop.Store
	random *rand.Rand
	faults int // that struck

	process bellhop.Process
	held    []bellhop.Claim
	ids     []bellhop.ID
	ends    map[bellhop.ID]int
	claims  map[bellhop.ID]int64 // the newest number that was seen
}

// faultStorm: a process works while every third call or so breaks somewhere, in
// a way that is told by the seed, and the store is opened again now and then.
// Each job ends once all the same.
func faultStorm(t testing.TB, h Harness, seed uint64) {
	c := &shaky{
		t: t, ctx: budgeted(t), h: h, s: h.New(t), random: rand.New(rand.NewPCG(seed, seed)),
		process: bellhop.Process{ID: bellhop.NewID(), Name: "shaky"}, ends: map[bellhop.ID]int{}, claims: map[bellhop.ID]int64{},
	}
	for range 60 {
		switch c.random.IntN(6) {
		case 0, 1:
			c.enqueue()
		case 2, 3:
			c.exchange(1 + c.random.IntN(5))
		case 4:
			c.promote()
		case 5:
			c.act()
		}
		c.check()
	}
	for range 100 {
		h.Advance(c.s, time.Minute)
		c.promote()
		c.exchange(50)
		c.check()
		if n, err := CountAll(c.ctx, c.s, bellhop.Filter{States: bellhop.States(bellhop.StateScheduled, bellhop.StateReady, bellhop.StateRunning)}, 1); n == 0 || err != nil {
			must(t, err)
			break
		}
	}
	for id, n := range c.ends {
		if n != 1 {
			t.Errorf("seed %d: job %s ended %d times", seed, id, n)
		}
	}
	if c.faults == 0 {
		t.Errorf("seed %d: no fault struck", seed)
	}
}

// insist makes a call, in which a fault may strike, until it succeeds.
func (c *shaky) insist(op bellhop.Op, call func(s bellhop.Store) error) {
	c.t.Helper()
	for try := 0; ; try++ {
		err := c.broken(op, try, call)
		if err == nil {
			return
		}
		c.faults++
		if !errors.Is(err, ErrFault) || try == 10 {
			c.t.Fatalf("%s, call %d: %v", op, try+1, err)
		}
		if c.random.IntN(2) == 0 {
			c.s = c.h.Reopen(c.t, c.s)
		}
	}
}

func (c *shaky) broken(op bellhop.Op, try int, call func(s bellhop.Store) error) error {
	if try > 5 || c.random.IntN(3) > 0 {
		return call(c.s)
	}
	if _, ok := bellhop.As[bellhop.Stepper](c.s); ok && c.random.IntN(3) > 0 {
		steps := &stepper{op: op, strike: c.random.IntN(10), dead: true}
		steps.watch(c.s)
		defer steps.stop()
		return call(c.s)
	}
	f := NewFaulty(c.s)
	f.Fail(op, []FaultMode{Before, After}[c.random.IntN(2)], 1, nil)
	return call(f)
}

func (c *shaky) enqueue() {
	var jobs []*bellhop.Job
	for range 1 + c.random.IntN(4) {
		j := raceJob("a")
		j.Attempts = 3
		if c.random.IntN(3) == 0 {
			j.Delay = time.Second
		}
		jobs = append(jobs, j)
		c.ids = append(c.ids, j.ID)
		c.ends[j.ID] = 0
	}
	c.insist(bellhop.OpEnqueue, func(s bellhop.Store) error {
		receipts, err := s.Enqueue(c.ctx, &bellhop.EnqueueRequest{Jobs: jobs})
		for i, r := range receipts {
			if r.ID != jobs[i].ID {
				return fmt.Errorf("E7: receipt %d is for job %s; want %s", i, r.ID, jobs[i].ID)
			}
		}
		return err
	})
}

func (c *shaky) exchange(limit int) {
	c.insist(bellhop.OpBeat, func(s bellhop.Store) error {
		_, err := s.Beat(c.ctx, &bellhop.Beat{Process: c.process, Lease: longLease})
		return err
	})
	r := &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: c.process.ID, Kinds: []string{raceKind}, Wants: []bellhop.Want{{Queue: "a", Count: limit}}, Limit: limit,
	}
	for i := range c.held {
		r.Outcomes = append(r.Outcomes, stormOutcome(&c.held[i], c.random))
	}
	c.insist(bellhop.OpExchange, func(s bellhop.Store) error {
		reply, err := s.Exchange(c.ctx, r)
		if err != nil {
			return err
		}
		if len(reply.Refused) > 0 {
			return fmt.Errorf("X4: refused: %+v", reply.Refused)
		}
		c.held = reply.Claims
		return nil
	})
	for _, o := range r.Outcomes {
		if o.Kind.To().Final() {
			c.ends[o.Token.JobID]++
		}
	}
	// What a lost reply may have left in the process's name is found by a beat [B3].
	var held []bellhop.Token
	for _, claim := range c.held {
		held = append(held, claim.Token)
	}
	c.insist(bellhop.OpBeat, func(s bellhop.Store) error {
		reply, err := s.Beat(c.ctx, &bellhop.Beat{Process: c.process, Lease: longLease, Held: held})
		if err == nil && len(reply.Lost)+len(reply.Extra) > 0 {
			return fmt.Errorf("B3: lost %v, extra %v", reply.Lost, reply.Extra)
		}
		return err
	})
}

func (c *shaky) promote() {
	c.h.Advance(c.s, time.Second)
	c.insist(bellhop.OpPromote, func(s bellhop.Store) error {
		_, _, err := s.Promote(c.ctx, 5)
		return err
	})
}

// act hastens jobs: an action that may be repeated without looking.
func (c *shaky) act() {
	if len(c.ids) == 0 {
		return
	}
	ids := []bellhop.ID{c.ids[c.random.IntN(len(c.ids))], c.ids[len(c.ids)-1]}
	c.insist(bellhop.OpAct, func(s bellhop.Store) error {
		_, err := s.Act(c.ctx, &bellhop.ActRequest{Action: bellhop.ActRunNow, IDs: ids})
		return err
	})
}

// check looks at all jobs: each is there, in one place, and its claim number has not fallen.
func (c *shaky) check() {
	c.t.Helper()
	v, err := look(c.ctx, c.s, c.ids, 50)
	must(c.t, err)
	if len(v.Jobs) != len(c.ids) {
		c.t.Fatalf("G1: of %d jobs %d are there", len(c.ids), len(v.Jobs))
	}
	for i := range v.Jobs {
		j := &v.Jobs[i]
		if j.Place.Claim < c.claims[j.ID] {
			c.t.Fatalf("X7: the claim number of job %s fell from %d to %d", j.ID, c.claims[j.ID], j.Place.Claim)
		}
		c.claims[j.ID] = j.Place.Claim
		if j.Place.State.Final() != (c.ends[j.ID] == 1) {
			c.t.Fatalf("job %s is %s, and ended %d times", j.ID, j.Place.State, c.ends[j.ID])
		}
	}
}
