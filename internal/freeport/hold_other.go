//go:build !linux

package freeport

import "net"

// hold only finds a port that is free now: elsewhere, a bound socket keeps servers out.
func hold() (number int, release func() error, err error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, nil, err
	}
	return l.Addr().(*net.TCPAddr).Port, func() error { return nil }, l.Close()
}
