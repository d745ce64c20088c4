package httpjob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// AddressError says that a call was to go to an address that is not public,
// and that its host has no other. Such a job is dead.
type AddressError struct {
	// Addr is the address that the host's name was resolved to.
	Addr netip.Addr
	text string // with the call that it was; empty where that is not known yet
}

// Error returns one line.
func (e *AddressError) Error() string {
	if e.text != "" {
		return e.text
	}
	return fmt.Sprintf("the address %s is not public, and calls to such addresses are not allowed here", e.Addr)
}

// refused4 are the IPv4 networks that are not public (IANA's registry of
// special-purpose addresses, and those above it).
var refused4 = prefixes(
	"0.0.0.0/8",        // this network, unspecified
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // shared by carriers (CGNAT)
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // a public number, but inside Azure the machine's own host
	"169.254.0.0/16",   // link-local, cloud metadata
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments, a cloud's metadata
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
)

// public6 is where public IPv6 addresses are. Outside it lie loopback,
// link-local, unique local and multicast addresses, those mapped from IPv4, and
// NAT64, which leads to IPv4 addresses that nobody has looked at.
var public6 = netip.MustParsePrefix("2000::/3")

// refused6 are the networks within public6 that are not public.
var refused6 = prefixes(
	"2001::/23",     // protocol assignments: Teredo, benchmarks, ORCHID
	"2001:db8::/32", // documentation
	"2002::/16",     // 6to4, which leads to IPv4 addresses
	"3fff::/20",     // documentation
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// public reports whether addr is an address of the public internet. It is
// false for loopback, private, link-local, shared (CGNAT), multicast,
// unspecified, reserved and documentation addresses, for IPv6 addresses that
// stand for IPv4 ones (mapped, NAT64, 6to4, Teredo), and for the zero Addr.
func public(addr netip.Addr) bool {
	refused := refused6
	switch {
	case addr.Is4():
		refused = refused4
	case addr.Zone() != "" || !public6.Contains(addr):
		return false
	}
	for _, p := range refused {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}

// dial connects. The address is looked at when the name has been resolved and
// each socket is about to connect, so that a name cannot show one address to a
// check and another to the connection.
func (s *sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var public atomic.Pointer[string] // the first address that was not refused; a dialer tries several at once
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: s.resolver}
	d.Control = func(network, address string, c syscall.RawConn) error {
		err := s.control(network, address, c)
		if err == nil {
			public.CompareAndSwap(nil, &address)
		}
		return err
	}
	conn, err := d.DialContext(ctx, network, address)
	var refused *AddressError
	if other := public.Load(); other != nil && errors.As(err, &refused) {
		// Of a name with several addresses a dialer tells the first error. Where it is a refusal and another address is
		// public, what befell that one counts: it may be there again later.
		return d.DialContext(ctx, network, *other)
	}
	return conn, err
}

// control is called with the numeric address of a socket before it connects.
func (s *sender) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &AddressError{}
	}
	if !s.permitted(to.Addr()) {
		return &AddressError{Addr: to.Addr()}
	}
	return nil
}
