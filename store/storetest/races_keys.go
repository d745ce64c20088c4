package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// keyRace is one round of callers that all want the same unique key.
type keyRace struct {
	s    bellhop.Store
	key  string
	mu   sync.Mutex
	ids  []bellhop.ID
	won  []bellhop.ID // taken, as a receipt says
	lost []bellhop.ID // the winners that receipts of losers name
}

// enqueue returns a racer that enqueues a job with the key.
func (k *keyRace) enqueue(ctx context.Context, puts ...bellhop.RecordWrite) func() error {
	j := raceJob("a")
	j.UniqueKey = k.key
	k.ids = append(k.ids, j.ID)
	return func() error {
		receipts, err := k.s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}, Puts: puts})
		switch {
		case len(puts) > 0 && !errors.Is(err, bellhop.ErrConflict):
			return fmt.Errorf("E6: an enqueue whose precondition does not fit returned %v, %w", receipts, err)
		case len(puts) > 0 || ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if !receipts[0].Existing {
			k.won = append(k.won, j.ID)
		} else {
			k.lost = append(k.lost, receipts[0].ID)
		}
		return nil
	}
}

// live returns the live jobs of the race.
func (k *keyRace) live(t testing.TB, ctx context.Context) []bellhop.ID {
	t.Helper()
	v, err := lookAt(ctx, k.s, k.ids, bellhop.Filter{IDs: k.ids}, 1000)
	must(t, err)
	var live []bellhop.ID
	for _, j := range v.Jobs {
		if j.Place.State.Live() {
			live = append(live, j.ID)
		}
	}
	return live
}

// raceUnique: callers for one key, of whom some fail and some give up. One job
// is live in the end, and all losers were told of it [E4].
func raceUnique(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	must(t, s.Put(ctx, []bellhop.RecordWrite{{Space: viewSpace, Key: "there", Value: []byte("1"), Expect: bellhop.ExpectAny}}))
	unfit := bellhop.RecordWrite{Space: viewSpace, Key: "there", Expect: bellhop.ExpectNone, Check: true}
	raceRounds(t, 20, func(round int) ([]func() error, func()) {
		k := &keyRace{s: s, key: fmt.Sprintf("key %d", round)}
		given, giveUp := context.WithCancel(ctx)
		racers := []func() error{
			k.enqueue(ctx, unfit), k.enqueue(given), k.enqueue(ctx, unfit), k.enqueue(ctx),
			k.enqueue(given), k.enqueue(ctx, unfit), k.enqueue(ctx), k.enqueue(ctx),
			func() error { giveUp(); return nil },
		}
		return racers, func() {
			giveUp()
			live := k.live(t, ctx)
			if len(live) != 1 {
				t.Fatalf("E4: %d live jobs hold one key", len(live))
			}
			for _, id := range append(k.won, k.lost...) {
				if id != live[0] {
					t.Fatalf("E4: a receipt names job %s; the key is held by %s", id, live[0])
				}
			}
		}
	})
}

// raceUniqueFinish: a key's holder ends just when others want the key. Those
// who come too early are told of it, one of the others takes the key [E4, E5].
func raceUniqueFinish(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	w, err := newHand(ctx, s, longLease, "a")
	must(t, err)
	raceRounds(t, 20, func(round int) ([]func() error, func()) {
		k := &keyRace{s: s, key: fmt.Sprintf("key %d", round)}
		must(t, k.enqueue(ctx)())
		reply, err := w.exchange(ctx, 1)
		must(t, err)
		if len(reply.Claims) != 1 || len(k.won) != 1 {
			t.Fatalf("the first of a key: %d were taken and %d claimed", len(k.won), len(reply.Claims))
		}
		old := k.won[0]
		k.won = nil
		finish := func() error {
			_, err := w.exchange(ctx, 0, allSucceeded(reply.Claims)...)
			return err
		}
		return []func() error{k.enqueue(ctx), finish, k.enqueue(ctx), k.enqueue(ctx)}, func() {
			live := k.live(t, ctx)
			if len(live) != len(k.won) || len(live) > 1 || len(live) == 1 && live[0] != k.won[0] {
				t.Fatalf("E4: taken %v, live %v", k.won, live)
			}
			for _, id := range k.lost {
				if id != old && (len(live) == 0 || id != live[0]) {
					t.Fatalf("E4: a receipt names %s; the key was held by %s, then by %v", id, old, live)
				}
			}
			must(t, k.enqueue(ctx)())
			if n := len(k.live(t, ctx)); n != 1 {
				t.Fatalf("E5: %d live jobs hold the key after one more enqueue", n)
			}
			must(t, w.finishAll(ctx, func() int { return 10 }, func([]bellhop.Claim) error { return nil }))
		}
	})
}

// raceFrozen: a process stops beating, is swept, and goes on as if nothing had
// happened, beside the one that has its jobs now. It changes nothing [X1, R1, B2, X9].
func raceFrozen(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	raceRounds(t, 8, func(round int) ([]func() error, func()) {
		queue := fmt.Sprintf("q%d", round)
		ids, err := raceJobs(ctx, s, queue, 5, nil)
		must(t, err)
		frozen, err := newHand(ctx, s, time.Second, queue)
		must(t, err)
		old, err := frozen.exchange(ctx, len(ids))
		must(t, err)
		h.Advance(s, 2*time.Second)
		swept, err := s.Sweep(ctx, 100)
		must(t, err)
		_, err = s.Exchange(ctx, sweepRequest(swept, time.Now()))
		must(t, err)
		next, err := newHand(ctx, s, longLease, queue)
		must(t, err)
		held, err := next.exchange(ctx, len(ids))
		must(t, err)
		if len(old.Claims) != len(ids) || len(swept) != len(ids) || len(held.Claims) != len(ids) {
			t.Fatalf("S2: of %d jobs %d were claimed, %d swept, %d claimed again", len(ids), len(old.Claims), len(swept), len(held.Claims))
		}
		before, err := s.Get(ctx, ids)
		must(t, err)
		must(t, thaw(ctx, frozen, old.Claims))
		after, err := s.Get(ctx, ids)
		must(t, err)
		if d := diff(before, after, 0); d != "" {
			t.Fatalf("X1: a swept process changed what is not its own:\n%s", d)
		}
		go1 := func() error { return thaw(ctx, frozen, old.Claims) }
		go2 := func() error {
			_, err := next.exchange(ctx, 0, allSucceeded(held.Claims)...)
			return err
		}
		return []func() error{go1, go2}, func() {
			for _, j := range wantStates(t, ctx, s, ids, bellhop.StateSucceeded) {
				if j.Place.Claim != 2 || j.Place.Failures != 1 || j.Place.Attempt != 2 || j.Place.Result != nil {
					t.Fatalf("job %s is not as its last process left it: %+v", j.ID, j.Place)
				}
			}
		}
	})
}

// thaw does all that a process does with claims that it has lost, and finds
// fault with what is not refused.
func thaw(ctx context.Context, w *hand, claims []bellhop.Claim) error {
	var reports []bellhop.Report
	var held []bellhop.Token
	outcomes := allSucceeded(claims)
	for i, c := range claims {
		reports = append(reports, bellhop.Report{Token: c.Token, Started: true, Progress: []byte(`{"done":99}`)})
		held = append(held, c.Token)
		outcomes[i].Result = []byte(`"stale"`)
	}
	refusals, err := w.s.Report(ctx, reports)
	if err != nil || len(refusals) != len(claims) {
		return fmt.Errorf("R1: of %d stale reports %d were refused (%w)", len(claims), len(refusals), err)
	}
	r := &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: w.process.ID, Outcomes: outcomes, Limit: 10, Kinds: []string{raceKind},
		Wants: []bellhop.Want{{Queue: w.queues[0], Count: 10}},
	}
	if reply, err := w.s.Exchange(ctx, r); !errors.Is(err, bellhop.ErrProcessGone) || reply != nil && len(reply.Claims) > 0 {
		return fmt.Errorf("X9: a swept process exchanged: %v, %w", reply, err)
	}
	r.Process, r.ID = bellhop.ID{}, bellhop.NewID()
	reply, err := w.s.Exchange(ctx, r)
	if err != nil || len(reply.Refused) != len(claims) || len(reply.Claims) > 0 {
		return fmt.Errorf("X1: of %d stale outcomes: %+v, %w", len(claims), reply, err)
	}
	for _, f := range reply.Refused {
		if !errors.Is(f.Err, bellhop.ErrStale) || f.Recorded != bellhop.OutcomeSwept {
			return fmt.Errorf("X4: refused with %w, recorded %v", f.Err, f.Recorded)
		}
	}
	if _, err := w.s.Beat(ctx, &bellhop.Beat{Process: w.process, Lease: time.Hour, Held: held}); !errors.Is(err, bellhop.ErrProcessGone) {
		return fmt.Errorf("B2: a swept process beat and got %w", err)
	}
	return nil
}

// raceRepeat: one exchange is sent several times at once, as by a caller that
// gave up too early. It claims once, and all replies that come tell of it [X8].
func raceRepeat(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	raceRounds(t, 12, func(round int) ([]func() error, func()) {
		queue := fmt.Sprintf("q%d", round)
		ids, err := raceJobs(ctx, s, queue, 20, nil)
		must(t, err)
		w, err := newHand(ctx, s, longLease, queue)
		must(t, err)
		first, err := w.exchange(ctx, 3)
		must(t, err)
		r := &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: w.process.ID, Outcomes: allSucceeded(first.Claims), Limit: 5,
			Wants: []bellhop.Want{{Queue: queue, Count: 5}}, Kinds: []string{raceKind},
		}
		if round%2 == 1 { // it was made before, and all that it claimed then has ended
			before, err := (&hand{s: s, request: r}).send(ctx)
			must(t, err)
			_, err = w.exchange(ctx, 0, allSucceeded(before.Claims)...)
			must(t, err)
		}
		w.request = r
		var replies [4][]bellhop.Claim
		var racers []func() error
		for i := range replies {
			racers = append(racers, func() error {
				reply, err := (&hand{s: s, request: r}).send(ctx)
				if err == nil {
					replies[i] = sortClaims(reply.Claims)
				}
				return err
			})
		}
		return racers, func() {
			running, err := listAll(ctx, s, bellhop.Filter{IDs: ids, States: bellhop.States(bellhop.StateRunning)}, 100)
			must(t, err)
			if len(running) != 5 {
				t.Fatalf("X8: an exchange for 5 jobs, sent four times, claimed %d", len(running))
			}
			for _, claims := range replies {
				if d := diff(replies[0], claims, 0); d != "" || len(claims) != 5 {
					t.Fatalf("X8: two replies to one exchange differ:\n%s", d)
				}
			}
		}
	})
}

// racePromote: several promote at once; each job is promoted once.
func racePromote(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	const jobs = 100
	ids, err := raceJobs(ctx, s, "a", jobs, func(i int, j *bellhop.Job) {
		j.Delay = time.Second
		if i%2 == 1 {
			j.Delay = time.Hour
		}
	})
	must(t, err)
	h.Advance(s, 2*time.Second)
	var team crew
	var promoted [4]int
	for i := range promoted {
		team.Go("promoter", func() error {
			for {
				n, _, err := s.Promote(ctx, 7)
				if err != nil || n == 0 {
					return err
				}
				promoted[i] += n
			}
		})
	}
	team.wait(t)
	last, _, err := s.Promote(ctx, jobs)
	must(t, err)
	total := last
	for _, n := range promoted {
		total += n
	}
	if total != jobs/2 {
		t.Errorf("P1: of %d jobs %d were due, and %d promoted", jobs, jobs/2, total)
	}
	for i, j := range wantStates(t, ctx, s, ids, bellhop.StateReady, bellhop.StateScheduled) {
		if ready := j.Place.State == bellhop.StateReady; ready != (i%2 == 0) {
			t.Errorf("P1: job %d, due %v, is %s", i, j.Place.Due, j.Place.State)
		}
	}
}

// racePruneRetry: expired jobs are run again just when they are pruned. Each
// is gone with all its parts, or ready with all its history [D1, D2, A3].
func racePruneRetry(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	ids, err := raceJobs(ctx, s, "a", 60, func(_ int, j *bellhop.Job) { j.Retention = time.Second })
	must(t, err)
	w, err := newHand(ctx, s, longLease, "a")
	must(t, err)
	must(t, w.finishAll(ctx, func() int { return 20 }, func([]bellhop.Claim) error { return nil }))
	h.Advance(s, 2*time.Second)
	var team crew
	var again []bellhop.ID
	team.Go("pruner", func() error {
		for {
			if n, err := s.Prune(ctx, 4); err != nil || n == 0 {
				return err
			}
		}
	})
	team.Go("actor", func() error {
		for i := len(ids) - 1; i >= 0; i-- {
			reply, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActRetry, IDs: ids[i : i+1], Reason: "race"})
			if err != nil {
				return err
			}
			again = append(again, reply.Changed...)
		}
		return nil
	})
	team.wait(t)
	for {
		n, err := s.Prune(ctx, 100)
		must(t, err)
		if n == 0 {
			break
		}
	}
	v, err := look(ctx, s, ids, 7)
	must(t, err)
	if len(v.Jobs) != len(again) {
		t.Fatalf("D1: %d jobs were run again, and %d are there", len(again), len(v.Jobs))
	}
	for _, j := range v.Jobs {
		if j.Place.State != bellhop.StateReady || j.Place.Generation != 1 || len(j.History) != 1 {
			t.Fatalf("A3: job %s was run again, and is %s in generation %d with %d attempts in its history", j.ID, j.Place.State, j.Place.Generation, len(j.History))
		}
	}
}
