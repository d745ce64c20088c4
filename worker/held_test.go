package worker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
)

// chain is a worker's slots without the worker: what it starts, as goroutines would. See Worker.work.
type chain struct {
	held
	running []*attempt
	settled []*attempt // whose outcomes wait for an exchange
	n       int
}

// start is Worker.startNext: each goroutine starts the next one, before all else.
func (c *chain) start() {
	for a := c.startable(); a != nil; a = c.startable() {
		c.running = append(c.running, a)
	}
}

func (c *chain) claim(q *queue, suspect bool) {
	c.n++
	a := &attempt{queue: q}
	a.claim.Token = bellhop.Token{JobID: bellhop.IDFromKey("chain", fmt.Sprint(c.n)), Number: 1}
	a.claim.Place.Suspect = suspect
	c.add(a)
}

// end is Worker.ended: one goroutine goes on with what starts in place of a, and begins another.
func (c *chain) end(a *attempt, told bool) {
	c.running = slices.DeleteFunc(c.running, func(o *attempt) bool { return o == a })
	if a.told = told; !told {
		c.settled = append(c.settled, a)
	}
	next, other := c.release(a, time.Millisecond)
	if next != nil {
		c.running = append(c.running, next)
	}
	if other != nil {
		c.running = append(c.running, other)
		c.start()
	}
}

// left returns the queue of an attempt that could start and that nobody starts.
func (c *chain) left() *queue {
	for _, q := range c.order {
		waits := len(q.buffer) > 0 || len(q.suspects) > 0 && c.suspect == nil
		if waits && q.running < q.limit && c.held.running < c.slots {
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
		c := &chain{held: newHeld(config, time.Now())}
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
					c.claim(c.order[rapid.IntRange(0, 2).Draw(t, "queue")], rapid.IntRange(0, 4).Draw(t, "suspect") == 0)
				}
				c.start()
			},
			"end": func(t *rapid.T) { c.end(any(t, c.running), rapid.IntRange(0, 3).Draw(t, "told") == 0) },
			"settle": func(t *rapid.T) {
				a := any(t, c.settled)
				c.settled = slices.DeleteFunc(c.settled, func(o *attempt) bool { return o == a })
				if a == c.suspect {
					c.suspect = nil
				}
				c.start()
			},
			"resize": func(t *rapid.T) {
				c.resize(c.order[rapid.IntRange(0, 2).Draw(t, "queue")], rapid.IntRange(1, 6).Draw(t, "limit"))
				c.start()
			},
			"take back": func(t *rapid.T) { c.takeUnstarted(c.order[rapid.IntRange(0, 2).Draw(t, "queue")], nil) },
			"": func(t *rapid.T) {
				if q := c.left(); q != nil {
					t.Fatalf("an attempt of queue %s could start: %d of %d of the queue run, %d of %d in all", q.name, q.running, q.limit, c.held.running, c.slots)
				}
				suspects := 0
				for _, q := range c.order {
					if q.running > q.limit && q.running > allowed[q] {
						t.Fatalf("%d of queue %s run, want %d at most", q.running, q.name, q.limit)
					}
					allowed[q] = q.running
				}
				for _, a := range c.running {
					if a.claim.Place.Suspect {
						suspects++
					}
				}
				if suspects > 1 || c.held.running != len(c.running) {
					t.Fatalf("%d suspects run, and %d of %d attempts are counted", suspects, c.held.running, len(c.running))
				}
			},
		})
	})
}
