package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// runFaults breaks each verb: at its beginning and at its end in any store,
// and before and after each step in a store that is a [bellhop.Stepper]. The
// verb must then have happened as a whole or not at all, and repeating it must
// lead where the undisturbed verb leads [G1, G2, E2, X4, X8].
func runFaults(t *testing.T, h Harness) { runParts(t, h, faultParts()) }

func faultParts() (parts []part) {
	for _, sc := range faultScenes {
		parts = append(parts, part{sc.name, func(t testing.TB, h Harness) { faultScene(t, h, sc) }})
	}
	return append(parts, faultStorms...)
}

// scene is a verb that is broken in a world of its own.
type scene struct {
	name string
	op   bellhop.Op
	// do calls the verb once. What it returns must be the same whenever the verb
	// succeeds, at first or when repeated; nil if that cannot be asked.
	do func(ctx context.Context, s bellhop.Store, w *faultWorld) (any, error)
}

// faultCase is one way to break a call.
type faultCase struct {
	name string
	// call makes the call in such a way that it breaks.
	call func(ctx context.Context, s bellhop.Store, w *faultWorld) error
	// reopen says that the store is opened again after the call.
	reopen bool
	// whole and none are what the call may have done.
	whole, none bool
}

// errBroken is in the chain of what a case finds wrong by itself.
var errBroken = errors.New("the contract is broken")

// faultRun is the run of one scene through all its cases. A case that leaves
// the world as it was hands it on to the next, because a new one takes most
// stores longer than the case; the repeat that ends it answers for all of them.
type faultRun struct {
	testing.TB
	ctx           context.Context
	h             Harness
	sc            scene
	before, after view // how the world looks before and after the undisturbed verb
	reply         any  // of the undisturbed verb

	s        bellhop.Store
	w        *faultWorld
	unmoved  []string // cases that have left this world as it was
	reopened bool
}

func faultScene(t testing.TB, h Harness, sc scene) {
	r := &faultRun{TB: t, ctx: budgeted(t), h: h, sc: sc}
	steps := &stepper{op: sc.op, strike: -1}
	r.begin()
	r.before = r.look()
	steps.watch(r.s)
	var err error
	r.reply, err = sc.do(r.ctx, r.s, r.w)
	steps.stop()
	must(t, err)
	r.after = r.look()
	cases := faultCases(sc, steps.moments())
	for _, reopen := range []bool{false, true} {
		r.begin()
		for _, c := range cases {
			if c.reopen != reopen {
				continue
			}
			if msg := r.strike(c); msg != "" {
				t.Errorf("%s, broken %s: %s", sc.name, c.name, msg)
				r.begin()
			}
		}
		if msg := r.repeat(true); len(r.unmoved) > 0 && msg != "" {
			t.Errorf("%s, broken in several ways (%s): %s", sc.name, strings.Join(r.unmoved, "; "), msg)
		}
	}
}

// begin makes a new world.
func (r *faultRun) begin() {
	r.Helper()
	if r.s != nil {
		_ = r.s.Close() // the harness closes it as well
	}
	r.s = r.h.New(r.TB)
	r.unmoved, r.reopened = nil, false
	var err error
	r.w, err = newFaultWorld(r.ctx, r.h, r.s)
	must(r.TB, err)
}

func (r *faultRun) look() view {
	r.Helper()
	v, err := r.w.look(r.ctx, r.s)
	must(r.TB, err)
	return v
}

// strike breaks the call in one way, and returns what is wrong then.
func (r *faultRun) strike(c faultCase) string {
	err := c.call(r.ctx, r.s, r.w)
	if c.reopen {
		r.s, r.reopened = r.h.Reopen(r.TB, r.s), true
	}
	if errors.Is(err, errBroken) {
		return err.Error()
	}
	got, lookErr := r.w.look(r.ctx, r.s)
	if lookErr != nil {
		return fmt.Sprintf("the store is out of order: %v", lookErr)
	}
	isBefore, isAfter := sameView(r.before, got), sameView(r.after, got)
	switch {
	case err == nil && !isAfter:
		return "it returned nil and has not happened as a whole [G1]:\n" + faultDiff(r.after, got)
	case !isBefore && !isAfter:
		return fmt.Sprintf("it returned %v, and has happened in part [G1]. It should be as before:\n%s\nor as after:\n%s",
			err, faultDiff(r.before, got), faultDiff(r.after, got))
	case isAfter && !isBefore && !c.whole:
		return fmt.Sprintf("it returned %v before it was called, and has happened", err)
	case isBefore && !isAfter && !c.none:
		return fmt.Sprintf("its effect is lost after it was there (%v) [G2]", err)
	case isBefore:
		r.unmoved = append(r.unmoved, c.name)
		return ""
	}
	msg := r.repeat(false)
	r.begin()
	return msg
}

// repeat makes the call undisturbed, and returns what is wrong then. The call
// may have taken effect before, unless first is set.
func (r *faultRun) repeat(first bool) string {
	if r.reopened { // a store opened anew may count leases from then
		r.h.Advance(r.s, 2*time.Second)
	}
	again, err := r.sc.do(r.ctx, r.s, r.w)
	if err != nil && (first || !errors.Is(err, bellhop.ErrConflict)) {
		return fmt.Sprintf("repeating it fails: %v", err)
	}
	got, lookErr := r.w.look(r.ctx, r.s)
	if lookErr != nil {
		return fmt.Sprintf("the store is out of order after the repeat: %v", lookErr)
	}
	if !sameView(r.after, got) {
		return "repeating it leads elsewhere than doing it once:\n" + faultDiff(r.after, got)
	}
	if err == nil && r.reply != nil {
		if d := diff(r.reply, again, faultDrift); d != "" {
			return "its repeat is answered differently:\n" + d
		}
	}
	return ""
}

// faultDrift is how far the times of two worlds may be apart: less than the
// waits in them that matter, more than the run takes.
const faultDrift = 20 * time.Minute

func sameView(want, got view) bool {
	return same(reflect.ValueOf(want), reflect.ValueOf(got), faultDrift)
}

func faultDiff(want, got view) string { return diff(want, got, faultDrift) }

// faultCases lists the ways to break a verb whose steps are known.
func faultCases(sc scene, steps []moment) []faultCase {
	faulty := func(mode FaultMode) func(ctx context.Context, s bellhop.Store, w *faultWorld) error {
		return func(ctx context.Context, s bellhop.Store, w *faultWorld) error {
			f := NewFaulty(s)
			f.Fail(sc.op, mode, 1, nil)
			_, err := sc.do(ctx, f, w)
			if !errors.Is(err, ErrFault) {
				return fmt.Errorf("%w: the fault did not show: %w", errBroken, err)
			}
			return err
		}
	}
	list := []faultCase{
		{"before", faulty(Before), false, false, true},
		{"after", faulty(After), true, true, false},
		{"by an ended context", func(ctx context.Context, s bellhop.Store, w *faultWorld) error {
			ended, end := context.WithCancel(ctx)
			end()
			_, err := sc.do(ended, s, w)
			if !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%w: G4: with an ended context it returned: %w", errBroken, err)
			}
			return err
		}, false, true, true},
	}
	for i, m := range steps {
		if testing.Short() && i%8 != 0 {
			continue // a long run, such as one under the race detector, would take minutes
		}
		if m.done {
			list = append(list, faultCase{"by a crash " + m.String(), func(ctx context.Context, s bellhop.Store, w *faultWorld) error {
				return stepFault(ctx, s, w, sc, m.at)
			}, true, true, true})
			continue
		}
		list = append(list, faultCase{m.String(), func(ctx context.Context, s bellhop.Store, w *faultWorld) error {
			return stepFault(ctx, s, w, sc, m.at)
		}, false, true, true}, faultCase{"by hanging " + m.String(), func(ctx context.Context, s bellhop.Store, w *faultWorld) error {
			return stepHang(ctx, s, w, sc, m.at)
		}, false, true, true})
	}
	return list
}

// stepFault fails a step of the verb, the k-th, and if it is over by then all later ones, as a crash would.
func stepFault(ctx context.Context, s bellhop.Store, w *faultWorld, sc scene, k int) error {
	steps := &stepper{op: sc.op, strike: k, dead: true}
	steps.watch(s)
	defer steps.stop()
	_, err := sc.do(ctx, s, w)
	return err
}

// stepHang makes the k-th step of the verb a black hole, and ends the verb's
// context when the verb is in it. The verb must end although the step does not [G4].
func stepHang(ctx context.Context, s bellhop.Store, w *faultWorld, sc scene, k int) error {
	steps := &stepper{op: sc.op, strike: k, dead: true, reached: make(chan struct{}), release: make(chan struct{})}
	steps.watch(s)
	defer steps.stop()
	callCtx, end := context.WithCancel(ctx)
	defer end()
	result := make(chan error, 1)
	go func() {
		_, err := sc.do(callCtx, s, w)
		result <- err
	}()
	defer close(steps.release)
	select {
	case <-steps.reached:
	case err := <-result:
		return err // this time it went another way
	case <-ctx.Done():
		return ctx.Err()
	}
	end()
	select {
	case err := <-result:
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%w: G4: the context's error is not in the chain of: %w", errBroken, err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: G4: the call goes on after the end of its context", errBroken)
	}
}

// step is a moment in a verb: before or after a statement.
type step struct {
	statement string
	done      bool
}

func (s step) String() string {
	if s.done {
		return "after " + s.statement
	}
	return "before " + s.statement
}

// moment is a step with its place among the steps of the verb.
type moment struct {
	step
	at int
}

// stepper watches the steps of one verb, and strikes at one of them.
type stepper struct {
	op      bellhop.Op
	strike  int  // which, from 0; -1 for none
	dead    bool // after the strike all steps fail, as after a crash
	reached chan struct{}
	release chan struct{} // if set, the struck step hangs until this is closed

	store bellhop.Stepper
	mu    sync.Mutex
	seen  []step
}

func (w *stepper) watch(s bellhop.Store) {
	var ok bool
	if w.store, ok = bellhop.As[bellhop.Stepper](s); ok {
		w.store.SetStep(w.step)
	}
}

func (w *stepper) stop() {
	if w.store != nil {
		w.store.SetStep(nil)
	}
}

// moments returns the steps that were seen; of those that came up more than
// three times the first two and the last.
func (w *stepper) moments() (list []moment) {
	times, last := map[step]int{}, map[step]int{}
	for i, st := range w.seen {
		last[st] = i
	}
	for i, st := range w.seen {
		if times[st]++; times[st] <= 2 || last[st] == i {
			list = append(list, moment{st, i})
		}
	}
	return list
}

func (w *stepper) step(ctx context.Context, op bellhop.Op, statement string, done bool) error {
	w.mu.Lock()
	struck := w.strike >= 0 && len(w.seen) > w.strike
	if op != w.op {
		w.mu.Unlock()
		if struck && w.dead {
			return ErrFault
		}
		return nil
	}
	w.seen = append(w.seen, step{statement, done})
	now := len(w.seen)-1 == w.strike
	w.mu.Unlock()
	switch {
	case now && w.release != nil:
		close(w.reached)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.release:
			return ErrFault
		}
	case now, struck && w.dead:
		return fmt.Errorf("step %s: %w", step{statement, done}, ErrFault)
	}
	return nil
}

// faultWorld is a small world in which each verb finds something to do. Its
// ids are the same whenever it is made.
type faultWorld struct {
	alive, doomed bellhop.Process
	held          []bellhop.Claim // of alive
	lost          []bellhop.Claim // of doomed
	ids           []bellhop.ID
	version       int64 // of record "one"
}

func faultID(name string) bellhop.ID { return bellhop.IDFromKey("storetest", name) }

func faultIDs(names string) []bellhop.ID {
	var ids []bellhop.ID
	for name := range strings.FieldsSeq(names) {
		ids = append(ids, faultID(name))
	}
	return ids
}

// faultJob makes the job with the given name. Its queue is the name's first letter.
func faultJob(name string, set ...func(*bellhop.Job)) *bellhop.Job {
	j := &bellhop.Job{
		ID: faultID(name), Kind: raceKind, Queue: name[:1], Args: []byte(`{"name":"` + name + `"}`), Attempts: 3,
		Tags: []string{"fault"}, Meta: map[string]string{"name": name},
	}
	for _, fn := range set {
		fn(j)
	}
	return j
}

func withDelay(d time.Duration) func(*bellhop.Job) { return func(j *bellhop.Job) { j.Delay = d } }
func withKeep(d time.Duration) func(*bellhop.Job)  { return func(j *bellhop.Job) { j.Retention = d } }

func withKey(key string) func(*bellhop.Job) { return func(j *bellhop.Job) { j.UniqueKey = key } }

// look reads the whole world, with the jobs that a scene may add.
func (w *faultWorld) look(ctx context.Context, s bellhop.Store) (view, error) {
	v, err := look(ctx, s, slices.Concat(w.ids, faultIDs("n1 n2 n3 n4")), 7)
	// Two stores may list processes that began at one moment in any order.
	slices.SortFunc(v.Processes, func(a, b bellhop.ProcessStatus) int { return a.ID.Compare(b.ID) })
	return v, err
}

func newFaultWorld(ctx context.Context, h Harness, s bellhop.Store) (*faultWorld, error) {
	w := &faultWorld{}
	jobs := []*bellhop.Job{
		faultJob("a1"), faultJob("a2", withKey("key a2")), faultJob("a3"), faultJob("a4"), faultJob("a5"),
		faultJob("s1", withDelay(time.Second)), faultJob("s2", withDelay(1500*time.Millisecond)), faultJob("s3", withDelay(100*time.Hour)),
		faultJob("c1", withKey("key c1")), faultJob("c2"), faultJob("c3"), faultJob("c4"), faultJob("c5"),
		faultJob("d1"), faultJob("d2", withKey("key d2")),
		faultJob("f1", withKeep(time.Second)), faultJob("f2", withKeep(time.Second)), faultJob("f3", withKeep(bellhop.Forever), withKey("key f3")),
		faultJob("x1", withKey("key x1")), faultJob("x2"), faultJob("p1"),
	}
	for _, j := range jobs {
		w.ids = append(w.ids, j.ID)
	}
	if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
		return nil, fmt.Errorf("set up the jobs: %w", err)
	}
	if err := w.processes(ctx, s); err != nil {
		return nil, err
	}
	if err := s.Pause(ctx, "p", true); err != nil {
		return nil, fmt.Errorf("set up the pause: %w", err)
	}
	if err := s.Put(ctx, []bellhop.RecordWrite{
		{Space: viewSpace, Key: "one", Value: []byte("1"), Expect: bellhop.ExpectAny},
		{Space: viewSpace, Key: "two", Value: []byte("2"), Expect: bellhop.ExpectAny, TTL: time.Second},
		{Space: viewSpace, Key: "three", Value: []byte("3"), Expect: bellhop.ExpectAny},
	}); err != nil {
		return nil, fmt.Errorf("set up the records: %w", err)
	}
	one, err := s.Records(ctx, &bellhop.RecordQuery{Space: viewSpace, Keys: []string{"one"}})
	if err != nil || len(one) != 1 {
		return nil, fmt.Errorf("set up the records: %v, %w", one, err)
	}
	w.version = one[0].Version
	h.Advance(s, 2*time.Second)
	return w, nil
}

// processes claims what is to be running, and finishes what is to be finished.
func (w *faultWorld) processes(ctx context.Context, s bellhop.Store) error {
	begin := func(name string, lease time.Duration) (p bellhop.Process, err error) {
		p = bellhop.Process{ID: faultID(name), Name: name, StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Queues: []string{"a"}, Kinds: []string{raceKind}, Slots: 3}
		_, err = s.Beat(ctx, &bellhop.Beat{Process: p, Lease: lease})
		return p, err
	}
	var err error
	if w.alive, err = begin("alive", longLease); err != nil {
		return fmt.Errorf("set up a process: %w", err)
	}
	if w.doomed, err = begin("doomed", time.Second); err != nil {
		return fmt.Errorf("set up a process: %w", err)
	}
	claim := func(p bellhop.Process, queue string, outcomes ...bellhop.Outcome) ([]bellhop.Claim, error) {
		r, err := s.Exchange(ctx, &bellhop.ExchangeRequest{
			ID: faultID("claim " + queue), Process: p.ID, Outcomes: outcomes, Kinds: []string{raceKind},
			Wants: []bellhop.Want{{Queue: queue, Count: 10}}, Limit: 10,
		})
		if err != nil {
			return nil, fmt.Errorf("set up the claims: %w", err)
		}
		return r.Claims, nil
	}
	var ended []bellhop.Outcome
	for _, queue := range []string{"f", "x"} {
		claims, err := claim(w.alive, queue)
		if err != nil {
			return err
		}
		for i := range claims {
			var result error
			if queue == "x" {
				result = bellhop.Dead(errors.New("broken"))
			}
			ended = append(ended, settled(&claims[i], result))
		}
	}
	if w.lost, err = claim(w.doomed, "d", ended...); err != nil {
		return err
	}
	if w.held, err = claim(w.alive, "c"); err == nil && (len(ended) != 5 || len(w.lost) != 2 || len(w.held) != 5) {
		err = fmt.Errorf("set up the claims: %d, %d and %d; want 5, 2 and 5", len(ended), len(w.lost), len(w.held))
	}
	return err
}
