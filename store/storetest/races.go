package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// runRaces lets many callers at one store at once. What is checked holds
// however they interleave, so the runs need no luck to be right; they need it
// only to find a mistake, and are repeated until they usually have it.
func runRaces(t *testing.T, h Harness) { runParts(t, h, raceParts) }

var raceParts = []part{
	{"claimers", raceClaimers},
	{"storm", raceStorm},
	{"sweep against finish", raceSweepFinish},
	{"finish against cancel", raceFinishCancel},
	{"act against claim", raceActClaim},
	{"acts against all", raceActs},
	{"unique", raceUnique},
	{"unique against finish", raceUniqueFinish},
	{"pause", racePause},
	{"frozen process", raceFrozen},
	{"one exchange sent many times", raceRepeat},
	{"promoters", racePromote},
	{"prune against run again", racePruneRetry},
}

const raceKind = "race.job"

// raceJob makes a job that stays after it has ended.
func raceJob(queue string) *bellhop.Job {
	return &bellhop.Job{
		ID: bellhop.NewID(), Kind: raceKind, Queue: queue, Args: []byte(`{"n":1}`),
		Attempts: bellhop.DefaultAttempts, Retention: bellhop.Forever,
	}
}

// raceJobs enqueues n jobs in one call.
func raceJobs(ctx context.Context, s bellhop.Store, queue string, n int, set func(i int, j *bellhop.Job)) ([]bellhop.ID, error) {
	jobs, ids := make([]*bellhop.Job, n), make([]bellhop.ID, n)
	for i := range jobs {
		jobs[i] = raceJob(queue)
		ids[i] = jobs[i].ID
		if set != nil {
			set(i, jobs[i])
		}
	}
	_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
	return ids, err
}

// hand is a process that claims, in the simplest form.
type hand struct {
	s       bellhop.Store
	process bellhop.Process
	queues  []string
	kinds   []string
	request *bellhop.ExchangeRequest // the newest
}

// newHand registers a process whose lease is so long that it outlives the test, unless told otherwise.
func newHand(ctx context.Context, s bellhop.Store, lease time.Duration, queues ...string) (*hand, error) {
	w := &hand{s: s, queues: queues, kinds: []string{raceKind}, process: bellhop.Process{
		ID: bellhop.NewID(), Name: "hand", Host: "host", PID: 1, Version: "test",
		StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Queues: queues, Kinds: []string{raceKind}, Slots: 10,
	}}
	_, err := s.Beat(ctx, &bellhop.Beat{Process: w.process, Lease: lease})
	return w, err
}

const longLease = 1000 * time.Hour

// exchange hands in outcomes and claims at most limit jobs. It is an error if
// an outcome is refused, because nobody else holds a hand's claims.
func (w *hand) exchange(ctx context.Context, limit int, outcomes ...bellhop.Outcome) (*bellhop.ExchangeReply, error) {
	r := &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: w.process.ID, Outcomes: outcomes, Limit: limit, Kinds: w.kinds,
	}
	for _, q := range w.queues {
		r.Wants = append(r.Wants, bellhop.Want{Queue: q, Count: limit})
	}
	w.request = r
	return w.send(ctx)
}

// send sends the newest exchange, once more if it was sent already.
func (w *hand) send(ctx context.Context) (*bellhop.ExchangeReply, error) {
	reply, err := w.s.Exchange(ctx, w.request)
	switch {
	case err != nil:
		return nil, fmt.Errorf("exchange: %w", err)
	case len(reply.Refused) > 0:
		r := reply.Refused[0]
		return nil, fmt.Errorf("exchange refused %v: %w, recorded is %v", w.request.Outcomes[r.Index], r.Err, r.Recorded)
	case len(reply.Claims) > w.request.Limit:
		return nil, fmt.Errorf("X5: an exchange with limit %d claimed %d", w.request.Limit, len(reply.Claims))
	case len(reply.Unsettled) == 0:
		return reply, nil
	}
	again, err := settle(ctx, w.s, those(w.request.Outcomes, reply.Unsettled))
	if err == nil && len(again) > 0 {
		err = fmt.Errorf("exchange refused an outcome that was unsettled before: %w, recorded is %v", again[0].Err, again[0].Recorded)
	}
	return reply, err
}

// settle hands outcomes in, in the name of nobody, until none is left unsettled because another call holds its claim just then.
func settle(ctx context.Context, s bellhop.Store, outcomes []bellhop.Outcome) (refused []bellhop.Refusal, err error) {
	at := make([]int, len(outcomes)) // places of those that are left
	for i := range at {
		at[i] = i
	}
	for len(at) > 0 {
		reply, err := s.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: those(outcomes, at)})
		if err != nil {
			return nil, err
		}
		for _, r := range reply.Refused {
			refused = append(refused, bellhop.Refusal{Index: at[r.Index], Err: r.Err, Recorded: r.Recorded})
		}
		at = those(at, reply.Unsettled)
	}
	return refused, nil
}

// those returns the elements at some places.
func those[T any](list []T, places []int) []T {
	some := make([]T, len(places))
	for i, at := range places {
		some[i] = list[at]
	}
	return some
}

// settled is the outcome of an attempt: err is what the handler returned.
func settled(c *bellhop.Claim, err error) bellhop.Outcome {
	policy := bellhop.Policy{Backoff: bellhop.Fixed(time.Second)}
	return c.Settle(policy, bellhop.Return{Err: err, Started: c.Place.ClaimedAt, Ended: c.Place.ClaimedAt})
}

func allSucceeded(claims []bellhop.Claim) []bellhop.Outcome {
	var outcomes []bellhop.Outcome
	for i := range claims {
		outcomes = append(outcomes, settled(&claims[i], nil))
	}
	return outcomes
}

// finishAll claims and finishes all that is ready.
func (w *hand) finishAll(ctx context.Context, limit func() int, claimed func([]bellhop.Claim) error) error {
	var outcomes []bellhop.Outcome
	for {
		reply, err := w.exchange(ctx, limit(), outcomes...)
		if err != nil {
			return err
		}
		if err := claimed(reply.Claims); err != nil {
			return err
		}
		if outcomes = allSucceeded(reply.Claims); len(outcomes) == 0 {
			return nil
		}
	}
}

// ledger notes what was claimed, by whomever.
type ledger struct {
	mu     sync.Mutex
	claims map[bellhop.ID]map[int64]bellhop.ID
	total  int
}

// claimed notes claims, and finds fault with one that was there before [X7].
func (l *ledger) claimed(claims []bellhop.Claim) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claims == nil {
		l.claims = map[bellhop.ID]map[int64]bellhop.ID{}
	}
	for _, c := range claims {
		numbers := l.claims[c.Token.JobID]
		if numbers == nil {
			numbers = map[int64]bellhop.ID{}
			l.claims[c.Token.JobID] = numbers
		}
		if other, ok := numbers[c.Token.Number]; ok {
			return fmt.Errorf("X7: claim %d of job %s was made by exchange %s and again by %s", c.Token.Number, c.Token.JobID, other, c.Token.Exchange)
		}
		numbers[c.Token.Number] = c.Token.Exchange
		l.total++
	}
	return nil
}

// raceClaimers: many claimers, each job once [X7].
func raceClaimers(t testing.TB, h Harness) {
	const jobs, claimers = 400, 8
	s, ctx, book := h.New(t), budgeted(t), &ledger{}
	ids, err := raceJobs(ctx, s, "a", jobs, nil)
	must(t, err)
	var team crew
	for i := range claimers {
		team.Go("claimer", func() error {
			w, err := newHand(ctx, s, longLease, "a")
			if err != nil {
				return err
			}
			n := i
			return w.finishAll(ctx, func() int { n++; return n%9 + 1 }, book.claimed)
		})
	}
	team.wait(t)
	drained(t, ctx, s, book, "a")
	for _, id := range ids {
		if len(book.claims[id]) != 1 {
			t.Errorf("job %s was claimed %d times", id, len(book.claims[id]))
		}
	}
	wantStates(t, ctx, s, ids, bellhop.StateSucceeded)
}

// drained finishes what claimers left behind, because a store may pass over a
// row that another claimer has locked.
func drained(t testing.TB, ctx context.Context, s bellhop.Store, book *ledger, queues ...string) {
	t.Helper()
	w, err := newHand(ctx, s, longLease, queues...)
	must(t, err)
	must(t, w.finishAll(ctx, func() int { return 100 }, book.claimed))
}

// wantStates checks that all jobs are there, and in one of the states.
func wantStates(t testing.TB, ctx context.Context, s bellhop.Store, ids []bellhop.ID, states ...bellhop.State) []bellhop.Snapshot {
	t.Helper()
	v, err := lookAt(ctx, s, ids, bellhop.Filter{IDs: ids}, 1000)
	must(t, err)
	if len(v.Jobs) != len(ids) {
		t.Fatalf("of %d jobs %d are there", len(ids), len(v.Jobs))
	}
	for _, j := range v.Jobs {
		if !slices.Contains(states, j.Place.State) {
			t.Fatalf("job %s is %s; want %v", j.ID, j.Place.State, states)
		}
	}
	return v.Jobs
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// raceRounds runs all functions at once, as often as rounds says.
func raceRounds(t testing.TB, rounds int, round func(i int) (racers []func() error, check func())) {
	t.Helper()
	for i := range rounds {
		racers, check := round(i)
		var team crew
		start := make(chan struct{})
		for n, fn := range racers {
			team.Go(fmt.Sprintf("round %d, racer %d", i, n), func() error {
				<-start
				return fn()
			})
		}
		close(start)
		team.wait(t)
		check()
	}
}

// raceSweepFinish: a process finishes its jobs just when two sweepers take them
// back. The token settles it: one outcome is applied to each [S3, X1].
func raceSweepFinish(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	raceRounds(t, 15, func(round int) ([]func() error, func()) {
		queue := fmt.Sprintf("q%d", round)
		ids, err := raceJobs(ctx, s, queue, 6, nil)
		must(t, err)
		w, err := newHand(ctx, s, time.Second, queue)
		must(t, err)
		reply, err := w.exchange(ctx, len(ids))
		must(t, err)
		h.Advance(s, 2*time.Second)
		refused := map[bellhop.ID]bool{}
		sweep := func() error {
			claims, err := s.Sweep(ctx, 100)
			if err != nil {
				return err
			}
			_, err = settle(ctx, s, sweepRequest(claims, time.Now()).Outcomes)
			return err
		}
		finish := func() error {
			stale, err := settle(ctx, s, allSucceeded(reply.Claims))
			if err != nil {
				return err
			}
			for _, f := range stale {
				refused[reply.Claims[f.Index].Token.JobID] = true
				if !errors.Is(f.Err, bellhop.ErrStale) || f.Recorded != bellhop.OutcomeSwept {
					return fmt.Errorf("X4: refused with %v, recorded %v; want %v, %v", f.Err, f.Recorded, bellhop.ErrStale, bellhop.OutcomeSwept)
				}
			}
			return nil
		}
		return []func() error{finish, sweep, sweep}, func() {
			for _, j := range wantStates(t, ctx, s, ids, bellhop.StateSucceeded, bellhop.StateReady) {
				swept := j.Place.State == bellhop.StateReady
				if swept != refused[j.ID] || swept != (j.Place.Failures == 1) || j.Place.Attempt != 1 {
					t.Fatalf("job %s is %s after %d failures, and its own process was refused: %v", j.ID, j.Place.State, j.Place.Failures, refused[j.ID])
				}
			}
		}
	})
}

// sweepRequest decides about swept claims as a worker does.
func sweepRequest(claims []bellhop.Claim, now time.Time) *bellhop.ExchangeRequest {
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID()}
	for i := range claims {
		r.Outcomes = append(r.Outcomes, claims[i].Sweep(now.UTC().Truncate(time.Microsecond)))
	}
	return r
}

// raceFinishCancel: a job is cancelled just when its attempt succeeds. The
// success counts, whichever comes first [A1, A2].
func raceFinishCancel(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	w, err := newHand(ctx, s, longLease, "a")
	must(t, err)
	raceRounds(t, 30, func(int) ([]func() error, func()) {
		ids, err := raceJobs(ctx, s, "a", 1, nil)
		must(t, err)
		reply, err := w.exchange(ctx, 1)
		must(t, err)
		finish := func() error {
			_, err := w.exchange(ctx, 0, allSucceeded(reply.Claims)...)
			return err
		}
		cancel := func() error {
			a, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: ids, Reason: "race"})
			if err != nil {
				return err
			}
			if len(a.Changed) > 0 || len(a.Signalled)+len(a.Skipped) != 1 || len(a.Skipped) == 1 && a.Skipped[0].State != bellhop.StateSucceeded {
				return fmt.Errorf("A1: cancel changed %v, signalled %v and skipped %v", a.Changed, a.Signalled, a.Skipped)
			}
			return nil
		}
		return []func() error{finish, cancel}, func() { wantStates(t, ctx, s, ids, bellhop.StateSucceeded) }
	})
}

// raceActClaim: a job is cancelled, discarded or deleted just when it is
// claimed. One of the two wins; a claimed job may at most be signalled [A1, A2, X7].
func raceActClaim(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	actions := []bellhop.Action{bellhop.ActCancel, bellhop.ActDiscard, bellhop.ActDelete}
	raceRounds(t, 30, func(round int) ([]func() error, func()) {
		queue, action := fmt.Sprintf("q%d", round), actions[round%len(actions)]
		ids, err := raceJobs(ctx, s, queue, 1, nil)
		must(t, err)
		w, err := newHand(ctx, s, longLease, queue)
		must(t, err)
		var claims []bellhop.Claim
		var changed bool
		claim := func() error {
			reply, err := w.exchange(ctx, 1)
			if err == nil {
				claims = reply.Claims
			}
			return err
		}
		act := func() error {
			reply, err := s.Act(ctx, &bellhop.ActRequest{Action: action, IDs: ids, Reason: "race"})
			if err == nil {
				changed = len(reply.Changed)+len(reply.Signalled) == 1
			}
			return err
		}
		return []func() error{claim, act}, func() {
			left, err := s.Get(ctx, ids)
			must(t, err)
			gone := len(left) == 0
			switch {
			case len(claims) == 1 && (gone || left[0].Place.State != bellhop.StateRunning):
				t.Fatalf("the job was claimed, and %s moved it: %v", action, left)
			case len(claims) == 1 && left[0].Place.CancelRequested != changed:
				t.Fatalf("%s of a running job returned %v, cancel requested is %v", action, changed, left[0].Place.CancelRequested)
			case len(claims) == 0 && (!changed || gone != (action == bellhop.ActDelete) || !gone && left[0].Place.State != action.To()):
				t.Fatalf("nobody claimed the job, and %s left %v", action, left)
			}
		}
	})
}

// racePause: once Pause has returned, no exchange that begins later claims from the queue [U1].
func racePause(t testing.TB, h Harness) {
	s, ctx, book := h.New(t), budgeted(t), &ledger{}
	ids, err := raceJobs(ctx, s, "a", 300, nil)
	must(t, err)
	var team crew
	var paused atomic.Bool
	began := make(chan struct{}, 1000)
	for range 4 {
		team.Go("claimer", func() error {
			defer func() { // lets the pauser go on if the claimers fail early
				for range 20 {
					began <- struct{}{}
				}
			}()
			w, err := newHand(ctx, s, longLease, "a")
			if err != nil {
				return err
			}
			for range 60 {
				before := paused.Load()
				began <- struct{}{}
				reply, err := w.exchange(ctx, 3)
				if err != nil {
					return err
				}
				if before && len(reply.Claims) > 0 {
					return fmt.Errorf("U1: an exchange that began after the pause claimed %d jobs", len(reply.Claims))
				}
				if before && !slices.Contains(reply.Signals.Paused, "a") {
					return errors.New("X11: the pause is not signalled")
				}
				if err := book.claimed(reply.Claims); err != nil {
					return err
				}
				if _, err := w.exchange(ctx, 0, allSucceeded(reply.Claims)...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	team.Go("pauser", func() error {
		for range 20 {
			<-began
		}
		defer paused.Store(true)
		return s.Pause(ctx, "a", true)
	})
	team.wait(t)
	more, err := raceJobs(ctx, s, "a", 3, nil)
	must(t, err)
	w, err := newHand(ctx, s, longLease, "a")
	must(t, err)
	reply, err := w.exchange(ctx, 3)
	must(t, err)
	if len(reply.Claims) > 0 {
		t.Fatalf("U1: %d jobs of a paused queue were claimed", len(reply.Claims))
	}
	ids = append(ids, more...)
	must(t, s.Pause(ctx, "a", false))
	drained(t, ctx, s, book, "a")
	wantStates(t, ctx, s, ids, bellhop.StateSucceeded)
}
