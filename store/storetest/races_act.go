package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// What callers were told about one job must have happened one after the other, in some order that ends where the job now
// is. told is one thing that a caller was told: it leads from one standing of the job to the next, or is not possible there.
type told struct {
	what string
	then func(standing) (standing, bool)
}

// standing is what counts of a job's place when several callers want something of it.
type standing struct {
	state  bellhop.State // 0: there is no such job
	claim  int64
	cancel bool
	again  int // generations
}

func (st standing) String() string {
	if st.state == 0 {
		return "gone"
	}
	return fmt.Sprintf("%s after %d claims in generation %d, cancel requested: %v", st.state, st.claim, st.again, st.cancel)
}

// testimony is what each caller was told about a job, in the order in which it was told.
type testimony [][]told

// leads reports whether what was said can have happened in an order that leads from one standing to the other.
func (t testimony) leads(from, to standing) bool {
	left := false
	for i, one := range t {
		if len(one) == 0 {
			continue
		}
		left = true
		if next, can := one[0].then(from); can {
			rest := slices.Clone(t)
			rest[i] = one[1:]
			if rest.leads(next, to) {
				return true
			}
		}
	}
	return !left && from == to
}

func (t testimony) String() (all string) {
	for i, one := range t {
		for _, said := range one {
			all += fmt.Sprintf("\n  racer %d: %s", i, said.what)
		}
	}
	return all
}

// witness is a racer that keeps what it was told about each job.
type witness struct {
	s    bellhop.Store
	said map[bellhop.ID][]told
}

func (w *witness) note(id bellhop.ID, then func(standing) (standing, bool), format string, args ...any) {
	w.said[id] = append(w.said[id], told{fmt.Sprintf(format, args...), then})
}

// act does an action to jobs by their ids.
func (w *witness) act(ctx context.Context, action bellhop.Action, ids []bellhop.ID) error {
	reply, err := w.s.Act(ctx, &bellhop.ActRequest{Action: action, IDs: ids, Reason: "race"})
	if err != nil {
		return err
	}
	if n := len(reply.Changed) + len(reply.Signalled) + len(reply.Skipped); n != len(ids) {
		return fmt.Errorf("A1: of %d jobs %s tells of %d", len(ids), action, n)
	}
	w.acted(action, reply)
	return nil
}

// actAll does an action to all jobs of a queue, three at a time.
func (w *witness) actAll(ctx context.Context, action bellhop.Action, f bellhop.Filter) error {
	seen := map[bellhop.ID]bool{}
	for r := (bellhop.ActRequest{Action: action, Filter: f, Limit: 3, Reason: "race"}); ; {
		reply, err := w.s.Act(ctx, &r)
		if err != nil {
			return err
		}
		for _, id := range slices.Concat(reply.Changed, reply.Signalled) {
			if seen[id] {
				return fmt.Errorf("A4: %s by filter visited job %s twice", action, id)
			}
			seen[id] = true
		}
		w.acted(action, reply)
		if r.After = reply.Next; r.After == "" {
			return nil
		}
	}
}

func (w *witness) acted(action bellhop.Action, reply *bellhop.ActReply) {
	for _, id := range reply.Changed {
		w.note(id, func(st standing) (standing, bool) {
			can := action.From().Has(st.state) && st.state != bellhop.StateRunning
			st.state, st.cancel = action.To(), false
			switch action {
			case bellhop.ActRetry:
				st.again++
			case bellhop.ActDelete:
				st = standing{}
			}
			return st, can
		}, "%s changed it", action)
	}
	for _, id := range reply.Signalled {
		w.note(id, func(st standing) (standing, bool) {
			can := st.state == bellhop.StateRunning && action == bellhop.ActCancel
			st.cancel = true
			return st, can
		}, "%s signalled it", action)
	}
	for _, skip := range reply.Skipped {
		w.note(skip.ID, func(st standing) (standing, bool) {
			return st, skip.Locked || skip.State == st.state && skip.Holder.IsZero() && !action.From().Has(st.state)
		}, "%s skipped it: %+v", action, skip)
	}
}

// hand hands outcomes in, in the name of nobody.
func (w *witness) hand(ctx context.Context, outcomes ...bellhop.Outcome) error {
	refusals, err := settle(ctx, w.s, outcomes)
	if err != nil {
		return err
	}
	refused := map[int]bellhop.OutcomeKind{}
	for _, f := range refusals {
		if !errors.Is(f.Err, bellhop.ErrStale) {
			return fmt.Errorf("X1: refused with %w", f.Err)
		}
		refused[f.Index] = f.Recorded
	}
	for i := range outcomes {
		o := &outcomes[i]
		fits := func(st standing) bool { return st.state == bellhop.StateRunning && st.claim == o.Token.Number }
		if recorded, is := refused[i]; is {
			w.note(o.Token.JobID, func(st standing) (standing, bool) { return st, !fits(st) },
				"%s under claim %d was refused, recorded is %s", o.Kind, o.Token.Number, recorded)
			continue
		}
		w.note(o.Token.JobID, func(st standing) (standing, bool) {
			can := fits(st)
			st.state = o.Kind.To()
			st.cancel = st.cancel && st.state.Live()
			return st, can
		}, "%s under claim %d was applied", o.Kind, o.Token.Number)
	}
	return nil
}

// claim claims from a queue and hands in that what it got has succeeded.
func (w *witness) claim(ctx context.Context, process *hand, n int) error {
	reply, err := process.exchange(ctx, n)
	if err != nil {
		return err
	}
	for _, c := range reply.Claims {
		w.note(c.Token.JobID, func(st standing) (standing, bool) {
			can := st.state == bellhop.StateReady && c.Token.Number == st.claim+1 && c.Place.CancelRequested == st.cancel
			st.state, st.claim = bellhop.StateRunning, c.Token.Number
			return st, can
		}, "claim %d was made", c.Token.Number)
	}
	return w.hand(ctx, allSucceeded(reply.Claims)...)
}

// sweep takes back the claims of dead processes.
func (w *witness) sweep(ctx context.Context) error {
	claims, err := w.s.Sweep(ctx, 100)
	if err != nil {
		return err
	}
	return w.hand(ctx, sweepRequest(claims, time.Now()).Outcomes...)
}

// actRace is a queue with two jobs in each of five states.
type actRace struct {
	queue  string
	ids    []bellhop.ID
	before map[bellhop.ID]standing
	dying  []bellhop.Claim // of a process whose lease is over
}

func newActRace(t testing.TB, ctx context.Context, h Harness, s bellhop.Store, queue string) *actRace {
	t.Helper()
	r := &actRace{queue: queue, before: map[bellhop.ID]standing{}}
	add := func(st standing, delay time.Duration) {
		ids, err := raceJobs(ctx, s, queue, 2, func(_ int, j *bellhop.Job) { j.Delay = delay })
		must(t, err)
		for _, id := range ids {
			r.ids, r.before[id] = append(r.ids, id), st
		}
	}
	w, err := newHand(ctx, s, longLease, queue)
	must(t, err)
	for _, kind := range []bellhop.OutcomeKind{bellhop.OutcomeSucceeded, bellhop.OutcomeDead} {
		add(standing{state: kind.To(), claim: 1}, 0)
		reply, err := w.exchange(ctx, 2)
		must(t, err)
		outcomes := allSucceeded(reply.Claims)
		for i := range outcomes {
			outcomes[i].Kind, outcomes[i].Keep = kind, bellhop.Forever
		}
		_, err = w.exchange(ctx, 0, outcomes...)
		must(t, err)
	}
	add(standing{state: bellhop.StateRunning, claim: 1}, 0)
	dying, err := newHand(ctx, s, time.Second, queue)
	must(t, err)
	reply, err := dying.exchange(ctx, 2)
	must(t, err)
	r.dying = reply.Claims
	h.Advance(s, 2*time.Second)
	add(standing{state: bellhop.StateReady}, 0)
	add(standing{state: bellhop.StateScheduled}, time.Hour)
	return r
}

// raceActs: people retry, discard, delete, cancel and hasten the same jobs, by ids in different orders and by filter, just as
// the jobs are claimed, finished and swept. Each job is where an order of all this leads that agrees with what each caller
// was told: of two that want the same job one wins, and the other is told so [A1 A2 A3 A4 X1 X7 S3].
func raceActs(t testing.TB, h Harness) {
	s, ctx := h.New(t), budgeted(t)
	raceRounds(t, 12, func(round int) ([]func() error, func()) {
		r := newActRace(t, ctx, h, s, fmt.Sprintf("q%d", round))
		worker, err := newHand(ctx, s, longLease, r.queue)
		must(t, err)
		backwards := slices.Clone(r.ids)
		slices.Reverse(backwards)
		all := bellhop.Filter{Queues: []string{r.queue}}
		judged := bellhop.Filter{Queues: []string{r.queue}, Args: []bellhop.ArgMatch{{Path: "n", Value: "1"}}} // of which no index knows
		var witnesses []*witness
		var racers []func() error
		race := func(run func(w *witness) error) {
			w := &witness{s: s, said: map[bellhop.ID][]told{}}
			witnesses = append(witnesses, w)
			racers = append(racers, func() error { return run(w) })
		}
		race(func(w *witness) error {
			return errors.Join(w.claim(ctx, worker, 2), w.claim(ctx, worker, 10))
		})
		race(func(w *witness) error { return w.sweep(ctx) })
		race(func(w *witness) error { return w.hand(ctx, allSucceeded(r.dying)...) })
		race(func(w *witness) error { return w.act(ctx, bellhop.ActRetry, backwards) })
		race(func(w *witness) error { return w.act(ctx, bellhop.ActDiscard, r.ids) })
		switch round % 3 {
		case 0:
			race(func(w *witness) error { return w.act(ctx, bellhop.ActDelete, backwards) })
			race(func(w *witness) error { return w.actAll(ctx, bellhop.ActRetry, all) })
		case 1:
			race(func(w *witness) error { return w.act(ctx, bellhop.ActCancel, backwards) })
			race(func(w *witness) error { return w.actAll(ctx, bellhop.ActRetry, judged) })
		case 2:
			race(func(w *witness) error { return w.act(ctx, bellhop.ActRunNow, r.ids) })
			race(func(w *witness) error { return w.actAll(ctx, bellhop.ActDelete, judged) })
		}
		return racers, func() { r.judge(t, ctx, s, witnesses) }
	})
}

// judge compares where the jobs are with what was said of them.
func (r *actRace) judge(t testing.TB, ctx context.Context, s bellhop.Store, witnesses []*witness) {
	t.Helper()
	v, err := lookAt(ctx, s, r.ids, bellhop.Filter{IDs: r.ids}, 4)
	must(t, err)
	must(t, wellPlacedAll(v.Jobs))
	after := map[bellhop.ID]standing{}
	for _, j := range v.Jobs {
		after[j.ID] = standing{j.Place.State, j.Place.Claim, j.Place.CancelRequested, j.Place.Generation}
	}
	for _, id := range r.ids {
		all := make(testimony, len(witnesses))
		for i, w := range witnesses {
			all[i] = w.said[id]
		}
		if !all.leads(r.before[id], after[id]) {
			t.Errorf("job %s was %s and is %s; no order of what was said leads there:%s", id, r.before[id], after[id], all)
		}
	}
}
