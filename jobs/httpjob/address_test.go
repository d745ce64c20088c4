package httpjob

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobellhop/bellhop"
)

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "93.184.216.34": true, "172.15.255.255": true, "172.32.0.1": true, "100.63.255.255": true, "100.128.0.1": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.100.100.200": false, "127.0.0.1": false, "127.255.255.255": false,
		"168.63.129.16": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.192": false, "192.0.2.1": false,
		"192.88.99.1": false, "192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false,
		"224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,
		"2606:4700:4700::1111": true, "2a00:1450:4001::1": true, "2003::1": true,
		"::": false, "::1": false, "::8.8.8.8": false, "::ffff:127.0.0.1": false, "::ffff:8.8.8.8": false, "64:ff9b::7f00:1": false, "64:ff9b::808:808": false,
		"64:ff9b:1::1": false, "100::1": false, "2001::1": false, "2001:20::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "3fff::1": false,
		"5f00::1": false, "fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false, "2606::1%eth0": false, "fec0::1": false, "ff02::1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("public(%s) is %v", text, got)
		}
	}
	if public(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

func FuzzPublic(f *testing.F) {
	for _, text := range []string{"127.0.0.1", "::1", "8.8.8.8", "::ffff:10.0.0.1", "64:ff9b::1", "2606:4700::1", "fe80::1%lo"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, err := netip.ParseAddr(text)
		if err != nil || !public(addr) {
			return
		}
		if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() ||
			!addr.IsGlobalUnicast() || addr.Is4In6() || addr.Zone() != "" {
			t.Errorf("%s counts as public", addr)
		}
		if addr.Is4() && public(netip.AddrFrom16(addr.As16())) {
			t.Errorf("%s counts as public when it is mapped", addr)
		}
	})
}

func TestPrivateAddressIsDead(t *testing.T) {
	server := record(t, status(200))
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Config{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"} {
		o := b.do(Args{URL: "http://" + host + ":" + u.Port() + "/?token=geheim"})
		expect(t, o, bellhop.OutcomeDead, "is not public")
		if o.Failure.Class != "*httpjob.AddressError" || strings.Contains(o.Failure.Message, "geheim") {
			t.Errorf("failure %+v", o.Failure)
		}
	}
	if len(server.requests) > 0 {
		t.Errorf("the server saw %d requests", len(server.requests))
	}
}

func TestControlRefusesWhatIsNoAddress(t *testing.T) {
	var refused *AddressError
	if err := newBench(t, Config{}).sender.control("tcp", "localhost:80", nil); !errors.As(err, &refused) {
		t.Error(err)
	}
}

// A name is looked up for the connection itself, so that it is the address
// connected to that is looked at, however often the name changes its mind.
func TestRebindingNames(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // so that the next hop needs a connection of its own
		http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	b := newBench(t, Config{})
	b.sender.resolver = nameServer(t, func() [][4]byte {
		if asked.Add(1) == 1 {
			return [][4]byte{{127, 0, 0, 1}}
		}
		return [][4]byte{{127, 0, 0, 2}}
	})
	b.sender.permitted = func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }
	expect(t, b.do(Args{URL: "http://shop.example:" + u.Port()}), bellhop.OutcomeDead, "/again failed", "127.0.0.2 is not public")
	if _, _, n := server.last(t); n != 1 || asked.Load() != 2 {
		t.Errorf("%d requests, %d look-ups", n, asked.Load())
	}

	strict := newBench(t, Config{})
	strict.sender.resolver = nameServer(t, func() [][4]byte { return [][4]byte{{127, 0, 0, 1}} })
	expect(t, strict.do(Args{URL: "http://shop.example:" + u.Port()}), bellhop.OutcomeDead, "127.0.0.1 is not public")
	if _, _, n := server.last(t); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// A name is dead only if all its addresses are refused: another may only be away for the moment.
func TestNamesWithSeveralAddresses(t *testing.T) {
	server := record(t, status(200))
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	here, away, inner := [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 3}
	for _, c := range []struct {
		name      string
		addresses [][4]byte
		want      bellhop.OutcomeKind
		part      string
	}{
		{"refused, and away", [][4]byte{inner, away}, bellhop.OutcomeRetry, "connection refused"},
		{"away, and refused", [][4]byte{away, inner}, bellhop.OutcomeRetry, "connection refused"},
		{"refused, away, refused", [][4]byte{inner, away, inner}, bellhop.OutcomeRetry, "connection refused"},
		{"refused, and there", [][4]byte{inner, here}, bellhop.OutcomeSucceeded, ""},
		{"all refused", [][4]byte{inner, inner}, bellhop.OutcomeDead, "127.0.0.3 is not public"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{})
			b.sender.resolver = nameServer(t, func() [][4]byte { return c.addresses })
			b.sender.permitted = func(a netip.Addr) bool { return a != netip.AddrFrom4(inner) }
			expect(t, b.do(Args{URL: "http://shop.example:" + u.Port()}), c.want, c.part)
		})
	}
}

// nameServer returns a resolver that asks a name server which says addresses() for
// every name, and that there is no IPv6 address.
func nameServer(t *testing.T, addresses func() [][4]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n], addresses); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// dnsReply answers the one question of a query (RFC 1035, section 4).
func dnsReply(query []byte, addresses func() [][4]byte) []byte {
	end := 12
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	reply := append([]byte{}, query[:end]...)
	copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // an answer, one question, nothing else yet
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {            // not a question for an A record
		return reply
	}
	for _, ip := range addresses() {
		reply[7]++
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name again, A, IN, TTL 0
		reply = append(reply, ip[:]...)
	}
	return reply
}
