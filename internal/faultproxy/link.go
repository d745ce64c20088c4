package faultproxy

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// link is a connection through the proxy.
type link struct {
	proxy  *Proxy
	ends   [2]*net.TCPConn // by the direction that writes to it
	opened time.Time       // before then no byte passes
	gone   chan struct{}   // closed when it is cut
	once   sync.Once
	gap    bool // an answer was swallowed; only the goroutine that writes to the client uses it

	forgotten bool // nothing passes any more; by the proxy's mu
}

// chunk is what was read at once, or the end of what is said.
type chunk struct {
	data []byte
	end  bool
	at   time.Time
}

// run passes bytes on in both directions, until both have ended.
func (l *link) run() {
	var both sync.WaitGroup
	for _, d := range []Direction{ToServer, ToClient} {
		q := &queue{filled: make(chan struct{}, 1)}
		both.Go(func() { l.read(d, q) })
		both.Go(func() { l.write(d, q) })
	}
	both.Wait()
	l.hangUp()
}

// hangUp closes the link; what was sent arrives.
func (l *link) hangUp() {
	l.once.Do(func() { close(l.gone) })
	for _, end := range l.ends {
		_ = end.Close() // it may be closed already
	}
}

// reset closes the link at once; what is on its way is lost.
func (l *link) reset() {
	for _, end := range l.ends {
		_ = end.SetLinger(0) // it may be closed already
	}
	l.hangUp()
}

// read puts what is said into the queue. It reads on whatever becomes of it: on the way there is room for everything.
func (l *link) read(d Direction, q *queue) {
	from, buffer := l.ends[1-d], make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			q.put(chunk{data: bytes.Clone(buffer[:n]), at: time.Now()})
		}
		if err != nil {
			q.put(chunk{end: true, at: time.Now()})
			if err != io.EOF {
				_ = l.ends[d].SetLinger(0) // a reset is passed on as one
			}
			return
		}
	}
}

// write passes on what is in the queue, as the faults allow.
func (l *link) write(d Direction, q *queue) {
	clock := newAlarm()
	defer clock.close()
	for {
		c, ok := q.take(l.gone)
		if !ok {
			return
		}
		if !l.wait(d, c.at, clock) {
			return
		}
		data, last := l.admit(d, c.data)
		if _, err := l.ends[d].Write(data); err != nil {
			l.hangUp()
			return
		}
		switch {
		case last != nil:
			l.hangUp()
			close(last)
			return
		case c.end:
			_ = l.ends[d].CloseWrite() // it may be closed already
			return
		}
	}
}

// wait waits until what was said at a time may arrive, and reports whether it still may.
func (l *link) wait(d Direction, at time.Time, clock *alarm) bool {
	p := l.proxy
	for {
		p.mu.Lock()
		f, changed, hole := p.faults, p.changed, p.faults.hole || l.forgotten
		p.mu.Unlock()
		if hole {
			select {
			case <-changed:
				continue
			case <-l.gone:
				return false
			}
		}
		due := at
		if l.opened.After(due) {
			due = l.opened
		}
		clock.sleep(time.Until(due.Add(f.delay / 2)))
		p.mu.Lock()
		again := p.faults.hole || l.forgotten
		p.mu.Unlock()
		if !again {
			return true
		}
	}
}

// admit returns what of the data passes; if last is not nil, it is the end of the link, of which it wants to hear.
func (l *link) admit(d Direction, data []byte) (pass []byte, last chan struct{}) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &p.faults
	if d == ToClient {
		if f.swallow != nil && !l.gap && len(data) > 0 {
			l.gap = true
			select {
			case <-f.swallow:
			default:
				close(f.swallow)
			}
		}
		if l.gap {
			return nil, nil
		}
	}
	m := f.limits[d]
	if m == nil || len(data) < m.left {
		if m != nil {
			m.left -= len(data)
		}
		return data, nil
	}
	f.limits[d] = nil
	return data[:m.left], m.done
}

// queue holds what is on its way; it has room for everything.
type queue struct {
	mu     sync.Mutex
	chunks []chunk
	filled chan struct{} // has room for one
}

func (q *queue) put(c chunk) {
	q.mu.Lock()
	q.chunks = append(q.chunks, c)
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// take waits for a chunk; there is none any more once gone is closed.
func (q *queue) take(gone <-chan struct{}) (c chunk, ok bool) {
	for {
		q.mu.Lock()
		if len(q.chunks) > 0 {
			c, q.chunks = q.chunks[0], q.chunks[1:]
			q.mu.Unlock()
			return c, true
		}
		q.mu.Unlock()
		select {
		case <-q.filled:
		case <-gone:
			return chunk{}, false
		}
	}
}
