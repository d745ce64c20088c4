// Package storetest is the contract of [bellhop.Store] as tests. A store's own
// test is a [Harness] and a call of [Run]; its benchmark a call of [Bench].
//
// Each test begins with an empty store and plays a part of a job's life on it:
// it enqueues jobs, claims them as processes that exist only by their beats,
// ends them, and looks at what the store then says. Each names the clauses of
// the contract that it proves; clauses.go lists them all.
//
// The suite asks for abilities, never for a store's name. It imports the
// package testing, so only tests import it.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gobellhop/bellhop"
)

// Harness tells the suite how to come by a store.
type Harness struct {
	// New returns an empty store. The harness closes it when the test ends; a
	// test may have closed it before.
	New func(t testing.TB) bellhop.Store
	// Reopen abandons s as a crash of the process would, and opens the same data
	// again. A store in memory returns s itself.
	Reopen func(t testing.TB, s bellhop.Store) bellhop.Store
	// Advance moves the store's clock on by d.
	Advance func(s bellhop.Store, d time.Duration)
}

// test is one test of the suite, and the clauses that it proves.
type test struct {
	name    string
	clauses string // separated by spaces; empty for what the contract says without a number
	run     func(t *try)
}

// groups are the tests of the clauses, a group for each verb or few.
var groups = []struct {
	name  string
	tests []test
}{
	{"enqueue", enqueueTests},
	{"unique", uniqueTests},
	{"exchange", exchangeTests},
	{"claim", claimTests},
	{"stale", staleTests},
	{"process", processTests},
	{"duties", dutyTests},
	{"act", actTests},
	{"query", queryTests},
	{"pause", pauseTests},
	{"records", recordTests},
	{"traps", trapTests},
	{"general", generalTests},
	{"parts", partTests},
	{"joiner", joinerTests},
}

// Run proves that a store keeps the contract.
func Run(t *testing.T, h Harness) {
	RunQuick(t, h)
	for _, p := range furtherParts {
		t.Run(p.name, func(t *testing.T) { p.run(t, h) })
	}
}

// RunQuick runs the tests of the clauses alone, for a second way to come by a
// store that has passed [Run] already.
func RunQuick(t *testing.T, h Harness) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.tests {
				t.Run(c.name, func(t *testing.T) {
					t.Attr("clauses", c.clauses) // for internal/clausetable
					c.run(newTry(t, h))
				})
			}
		})
	}
}

// Bench measures what a store does in a second: jobs enqueued, and jobs claimed and finished.
func Bench(b *testing.B, h Harness) { benchAll(b, h) }

// try is one test's hold on a store. Its methods end the test if the store
// returns an error.
type try struct {
	testing.TB
	h   Harness
	s   bellhop.Store
	ctx context.Context
}

func newTry(t testing.TB, h Harness) *try {
	return &try{TB: t, h: h, s: h.New(t), ctx: budgeted(t)}
}

// Names that the tests use.
const (
	testKind   = "test.job"
	otherKind  = "test.other"
	testQueue  = "default"
	otherQueue = "other"
)

// job makes a valid job.
func (t *try) job(set ...func(*bellhop.Job)) *bellhop.Job {
	j := &bellhop.Job{
		ID: bellhop.NewID(), Kind: testKind, Queue: testQueue, Args: []byte(`{"n":1}`), Attempts: bellhop.DefaultAttempts,
	}
	for _, f := range set {
		f(j)
	}
	return t.place(j)
}

func queue(name string) func(*bellhop.Job)     { return func(j *bellhop.Job) { j.Queue = name } }
func kind(name string) func(*bellhop.Job)      { return func(j *bellhop.Job) { j.Kind = name } }
func priority(p int) func(*bellhop.Job)        { return func(j *bellhop.Job) { j.Priority = p } }
func unique(key string) func(*bellhop.Job)     { return func(j *bellhop.Job) { j.UniqueKey = key } }
func delay(d time.Duration) func(*bellhop.Job) { return func(j *bellhop.Job) { j.Delay = d } }
func runAt(at time.Time) func(*bellhop.Job)    { return func(j *bellhop.Job) { j.RunAt = at } }
func args(text string) func(*bellhop.Job)      { return func(j *bellhop.Job) { j.Args = []byte(text) } }
func tags(tags ...string) func(*bellhop.Job)   { return func(j *bellhop.Job) { j.Tags = tags } }
func keep(d time.Duration) func(*bellhop.Job)  { return func(j *bellhop.Job) { j.Retention = d } }
func forever() func(*bellhop.Job)              { return keep(bellhop.Forever) }
func ids(jobs ...*bellhop.Job) (ids []bellhop.ID) {
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// enqueue takes jobs in one call.
func (t *try) enqueue(jobs ...*bellhop.Job) []bellhop.Receipt {
	t.Helper()
	receipts, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	if len(receipts) != len(jobs) {
		t.Fatalf("E7: %d receipts for %d jobs", len(receipts), len(jobs))
	}
	return receipts
}

// add makes a job and enqueues it.
func (t *try) add(set ...func(*bellhop.Job)) *bellhop.Job {
	t.Helper()
	j := t.job(set...)
	t.enqueue(j)
	return j
}

// addMany makes n jobs and enqueues them in one call.
func (t *try) addMany(n int, set ...func(*bellhop.Job)) []*bellhop.Job {
	t.Helper()
	jobs := make([]*bellhop.Job, n)
	for i := range jobs {
		jobs[i] = t.job(set...)
	}
	t.enqueue(jobs...)
	return jobs
}

// process registers a process that lives longer than any test.
func (t *try) process() bellhop.ID {
	t.Helper()
	return t.processFor(longLease)
}

// processFor registers a process with the given lease.
func (t *try) processFor(lease time.Duration) bellhop.ID {
	t.Helper()
	id := bellhop.NewID()
	t.beat(id, lease)
	return id
}

// beat beats without naming claims.
func (t *try) beat(id bellhop.ID, lease time.Duration, held ...bellhop.Token) *bellhop.BeatReply {
	t.Helper()
	reply, err := t.s.Beat(t.ctx, &bellhop.Beat{Process: describe(id), Lease: lease, Held: held})
	must(t, err)
	return reply
}

func describe(id bellhop.ID) bellhop.Process {
	return bellhop.Process{
		ID: id, Name: "host-1", Host: "host", PID: 1, Version: "test", StartedAt: time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC),
		Queues: []string{testQueue, otherQueue}, Kinds: []string{otherKind, testKind}, Slots: 10,
	}
}

// request asks for n jobs of each queue (default and other if none is named), n in all.
func request(process bellhop.ID, n int, queues ...string) *bellhop.ExchangeRequest {
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: process, Limit: n, Kinds: []string{testKind, otherKind}}
	if len(queues) == 0 {
		queues = []string{testQueue, otherQueue}
	}
	for _, q := range queues {
		r.Wants = append(r.Wants, bellhop.Want{Queue: q, Count: n})
	}
	return r
}

func (t *try) exchange(r *bellhop.ExchangeRequest) *bellhop.ExchangeReply {
	t.Helper()
	reply, err := t.s.Exchange(t.ctx, r)
	must(t, err)
	return reply
}

// claim claims at most n jobs.
func (t *try) claim(process bellhop.ID, n int, queues ...string) []bellhop.Claim {
	t.Helper()
	return t.exchange(request(process, n, queues...)).Claims
}

// claimOne claims the job, which must be the next.
func (t *try) claimOne(process bellhop.ID, id bellhop.ID) bellhop.Claim {
	t.Helper()
	claims := t.claim(process, 1)
	if len(claims) != 1 || claims[0].Token.JobID != id {
		t.Fatalf("claimed %v; want job %s", claimed(claims), id)
	}
	return claims[0]
}

// running enqueues a job and claims it.
func (t *try) running(process bellhop.ID, set ...func(*bellhop.Job)) bellhop.Claim {
	t.Helper()
	set = append([]func(*bellhop.Job){priority(bellhop.MinPriority)}, set...)
	return t.claimOne(process, t.add(set...).ID)
}

// claimed returns the ids of claimed jobs, in their order.
func claimed(claims []bellhop.Claim) (ids []bellhop.ID) {
	for i := range claims {
		ids = append(ids, claims[i].Token.JobID)
	}
	return ids
}

// outcome says that an attempt has come to something, with counters as a worker would set them.
func outcome(c bellhop.Claim, kind bellhop.OutcomeKind) bellhop.Outcome {
	o := bellhop.Outcome{
		Token: c.Token, Kind: kind, Attempt: c.Place.Attempt + 1, Failures: c.Place.Failures,
		Number: c.Place.Attempt + 1, Started: c.Place.ClaimedAt, Ended: c.Place.ClaimedAt.Add(time.Millisecond),
	}
	switch kind {
	case bellhop.OutcomeRetry, bellhop.OutcomeDead:
		o.Failures++
		o.Failure = &bellhop.Failure{Class: "test", Message: "failed"}
	case bellhop.OutcomeHandedBack:
		o.Attempt, o.Number, o.Started, o.Ended = c.Place.Attempt, 0, time.Time{}, time.Time{}
	}
	if kind == bellhop.OutcomeRetry || kind == bellhop.OutcomeSnooze {
		o.Wait = time.Minute
	}
	if kind.To().Final() {
		o.Keep = time.Hour
	}
	return o
}

// end hands in outcomes, which must all be applied.
func (t *try) end(outcomes ...bellhop.Outcome) {
	t.Helper()
	for _, r := range t.hand(outcomes...) {
		t.Fatalf("%s of %s was refused: %v, recorded %v", outcomes[r.Index].Kind, outcomes[r.Index].Token.JobID, r.Err, r.Recorded)
	}
}

// hand hands in outcomes and returns the refusals.
func (t *try) hand(outcomes ...bellhop.Outcome) []bellhop.Refusal {
	t.Helper()
	return t.exchange(&bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: outcomes}).Refused
}

// get returns a job that must be there.
func (t *try) get(id bellhop.ID) bellhop.Snapshot {
	t.Helper()
	found, err := t.s.Get(t.ctx, []bellhop.ID{id})
	must(t, err)
	if len(found) != 1 || found[0].ID != id {
		t.Fatalf("Get(%s) returned %d jobs", id, len(found))
	}
	return found[0]
}

// in checks that jobs are in a state; 0 means that they are not there.
func (t *try) in(state bellhop.State, ids ...bellhop.ID) {
	t.Helper()
	found, err := t.s.Get(t.ctx, ids)
	must(t, err)
	if state == 0 && len(found) > 0 {
		t.Fatalf("job %s is still there, %s", found[0].ID, found[0].Place.State)
	}
	if state != 0 && len(found) != len(ids) {
		t.Fatalf("%d of %d jobs are there", len(found), len(ids))
	}
	for i := range found {
		if found[i].Place.State != state {
			t.Fatalf("job %s is %s; want %s", found[i].ID, found[i].Place.State, state)
		}
	}
}

func (t *try) act(action bellhop.Action, ids ...bellhop.ID) *bellhop.ActReply {
	t.Helper()
	reply, err := t.s.Act(t.ctx, &bellhop.ActRequest{Action: action, IDs: ids, Reason: "by the test"})
	must(t, err)
	return reply
}

func (t *try) promote(limit int) (n int, next time.Duration) {
	t.Helper()
	n, next, err := t.s.Promote(t.ctx, limit)
	must(t, err)
	return n, next
}

func (t *try) prune(limit int) int {
	t.Helper()
	n, err := t.s.Prune(t.ctx, limit)
	must(t, err)
	return n
}

func (t *try) sweep(limit int) []bellhop.Claim {
	t.Helper()
	claims, err := t.s.Sweep(t.ctx, limit)
	must(t, err)
	return claims
}

// sweepAfter lets a lease pass, and sweeps.
func (t *try) sweepAfter(lease time.Duration) []bellhop.Claim {
	t.Helper()
	t.advance(lease + time.Second)
	return t.sweep(1000)
}

func (t *try) count(f bellhop.Filter) int {
	t.Helper()
	n, err := CountAll(t.ctx, t.s, f, 100_000)
	must(t, err)
	return n
}

// CountAll counts the jobs of a store that match, call by call, to the end or to the limit.
func CountAll(ctx context.Context, s bellhop.Store, f bellhop.Filter, limit int) (n int, err error) {
	for q := (bellhop.Query{Filter: f, Limit: limit}); ; {
		c, err := s.Count(ctx, &q)
		if err != nil {
			return n, err
		}
		if n += c.Count; n >= limit || c.Next == "" {
			return n, nil
		}
		q.Limit, q.After = limit-n, c.Next
	}
}

// now returns the store's time.
func (t *try) now() time.Time {
	t.Helper()
	now, err := t.s.Ping(t.ctx)
	must(t, err)
	return now
}

func (t *try) advance(d time.Duration) { t.h.Advance(t.s, d) }

// between checks a time that the store has set.
func (t *try) between(what string, got, from, to time.Time) {
	t.Helper()
	if got.Before(from) || got.After(to) {
		t.Errorf("%s is %v; want %v to %v", what, got, from, to)
	}
	t.kept(what, got)
}

// kept checks that a time is in the form in which stores keep it [G6].
func (t *try) kept(what string, at time.Time) {
	t.Helper()
	if at.Location() != time.UTC || !at.Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("G6: %s is %v; want UTC and microseconds", what, at)
	}
}

// same compares; empty and nil are the same, and so are equal moments.
func (t *try) same(what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateErrors()); d != "" {
		t.Errorf("%s: want (-), got (+)\n%s", what, d)
	}
}

// fails checks an error's kind.
func (t *try) fails(what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v; want %v", what, err, want)
	}
}

// changesNothing checks that fn, which fails, leaves all that can be seen as it was.
func (t *try) changesNothing(what string, fn func() error, want error) {
	t.Helper()
	before := t.view()
	t.fails(what, fn(), want)
	if d := cmp.Diff(before, t.view(), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s: failed and changed something:\n%s", what, d)
	}
}

// view is all that can be seen: the jobs with their history, and the rest.
func (t *try) view() view {
	t.Helper()
	listed, err := listAll(t.ctx, t.s, bellhop.Filter{}, 1000)
	must(t, err)
	all := make([]bellhop.ID, len(listed))
	for i := range listed {
		all[i] = listed[i].ID
	}
	v, err := look(t.ctx, t.s, all, 7)
	must(t, err)
	return v
}

// texts makes n different names.
func texts(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%04d", prefix, i)
	}
	return list
}
