package demo

import (
	"sync"
	"time"
)

// Counts is what one outside service has seen since it started or since [World.Reset].
type Counts struct {
	// Calls is the number of calls (for mail: messages) that reached the service, whatever became of them. While the service is
	// down nothing reaches it.
	Calls int `json:"calls"`
	// Effects is the number of things really done: cards charged, mails delivered, members added.
	Effects int `json:"effects"`
	// Duplicates is the number of effects beyond the first for the same order or member. A double charge is one.
	Duplicates int `json:"duplicates"`
	// Replays is the number of calls answered with the first result of their Idempotency-Key; nothing was done again.
	Replays int `json:"replays"`
	// Refused is the number of calls turned away: the service was failing, or the call was malformed.
	Refused int `json:"refused"`
	// Cut is the number of calls whose caller got no answer, since the connection ended first. The effect of such a call may or
	// may not have been done.
	Cut int `json:"cut"`
	// Messages is the number of different Message-IDs among the mails delivered; zero for the HTTP services. Where it is less
	// than Effects, the very same message was delivered more than once.
	Messages int `json:"messages"`
}

// receipt is the first answer to an idempotency key.
type receipt struct {
	call   call
	number int
}

// book is a service's record of what happened to it. It is kept outside the shop, so that what it says does not depend on what
// the shop believes.
type book struct {
	mu       sync.Mutex
	counts   Counts
	effects  map[string][]time.Time
	receipts map[string]receipt
	messages map[string]bool
}

func newBook() *book {
	b := &book{}
	b.reset()
	return b
}

func (b *book) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts = Counts{}
	b.effects = make(map[string][]time.Time)
	b.receipts = make(map[string]receipt)
	b.messages = make(map[string]bool)
}

// note changes the counts under the lock.
func (b *book) note(change func(*Counts)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.counts)
}

// done records one effect for an id and returns its number, from 1. The caller holds the lock.
func (b *book) done(id string) int {
	b.counts.Effects++
	if len(b.effects[id]) > 0 {
		b.counts.Duplicates++
	}
	b.effects[id] = append(b.effects[id], time.Now())
	return b.counts.Effects
}

// effect records one effect for an id.
func (b *book) effect(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done(id)
}

// mail records one delivered mail.
func (b *book) mail(id, messageID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done(id)
	if messageID != "" && !b.messages[messageID] {
		b.messages[messageID] = true
		b.counts.Messages++
	}
}

// charge records a charge, or finds the first result of its key, which may belong to another content.
func (b *book) charge(c call) (r receipt, replayed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, known := b.receipts[c.key]; known && c.key != "" {
		return r, true
	}
	r = receipt{call: c, number: b.done(c.id)}
	if c.key != "" {
		b.receipts[c.key] = r
	}
	return r, false
}

// known returns the first result of a key, if there is one.
func (b *book) known(key string) (receipt, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.receipts[key]
	return r, ok && key != ""
}

func (b *book) snapshot() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}

// times returns a copy of when each id had its effects.
func (b *book) times() map[string][]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string][]time.Time, len(b.effects))
	for id, at := range b.effects {
		all[id] = append([]time.Time(nil), at...)
	}
	return all
}
