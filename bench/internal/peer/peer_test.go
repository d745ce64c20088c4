package peer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func TestArguments(t *testing.T) {
	for _, number := range []int{0, 7, 1 << 20} {
		data := encode(number)
		if len(data) != 48 {
			t.Errorf("%s has %d bytes, want 48", data, len(data))
		}
		if err := decode(data, func(n int) {
			if n != number {
				t.Errorf("%d came back as %d", number, n)
			}
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestLedger(t *testing.T) {
	l := NewLedger(100, 3, 3)
	for _, n := range []int{100, 101, 101} {
		l.Run(n)
	}
	select {
	case <-l.all:
		t.Fatal("all have run, though one has not")
	default:
	}
	var r drill.Reply
	l.judge(&r, 3)
	if r.Lost != 1 || r.Doubled != 1 || r.Fault != "" {
		t.Errorf("judged %+v", r)
	}
	l.Run(102)
	<-l.all
	l.Run(103)
	if l.judge(&r, 3); r.Fault == "" {
		t.Error("a job that was never enqueued ran, and nobody says so")
	}
}

// fake is a session in memory that can lose jobs or run them twice.
type fake struct {
	mu      sync.Mutex
	waiting []int
	kept    int
	lose    int // one in so many, 0 for none
	twice   bool
}

func (f *fake) Enqueue(_ context.Context, n int) error {
	return f.EnqueueBulk(context.Background(), n, 1)
}

func (f *fake) EnqueueBulk(_ context.Context, first, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range n {
		if f.lose == 0 || (first+i)%f.lose > 0 {
			f.waiting = append(f.waiting, first+i)
		}
	}
	return nil
}

func (f *fake) Work(_ context.Context, run func(int)) (func() error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.waiting {
		run(n)
		if f.twice {
			run(n)
		}
	}
	f.kept, f.waiting = len(f.waiting), nil
	return func() error { return nil }, nil
}

func (f *fake) Left(context.Context) (int, error) { return 0, nil }

func (f *fake) Check(context.Context) (int, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting), f.kept, nil
}

func (f *fake) Close() error { return nil }

// carryOut runs a child in this process and returns its last reply.
func carryOut(t *testing.T, f *fake, o drill.Order) (r drill.Reply) {
	t.Helper()
	name := fmt.Sprintf("fake-%d", len(register))
	add(Contender{Name: name, Store: "test", Title: name, Keeps: true, BulkCallers: 1, BulkSize: 10, Open: func(context.Context, drill.Order) (Session, error) { return f, nil }})
	o.Contender = name
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(OrderVariable, string(text))
	t.Setenv(StoreVariable, "test")
	var out strings.Builder
	if !Child(strings.NewReader("go\ngo\n"), &out) {
		t.Fatal("it is no child, though there is an order")
	}
	decoder := json.NewDecoder(strings.NewReader(out.String()))
	for {
		var next drill.Reply
		if err := decoder.Decode(&next); err == io.EOF {
			return r
		} else if err != nil {
			t.Fatal(err)
		}
		r = next
	}
}

func TestChildChecksDelivery(t *testing.T) {
	for _, c := range []struct {
		name  string
		fake  *fake
		order drill.Order
		want  func(drill.Reply) bool
	}{
		{"all well", &fake{}, drill.Order{Action: drill.Worker, Jobs: 25}, func(r drill.Reply) bool {
			return r.Jobs == 25 && r.Lost+r.Doubled == 0 && r.Fault == "" && r.Seconds > 0
		}},
		{"a job runs twice", &fake{twice: true}, drill.Order{Action: drill.Worker, Jobs: 25}, func(r drill.Reply) bool { return r.Doubled == 25 }},
		{"a finished job is not kept", &fake{}, drill.Order{Action: drill.Worker, Jobs: 25, Worked: 1}, func(r drill.Reply) bool { return strings.Contains(r.Fault, "keeps 25") }},
		{"an enqueue is lost", &fake{lose: 2}, drill.Order{Action: drill.Bulk, Seconds: 0.001}, func(r drill.Reply) bool { return r.Lost == r.Jobs/2 && r.Lost > 0 }},
		{"enqueues are counted", &fake{}, drill.Order{Action: drill.Enqueue, Callers: 3, Seconds: 0.001}, func(r drill.Reply) bool { return r.Jobs > 0 && r.Lost == 0 && r.Fault == "" }},
		{"an unknown action", &fake{}, drill.Order{Action: "dance"}, func(r drill.Reply) bool { return strings.Contains(r.Fault, "dance") }},
		{"what it cannot put", &fake{}, drill.Order{Action: drill.Fill, Jobs: 1, Mark: drill.Paused}, func(r drill.Reply) bool { return strings.Contains(r.Fault, "cannot put") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := carryOut(t, c.fake, c.order); !c.want(r) {
				t.Errorf("the reply is %+v", r)
			}
		})
	}
}

func TestRegister(t *testing.T) {
	for _, c := range All() {
		if c.Settings == "" && c.Store != "test" || c.Open == nil && c.Program == "" || c.BulkSize == 0 || c.BulkCallers == 0 {
			t.Errorf("%s on %s lacks something: %+v", c.Name, c.Store, c)
		}
	}
	for _, store := range []string{"sqlite", "postgres", "mysql", "redis"} {
		for _, name := range []string{"bellhop", "bellhop-drop", "minimum", "minimum-drop"} {
			if _, there := Find(store, name); !there {
				t.Errorf("%s has no %s", store, name)
			}
		}
	}
}
