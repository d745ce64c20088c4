package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gobellhop/bellhop"
)

// part is one piece of a part of the suite. It takes a testing.TB, so that the
// suite's own test can watch it fail.
type part struct {
	name string
	run  func(t testing.TB, h Harness)
}

func runParts(t *testing.T, h Harness, parts []part) {
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, h) })
	}
}

// budget is the time that one piece of the suite may take before it is taken to hang.
const budget = 2 * time.Minute

func budgeted(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	t.Cleanup(cancel)
	return ctx
}

// crew runs goroutines and keeps their errors for the test's own goroutine.
type crew struct {
	group  sync.WaitGroup
	mu     sync.Mutex
	errors []error
}

// Go runs fn beside the others.
func (c *crew) Go(name string, fn func() error) {
	c.group.Go(func() {
		if err := fn(); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.errors = append(c.errors, fmt.Errorf("%s: %w", name, err))
		}
	})
}

// wait ends the test if any of the goroutines failed.
func (c *crew) wait(t testing.TB) {
	t.Helper()
	c.group.Wait()
	for i, err := range c.errors {
		if i == 10 {
			t.Errorf("and %d errors more", len(c.errors)-i)
			break
		}
		t.Error(err)
	}
	if len(c.errors) > 0 {
		t.FailNow()
	}
}

// view is what a caller can see of a store.
type view struct {
	Jobs      []bellhop.Snapshot
	Stats     []bellhop.QueueStats
	Processes []bellhop.ProcessStatus
	Records   []bellhop.Record
}

// viewSpace is the space of records in which the runs write.
const viewSpace = "storetest"

// look reads all that can be seen, in several ways, and finds fault where they
// do not agree: a job that is in no place, in two, or counted in another [G9].
// ids are all jobs that the store has or may have.
func look(ctx context.Context, s bellhop.Store, ids []bellhop.ID, page int) (view, error) {
	return lookAt(ctx, s, ids, bellhop.Filter{}, page)
}

// lookAt is [look] for a part of the jobs: the filter selects the same as ids.
func lookAt(ctx context.Context, s bellhop.Store, ids []bellhop.ID, f bellhop.Filter, page int) (v view, err error) {
	if v.Jobs, err = s.Get(ctx, ids); err != nil {
		return v, fmt.Errorf("get: %w", err)
	}
	if v.Stats, err = s.Stats(ctx, 1000); err != nil {
		return v, fmt.Errorf("stats: %w", err)
	}
	if v.Processes, err = s.Processes(ctx); err != nil {
		return v, fmt.Errorf("processes: %w", err)
	}
	if v.Records, err = s.Records(ctx, &bellhop.RecordQuery{Space: viewSpace}); err != nil {
		return v, fmt.Errorf("records: %w", err)
	}
	if err := onePlace(ctx, s, v.Jobs, f, page); err != nil {
		return v, err
	}
	return v, wellFormed(&v)
}

// onePlace compares the jobs that Get found with those that List and Count find.
func onePlace(ctx context.Context, s bellhop.Store, jobs []bellhop.Snapshot, f bellhop.Filter, page int) error {
	want := map[bellhop.ID]*bellhop.Snapshot{}
	states := map[bellhop.State]int{}
	for i := range jobs {
		if want[jobs[i].ID] != nil {
			return fmt.Errorf("G9: Get returned job %s twice", jobs[i].ID)
		}
		want[jobs[i].ID] = &jobs[i]
		states[jobs[i].Place.State]++
	}
	listed, err := listAll(ctx, s, f, page)
	if err != nil {
		return err
	}
	if err := eachOnce(listed, want); err != nil {
		return err
	}
	for state := bellhop.StateScheduled; state <= bellhop.StateDead; state++ {
		f.States = bellhop.States(state)
		n, err := CountAll(ctx, s, f, 10_000)
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		if n != states[state] {
			return fmt.Errorf("N1: Count finds %d %s jobs, Get %d", n, state, states[state])
		}
	}
	return nil
}

// atOnce is how far apart the times of jobs may be that were enqueued by calls
// under way at the same time, while a test moves the clock: which of them is the
// earlier one, nobody knows.
const atOnce = time.Minute

func eachOnce(listed []bellhop.Snapshot, want map[bellhop.ID]*bellhop.Snapshot) error {
	seen := map[bellhop.ID]bool{}
	for i, j := range listed {
		w := want[j.ID]
		if w == nil {
			return fmt.Errorf("G9: List returned job %s, Get did not", j.ID)
		}
		if seen[j.ID] {
			return fmt.Errorf("L1: List returned job %s twice", j.ID)
		}
		seen[j.ID] = true
		if j.History != nil {
			return fmt.Errorf("List returned job %s with its history", j.ID)
		}
		short := *w
		short.History = nil
		if d := diff(short, j, 0); d != "" {
			return fmt.Errorf("G9: job %s differs between Get (-) and List (+):\n%s", j.ID, d)
		}
		if i > 0 && j.EnqueuedAt.After(listed[i-1].EnqueuedAt.Add(atOnce)) {
			return fmt.Errorf("List returned job %s, enqueued %v, after one enqueued earlier, at %v", j.ID, j.EnqueuedAt, listed[i-1].EnqueuedAt)
		}
	}
	if len(seen) != len(want) {
		return fmt.Errorf("G9: Get returned %d jobs, List %d of them", len(want), len(seen))
	}
	return nil
}

// listAll reads all pages, of at most page jobs each.
func listAll(ctx context.Context, s bellhop.Store, f bellhop.Filter, page int) ([]bellhop.Snapshot, error) {
	return pagesOf(ctx, s, bellhop.Query{Filter: f, Limit: page})
}

// pagesOf reads all pages of a query.
func pagesOf(ctx context.Context, s bellhop.Store, q bellhop.Query) (all []bellhop.Snapshot, err error) {
	for {
		l, err := s.List(ctx, &q)
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		if len(l.Jobs) > q.Limit {
			return nil, fmt.Errorf("L2: a page of at most %d jobs has %d", q.Limit, len(l.Jobs))
		}
		all = append(all, l.Jobs...)
		if l.Next == "" {
			return all, nil
		}
		if l.Next == q.After {
			return nil, fmt.Errorf("L1: the page after %q ends where it began", q.After)
		}
		if len(all) > 100_000 {
			return nil, errors.New("L1: the pages do not end")
		}
		q.After = l.Next
	}
}

// wellFormed checks what must be true of any view by itself.
func wellFormed(v *view) error {
	holders := map[string]bellhop.ID{}
	for i := range v.Jobs {
		j := &v.Jobs[i]
		if key := j.UniqueKey; key != "" && j.Place.State.Live() {
			if !holders[key].IsZero() {
				return fmt.Errorf("E4: live jobs %s and %s both hold the key %q", holders[key], j.ID, key)
			}
			holders[key] = j.ID
		}
		if err := wellPlaced(j); err != nil {
			return fmt.Errorf("job %s is %s, but %w", j.ID, j.Place.State, err)
		}
	}
	return nil
}

// wellPlaced checks that a job's place agrees with itself and with its history [Q1].
func wellPlaced(j *bellhop.Snapshot) error {
	p := j.Place
	running := p.State == bellhop.StateRunning
	switch {
	case !p.State.Valid():
		return errors.New("that is no state")
	case running != !p.Process.IsZero(), running != !p.ClaimedAt.IsZero(), running != !p.Exchange.IsZero():
		return fmt.Errorf("its process is %s, its exchange %s, claimed at %v", p.Process, p.Exchange, p.ClaimedAt)
	case p.State.Final() == p.FinishedAt.IsZero():
		return fmt.Errorf("finished at %v", p.FinishedAt)
	case !p.State.Final() && !p.ExpiresAt.IsZero():
		return fmt.Errorf("expires at %v", p.ExpiresAt)
	case p.CancelRequested && p.State.Final():
		return errors.New("its cancel is requested")
	case p.State != bellhop.StateBlocked && p.Due.IsZero():
		return errors.New("has no due time")
	case len(j.History) > bellhop.KeptAttempts:
		return fmt.Errorf("X2: has %d attempts in its history", len(j.History))
	}
	ended := p.Claim // the newest claim that must have a record
	if running {
		ended--
	}
	if n := min(ended, bellhop.KeptAttempts); int64(len(j.History)) != n {
		return fmt.Errorf("Q1: its claim is %d and its history has %d attempts", p.Claim, len(j.History))
	}
	for i, a := range slices.Backward(j.History) {
		if a.Claim != ended-int64(len(j.History)-1-i) {
			return fmt.Errorf("Q1: its claim is %d and attempt %d of its history has claim %d", p.Claim, i, a.Claim)
		}
	}
	return nil
}

// diff compares what two stores have said, and returns "" if it is the same. The
// times of stores with clocks of their own may differ by less than drift, nil
// is as good as empty, a delay is kept as the moment that came of it, and
// versions are the store's affair.
func diff[T any](want, got T, drift time.Duration) string {
	if same(reflect.ValueOf(&want).Elem(), reflect.ValueOf(&got).Elem(), drift) {
		return ""
	}
	d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b time.Time) bool { return sameTime(a, b, drift) }),
		cmp.Comparer(func(a, b time.Duration) bool { return sameDuration(a, b, drift) }),
		cmpopts.IgnoreFields(bellhop.Job{}, "Delay"), cmpopts.IgnoreFields(bellhop.Record{}, "Version"),
		cmp.Comparer(func(a, b error) bool { return errorKind(a) == errorKind(b) }))
	if d == "" {
		d = fmt.Sprintf("%+v\n%+v", want, got)
	}
	return d
}

func sameTime(a, b time.Time, drift time.Duration) bool {
	if a.IsZero() || b.IsZero() || drift == 0 {
		return a.Equal(b)
	}
	return a.Sub(b).Abs() < drift
}

// sameDuration compares what may be left until some time.
func sameDuration(a, b, drift time.Duration) bool {
	return a == b || a >= 0 && b >= 0 && (a-b).Abs() < drift
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	leftType  = reflect.TypeFor[time.Duration]()
	errorType = reflect.TypeFor[error]()
	bytesType = reflect.TypeFor[[]byte]()
)

// same is what diff asks first, because it is asked a hundred times as often
// as there is a difference to print.
func same(a, b reflect.Value, drift time.Duration) bool {
	switch a.Type() {
	case timeType:
		return sameTime(a.Interface().(time.Time), b.Interface().(time.Time), drift)
	case leftType:
		return sameDuration(time.Duration(a.Int()), time.Duration(b.Int()), drift)
	case bytesType:
		return bytes.Equal(a.Bytes(), b.Bytes())
	case errorType:
		x, _ := a.Interface().(error)
		y, _ := b.Interface().(error)
		return errorKind(x) == errorKind(y)
	}
	switch a.Kind() {
	case reflect.Struct:
		return sameFields(a, b, drift)
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i), drift) {
				return false
			}
		}
		return true
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() && b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && same(a.Elem(), b.Elem(), drift)
	case reflect.Map: // of strings
		return a.Len() == b.Len() && (a.Len() == 0 || reflect.DeepEqual(a.Interface(), b.Interface()))
	}
	return a.Equal(b)
}

func sameFields(a, b reflect.Value, drift time.Duration) bool {
	for i := range a.NumField() {
		switch name := a.Type().Field(i).Name; {
		case name == "Delay" && a.Type() == reflect.TypeFor[bellhop.Job](), name == "Version" && a.Type() == reflect.TypeFor[bellhop.Record]():
		case !same(a.Field(i), b.Field(i), drift):
			return false
		}
	}
	return true
}

// kinds of errors that a verb may return, the most telling first.
var errorKinds = []error{
	context.Canceled, context.DeadlineExceeded, bellhop.ErrStale, bellhop.ErrIDTaken, bellhop.ErrProcessGone,
	bellhop.ErrConflict, bellhop.ErrClosed, bellhop.ErrUnavailable,
}

// errorKind names what callers ask of an error.
func errorKind(err error) string {
	if err == nil {
		return ""
	}
	item := ""
	if e := (*bellhop.ItemError)(nil); errors.As(err, &e) {
		item = fmt.Sprintf("item %d: ", e.Index)
	}
	for _, kind := range errorKinds {
		if errors.Is(err, kind) {
			return item + kind.Error()
		}
	}
	return "other: " + err.Error()
}

func sortTokens(tokens []bellhop.Token) []bellhop.Token {
	return slices.SortedFunc(slices.Values(tokens), compareTokens)
}

func sortClaims(claims []bellhop.Claim) []bellhop.Claim {
	return slices.SortedFunc(slices.Values(claims), func(a, b bellhop.Claim) int { return compareTokens(a.Token, b.Token) })
}

func compareTokens(a, b bellhop.Token) int {
	if c := a.JobID.Compare(b.JobID); c != 0 {
		return c
	}
	return int(a.Number - b.Number)
}
