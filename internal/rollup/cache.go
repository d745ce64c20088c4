package rollup

import (
	"container/list"
	"sync"
	"time"
)

// cacheBytes is how much a [Reader] keeps of what it has read.
const cacheBytes = 96 << 20

// cache keeps what records held, those read last. Windows that are over change no more, but for what comes late; so what was read of
// a window is believed for a tenth of the time that had passed since its end.
type cache struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	names   map[string]string // one text for each name, however many pages have it
	order   list.List         // of *entry, those used last first
	size    int
}

// entry is what the records of one window of one shard held: one page of a merged window, one a process of a minute; none if nothing
// happened.
type entry struct {
	key   string
	pages []encodedPage
	until time.Time // by the local clock; zero for ever
	size  int
}

// get returns what is known of a window.
func (c *cache) get(key string, now time.Time) (pages []encodedPage, known bool) {
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
	return e.pages, true
}

// put notes what was read of a window that ended some time ago; one that is under way has a negative age.
func (c *cache) put(key string, pages []encodedPage, now time.Time, age time.Duration) {
	e := &entry{key: key, pages: pages, size: len(key) + 200}
	for _, p := range pages {
		e.size += len(p.body) + 16*len(p.names) + 48
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

// maxNames is how many names are kept; beyond that, those that are still in use are gathered anew.
const maxNames = 100_000

// name returns a name as text, the same for the same name.
func (c *cache) name(b []byte) string {
	if have, ok := c.names[string(b)]; ok {
		return have
	}
	if c.names == nil || len(c.names) >= maxNames {
		c.names = map[string]string{}
	}
	name := string(b)
	c.names[name] = name
	return name
}

// open reads the names of pages.
func (c *cache) open(raws [][]byte) (pages []encodedPage, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, raw := range raws {
		p, err := open(raw, c.name)
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}
