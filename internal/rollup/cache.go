package rollup

import (
	"container/list"
	"sync"
	"time"
)

// cacheBytes is how much a [Reader] keeps of what it has read.
const cacheBytes = 64 << 20

// cache keeps what records held, those read last. Windows that are over change no more, but for what comes late; so what was read of
// a window is believed for a tenth of the time that had passed since its end.
type cache struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	order   list.List // of *entry, those used last first
	size    int
}

// entry is what the records of one window of one shard held: one of a merged window, one a process of a minute; none if nothing happened.
type entry struct {
	key   string
	raws  [][]byte
	until time.Time // by the local clock; zero for ever
	size  int
}

// get returns what is known of a window.
func (c *cache) get(key string, now time.Time) (raws [][]byte, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.entries[key]
	if at == nil {
		return nil, false
	}
	e := at.Value.(*entry)
	if !e.until.IsZero() && now.After(e.until) {
		return nil, false
	}
	c.order.MoveToFront(at)
	return e.raws, true
}

// put notes what was read of a window that ended some time ago; one that is under way has a negative age.
func (c *cache) put(key string, raws [][]byte, now time.Time, age time.Duration) {
	e := &entry{key: key, raws: raws, size: len(key) + 200}
	for _, raw := range raws {
		e.size += len(raw) + 24
	}
	if age < levels[0].keep+lateGrace {
		e.until = now.Add(min(max(age/10, time.Second), 5*time.Minute))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string]*list.Element{}
	}
	if at := c.entries[key]; at != nil {
		c.size -= at.Value.(*entry).size
		c.order.Remove(at)
	}
	c.entries[key] = c.order.PushFront(e)
	for c.size += e.size; c.size > cacheBytes && c.order.Len() > 1; {
		last := c.order.Back()
		c.size -= last.Value.(*entry).size
		delete(c.entries, last.Value.(*entry).key)
		c.order.Remove(last)
	}
}
