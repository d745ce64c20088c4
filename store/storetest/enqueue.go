package storetest

import (
	"errors"
	"time"

	"github.com/gobellhop/bellhop"
)

var enqueueTests = []test{
	{"one", "E8", enqueueOne},
	{"all or none", "E1 E3", enqueueAllOrNone},
	{"large batch", "E1 E7", enqueueLarge},
	{"empty", "E1", enqueueEmpty},
	{"repeat", "E2", enqueueRepeat},
	{"repeat in each state", "E2", enqueueRepeatStates},
	{"repeat in one call", "E2 E3", enqueueRepeatInCall},
	{"other content", "E3", enqueueOtherContent},
	{"puts", "E6", enqueuePuts},
	{"order of receipts", "E7", enqueueOrder},
	{"times", "E8 G6", enqueueTimes},
	{"past run-at", "E8 X5", enqueuePast},
}

func enqueueOne(t *try) {
	before := t.now()
	j := t.add()
	got := t.get(j.ID)
	t.between("EnqueuedAt", got.EnqueuedAt, before, t.now())
	t.same("Due", got.Place.Due, got.EnqueuedAt)
	want := bellhop.Snapshot{Job: *j, Place: bellhop.Place{State: bellhop.StateReady, Due: got.EnqueuedAt}}
	want.EnqueuedAt = got.EnqueuedAt
	t.same("job", got, want)
}

func enqueueAllOrNone(t *try) {
	old := t.add()
	bad := *old
	bad.Kind = otherKind
	for at := range 3 {
		jobs := []*bellhop.Job{t.job(), t.job(unique("k")), t.job(delay(time.Hour))}
		jobs[at] = &bad
		t.changesNothing("a call with one bad job", func() error {
			_, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: jobs})
			var item *bellhop.ItemError
			if !errors.As(err, &item) || item.Index != at {
				t.Errorf("E3: error is %v; want an ItemError with index %d", err, at)
			}
			return err
		}, bellhop.ErrIDTaken)
	}
	// The refused calls hold no key.
	if r := t.enqueue(t.job(unique("k"))); r[0].Existing {
		t.Errorf("E1: a refused call left its unique key behind")
	}
}

func enqueueLarge(t *try) {
	const n = 2501
	jobs := make([]*bellhop.Job, n)
	for i := range jobs {
		jobs[i] = t.job()
	}
	for i, r := range t.enqueue(jobs...) {
		if r != (bellhop.Receipt{ID: jobs[i].ID, State: bellhop.StateReady}) {
			t.Fatalf("E7: receipt %d is %v; the job is %s", i, r, jobs[i].ID)
		}
	}
	if got := t.count(bellhop.Filter{}); got != n {
		t.Errorf("E1: %d of %d jobs are there", got, n)
	}
	for i, r := range t.enqueue(jobs...) {
		if !r.Existing || r.ID != jobs[i].ID {
			t.Fatalf("E2: receipt %d of the repeat is %v", i, r)
		}
	}
}

func enqueueEmpty(t *try) {
	t.enqueue()
	if n := t.count(bellhop.Filter{}); n != 0 {
		t.Errorf("a call without jobs made %d", n)
	}
}

func enqueueRepeat(t *try) {
	at := t.now().Add(time.Hour).Truncate(time.Microsecond)
	full := t.job(queue("q"), priority(-3), args(` {"a" : 1}`), unique("key"), tags("a", "b"), runAt(at), keep(time.Minute))
	full.Timeout = 1_234_567_891 // durations are kept to the nanosecond
	full.Meta = map[string]string{"tenant": "7", "empty": ""}
	waits := t.job(delay(time.Hour))
	for _, j := range []*bellhop.Job{t.job(), full, waits} {
		first := t.enqueue(j)[0]
		again := *j
		if j.Delay > 0 {
			again.Delay *= 2 // only the moment that came of it is kept
		}
		before := t.view()
		second := t.enqueue(&again)[0]
		if first.Existing || !second.Existing || second.ID != j.ID || second.State != first.State {
			t.Errorf("E2: receipts %v and %v", first, second)
		}
		t.same("view after the repeat", t.view(), before)
	}
}

func enqueueRepeatStates(t *try) {
	p := t.process()
	j := t.add(unique("key"))
	repeat := func(want bellhop.State) {
		t.Helper()
		if r := t.enqueue(j)[0]; r != (bellhop.Receipt{ID: j.ID, State: want, Existing: true}) {
			t.Errorf("E2: receipt is %v; want state %s, existing", r, want)
		}
	}
	repeat(bellhop.StateReady)
	c := t.claimOne(p, j.ID)
	repeat(bellhop.StateRunning)
	t.end(outcome(c, bellhop.OutcomeRetry))
	repeat(bellhop.StateScheduled)
	t.act(bellhop.ActCancel, j.ID)
	repeat(bellhop.StateCancelled)
	// The key is another's now, and the id still names the same job.
	other := t.add(unique("key"))
	repeat(bellhop.StateCancelled)
	t.act(bellhop.ActDelete, j.ID)
	if r := t.enqueue(j)[0]; r.ID != other.ID || !r.Existing {
		t.Errorf("E4: after the job was deleted the receipt is %v; want the holder %s", r, other.ID)
	}
}

func enqueueRepeatInCall(t *try) {
	a, b := t.job(), t.job()
	twin := *a
	r := t.enqueue(a, b, &twin)
	t.same("receipts", r, []bellhop.Receipt{
		{ID: a.ID, State: bellhop.StateReady}, {ID: b.ID, State: bellhop.StateReady}, {ID: a.ID, State: bellhop.StateReady, Existing: true},
	})
	c := t.job()
	other := *c
	other.Priority++
	t.changesNothing("one id with two contents", func() error {
		_, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{c, t.job(), &other}})
		var item *bellhop.ItemError
		if !errors.As(err, &item) || item.Index != 2 {
			t.Errorf("E3: error is %v; want an ItemError with index 2", err)
		}
		return err
	}, bellhop.ErrIDTaken)
}

func enqueueOtherContent(t *try) {
	at := t.now().Add(time.Hour)
	j := t.add(unique("key"), tags("a"), runAt(at))
	changes := map[string]func(*bellhop.Job){
		"kind": kind(otherKind), "queue": queue("q"), "priority": priority(1), "arguments": args(`{"n": 1}`),
		"run-at": runAt(at.Add(time.Microsecond)), "no run-at": runAt(time.Time{}), "retention": forever(),
		"attempts": func(j *bellhop.Job) { j.Attempts++ },
		"timeout":  func(j *bellhop.Job) { j.Timeout = 1 },
		"key":      unique("key2"), "no key": unique(""), "tags": tags("a", "b"), "no tags": tags(),
	}
	for name, change := range changes {
		other := *j
		change(&other)
		t.place(&other)
		t.changesNothing("the same id with other "+name, func() error {
			_, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{t.job(), &other}})
			return err
		}, bellhop.ErrIDTaken)
	}
	traced := *j
	traced.Meta = map[string]string{"traceparent": "another"}
	if r := t.enqueue(&traced)[0]; !r.Existing || r.ID != j.ID {
		t.Errorf("E2: a repeat with other metadata is %+v; want the job that is there", r)
	}
	if r := t.enqueue(t.job(unique("key2")))[0]; r.Existing {
		t.Errorf("E3: a refused job holds its unique key")
	}
}

func enqueuePuts(t *try) {
	put := func(expect int64, value string) []bellhop.RecordWrite {
		return []bellhop.RecordWrite{{Space: viewSpace, Key: "k", Value: []byte(value), Expect: expect}}
	}
	a, b := t.job(), t.job()
	_, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{a}, Puts: put(bellhop.ExpectNone, "1")})
	must(t, err)
	t.in(bellhop.StateReady, a.ID)
	rec := t.record("k")
	t.same("value", string(rec.Value), "1")
	t.changesNothing("an enqueue with a put that does not fit", func() error {
		_, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{b}, Puts: put(bellhop.ExpectNone, "2")})
		return err
	}, bellhop.ErrConflict)
	other := *a
	other.Queue = "q"
	t.changesNothing("an enqueue with a put that fits and a job that does not", func() error {
		_, err := t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{b, &other}, Puts: put(rec.Version, "2")})
		return err
	}, bellhop.ErrIDTaken)
	check := put(rec.Version, "unused")
	check[0].Check = true
	_, err = t.s.Enqueue(t.ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{b}, Puts: check})
	must(t, err)
	t.in(bellhop.StateReady, b.ID)
	t.same("record after a check", t.record("k"), rec)
}

func enqueueOrder(t *try) {
	old, holder := t.add(), t.add(unique("key"))
	fresh, lost, later := t.job(), t.job(unique("key")), t.job(delay(time.Minute))
	r := t.enqueue(later, old, fresh, lost)
	t.same("receipts", r, []bellhop.Receipt{
		{ID: later.ID, State: bellhop.StateScheduled},
		{ID: old.ID, State: bellhop.StateReady, Existing: true},
		{ID: fresh.ID, State: bellhop.StateReady},
		{ID: holder.ID, State: bellhop.StateReady, Existing: true},
	})
	t.in(0, lost.ID)
}

func enqueueTimes(t *try) {
	t.advance(36 * time.Hour) // so that the store's clock is not this process's
	before := t.now()
	at := before.Add(90 * time.Minute)
	far := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	byTime, byDelay, byYear := t.add(runAt(at)), t.add(delay(2*time.Hour)), t.add(runAt(far))
	after := t.now()
	got := t.get(byTime.ID)
	t.between("EnqueuedAt", got.EnqueuedAt, before, after)
	t.same("run-at", got.RunAt, at)
	t.same("due by run-at", got.Place.Due, at)
	t.kept("run-at", got.RunAt)
	got = t.get(byDelay.ID)
	t.between("due by delay", got.Place.Due, before.Add(2*time.Hour), after.Add(2*time.Hour))
	t.same("due less EnqueuedAt", got.Place.Due.Sub(got.EnqueuedAt), 2*time.Hour)
	t.same("run-at of a job with a delay", got.RunAt, time.Time{})
	t.same("due in the year 9999", t.get(byYear.ID).Place.Due, far)
	t.in(bellhop.StateScheduled, byTime.ID, byDelay.ID, byYear.ID)
	sent := byDelay.EnqueuedAt
	t.same("EnqueuedAt of the caller's job", sent, time.Time{})
}

func enqueuePast(t *try) {
	first := t.add()
	t.advance(time.Second)
	past := t.add(runAt(t.now().Add(-time.Hour)))
	old := t.add(runAt(time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)))
	for _, j := range []*bellhop.Job{past, old} {
		got := t.get(j.ID)
		if got.Place.State != bellhop.StateReady || !got.Place.Due.Equal(got.EnqueuedAt) || !got.RunAt.Equal(j.RunAt) {
			t.Errorf("a job with run-at %v is %s, due %v, enqueued %v, run-at %v", j.RunAt, got.Place.State, got.Place.Due, got.EnqueuedAt, got.RunAt)
		}
	}
	t.same("order of claims", claimed(t.claim(t.process(), 9)), ids(first, past, old))
}
