package rollup

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

func failureOf(text string) *bellhop.Failure { return bellhop.NewFailure(errors.New(text)) }

// TestIdleProcessesWriteNothing, nor does anything grow in them.
func TestIdleProcessesWriteNothing(t *testing.T) {
	w := newWorld(t)
	p := w.start(0)
	for range 600 {
		if err := errors.Join(p.Write(t.Context()), p.Merge(t.Context())); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(Every)
	}
	if w.store.puts != 0 || w.store.calls > 60 {
		t.Errorf("%d writes and %d calls in an hour and a half in which nothing happened", w.store.puts, w.store.calls)
	}
}

// TestAMinuteIsAFewRows: as many as one process writes, however many jobs there were.
func TestAMinuteIsAFewRows(t *testing.T) {
	for _, jobs := range []int{1, 100, 50_000} {
		w := newWorld(t)
		p := w.start(0)
		for second := range 60 {
			for i := range max(jobs/60, 1) {
				p.job(fmt.Sprintf("q%d", i%30), fmt.Sprintf("k%d", i%7), bellhop.OutcomeRetry, time.Second, time.Second, failureOf(fmt.Sprint("error ", i)))
			}
			if second%9 == 8 {
				if err := p.Write(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.clock.Advance(time.Second)
		}
		if err := p.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		records, err := w.store.Records(t.Context(), &bellhop.RecordQuery{Space: Space})
		if err != nil || len(records) > 13 {
			t.Errorf("%d jobs in a minute are %d records, %v; want at most 13", jobs, len(records), err)
		}
		now := w.clock.Now()
		w.compare(w.rangeOf(now.Add(-10*time.Minute), now, 0), w.store.truth(begin))
	}
}

// TestMergingIsAFewCalls, spread over rounds: idle workers wait for what it asks of the store.
func TestMergingIsAFewCalls(t *testing.T) {
	w := newWorld(t)
	p := w.start(0)
	all, most := 0, 0
	for round := range 3 * int(time.Hour/Every) {
		if round%7 == 0 {
			p.job("q", "k", bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
		}
		if err := p.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := w.store.calls
		if err := p.Merge(t.Context()); err != nil {
			t.Fatal(err)
		}
		calls := w.store.calls - before
		all, most = all+calls, max(most, calls)
		w.clock.Advance(Every)
	}
	if all > 3*45 || most > 6 {
		t.Errorf("%d calls in three hours, at most %d in a round", all, most)
	}
}

// TestRecorderIsSafe counts from many goroutines while it is written.
func TestRecorderIsSafe(t *testing.T) {
	w := newWorld(t)
	p := w.start(0)
	const goroutines, jobs = 8, 2000
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range jobs {
				p.job("q", fmt.Sprintf("k%d", (g+i/100)%3), bellhop.OutcomeSucceeded, time.Millisecond, time.Millisecond, nil)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		w.clock.Advance(20 * time.Millisecond) // who waits for the processor must not be hours late
		if err := p.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.store.truth(begin)[Series{}].Succeeded; n != goroutines*jobs {
		t.Errorf("%d of %d jobs are counted", n, goroutines*jobs)
	}
}

func TestCountingCostsNoMemory(t *testing.T) {
	w := newWorld(t)
	p := w.start(0)
	c := &bellhop.Claim{Job: &bellhop.Job{Queue: "q", Kind: "k"}, Place: bellhop.Place{Due: begin}}
	o := &bellhop.Outcome{Kind: bellhop.OutcomeSucceeded, Started: begin.Add(time.Second), Ended: begin.Add(2 * time.Second)}
	p.Outcome(c, o, o.Ended)
	if n := testing.AllocsPerRun(1000, func() { p.Outcome(c, o, o.Ended) }); n > 0 {
		t.Errorf("%v allocations for each job", n)
	}
}

func TestRestartWithinAMinute(t *testing.T) {
	w := newWorld(t)
	for range 4 {
		p := w.start(0)
		p.job("q", "k", bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
		if err := p.Close(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(5 * time.Second)
	}
	now := w.clock.Now()
	chart, err := w.reader().Chart(t.Context(), w.rangeOf(now.Add(-5*time.Minute), now, 0), Series{Queue: "q"})
	if err != nil || chart.Total.Succeeded != 4 {
		t.Errorf("%d of 4 are counted, %v", chart.Total.Succeeded, err)
	}
}

// TestTheLastProcessMerges what nobody may merge before it expires.
func TestTheLastProcessMerges(t *testing.T) {
	for _, last := range []bool{true, false} {
		w := newWorld(t)
		p := w.start(0)
		for range 65 { // over the end of an hour
			p.job("q", "k", bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
			if err := p.Write(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.clock.Advance(time.Minute)
		}
		if err := p.Close(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(5 * 24 * time.Hour)
		now := w.clock.Now()
		chart, err := w.reader().Chart(t.Context(), w.rangeOf(now.Add(-6*24*time.Hour), now, 0), Series{})
		if err != nil {
			t.Fatal(err)
		}
		if n := chart.Total.Succeeded; last && n != 65 || !last && n != 0 {
			t.Errorf("last: %v; five days later %d are counted", last, n)
		}
	}
}

// TestClocksAreSetBack: what is counted after it must not take the place of what was counted before.
func TestClocksAreSetBack(t *testing.T) {
	w := newWorld(t)
	p := w.start(0)
	off := time.Duration(0)
	p.now = func() time.Time { return w.clock.Now().Add(off) }
	p.Writer.now, p.merger.now = func() time.Time { return p.now() }, func() time.Time { return p.now() }
	for i, next := range []time.Duration{0, 20 * time.Minute, 0, -2 * time.Minute, time.Minute} {
		off = next
		for range i + 1 {
			p.job("q", "k", bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
		}
		if err := p.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.store.truth(begin.Add(-time.Hour))[Series{}].Succeeded; n != 1+2+3+4+5 {
		t.Errorf("%d are counted, want 15", n)
	}
}

// TestAnOutageLosesNothing: what could not be written is written later, and into merged windows too.
func TestAnOutageLosesNothing(t *testing.T) {
	w := newWorld(t)
	p, other := w.start(0), w.start(0)
	for minute := range 45 {
		p.job("q", "k", bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
		w.store.before = func([]bellhop.RecordWrite) error { return errBroken }
		if minute < 10 || minute >= 40 {
			w.store.before = nil
		}
		if err := p.Write(t.Context()); err != nil && !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		w.store.before = nil
		if err := other.Merge(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute)
	}
	now := w.clock.Now()
	for _, ago := range []time.Duration{time.Hour, 24 * time.Hour} {
		chart, err := w.reader().Chart(t.Context(), w.rangeOf(now.Add(-ago), now, 0), Series{})
		if err != nil || chart.Total.Succeeded != 45 {
			t.Errorf("%v: %d of 45 are counted, %v", ago, chart.Total.Succeeded, err)
		}
	}
}

// TestTooManySeries: what there is no room for is counted together.
func TestTooManySeries(t *testing.T) {
	w := newWorld(t)
	p := w.start(0)
	const queues = MaxSeries + 700
	for i := range queues {
		p.job(fmt.Sprintf("q%05d", i), "k", bellhop.OutcomeSucceeded, time.Second, time.Second, nil)
	}
	if err := p.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := w.clock.Now()
	rng := w.rangeOf(now.Add(-5*time.Minute), now, 0)
	rng.To = rng.To.Add(time.Minute)
	rng.Now = rng.To
	all, err := w.reader().Chart(t.Context(), rng, Series{})
	other, err2 := w.reader().Chart(t.Context(), rng, Series{Queue: Other})
	if err != nil || err2 != nil || all.Total.Succeeded != queues || other.Total.Succeeded != 700 {
		t.Errorf("%d in all, %d others; %v, %v", all.Total.Succeeded, other.Total.Succeeded, err, err2)
	}
}

func TestFailuresAreGrouped(t *testing.T) {
	w := newWorld(t)
	p, q := w.start(0), w.start(0)
	for i := range 40 {
		kind := bellhop.OutcomeRetry
		if i%4 == 0 {
			kind = bellhop.OutcomeDead
		}
		p.job(fmt.Sprintf("q%d", i%9), "k", kind, time.Second, time.Second, failureOf(fmt.Sprintf("user %d not found", i)))
		q.job("q1", "other", bellhop.OutcomeRetry, time.Second, time.Second, failureOf(fmt.Sprintf("dial tcp 10.0.0.%d:25: refused", i)))
		if i%2 == 1 {
			if err := errors.Join(p.Write(t.Context()), q.Write(t.Context()), p.Merge(t.Context())); err != nil {
				t.Fatal(err)
			}
			w.clock.Advance(time.Minute)
		}
	}
	now := w.clock.Now()
	rng := w.rangeOf(now.Add(-30*time.Minute), now, 0)
	r := w.reader()
	found, err := r.Failures(t.Context(), rng, "k")
	if err == nil {
		err = r.Describe(t.Context(), rng, found.Groups)
	}
	if err != nil || len(found.Groups) != 1 || found.Rest != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	g := found.Groups[0]
	points := int64(0)
	for _, n := range g.Points {
		points += n
	}
	if g.Count != 40 || points != 40 || g.Dead != 10 || g.Sample != "user 39 not found" || len(g.Queues) != groupQueues || !g.First.Equal(begin) ||
		!g.Last.Equal(begin.Add(19*time.Minute)) || g.Fingerprint != bellhop.Fingerprint("k", failureOf("user 7 not found")) {
		t.Errorf("the group is %+v", g)
	}
	if all, err := w.reader().Failures(t.Context(), rng, ""); err != nil || len(all.Groups) != 2 {
		t.Errorf("%d groups of all kinds, %v", len(all.Groups), err)
	}
	// There is an end to groups, and it is said how many failures are in none.
	for i := range 26 * 26 {
		p.job("q", string(rune('a'+i/26))+string(rune('a'+i%26)), bellhop.OutcomeRetry, 0, 0, failureOf("no"))
	}
	if err := p.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	now = w.clock.Now()
	all, err := w.reader().Failures(t.Context(), w.rangeOf(now.Add(-time.Minute), now, 0), "")
	if err != nil || len(all.Groups) != minuteGroups || all.Rest != 26*26-minuteGroups {
		t.Errorf("%d groups, and %d failures in none; %v", len(all.Groups), all.Rest, err)
	}
}

func TestMarks(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	begun := func(version string, kinds []string, alive ...string) {
		t.Helper()
		me := &bellhop.Process{ID: bellhop.NewID(), Version: version, Kinds: kinds}
		list := []bellhop.ProcessStatus{{Process: *me}}
		for _, v := range alive {
			list = append(list, bellhop.ProcessStatus{Process: bellhop.Process{ID: bellhop.NewID(), Version: v}})
		}
		if err := Begun(ctx, w.store, me, list, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Minute)
	}
	a, b := []string{"a"}, []string{"b"}
	begun("(devel)", a)
	begun("dev", a)
	begun("v1", a)
	begun("v1", a)             // a restart
	begun("v1", a, "v1")       // one more
	begun("v2", a, "v1", "v1") // a deploy begins
	begun("v2", a, "v1", "v2") // and goes on
	begun("v1", a, "v2")       // and is taken back
	begun("w7", b, "v1")       // another program
	begun("v1", a, "w7")       // restarts of both
	begun("w7", b, "v1")
	if _, err := AddMark(ctx, w.store, "deploy\n4711\x00", "anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := AddMark(ctx, w.store, " \n", "anna"); !errors.Is(err, bellhop.ErrInvalid) {
		t.Errorf("an empty mark: %v", err)
	}
	marks, err := w.reader().Marks(ctx, begin, w.clock.Now().Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, m := range marks {
		texts = append(texts, m.Text)
	}
	if want := []string{"v1 begins", "v2 begins", "v1 begins", "w7 begins"}; !slices.Equal(texts, append(want, "deploy 4711")) {
		t.Errorf("the marks are %q", texts)
	}
	if some, err := w.reader().Marks(ctx, marks[1].At, marks[3].At); err != nil || len(some) != 2 || some[0].Text != "v2 begins" {
		t.Errorf("marks of a part of the time: %v, %v", some, err)
	}
}

func TestRangesThatCanBeHad(t *testing.T) {
	now := begin.Add(17*time.Minute + 13*time.Second)
	for ago, want := range map[time.Duration]time.Duration{
		time.Minute: time.Minute, 5 * time.Minute: time.Minute, time.Hour: time.Minute, 3 * time.Hour: time.Minute, 4 * time.Hour: 10 * time.Minute,
		26 * time.Hour: 10 * time.Minute, 3 * 24 * time.Hour: time.Hour, Longest: time.Hour, Kept: time.Hour,
	} {
		r, err := newRange(now, now.Add(-ago), now, 0)
		if err != nil || r.Step != want {
			t.Errorf("%v: a step of %v, %v; want %v", ago, r.Step, err, want)
			continue
		}
		if r.Points() < 1 || r.Points() > MaxPoints || !r.To.After(now) || r.To.Sub(now) > r.Step || r.From.Sub(now.Add(-ago)).Abs() > r.Step {
			t.Errorf("%v: %d points from %v to %v", ago, r.Points(), r.From, r.To)
		}
		if last := r.Points() - 1; r.Covers(last) != now.Sub(r.At(last)) || last > 0 && r.Covers(0) != r.Step {
			t.Errorf("%v: the last point covers %v", ago, r.Covers(last))
		}
	}
}

// TestStores writes, merges and reads on each store, with real time.
func TestStores(t *testing.T) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			store := openStore(t, s.address(t))
			now, err := store.Ping(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ago := 100 * time.Minute
			clock := func() time.Time { return now.Add(-ago) }
			var recorders []*Recorder
			var writers []*Writer
			for range 3 {
				recorders = append(recorders, NewRecorder())
				writers = append(writers, NewWriter(store, recorders[len(recorders)-1], clock))
			}
			want := int64(0)
			for ; ago > 0; ago -= 4 * time.Minute {
				for i, r := range recorders {
					c := &bellhop.Claim{Token: bellhop.Token{JobID: bellhop.NewID()}, Job: &bellhop.Job{Queue: fmt.Sprint("q", i), Kind: "k"}, Place: bellhop.Place{Due: clock().Add(-time.Second)}}
					o := &bellhop.Outcome{Kind: bellhop.OutcomeRetry, Started: clock(), Ended: clock(), Failure: failureOf("no answer from 10.1.1.1")}
					r.Outcome(c, o, clock())
					want++
					if err := errors.Join(writers[i].Write(t.Context()), writers[i].Merge(t.Context())); err != nil {
						t.Fatal(err)
					}
				}
			}
			r := NewReader(store)
			for _, ago := range []time.Duration{3 * time.Hour, 24 * time.Hour, Longest} {
				rng, err := r.Last(t.Context(), ago)
				if err != nil {
					t.Fatal(err)
				}
				chart, err := r.Chart(t.Context(), rng, Series{})
				table, err2 := r.Table(t.Context(), rng, TableQuery{By: ByQueue, Order: ByAttempts, Limit: 2})
				failed, err3 := r.Failures(t.Context(), rng, "k")
				if err := errors.Join(err, err2, err3); err != nil {
					t.Fatal(err)
				}
				if err := r.Describe(t.Context(), rng, failed.Groups); err != nil {
					t.Fatal(err)
				}
				if chart.Total.Retried != want || len(table.Rows) != 2 || table.More != 1 || failed.Groups[0].Count != want {
					t.Errorf("%v: %d of %d counted, %d rows, %+v", ago, chart.Total.Retried, want, len(table.Rows), failed.Groups)
				}
				if g := failed.Groups[0]; g.Pattern != "no answer from <addr>" || g.Sample != "no answer from 10.1.1.1" {
					t.Errorf("%v: the group's texts are %+v", ago, g)
				}
			}
			if merged, err := store.Records(t.Context(), &bellhop.RecordQuery{Space: Space, Prefix: "10m/t/"}); err != nil || len(merged) < 5 {
				t.Errorf("%d windows were merged, %v", len(merged), err)
			}
			if _, err := AddMark(t.Context(), store, "deploy", "anna"); err != nil {
				t.Error(err)
			}
			if marks, err := r.Marks(t.Context(), now.Add(-time.Minute), now.Add(time.Minute)); err != nil || len(marks) != 1 {
				t.Errorf("marks: %v, %v", marks, err)
			}
		})
	}
}
