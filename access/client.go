package access

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Client returns the address of the client that a request is from: that of the connection, or, if that is one of the trusted
// proxies, the one that they tell. It is not valid if there is none, as with Unix sockets.
func (d *Door) Client(r *http.Request) netip.Addr {
	client := peerOf(r)
	if !within(d.Proxies, client) {
		return client
	}
	forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for forwarded != "" {
		cut := strings.LastIndexByte(forwarded, ',')
		next := parseAddr(strings.TrimSpace(forwarded[cut+1:]))
		if !next.IsValid() {
			return client // what stands further left was not written by a proxy that we trust
		}
		client = next
		if !within(d.Proxies, client) {
			return client
		}
		forwarded = forwarded[:max(cut, 0)]
	}
	return client
}

// peerOf returns the address of the other end of the connection.
func peerOf(r *http.Request) netip.Addr { return parseAddr(r.RemoteAddr) }

// parseAddr reads an address with or without a port.
func parseAddr(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

func within(networks []netip.Prefix, addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
