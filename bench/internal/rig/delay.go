package rig

import (
	"io"
	"net"
	"net/url"
	"sync"
	"time"
)

// Delay stands before a server and makes every round trip longer. It copies what passes after half the time, in each direction,
// without holding back what follows: a longer way, not a narrower one.
type Delay struct {
	// Address is that of the server with the proxy's host and port in place of its own.
	Address  string
	target   string
	half     time.Duration
	listener net.Listener
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// NewDelay starts a proxy before the server at an address.
func NewDelay(address string, roundTrip time.Duration) (*Delay, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &Delay{target: u.Host, half: roundTrip / 2, listener: listener, open: map[net.Conn]bool{}}
	u.Host = listener.Addr().String()
	d.Address = u.String()
	go d.accept()
	return d, nil
}

func (d *Delay) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", d.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		d.mu.Lock()
		d.open[client], d.open[server] = true, true
		d.mu.Unlock()
		go d.pass(client, server)
		go d.pass(server, client)
	}
}

type parcel struct {
	due  time.Time
	data []byte
}

// pass copies from one side to the other, each part half a round trip after it came.
func (d *Delay) pass(from, to net.Conn) {
	parcels := make(chan parcel, 1024)
	go func() {
		defer close(parcels)
		for {
			buffer := make([]byte, 64<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				parcels <- parcel{time.Now().Add(d.half), buffer[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	var failed error
	for p := range parcels {
		if failed != nil {
			continue // drained, so that the reader ends
		}
		time.Sleep(time.Until(p.due)) // this is the delay
		_, failed = to.Write(p.data)
		if failed != nil {
			d.drop(from)
		}
	}
	d.drop(to)
	d.drop(from)
}

func (d *Delay) drop(c io.Closer) {
	conn := c.(net.Conn)
	_ = conn.Close()
	d.mu.Lock()
	delete(d.open, conn)
	d.mu.Unlock()
}

// Close ends the proxy and every connection through it.
func (d *Delay) Close() {
	_ = d.listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.open {
		_ = conn.Close()
	}
}
