// Package rowtest has what tests of damaged rows in the SQL stores share: rows that another program, or a hand, has changed so that they
// cannot be read. Jobs pass through here only to be spoilt.
package rowtest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

// Damage has three jobs, the second of which is spoilt before it is claimed, while it runs, or once its process is gone. Whoever finds it,
// the others are not held up: that job is dead, says why, can be looked at, and runs again once its row is mended. exec runs a statement
// on the store's database, in which ID stands for the bytes of the job's id.
func Damage(t *testing.T, open func(t *testing.T) bellhop.Store, exec func(t *testing.T, s bellhop.Store, statement string, id bellhop.ID)) {
	for _, column := range []string{"tags", "meta"} {
		for _, finder := range []string{"exchange", "repeat", "beat", "sweep"} {
			t.Run(column+", "+finder, func(t *testing.T) {
				s := open(t)
				spoil := func(value string, id bellhop.ID) {
					exec(t, s, "update bellhop_jobs set "+column+" = '"+value+"' where id = ID", id)
				}
				damage(t, s, column, finder, spoil)
			})
		}
	}
}

// Failure has a job whose record of a failure is spoilt: it is shown as one that cannot be read, and holds up no listing and no search.
func Failure(t *testing.T, s bellhop.Store, exec func(t *testing.T, s bellhop.Store, statement string, id bellhop.ID)) {
	ctx, p := t.Context(), bellhop.NewID()
	j := &bellhop.Job{ID: bellhop.NewID(), Kind: kind, Queue: "default", Attempts: 25, Args: []byte(`{}`), Tags: []string{"a"}}
	_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
	must(t, err)
	_, err = s.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour})
	must(t, err)
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: p, Limit: 1, Kinds: []string{kind}, Wants: []bellhop.Want{{Queue: "default", Count: 1}}}
	reply, err := s.Exchange(ctx, r)
	must(t, err)
	o := reply.Claims[0].Settle(bellhop.Policy{}, bellhop.Return{Err: bellhop.Dead(errors.New("no use"))})
	_, err = s.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{o}})
	must(t, err)
	exec(t, s, "update bellhop_attempts set failure = '{' where job = (select job from bellhop_jobs where id = ID)", j.ID)
	exec(t, s, "update bellhop_jobs set tags = '[' where id = ID", j.ID)
	found, err := s.Get(ctx, []bellhop.ID{j.ID})
	must(t, err)
	if f := found[0].History[0].Failure; f == nil || f.Class != "damaged" {
		t.Errorf("the failure is %+v", f)
	}
	for want, f := range map[int]bellhop.Filter{1: {Error: "cannot be read"}, 0: {Tags: []string{"a"}}} {
		l, err := s.List(ctx, &bellhop.Query{Filter: f, WithLast: true})
		must(t, err)
		if len(l.Jobs) != want {
			t.Errorf("%+v finds %d jobs, want %d", f, len(l.Jobs), want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// found checks that the claims are of the jobs that are wanted.
func found(t *testing.T, claims []bellhop.Claim, want ...bellhop.ID) {
	t.Helper()
	var ids []bellhop.ID
	for _, c := range claims {
		ids = append(ids, c.Token.JobID)
	}
	slices.SortFunc(ids, bellhop.ID.Compare)
	slices.SortFunc(want, bellhop.ID.Compare)
	if !slices.Equal(ids, want) {
		t.Fatalf("%d claims, want %d, or they are of other jobs", len(ids), len(want))
	}
}

const kind = "test.row"

func damage(t *testing.T, s bellhop.Store, column, finder string, spoil func(value string, id bellhop.ID)) {
	ctx := t.Context()
	var jobs []*bellhop.Job
	for range 3 {
		jobs = append(jobs, &bellhop.Job{
			ID: bellhop.NewID(), Kind: kind, Queue: "default", Attempts: 25, Args: []byte(`{}`), Tags: []string{"a"}, Meta: map[string]string{"b": "c"},
		})
	}
	_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	bad, good := jobs[1].ID, []bellhop.ID{jobs[0].ID, jobs[2].ID}
	p := bellhop.Process{ID: bellhop.NewID(), StartedAt: time.Now()}
	beat := &bellhop.Beat{Process: p, Lease: time.Hour}
	_, err = s.Beat(ctx, beat)
	must(t, err)
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID(), Process: p.ID, Limit: 10, Kinds: []string{kind}, Wants: []bellhop.Want{{Queue: "default", Count: 10}}}
	exchange := func() []bellhop.Claim {
		t.Helper()
		reply, err := s.Exchange(ctx, r)
		must(t, err)
		return reply.Claims
	}
	if finder == "exchange" {
		spoil("{", bad)
		l, err := s.List(ctx, &bellhop.Query{})
		must(t, err)
		if len(l.Jobs) != 3 || !strings.Contains(l.Jobs[1].Place.Reason, "damaged") || l.Jobs[0].Place.Reason != "" {
			t.Errorf("listed %+v", l.Jobs)
		}
		found(t, exchange(), good...)
	} else {
		found(t, exchange(), jobs[0].ID, bad, jobs[2].ID)
		spoil("{", bad)
	}
	switch finder {
	case "repeat":
		found(t, exchange(), good...)
	case "beat":
		reply, err := s.Beat(ctx, beat)
		must(t, err)
		found(t, reply.Extra, good...)
	case "sweep":
		beat.Leave = true
		beat.Held = nil
		_, err := s.Beat(ctx, beat)
		must(t, err)
		claims, err := s.Sweep(ctx, 10)
		must(t, err)
		found(t, claims, good...)
	}
	snapshots, err := s.Get(ctx, []bellhop.ID{bad})
	must(t, err)
	if got := snapshots[0]; got.Place.State != bellhop.StateDead || !strings.Contains(got.Place.Reason, map[string]string{"tags": "tags", "meta": "metadata"}[column]) {
		t.Fatalf("the job is %+v", got.Place)
	}
	if finder == "sweep" {
		return // its process has left
	}
	spoil(map[string]string{"tags": `["a"]`, "meta": `{"b":"c"}`}[column], bad)
	_, err = s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActRetry, IDs: []bellhop.ID{bad}})
	must(t, err)
	r.ID = bellhop.NewID()
	claims := exchange()
	found(t, claims, bad)
	if j := claims[0].Job; len(j.Tags) != 1 || j.Meta["b"] != "c" {
		t.Errorf("once it is mended the job is %+v", j)
	}
}
