package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// watchRelists counts the runs of the script that looks for what is in no list.
func watchRelists(s bellhop.Store) *atomic.Int64 {
	var n atomic.Int64
	s.(bellhop.Stepper).SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
		if statement == "relist" && done {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// The lists of what a process holds may be lost by themselves, as on a server that threw keys away. Within half a minute its jobs are
// listed anew: those of a dead process are taken back, those of a living one are counted, and only what still runs is.
func TestLostLists(t *testing.T) {
	for _, lost := range []string{"running|", "claimed|", "holders", "running| claimed| holders"} {
		for _, alive := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, alive %v", lost, alive), func(t *testing.T) {
				s := newStore(t, testservers.Redis(t).Address)
				c, o := client(t, openingOf(s).address), openingOf(s)
				enqueue(t, s, testJobs(2500)...) // several looks are needed
				p, other := process(t, s), process(t, s)
				first, second := claim(t, s, p, 5), claim(t, s, p, 1)
				for _, key := range keysOf(t, c, o.namespace) {
					for part := range strings.FieldsSeq(lost) {
						if strings.HasPrefix(key, "{bellhop:"+o.namespace+"}:"+part) {
							c.Del(t.Context(), key)
						}
					}
				}
				claim(t, s, other, 3) // whose lists are there, but for that of the holders
				if _, err := s.Exchange(t.Context(), request(p, 0, succeeded(first[:2])...)); err != nil {
					t.Fatal(err)
				}
				relists := watchRelists(s)
				if !alive {
					if _, err := s.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: p}, Leave: true}); err != nil {
						t.Fatal(err)
					}
				}
				var orphans []bellhop.Claim
				for range 10 { // one that finds them missing, more for the rest if that took long, and one to take them back
					found, err := s.Sweep(t.Context(), 10)
					if err != nil {
						t.Fatal(err)
					}
					if len(found) > len(orphans) {
						orphans = found
					}
					advance(s, 31*time.Second)
				}
				if alive {
					reply, err := s.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour})
					if err != nil {
						t.Fatal(err)
					}
					orphans = reply.Extra
					all, err := s.Processes(t.Context())
					if err != nil || len(all) != 2 || all[0].Running+all[1].Running != 3+1+3 {
						t.Errorf("the processes are %+v, %v; want 7 running jobs in all", all, err)
					}
				}
				want := map[bellhop.Token]bool{second[0].Token: true}
				for _, c := range first[2:] {
					want[c.Token] = true
				}
				for _, c := range orphans {
					if !want[c.Token] {
						t.Errorf("%v was found", c.Token)
					}
					delete(want, c.Token)
				}
				if len(want) > 0 || relists.Load() == 0 {
					t.Errorf("%d jobs were not found; there were %d looks for them", len(want), relists.Load())
				}
				before := relists.Load()
				if _, err := s.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: succeeded(append(first[2:], second...))}); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					advance(s, 31*time.Second)
					if found, err := s.Sweep(t.Context(), 10); err != nil || len(found) > 0 {
						t.Errorf("%d jobs were found when all had ended, %v", len(found), err)
					}
				}
				if n := relists.Load(); n != before {
					t.Errorf("%d looks for what is in no list, with nothing missing", n-before)
				}
			})
		}
	}
}

// A key of another type among the lists of one process keeps nobody else's jobs from being swept.
func TestSweepBesideAKeyOfAnotherType(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	c, o := client(t, openingOf(s).address), openingOf(s)
	enqueue(t, s, testJobs(10)...)
	p, other := process(t, s), process(t, s)
	claim(t, s, p, 2)
	claim(t, s, other, 3)
	running := "{bellhop:" + o.namespace + "}:running|" + string(p[:])
	if err := errors.Join(c.Del(t.Context(), running).Err(), c.Set(t.Context(), running, "foreign", 0).Err()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: other}, Leave: true}); err != nil {
		t.Fatal(err)
	}
	if found, err := s.Sweep(t.Context(), 10); err != nil || len(found) != 3 {
		t.Errorf("%d jobs were found, %v; want 3", len(found), err)
	}
}
