package partition_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
)

// acting is a part that does something when it is asked to act.
type acting struct {
	bellhop.Store
	before func()
}

func (s acting) Unwrap() bellhop.Store { return s.Store }

func (s acting) Act(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
	s.before()
	return s.Store.Act(ctx, r)
}

// TestFenceMovesWhileActing writes the record of a fence at the moment in which the first part is asked: no part may do anything.
func TestFenceMovesWhileActing(t *testing.T) {
	for _, key := range []string{"a", "b", "c", "d"} { // whose records live in different parts
		for _, byID := range []bool{false, true} {
			var s *partition.Store
			var once sync.Once
			write := func() {
				once.Do(func() {
					w := []bellhop.RecordWrite{{Space: "right", Key: key, Value: []byte("another's"), Expect: bellhop.ExpectAny}}
					if err := s.Put(context.WithoutCancel(t.Context()), w); err != nil {
						t.Error(err)
					}
				})
			}
			c := partition.Config{By: partition.ByQueue, Pins: map[string]string{"one": "one", "two": "two"}}
			for _, name := range []string{"one", "two"} {
				c.Parts = append(c.Parts, partition.Part{Name: name, Store: acting{memory.New(), write}})
			}
			s, err := partition.New(c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			r := &rig{T: t, ctx: t.Context(), s: s}
			jobs := r.add("one", "two")
			r.must(s.Put(r.ctx, []bellhop.RecordWrite{{Space: "right", Key: key, Value: []byte("mine"), Expect: bellhop.ExpectNone}}))
			have, err := s.Records(r.ctx, &bellhop.RecordQuery{Space: "right"})
			r.must(err)
			act := &bellhop.ActRequest{
				Action: bellhop.ActCancel, Filter: bellhop.Filter{States: bellhop.States(bellhop.StateReady)},
				Fence: &bellhop.Fence{Space: "right", Key: key, Version: have[0].Version},
			}
			if byID {
				act.IDs = jobs
			}
			if _, err := s.Act(r.ctx, act); !errors.Is(err, bellhop.ErrConflict) {
				t.Errorf("record %s, by id %t: %v; want a conflict", key, byID, err)
			}
			for _, id := range jobs {
				if got := r.state(id); got != bellhop.StateReady {
					t.Errorf("record %s, by id %t: a job is %s", key, byID, got)
				}
			}
		}
	}
}
