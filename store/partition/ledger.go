package partition

import (
	"sync"

	"github.com/gobellhop/bellhop"
)

// ledger remembers in which part a claim is held, from its making to its end, so
// that an outcome goes to that part alone. It may forget: then all parts are asked,
// and those that do not know the claim refuse it. So it is bounded: it keeps two
// generations, and the older one goes when the younger is full.
type ledger struct {
	mu           sync.Mutex
	young, older map[bellhop.Token]int
}

const generation = 50_000

func (l *ledger) add(claims []bellhop.Claim, part int) {
	if len(claims) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.young == nil || len(l.young) >= generation {
		l.young, l.older = make(map[bellhop.Token]int, len(claims)), l.young
	}
	for i := range claims {
		l.young[claims[i].Token] = part
	}
}

// find returns the part that holds a claim, if that is known.
func (l *ledger) find(t bellhop.Token) (part int, ok bool) {
	if part, ok = l.young[t]; !ok {
		part, ok = l.older[t]
	}
	return part, ok
}

func (l *ledger) remove(t bellhop.Token) {
	delete(l.young, t)
	delete(l.older, t)
}

// deal says which items of a request go to which part, by their places: each to
// the part that holds its claim, or to all parts if that is not known.
func (s *Store) deal(n int, token func(i int) bellhop.Token) [][]int {
	dealt := make([][]int, len(s.parts))
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for i := range n {
		if p, ok := s.ledger.find(token(i)); ok {
			dealt[p] = append(dealt[p], i)
			continue
		}
		for p := range dealt {
			dealt[p] = append(dealt[p], i)
		}
	}
	return dealt
}

// pick returns the items at the given places, always as a copy: a call to a part may
// go on when the caller waits no longer and uses the memory of items again.
func pick[T any](items []T, places []int) []T {
	picked := make([]T, len(places))
	for i, at := range places {
		picked[i] = items[at]
	}
	return picked
}

// verdicts gathers what the parts say about the items of one request.
type verdicts []verdict

type verdict uint8

const (
	unasked   verdict = iota // no part was asked about it
	unknown                  // the parts that answered know nothing of it
	unsettled                // a part that may know it has not answered
	recorded                 // a part refused it, and holds another outcome
	applied                  // a part applied it
)

// raise sets a verdict if it says more than what was known.
func (v verdicts) raise(at int, to verdict) { v[at] = max(v[at], to) }

// hear takes in what a part said about the items at the given places, and notes in
// known the refusals by item. left are those that it has left unsettled.
func (v verdicts) hear(places []int, refused []bellhop.Refusal, left []int, known map[int]bellhop.Refusal) {
	no := make(map[int]bool, len(refused)+len(left))
	for _, i := range left {
		no[places[i]] = true
		v.raise(places[i], unsettled)
	}
	for _, r := range refused {
		r.Index = places[r.Index]
		no[r.Index] = true
		if r.Recorded != 0 {
			v.raise(r.Index, recorded)
		} else {
			v.raise(r.Index, unknown)
		}
		if old, ok := known[r.Index]; !ok || old.Recorded == 0 {
			known[r.Index] = r
		}
	}
	for _, at := range places {
		if !no[at] {
			v.raise(at, applied)
		}
	}
}

// miss notes that a part has not answered about the items at the given places.
func (v verdicts) miss(places []int) {
	for _, at := range places {
		v.raise(at, unsettled)
	}
}

// split returns the refusals and the items that are unsettled, in their order.
func (v verdicts) split(known map[int]bellhop.Refusal) (refused []bellhop.Refusal, open []int) {
	for at, verdict := range v {
		switch verdict {
		case unknown, recorded:
			refused = append(refused, known[at])
		case unasked, unsettled:
			open = append(open, at)
		}
	}
	return refused, open
}

// settle forgets the claims that have come to an end.
func (s *Store) settle(outcomes []bellhop.Outcome, v verdicts) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for i, verdict := range v {
		if verdict != unasked && verdict != unsettled {
			s.ledger.remove(outcomes[i].Token)
		}
	}
}
