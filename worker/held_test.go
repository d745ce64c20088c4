package worker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
)

// model is a worker's slots without the worker: what it starts, as goroutines would.
type model struct {
	held
	running []*attempt
	settled []*attempt // whose outcomes wait for an exchange
	n       int
}

func (m *model) start() { m.running = append(m.running, m.startable()...) }

func (m *model) claim(q *queue, suspect bool) {
	m.n++
	a := &attempt{queue: q}
	a.claim.Token = bellhop.Token{JobID: bellhop.IDFromKey("model", fmt.Sprint(m.n)), Number: 1}
	a.claim.Place.Suspect = suspect
	m.add(a)
}

// end is Worker.ended: what can start for a goes on in its place.
func (m *model) end(a *attempt, told bool) {
	m.running = slices.DeleteFunc(m.running, func(o *attempt) bool { return o == a })
	if a.told = told; !told {
		m.settled = append(m.settled, a)
	}
	next, more := m.release(a, time.Millisecond)
	if next != nil {
		m.running = append(m.running, next)
	}
	m.running = append(m.running, more...)
}

// left returns the queue of an attempt that could start and that nobody starts.
func (m *model) left() *queue {
	for _, q := range m.order {
		waits := len(q.buffer) > 0 || len(q.suspects) > 0 && m.suspect == nil
		if waits && q.running < q.limit && m.held.running < m.slots {
			return q
		}
	}
	return nil
}

// TestNothingIsLeftToStart: whatever comes, ends and is made smaller or larger, no attempt
// waits that has a slot, and no queue has more than it may.
func TestNothingIsLeftToStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		queues := Queues{"a": rapid.IntRange(1, 5).Draw(t, "a"), "b": rapid.IntRange(1, 5).Draw(t, "b"), "c": 2}
		config := Config{Queues: queues, Slots: rapid.SampledFrom([]int{0, 1, 3, 20}).Draw(t, "slots")}
		if rapid.Bool().Draw(t, "strict") {
			config.Strict = []string{"b"}
		}
		m := &model{held: newHeld(config, time.Now())}
		any := func(t *rapid.T, list []*attempt) *attempt {
			if len(list) == 0 {
				t.Skip("there is none")
			}
			return list[rapid.IntRange(0, len(list)-1).Draw(t, "which")]
		}
		allowed := map[*queue]int{} // by a limit that was larger
		t.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "n") {
					m.claim(m.order[rapid.IntRange(0, 2).Draw(t, "queue")], rapid.IntRange(0, 4).Draw(t, "suspect") == 0)
				}
				m.start()
			},
			"end": func(t *rapid.T) { m.end(any(t, m.running), rapid.IntRange(0, 3).Draw(t, "told") == 0) },
			"settle": func(t *rapid.T) {
				a := any(t, m.settled)
				m.settled = slices.DeleteFunc(m.settled, func(o *attempt) bool { return o == a })
				if a == m.suspect {
					m.suspect = nil
				}
				m.start()
			},
			"resize": func(t *rapid.T) {
				m.resize(m.order[rapid.IntRange(0, 2).Draw(t, "queue")], rapid.IntRange(1, 6).Draw(t, "limit"))
				m.start()
			},
			"take back": func(t *rapid.T) { m.takeUnstarted(m.order[rapid.IntRange(0, 2).Draw(t, "queue")], nil) },
			"": func(t *rapid.T) {
				if q := m.left(); q != nil {
					t.Fatalf("an attempt of queue %s could start: %d of %d of the queue run, %d of %d in all", q.name, q.running, q.limit, m.held.running, m.slots)
				}
				suspects := 0
				for _, q := range m.order {
					if q.running > q.limit && q.running > allowed[q] {
						t.Fatalf("%d of queue %s run, want %d at most", q.running, q.name, q.limit)
					}
					allowed[q] = q.running
				}
				for _, a := range m.running {
					if a.claim.Place.Suspect {
						suspects++
					}
				}
				if suspects > 1 || m.held.running != len(m.running) {
					t.Fatalf("%d suspects run, and %d of %d attempts are counted", suspects, m.held.running, len(m.running))
				}
			},
		})
	})
}
