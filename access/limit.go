package access

import (
	"net/netip"
	"sync"
	"time"
)

// tableSize is how many entries a table holds at least, of those used last. It holds no more than twice as many.
const tableSize = 4096

// table is a bounded map. When the younger half is full the older one, with what has not been used since, is forgotten: strangers
// who come from ever new addresses cannot make it grow.
type table[K comparable, V any] struct {
	mu         sync.Mutex
	young, old map[K]V
}

func (t *table[K, V]) get(k K) (V, bool) {
	v, ok := t.young[k]
	if !ok {
		if v, ok = t.old[k]; ok {
			t.put(k, v)
		}
	}
	return v, ok
}

func (t *table[K, V]) put(k K, v V) {
	if _, there := t.young[k]; !there && len(t.young) >= tableSize || t.young == nil {
		t.young, t.old = make(map[K]V), t.young
	}
	t.young[k] = v
}

func (t *table[K, V]) has(k K) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.get(k)
	return ok
}

func (t *table[K, V]) set(k K, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(k, v)
}

func (t *table[K, V]) remove(k K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.young, k)
	delete(t.old, k)
}

// buckets limit what each client does: burst at once, and rate a second on average.
type buckets struct {
	rate, burst float64
	table[netip.Prefix, bucket]
}

// bucket is what a client had left at a moment. It fills up with time. It may be below zero, if many were under way at once.
type bucket struct {
	left float64
	at   time.Time
}

func newBuckets(rate, burst float64) *buckets { return &buckets{rate: rate, burst: burst} }

// clientKey is what counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that a single subscriber gets.
func clientKey(addr netip.Addr) netip.Prefix {
	if addr.Is6() {
		p, _ := addr.Prefix(64) // fails only for lengths that are out of range
		return p
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

// level returns what a client has left now.
func (b *buckets) level(key netip.Prefix, now time.Time) float64 {
	had, known := b.get(key)
	if !known {
		return b.burst
	}
	return min(b.burst, had.left+max(0, now.Sub(had.at).Seconds())*b.rate)
}

// until returns how long it takes from a level until there is one whole.
func (b *buckets) until(level float64) time.Duration {
	if level >= 1 {
		return 0
	}
	return max(time.Duration((1-level)/b.rate*float64(time.Second)), 1)
}

// wait returns how long a client must wait; 0 if it need not.
func (b *buckets) wait(addr netip.Addr, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.until(b.level(clientKey(addr), now))
}

// take takes one, or returns how long to wait for it.
func (b *buckets) take(addr netip.Addr, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := clientKey(addr)
	level := b.level(key, now)
	if wait := b.until(level); wait > 0 {
		return wait
	}
	b.put(key, bucket{level - 1, now})
	return 0
}

// charge takes one, also if there is none left, down to ten times the burst.
func (b *buckets) charge(addr netip.Addr, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := clientKey(addr)
	b.put(key, bucket{max(b.level(key, now)-1, -10*b.burst), now})
}
