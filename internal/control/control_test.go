package control_test

import (
	"errors"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/control"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestOrders(t *testing.T) {
	ctx, s := t.Context(), memory.New()
	id := bellhop.NewID()
	if err := control.Drain(ctx, s, id, "anna"); !errors.Is(err, bellhop.ErrNotFound) {
		t.Errorf("a process that is not there is drained: %v", err)
	}
	for _, c := range []struct {
		queue string
		n     int
	}{{"mail", -1}, {"mail", 100_001}, {"ma il", 1}, {"", 1}} {
		if err := control.SetConcurrency(ctx, s, c.queue, c.n, "anna"); !errors.Is(err, bellhop.ErrInvalid) {
			t.Errorf("concurrency %d of %q: %v", c.n, c.queue, err)
		}
	}
	for queue, n := range map[string]int{"mail": 3, "a/b:c": 7} {
		if err := control.SetConcurrency(ctx, s, queue, n, "anna"); err != nil {
			t.Fatal(err)
		}
	}
	state, err := control.Read(ctx, s)
	if err != nil || state.Concurrency("mail") != 3 || state.Concurrency("a/b:c") != 7 || state.Concurrency("other") != 0 || state.Queues["mail"].By != "anna" {
		t.Errorf("in force is %+v, %v", state, err)
	}
	some, err := control.For(ctx, s, id, []string{"mail"})
	if err != nil || some.Concurrency("mail") != 3 || len(some.Queues) != 1 || some.Drains(id) {
		t.Errorf("for one queue it is %+v, %v", some, err)
	}
	if err := control.SetConcurrency(ctx, s, "mail", 0, "anna"); err != nil {
		t.Fatal(err)
	}
	if state, err := control.Read(ctx, s); err != nil || state.Concurrency("mail") != 0 {
		t.Errorf("after it was taken back: %+v, %v", state, err)
	}
}
