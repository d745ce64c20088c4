package worker

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
)

// TestOutboxLosesNothing: whatever calls take, bring back and leave unsettled, each outcome is in one place,
// with its sender, the oldest parcel goes first, no call carries too many, and what a call carries that may still be read stays as it was.
func TestOutboxLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b outbox
		var out []*call          // under way
		was := map[*call][]int{} // what each call carried at first, also when it has been taken back
		now := time.Now()
		n, settled := 0, map[int]bool{}
		pick := func(t *rapid.T) *call {
			if len(out) == 0 {
				t.Skip("no call is under way")
			}
			i := rapid.IntRange(0, len(out)-1).Draw(t, "call")
			c := out[i]
			out = slices.Delete(out, i, i+1)
			return c
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 7, 300, maxClaims}).Draw(t, "n") {
					n++
					a := &attempt{}
					a.claim.Place.Attempt = n
					b.add(sender{attempt: a}, bellhop.Outcome{Attempt: n})
				}
			},
			"call": func(*rapid.T) {
				c := &call{tries: 1}
				first := 0
				if b.len() > 0 {
					first = b.parcels[0].outcomes[0].Attempt
				}
				b.fill(c)
				if len(c.senders) > maxClaims || first > 0 && (len(c.senders) == 0 || c.request.Outcomes[0].Attempt != first) {
					t.Fatalf("a call carries %d outcomes, beginning with %v instead of %d", len(c.senders), c.request.Outcomes, first)
				}
				out = append(out, c)
				was[c] = attempts(c.request.Outcomes)
			},
			"take back": func(t *rapid.T) { b.unfill(pick(t)) },
			"try again": func(t *rapid.T) {
				c := pick(t)
				c.tries++
				out = append(out, c)
			},
			"answer": func(t *rapid.T) {
				c := pick(t)
				var unsettled []int
				for i := range c.senders {
					if rapid.IntRange(0, 30).Draw(t, "unsettled") == 0 {
						unsettled = append(unsettled, i)
					}
					if i > 20 {
						break
					}
				}
				left := b.postpone(c, unsettled, now)
				for i := range c.senders {
					if !left[i] {
						settled[c.request.Outcomes[i].Attempt] = true
					}
				}
				b.recycle(c)
				delete(was, c)
			},
			"resume": func(*rapid.T) {
				now = now.Add(unsettledPause)
				b.resume(now)
			},
			"": func(t *rapid.T) {
				seen, waiting := map[int]bool{}, 0
				look := func(p parcel) {
					for i, o := range p.outcomes {
						if seen[o.Attempt] || settled[o.Attempt] || p.senders[i].attempt.claim.Place.Attempt != o.Attempt {
							t.Fatalf("outcome %d is there twice, or with the sender of another", o.Attempt)
						}
						seen[o.Attempt] = true
					}
				}
				for _, p := range b.parcels {
					look(p)
					if waiting += len(p.outcomes); len(p.outcomes) == 0 || len(p.outcomes) > maxClaims {
						t.Fatalf("a parcel has %d outcomes", len(p.outcomes))
					}
				}
				look(b.later)
				for _, c := range out {
					look(parcel{c.request.Outcomes, c.senders})
				}
				if waiting != b.len() || len(seen)+len(settled) != n || len(b.spare) > maxSpare {
					t.Fatalf("%d wait, and %d are counted; of %d outcomes %d are there and %d settled; %d parcels to spare", waiting, b.len(), n, len(seen), len(settled), len(b.spare))
				}
				for c, want := range was {
					if !slices.Equal(attempts(c.request.Outcomes), want) {
						t.Fatalf("what a call carries has changed under way")
					}
				}
			},
		})
	})
}

func attempts(outcomes []bellhop.Outcome) []int {
	list := make([]int, len(outcomes))
	for i := range outcomes {
		list[i] = outcomes[i].Attempt
	}
	return list
}
