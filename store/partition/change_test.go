package partition_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
)

// When the parts are changed, jobs that wait where they no longer belong are worked
// off there, beside new ones where they belong now.
func TestChangingTheParts(t *testing.T) {
	stores := map[string]*memory.Store{"a": memory.New(), "b": memory.New()}
	with := func(part string) *partition.Store {
		t.Helper()
		s, err := partition.New(partition.Config{By: partition.ByQueue, Pins: map[string]string{"*": part}, Parts: []partition.Part{
			{Name: "a", Store: stores["a"]}, {Name: "b", Store: stores["b"]},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	enqueue := func(s *partition.Store, n int) (ids []bellhop.ID) {
		t.Helper()
		for range n {
			j := &bellhop.Job{ID: bellhop.NewID(), Kind: kind, Queue: "one", Args: []byte(`{}`), Attempts: 1}
			if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}}); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, j.ID)
		}
		return ids
	}
	before, after := with("a"), with("b")
	want := slices.Concat(enqueue(before, 5), enqueue(after, 5))
	defer after.Close() // and with it the parts

	findings, err := after.Diagnose(ctx)
	if err != nil || !slices.ContainsFunc(findings, func(f bellhop.Finding) bool { return f.Subject == "a: queue one" && f.Level == "warning" }) {
		t.Errorf("no finding names the jobs that are misplaced: %+v, %v", findings, err)
	}
	p := bellhop.NewID()
	if _, err := after.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var got []bellhop.ID
	claim := func() {
		t.Helper()
		reply, err := after.Exchange(ctx, request(p, 4))
		if err != nil {
			t.Fatal(err)
		}
		if len(reply.Claims) > 4 {
			t.Fatalf("an exchange for 4 claims made %d", len(reply.Claims))
		}
		for _, c := range reply.Claims {
			got = append(got, c.Token.JobID)
		}
	}
	for range 3 {
		claim()
	}
	if len(got) != 5 {
		t.Errorf("claimed %d jobs before the parts were looked through; want the 5 of part b", len(got))
	}
	if _, err := after.Sweep(ctx, 10); err != nil { // a worker sweeps every few seconds
		t.Fatal(err)
	}
	for range 5 {
		claim()
	}
	slices.SortFunc(got, bellhop.ID.Compare)
	slices.SortFunc(want, bellhop.ID.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("claimed %d jobs; want each of the %d once", len(got), len(want))
	}
}
