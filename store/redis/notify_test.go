package redis_test

import (
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// Another process learns which queue has become worth asking: by an enqueue, a
// promotion, a hand-back, an action, and the end of a pause.
func TestNotify(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	other := reopen(t, s)
	woken := make(chan string, 100)
	stop := other.Notify(func(queue string) { woken <- queue })
	wait(t, woken, "")
	p := process(t, s)
	steps := map[string]func(){
		"enqueue": func() { enqueue(t, s, testJobs(1)...) },
		"hand-back": func() {
			c := claim(t, s, p, 1)[0]
			if _, err := s.Exchange(t.Context(), request(p, 0, c.HandBack(""))); err != nil {
				t.Fatal(err)
			}
		},
		"pause": func() {
			claim(t, s, p, 1)
			for _, paused := range []bool{true, false} {
				if err := s.Pause(t.Context(), "default", paused); err != nil {
					t.Fatal(err)
				}
			}
		},
		"promotion": func() {
			jobs := testJobs(1)
			jobs[0].Delay = time.Minute
			enqueue(t, s, jobs...)
			advance(s, 2*time.Minute)
			if n, _, err := s.Promote(t.Context(), 10); n != 1 || err != nil {
				t.Fatalf("promoted %d, %v", n, err)
			}
		},
		"run now": func() {
			claim(t, s, p, 1)
			jobs := testJobs(1)
			jobs[0].Delay = time.Hour
			enqueue(t, s, jobs...)
			if _, err := s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActRunNow, IDs: []bellhop.ID{jobs[0].ID}}); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, name := range []string{"enqueue", "hand-back", "pause", "promotion", "run now"} {
		steps[name]()
		wait(t, woken, "default")
	}
	// A queue that has jobs already is not named again and again. Names come in the order in which they were sent.
	in := func(queue string) *bellhop.Job {
		j := testJobs(1)[0]
		j.Queue = queue
		return j
	}
	enqueue(t, s, in("first"))
	wait(t, woken, "first")
	for range 20 {
		enqueue(t, s, testJobs(1)...)
	}
	enqueue(t, s, in("last"))
	if queue := <-woken; queue != "last" {
		t.Errorf("queue %q is named, which had jobs already", queue)
	}
	stop()
	stop()
	enqueue(t, s, in("unheard"))
	again := make(chan string, 100)
	defer other.Notify(func(queue string) { again <- queue })()
	wait(t, again, "")
	if len(woken) > 0 {
		t.Error("who has stopped listening was called")
	}
}

// A listener hears of a connection that was lost and made anew.
func TestNotifyAfterRestart(t *testing.T) {
	server, s := ownServer(t)
	woken := make(chan string, 100)
	defer s.Notify(func(queue string) { woken <- queue })()
	wait(t, woken, "")
	server.Kill()
	server.Start()
	wait(t, woken, "")
	eventually(t, "the store does not come back", ping(t, s))
	enqueue(t, s, testJobs(1)...)
	wait(t, woken, "default")
}
