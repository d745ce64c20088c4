package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// storm is everything at once: callers of all verbs, a bounded number of calls
// each, none of which may see an error.
type storm struct {
	h    Harness
	s    bellhop.Store
	book ledger

	mu    sync.Mutex
	taken map[bellhop.ID]*bellhop.Job
	ids   []bellhop.ID                                         // of taken
	ends  map[bellhop.ID]map[bellhop.Token]bellhop.OutcomeKind // final outcomes that were applied
	acted map[bellhop.ID]bellhop.Action                        // the action that ended a job
	live  map[bellhop.ID]bool                                  // processes that beat in time
}

var stormQueues = []string{"a", "b"}

// raceStorm: enqueuers, claimers, dying processes, sweepers, promoters, actors,
// pruners, pausers and readers. In the end each job has ended exactly once.
func raceStorm(t testing.TB, h Harness) {
	ctx := budgeted(t)
	st := &storm{
		h: h, s: h.New(t), taken: map[bellhop.ID]*bellhop.Job{}, acted: map[bellhop.ID]bellhop.Action{},
		ends: map[bellhop.ID]map[bellhop.Token]bellhop.OutcomeKind{}, live: map[bellhop.ID]bool{},
	}
	var team crew
	crowd := []struct {
		name  string
		count int
		times int
		begin func(ctx context.Context, random *rand.Rand) (func() error, error)
	}{
		{"enqueuer", 3, 40, st.enqueuer},
		{"claimer", 4, 80, st.claimer},
		{"dying process", 1, 15, st.dying},
		{"sweeper", 2, 40, st.sweeper},
		{"promoter", 2, 40, st.promoter},
		{"actor", 2, 40, st.actor},
		{"pruner", 1, 30, st.pruner},
		{"pauser", 1, 20, st.pauser},
		{"reader", 2, 40, st.reader},
		{"clock", 1, 60, st.clock},
	}
	for i, c := range crowd {
		for n := range c.count {
			team.Go(c.name, func() error {
				step, err := c.begin(ctx, rand.New(rand.NewPCG(uint64(i), uint64(n))))
				for range c.times {
					if err != nil {
						return err
					}
					err = step()
				}
				return err
			})
		}
	}
	team.wait(t)
	must(t, st.calm(ctx))
	st.check(t, ctx)
}

// enqueuer takes jobs in: now and later, with keys, some soon to be pruned.
func (st *storm) enqueuer(ctx context.Context, random *rand.Rand) (func() error, error) {
	return func() error {
		var jobs []*bellhop.Job
		for range 1 + random.IntN(4) {
			j := raceJob(stormQueues[random.IntN(2)])
			j.Priority, j.Attempts = random.IntN(3)-1, 1+random.IntN(4)
			if random.IntN(4) == 0 {
				j.Delay = time.Duration(random.IntN(3000)) * time.Millisecond
			}
			if random.IntN(4) == 0 {
				j.UniqueKey = fmt.Sprintf("key %d", random.IntN(5))
			}
			if random.IntN(5) == 0 {
				j.Retention = time.Second
			}
			jobs = append(jobs, j)
		}
		receipts, err := st.s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
		if err != nil {
			return err
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		for i, r := range receipts {
			switch own := r.ID == jobs[i].ID; {
			case own == r.Existing:
				return fmt.Errorf("E2: the receipt of new job %s is %+v", jobs[i].ID, r)
			case own:
				st.taken[r.ID] = jobs[i]
				st.ids = append(st.ids, r.ID)
			case jobs[i].UniqueKey == "":
				return fmt.Errorf("E4: job %s has no key, and its receipt names %s", jobs[i].ID, r.ID)
			}
		}
		return nil
	}, nil
}

// claimer works as a worker does, and sends some exchanges twice.
func (st *storm) claimer(ctx context.Context, random *rand.Rand) (func() error, error) {
	w, err := newHand(ctx, st.s, longLease, stormQueues...)
	if err != nil {
		return nil, err
	}
	st.mu.Lock()
	st.live[w.process.ID] = true
	st.mu.Unlock()
	var outcomes []bellhop.Outcome
	return func() error {
		reply, err := w.exchange(ctx, random.IntN(6), outcomes...)
		if err != nil {
			return err
		}
		st.ended(outcomes)
		if err := st.book.claimed(reply.Claims); err != nil {
			return err
		}
		if random.IntN(8) == 0 && len(reply.Claims) > 0 {
			again, err := w.send(ctx)
			if err != nil {
				return err
			}
			if len(again.Claims) != len(reply.Claims) {
				return fmt.Errorf("X8: an exchange claimed %d jobs, and its repeat returned %d", len(reply.Claims), len(again.Claims))
			}
		}
		outcomes = nil
		for i := range reply.Claims {
			c := &reply.Claims[i]
			if random.IntN(5) == 0 {
				refused, err := st.s.Report(ctx, []bellhop.Report{{Token: c.Token, Started: true, Progress: []byte(`{"done":1}`)}})
				if err != nil || len(refused) > 0 {
					return fmt.Errorf("report of a held claim: %v, %w", refused, err)
				}
			}
			outcomes = append(outcomes, stormOutcome(c, random))
		}
		return nil
	}, nil
}

func stormOutcome(c *bellhop.Claim, random *rand.Rand) bellhop.Outcome {
	switch random.IntN(10) {
	case 0:
		return settled(c, errors.New("failed"))
	case 1:
		return settled(c, bellhop.Snooze(time.Second))
	case 2:
		return settled(c, bellhop.Discard(nil))
	case 3:
		return c.HandBack("a storm")
	}
	return settled(c, nil)
}

// ended notes final outcomes that were applied.
func (st *storm) ended(outcomes []bellhop.Outcome) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, o := range outcomes {
		if !o.Kind.To().Final() {
			continue
		}
		if st.ends[o.Token.JobID] == nil {
			st.ends[o.Token.JobID] = map[bellhop.Token]bellhop.OutcomeKind{}
		}
		st.ends[o.Token.JobID][o.Token] = o.Kind
	}
}

// dying are processes that claim with a short lease, and are never heard of again.
func (st *storm) dying(ctx context.Context, random *rand.Rand) (func() error, error) {
	return func() error {
		w, err := newHand(ctx, st.s, time.Second, stormQueues...)
		if err != nil {
			return err
		}
		reply, err := w.exchange(ctx, 1+random.IntN(3))
		if errors.Is(err, bellhop.ErrProcessGone) {
			return nil // the clock was faster
		}
		if err != nil {
			return err
		}
		return st.book.claimed(reply.Claims)
	}, nil
}

func (st *storm) sweeper(ctx context.Context, _ *rand.Rand) (func() error, error) {
	return func() error {
		claims, err := st.s.Sweep(ctx, 10)
		if err != nil {
			return err
		}
		for _, c := range claims {
			st.mu.Lock()
			live := st.live[c.Place.Process]
			st.mu.Unlock()
			if live {
				return fmt.Errorf("S1: the claim on job %s was swept, whose process lives", c.Token.JobID)
			}
		}
		r := sweepRequest(claims, time.Now())
		stale, err := settle(ctx, st.s, r.Outcomes)
		if err != nil {
			return err
		}
		refused := map[int]bool{}
		for _, f := range stale {
			refused[f.Index] = true
		}
		for i, o := range r.Outcomes {
			if !refused[i] {
				st.ended([]bellhop.Outcome{o})
			}
		}
		return nil
	}, nil
}

func (st *storm) promoter(ctx context.Context, _ *rand.Rand) (func() error, error) {
	return func() error {
		_, _, err := st.s.Promote(ctx, 5)
		return err
	}, nil
}

// actor cancels, discards and hastens jobs; none that has ended is run again.
func (st *storm) actor(ctx context.Context, random *rand.Rand) (func() error, error) {
	actions := []bellhop.Action{bellhop.ActCancel, bellhop.ActDiscard, bellhop.ActRunNow}
	return func() error {
		st.mu.Lock()
		var ids []bellhop.ID
		for range min(len(st.ids), 3) {
			ids = append(ids, st.ids[len(st.ids)-1-random.IntN(min(len(st.ids), 30))])
		}
		st.mu.Unlock()
		r := &bellhop.ActRequest{Action: actions[random.IntN(len(actions))], IDs: ids, Reason: "a storm"}
		if len(ids) == 0 {
			return nil
		}
		if random.IntN(4) == 0 {
			r.IDs, r.Filter = nil, bellhop.Filter{IDs: ids}
		}
		reply, err := st.s.Act(ctx, r)
		if err != nil || r.Action == bellhop.ActRunNow {
			return err
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		for _, id := range reply.Changed {
			// A dead job may be discarded besides having ended.
			if old, ok := st.acted[id]; ok {
				return fmt.Errorf("A1: job %s was ended by %s and again by %s", id, old, r.Action)
			}
			st.acted[id] = r.Action
		}
		return nil
	}, nil
}

func (st *storm) pruner(ctx context.Context, _ *rand.Rand) (func() error, error) {
	return func() error {
		_, err := st.s.Prune(ctx, 5)
		return err
	}, nil
}

func (st *storm) pauser(ctx context.Context, random *rand.Rand) (func() error, error) {
	return func() error { return st.s.Pause(ctx, stormQueues[random.IntN(2)], random.IntN(2) == 0) }, nil
}

// reader looks at the store in all ways; what it sees must fit together.
func (st *storm) reader(ctx context.Context, random *rand.Rand) (func() error, error) {
	return func() error {
		st.mu.Lock()
		ids := st.ids[max(0, len(st.ids)-20):len(st.ids):len(st.ids)]
		st.mu.Unlock()
		jobs, err := st.s.Get(ctx, ids)
		if err != nil {
			return err
		}
		if err := wellPlacedAll(jobs); err != nil {
			return err
		}
		if _, err := listAll(ctx, st.s, bellhop.Filter{IDs: ids}, 1+random.IntN(20)); err != nil {
			return err
		}
		if _, err := CountAll(ctx, st.s, bellhop.Filter{Queues: stormQueues[:1]}, 100); err != nil {
			return err
		}
		if _, err = st.s.Stats(ctx, 100); err != nil {
			return err
		}
		_, err = st.s.Processes(ctx)
		return err
	}, nil
}

func wellPlacedAll(jobs []bellhop.Snapshot) error {
	for i := range jobs {
		if err := wellPlaced(&jobs[i]); err != nil {
			return fmt.Errorf("job %s is %s, but %w", jobs[i].ID, jobs[i].Place.State, err)
		}
	}
	return nil
}

func (st *storm) clock(context.Context, *rand.Rand) (func() error, error) {
	return func() error { st.h.Advance(st.s, 200*time.Millisecond); return nil }, nil
}

// calm works off what the storm has left, with the clock moved on each time.
func (st *storm) calm(ctx context.Context) error {
	for _, q := range stormQueues {
		if err := st.s.Pause(ctx, q, false); err != nil {
			return err
		}
	}
	for range 200 {
		st.h.Advance(st.s, 2*longLease)
		sweep, err := st.sweeper(ctx, nil)
		if err != nil {
			return err
		}
		st.live = map[bellhop.ID]bool{}
		if err := sweep(); err != nil {
			return err
		}
		if _, _, err := st.s.Promote(ctx, 1000); err != nil {
			return err
		}
		w, err := newHand(ctx, st.s, 3*longLease, stormQueues...)
		if err != nil {
			return err
		}
		if err := w.finishAll(ctx, func() int { return 100 }, func(claims []bellhop.Claim) error {
			st.ended(allSucceeded(claims))
			return st.book.claimed(claims)
		}); err != nil {
			return err
		}
		waiting := bellhop.States(bellhop.StateScheduled, bellhop.StateReady, bellhop.StateRunning, bellhop.StateBlocked)
		if n, err := CountAll(ctx, st.s, bellhop.Filter{States: waiting}, 1); n == 0 || err != nil {
			return err
		}
	}
	return errors.New("jobs are left that nothing brings to an end")
}

// check looks at how each job has ended.
func (st *storm) check(t testing.TB, ctx context.Context) {
	t.Helper()
	v, err := look(ctx, st.s, st.ids, 100)
	must(t, err)
	left := map[bellhop.ID]*bellhop.Snapshot{}
	for i := range v.Jobs {
		left[v.Jobs[i].ID] = &v.Jobs[i]
	}
	for id, job := range st.taken {
		ends, acted, byAct := st.ends[id], st.acted[id], st.acted[id] != 0
		j := left[id]
		switch {
		case len(ends) > 1:
			t.Errorf("X1: job %s ended %d times: %v", id, len(ends), ends)
		case len(ends) == 0 && !byAct:
			t.Errorf("job %s never ended", id)
		case j == nil && job.Retention == bellhop.Forever:
			t.Errorf("D1: job %s is gone, and was to be kept", id)
		}
		if j == nil {
			continue
		}
		want := bellhop.State(0)
		if byAct {
			want = acted.To()
		}
		for _, kind := range ends {
			// Of the actions only discard may follow on an end, on being dead.
			if !byAct || kind != bellhop.OutcomeDead || acted != bellhop.ActDiscard {
				want = kind.To()
			}
			if byAct && (kind != bellhop.OutcomeDead || acted != bellhop.ActDiscard) {
				t.Errorf("A1: job %s ended as %s and by %s", id, kind, acted)
			}
		}
		if j.Place.State != want {
			t.Errorf("job %s is %s; want %s", id, j.Place.State, want)
		}
	}
}
