package storetest

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// TestMutants proves that the parts of the suite that go beyond single clauses
// find mistakes: each mutant is a store in memory with one mistake in it, and
// the named parts must fail on it. The store without one must pass them.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("short runs make fewer checks than it takes to find each mistake")
	}
	setFlag(t, "rapid.seed", "20260506") // what it finds does not hang on luck
	setFlag(t, "rapid.checks", "25")
	setFlag(t, "rapid.nofailfile", "true")
	setFlag(t, "rapid.shrinktime", "0s")
	groups := map[string][]part{"random": randomParts, "races": raceParts, "faults": faultParts()}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for _, by := range m.by {
				found := ""
				for _, p := range groups[by] {
					if found = fails(t, p, mutantHarness(m.make)); found != "" {
						t.Logf("found by %s, %s: %.300s", by, p.name, found)
						break
					}
				}
				if found == "" {
					t.Errorf("%s did not find it", by)
				}
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		for by, parts := range groups {
			for _, p := range parts {
				if found := fails(t, p, mutantHarness(func(s bellhop.Store) bellhop.Store { return Pass{s} })); found != "" {
					t.Errorf("%s, %s: %s", by, p.name, found)
				}
			}
		}
	})
}

func setFlag(t *testing.T, name, value string) {
	old := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, old) })
}

// mutantHarness makes stores in memory with a mistake. Opened again they keep it.
func mutantHarness(mutate func(bellhop.Store) bellhop.Store) Harness {
	clocks := map[bellhop.Store]*bellhop.ManualClock{}
	return Harness{
		New: func(testing.TB) bellhop.Store {
			clock := bellhop.NewManualClock(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC))
			s := mutate(memory.New(memory.WithClock(clock)))
			clocks[s] = clock
			return s
		},
		Reopen:  func(_ testing.TB, s bellhop.Store) bellhop.Store { return s },
		Advance: func(s bellhop.Store, d time.Duration) { clocks[s].Advance(d) },
	}
}

// fails runs a part and returns how it failed; "" if it did not.
func fails(t testing.TB, p part, h Harness) string {
	w := &watched{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.clean()
		p.run(w, h)
	}()
	<-done
	return w.message
}

// watched is a test whose failure is only noted.
type watched struct {
	testing.TB
	mu       sync.Mutex
	message  string
	cleanups []func()
}

func (w *watched) fail(message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.message == "" {
		w.message = "failed: " + message
	}
}

func (w *watched) clean() {
	for _, fn := range slices.Backward(w.cleanups) {
		fn()
	}
}

func (w *watched) Cleanup(fn func())         { w.cleanups = append(w.cleanups, fn) }
func (w *watched) Log(...any)                {}
func (w *watched) Logf(string, ...any)       {}
func (w *watched) Error(args ...any)         { w.fail(fmt.Sprint(args...)) }
func (w *watched) Errorf(f string, a ...any) { w.fail(fmt.Sprintf(f, a...)) }
func (w *watched) Fail()                     { w.fail("") }
func (w *watched) FailNow()                  { w.fail(""); runtime.Goexit() }
func (w *watched) Fatal(args ...any)         { w.Error(args...); runtime.Goexit() }
func (w *watched) Fatalf(f string, a ...any) { w.Errorf(f, a...); runtime.Goexit() }
func (w *watched) Failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.message != ""
}

// mutants are stores with one mistake each, and the parts that find it at every
// run. Races that find a mistake only when goroutines happen to meet are not named.
var mutants = []struct {
	name string
	by   []string
	make func(s bellhop.Store) bellhop.Store
}{
	{"loses a job that fails", []string{"random", "races", "faults"}, func(s bellhop.Store) bellhop.Store { return &losesFailed{Pass{s}} }},
	{"claims twice", []string{"random", "races"}, func(s bellhop.Store) bellhop.Store { return &claimsTwice{Pass: Pass{s}} }},
	{"ignores the token", []string{"random", "races"}, func(s bellhop.Store) bellhop.Store { return &ignoresToken{Pass{s}} }},
	{"applies stale progress", []string{"random", "races"}, func(s bellhop.Store) bellhop.Store { return &staleProgress{Pass{s}} }},
	{"does not free keys", []string{"random", "races"}, func(s bellhop.Store) bellhop.Store {
		return &keepsKeys{Pass: Pass{s}, holders: map[string]bellhop.ID{}}
	}},
	{"promotes early", []string{"random", "races"}, func(s bellhop.Store) bellhop.Store { return &promotesEarly{Pass{s}} }},
	{"prunes too much", []string{"random"}, func(s bellhop.Store) bellhop.Store { return &prunesTooMuch{Pass{s}} }},
	{"forgets a pause", []string{"random", "races"}, func(s bellhop.Store) bellhop.Store { return &forgetsPause{Pass{s}} }},
	{"counts wrong", []string{"random", "races", "faults"}, func(s bellhop.Store) bellhop.Store { return &countsWrong{Pass{s}} }},
	{"pages twice", []string{"random", "faults"}, func(s bellhop.Store) bellhop.Store {
		return &pagesTwice{Pass: Pass{s}, last: map[string]bellhop.Snapshot{}}
	}},
	{"sweeps the living", []string{"random"}, func(s bellhop.Store) bellhop.Store { return &sweepsLiving{Pass{s}} }},
	{"enqueues in halves", []string{"faults"}, func(s bellhop.Store) bellhop.Store { return &enqueuesInHalves{Pass: Pass{s}} }},
	{"forgets what an exchange claimed", []string{"random", "faults", "races"}, func(s bellhop.Store) bellhop.Store { return &forgetsExchange{Pass: Pass{s}} }},
	{"tells of acts what it saw before", []string{"races"}, func(s bellhop.Store) bellhop.Store { return &tellsBefore{Pass{s}} }},
	{"claims twice when asked twice at once", []string{"races"}, func(s bellhop.Store) bellhop.Store { return &repeatsRacily{Pass: Pass{s}, seen: map[bellhop.ID]bool{}} }},
}

type losesFailed struct{ Pass }

func (m *losesFailed) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	reply, err := m.Store.Exchange(ctx, r)
	for _, o := range r.Outcomes {
		if err == nil && o.Kind == bellhop.OutcomeRetry {
			_, err = m.Store.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActDelete, IDs: []bellhop.ID{o.Token.JobID}})
		}
	}
	return reply, err
}

type claimsTwice struct {
	Pass
	mu    sync.Mutex
	old   []bellhop.Claim
	calls int
}

func (m *claimsTwice) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	reply, err := m.Store.Exchange(ctx, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || len(reply.Claims) == 0 {
		return reply, err
	}
	m.calls++
	old := m.old
	m.old = slices.Clone(reply.Claims)
	if m.calls%3 == 0 {
		reply.Claims[0] = old[0]
	}
	return reply, nil
}

// current returns the token that a job is running under, or t if it is not running.
func current(ctx context.Context, s bellhop.Store, t bellhop.Token) bellhop.Token {
	found, err := s.Get(ctx, []bellhop.ID{t.JobID})
	if err != nil || len(found) == 0 || found[0].Place.State != bellhop.StateRunning {
		return t
	}
	return bellhop.Token{JobID: t.JobID, Number: found[0].Place.Claim, Exchange: found[0].Place.Exchange}
}

type ignoresToken struct{ Pass }

func (m *ignoresToken) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	own := *r
	own.Outcomes = slices.Clone(r.Outcomes)
	for i := range own.Outcomes {
		own.Outcomes[i].Token = current(ctx, m.Store, own.Outcomes[i].Token)
	}
	return m.Store.Exchange(ctx, &own)
}

type staleProgress struct{ Pass }

func (m *staleProgress) Report(ctx context.Context, reports []bellhop.Report) ([]bellhop.Refusal, error) {
	reports = slices.Clone(reports)
	for i := range reports {
		reports[i].Token = current(ctx, m.Store, reports[i].Token)
	}
	return m.Store.Report(ctx, reports)
}

type keepsKeys struct {
	Pass
	mu      sync.Mutex
	holders map[string]bellhop.ID
}

func (m *keepsKeys) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(r.Jobs) == 1 && r.Jobs[0].UniqueKey != "" && len(r.Puts) == 0 {
		j := r.Jobs[0]
		if holder, ok := m.holders[j.UniqueKey]; ok && holder != j.ID {
			return []bellhop.Receipt{{ID: holder, State: bellhop.StateReady, Existing: true}}, nil
		}
		m.holders[j.UniqueKey] = j.ID
	}
	return m.Store.Enqueue(ctx, r)
}

type promotesEarly struct{ Pass }

func (m *promotesEarly) Promote(ctx context.Context, limit int) (int, time.Duration, error) {
	_, err := m.Store.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActRunNow, Limit: 1, Filter: bellhop.Filter{States: bellhop.States(bellhop.StateScheduled)}})
	if err != nil {
		return 0, 0, err
	}
	return m.Store.Promote(ctx, limit)
}

type prunesTooMuch struct{ Pass }

func (m *prunesTooMuch) Prune(ctx context.Context, limit int) (int, error) {
	n, err := m.Store.Prune(ctx, limit)
	if err != nil {
		return n, err
	}
	ended := bellhop.States(bellhop.StateSucceeded, bellhop.StateDead)
	_, err = m.Store.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActDelete, Limit: 1, Filter: bellhop.Filter{States: ended}})
	return n, err
}

type forgetsPause struct{ Pass }

func (m *forgetsPause) Pause(ctx context.Context, queue string, _ bool) error {
	return m.Store.Pause(ctx, queue, false)
}

type countsWrong struct{ Pass }

func (m *countsWrong) Count(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
	c, err := m.Store.Count(ctx, q)
	if err == nil && c.Count > 4 {
		c.Count--
	}
	return c, err
}

type pagesTwice struct {
	Pass
	mu   sync.Mutex
	last map[string]bellhop.Snapshot
}

func (m *pagesTwice) List(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.Store.List(ctx, q)
	if err != nil {
		return l, err
	}
	before, ok := m.last[q.After]
	if n := len(l.Jobs); n > 0 && l.Next != "" {
		m.last[l.Next] = l.Jobs[n-1]
	}
	if ok && len(l.Jobs) < q.Limit {
		l.Jobs = append([]bellhop.Snapshot{before}, l.Jobs...)
	}
	return l, nil
}

type sweepsLiving struct{ Pass }

func (m *sweepsLiving) Sweep(ctx context.Context, limit int) ([]bellhop.Claim, error) {
	alive, err := m.Store.Processes(ctx)
	if err == nil && len(alive) > 1 {
		_, err = m.Store.Beat(ctx, &bellhop.Beat{Process: alive[0].Process, Leave: true})
	}
	if err != nil {
		return nil, err
	}
	return m.Store.Sweep(ctx, limit)
}

// enqueuesInHalves takes the jobs of a call in a transaction each.
type enqueuesInHalves struct {
	Pass
	step func(ctx context.Context, op bellhop.Op, statement string, done bool) error
}

func (m *enqueuesInHalves) SetStep(fn func(ctx context.Context, op bellhop.Op, statement string, done bool) error) {
	m.step = fn
}

func (m *enqueuesInHalves) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	if len(r.Puts) > 0 || len(r.Jobs) == 0 {
		return m.Store.Enqueue(ctx, r)
	}
	var receipts []bellhop.Receipt
	for _, j := range r.Jobs {
		if m.step != nil {
			if err := m.step(ctx, bellhop.OpEnqueue, "insert", false); err != nil {
				return nil, err
			}
		}
		one, err := m.Store.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, one...)
	}
	return receipts, nil
}

// tellsBefore looks where jobs are, acts, and tells what the action does to jobs that are there.
type tellsBefore struct{ Pass }

func (m *tellsBefore) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	seen, err := m.Store.Get(ctx, r.IDs)
	if err != nil {
		return nil, err
	}
	for range 100 { // others may come in meanwhile
		runtime.Gosched()
	}
	reply, err := m.Store.Act(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, j := range seen {
		skipped := slices.IndexFunc(reply.Skipped, func(skip bellhop.Skip) bool { return skip.ID == j.ID })
		if skipped >= 0 && r.Action.From().Has(j.Place.State) {
			reply.Skipped = slices.Delete(reply.Skipped, skipped, skipped+1)
			reply.Changed = append(reply.Changed, j.ID)
		}
	}
	return reply, nil
}

// forgetsExchange does not know an exchange again, and claims anew.
type forgetsExchange struct {
	Pass
	seen sync.Map
}

func (m *forgetsExchange) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	own := *r
	if _, known := m.seen.LoadOrStore(r.ID, true); known {
		own.ID = bellhop.NewID()
	}
	return m.Store.Exchange(ctx, &own)
}

// repeatsRacily knows an exchange again only once its first call has come back.
type repeatsRacily struct {
	Pass
	mu   sync.Mutex
	seen map[bellhop.ID]bool
}

func (m *repeatsRacily) Exchange(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	own := *r
	m.mu.Lock()
	under, known := m.seen[r.ID]
	m.seen[r.ID] = true
	m.mu.Unlock()
	if known && under {
		own.ID = bellhop.NewID()
	}
	for range 100 { // others may come in meanwhile
		runtime.Gosched()
	}
	reply, err := m.Store.Exchange(ctx, &own)
	m.mu.Lock()
	m.seen[r.ID] = false
	m.mu.Unlock()
	return reply, err
}
