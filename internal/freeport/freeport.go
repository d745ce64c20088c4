// Package freeport reserves ports of 127.0.0.1 for the servers and proxies of tests, which start, stop and start again on one port.
//
// A port that nobody listens on is free to all: while a server is down, any client of the machine may be given its port for a
// connection. So a reserved port stays bound by a socket that never listens. A connection to it is refused as to any free port, a
// server may listen on it if it sets SO_REUSEADDR, as Go and all our servers do, and it is given to nobody else. No job passes
// through here, only the connections on which they will come.
package freeport

import (
	"fmt"
	"net"
	"strconv"
)

// Port is a reserved port. On systems other than Linux it is only one that was free.
type Port struct {
	// Number of the port.
	Number int

	release func() error
}

// Reserve reserves a free port until it is released.
func Reserve() (*Port, error) {
	number, release, err := hold()
	if err != nil {
		return nil, fmt.Errorf("freeport: no port of 127.0.0.1 can be had: %w", err)
	}
	return &Port{Number: number, release: release}, nil
}

// Addr returns the address with the port: 127.0.0.1:12345.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)) }

// Release gives the port back. Whoever listens on it may go on.
func (p *Port) Release() error { return p.release() }
