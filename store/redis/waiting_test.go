package redis_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// runs counts how often a store runs each script.
func runs(s bellhop.Store) map[string]int {
	n := map[string]int{}
	s.(bellhop.Stepper).SetStep(func(_ context.Context, _ bellhop.Op, script string, done bool) error {
		if done {
			n[script]++
		}
		return nil
	})
	return n
}

// finish ends n new jobs well.
func finish(t *testing.T, s bellhop.Store, p bellhop.ID, n int) {
	t.Helper()
	enqueue(t, s, testJobs(n)...)
	if _, err := s.Exchange(t.Context(), request(p, 0, succeeded(claim(t, s, p, n))...)); err != nil {
		t.Fatal(err)
	}
}

// Few jobs that wait are found at once, however many have ended since; if they are many, or others are wanted as well, a page looks at
// a bounded number of jobs, and no run of a script at more than a thousand.
func TestOldJobsThatWait(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	p := process(t, s)
	old := testJobs(700)
	for i, j := range old {
		j.Queue, j.Kind = []string{"old", "older"}[i%2], []string{"a", "b", "c"}[i%3]
		if i%5 == 0 {
			j.Delay = time.Hour
		}
	}
	enqueue(t, s, old...)
	finish(t, s, p, 6000)
	slices.Reverse(old) // as lists show them
	for name, f := range map[string]bellhop.Filter{
		"ready":            {States: bellhop.States(bellhop.StateReady)},
		"scheduled":        {States: bellhop.States(bellhop.StateScheduled)},
		"both":             {States: bellhop.States(bellhop.StateReady, bellhop.StateScheduled)},
		"queue":            {States: bellhop.States(bellhop.StateReady), Queues: []string{"old", "none", "old"}},
		"queues, kind":     {States: bellhop.States(bellhop.StateReady, bellhop.StateScheduled), Queues: []string{"old", "older"}, Kinds: []string{"b"}},
		"other queue":      {States: bellhop.States(bellhop.StateReady), NotQueues: []string{"old"}},
		"value":            {States: bellhop.States(bellhop.StateScheduled), Args: []bellhop.ArgMatch{{Path: "n", Value: "1"}}},
		"value of no job":  {States: bellhop.States(bellhop.StateReady), Args: []bellhop.ArgMatch{{Path: "n", Value: "2"}}},
		"queue of none":    {States: bellhop.States(bellhop.StateReady), Queues: []string{"none"}},
		"scheduled, tag":   {States: bellhop.States(bellhop.StateScheduled), Tags: []string{"none"}},
		"enqueued earlier": {States: bellhop.States(bellhop.StateReady), EnqueuedBefore: time.Now().Add(-time.Hour)},
	} {
		var want []bellhop.ID
		for _, j := range old {
			place := &bellhop.Place{State: bellhop.StateReady}
			if j.Delay > 0 {
				place.State = bellhop.StateScheduled
			}
			seen := *j
			seen.EnqueuedAt = time.Now()
			if f.Matches(&seen, place, nil) {
				want = append(want, j.ID)
			}
		}
		for _, limit := range []int{50, 1000} {
			var got []bellhop.ID
			for q := (&bellhop.Query{Filter: f, Limit: limit}); ; {
				l, err := s.List(t.Context(), q)
				if err != nil || l.Examined > len(old) {
					t.Fatalf("%s: a page looked at %d jobs, %v", name, l.Examined, err)
				}
				if l.Next != "" && len(l.Jobs) < limit {
					t.Errorf("%s: a page of %d jobs by %d is not the last", name, len(l.Jobs), limit)
				}
				for i := range l.Jobs {
					got = append(got, l.Jobs[i].ID)
				}
				if q.After = l.Next; q.After == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: found %d jobs by %d, want %d, the newest first", name, len(got), limit, len(want))
			}
		}
		if c, err := s.Count(t.Context(), &bellhop.Query{Filter: f, Limit: 1000}); err != nil || c.Count != len(want) || c.Next != "" {
			t.Errorf("%s: counted %+v, %v; want %d", name, c, err, len(want))
		}
	}

	n := runs(s)
	l, err := s.List(t.Context(), &bellhop.Query{Filter: bellhop.Filter{Kinds: []string{"a"}}})
	if err != nil || l.Examined != 6000 || len(l.Jobs) != 0 || l.Next == "" || n["list"] != 3 || n["lines"] != 0 {
		t.Errorf("a search in all states: looked at %d jobs, %v; scripts %v", l.Examined, err, n)
	}
	clear(n)
	l, err = s.List(t.Context(), &bellhop.Query{Filter: bellhop.Filter{Queues: []string{"old"}}})
	if err != nil || l.Examined != 350 || len(l.Jobs) != 50 || n["list"] != 1 {
		t.Errorf("a queue in which all jobs wait: looked at %d jobs, %v; scripts %v", l.Examined, err, n)
	}
	clear(n)
	l, err = s.List(t.Context(), &bellhop.Query{Filter: bellhop.Filter{States: bellhop.States(bellhop.StateDiscarded, bellhop.StateBlocked)}})
	if err != nil || l.Examined != 0 || l.Next != "" || n["list"] != 0 {
		t.Errorf("a search in states in which no job is: looked at %d jobs, %v; scripts %v", l.Examined, err, n)
	}
	more := testJobs(5000)
	for _, j := range more {
		j.Queue = "old"
	}
	enqueue(t, s, more...)
	clear(n)
	l, err = s.List(t.Context(), &bellhop.Query{Filter: bellhop.Filter{States: bellhop.States(bellhop.StateReady), Kinds: []string{"a"}}})
	if err != nil || l.Examined != 6000 || l.Next == "" || n["lines"] != 1 || n["list"] != 3 {
		t.Errorf("a search among many that wait: looked at %d, %v; scripts %v", l.Examined, err, n)
	}
}

// The oldest jobs of many queues are looked up in several runs of a script, each of which looks at a bounded number of lanes.
func TestStatsOfManyQueues(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	jobs := testJobs(3000)
	for i, j := range jobs {
		j.Queue, j.Priority = "queue-"+string(rune('a'+i%600/26))+string(rune('a'+i%26)), i%3
	}
	enqueue(t, s, jobs...)
	n := runs(s)
	all, err := s.Stats(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, q := range all {
		total += q.Ready
		if q.OldestReady.IsZero() {
			t.Errorf("%+v: want since when its oldest job is ready", q)
		}
	}
	if n["stats"] != 1 || n["oldest"] < 2 || n["oldest"] > 4 {
		t.Errorf("%d jobs in %d queues took these scripts: %v", total, len(all), n)
	}
}
