package access

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Defaults of a [Door]'s limits.
const (
	DefaultRate   = 1000 // requests a second
	DefaultLogins = 10   // failed logins a minute
)

// Door decides who comes in. Its zero value lets nobody in. It may be shared by several handlers, and then counts their requests
// together; it must not be copied or changed once it is in use.
type Door struct {
	// Authorize finds out whose a request is. Default nil: nobody comes in.
	Authorize Authorize
	// Hosts are the names or addresses, without a port, that requests may give as their host, besides localhost and loopback
	// addresses, which are always allowed. "*" allows any: that is safe only if Authorize wants a password or a token, since
	// otherwise any web page can reach the server by a name of its own (DNS rebinding). Default: none.
	Hosts []string
	// ReadOnly caps every role at [Read]. Default false.
	ReadOnly bool
	// Proxies are the networks of the proxies in front. Of a request that comes from one of them, the client is the last
	// address in X-Forwarded-For that is not in one of them. Default: none; the header means nothing.
	Proxies []netip.Prefix
	// Rate is how many requests a second one client may make on average, and twice as many at once. Clients on this machine are
	// not limited. Default 0: [DefaultRate]. Negative: no limit.
	Rate int
	// Logins is how many wrong passwords or tokens a client may show in a minute on average, and at once. A client that has
	// shown too many is not asked again until a part of the minute is over; one that has shown the right one before comes in
	// all the same. Default 0: [DefaultLogins]. Negative: no limit.
	Logins int

	once    sync.Once
	hosts   map[string]bool
	anyHost bool
	origins *http.CrossOriginProtection
	now     func() time.Time
	asked   *buckets // requests by client
	failed  *buckets // failed logins by client
	known   table[secret, struct{}]
	key     [sha256.Size]byte // of the hashes in known
}

// SettingError says that a setting of a [Door] is not usable.
type SettingError struct {
	// Setting is the field's name: "Hosts".
	Setting string
	// Reason says what is wrong with it and what to do.
	Reason string
}

// Error returns one line.
func (e *SettingError) Error() string { return "access: Door." + e.Setting + ": " + e.Reason }

// Check returns an error that joins a [*SettingError] for every setting that is not usable; nil if all are.
func (d *Door) Check() error {
	var errs []error
	for _, host := range d.Hosts {
		_, err := netip.ParseAddr(host)
		if host == "" || host != "*" && err != nil && strings.ContainsAny(host, "/:*@ ") {
			errs = append(errs, &SettingError{"Hosts", fmt.Sprintf(`%q is not usable: want a name or an address without a port, or "*"`, host)})
		}
	}
	for _, network := range d.Proxies {
		if !network.IsValid() {
			errs = append(errs, &SettingError{"Proxies", "one of the networks is not valid: want networks such as 10.0.0.0/8"})
		}
	}
	return errors.Join(errs...)
}

func (d *Door) prepare() {
	d.hosts, d.origins = map[string]bool{}, http.NewCrossOriginProtection()
	for _, host := range d.Hosts {
		d.hosts[plainHost(host)] = true
	}
	d.anyHost = slices.Contains(d.Hosts, "*")
	if d.now == nil {
		d.now = time.Now
	}
	if rate := float64(cmp.Or(d.Rate, DefaultRate)); rate > 0 {
		d.asked = newBuckets(rate, 2*rate)
	}
	if logins := float64(cmp.Or(d.Logins, DefaultLogins)); logins > 0 {
		d.failed = newBuckets(logins/60, logins)
	}
	_, _ = rand.Read(d.key[:]) // never fails
}

// Admit returns who a request is from, or why it may not come in. The viewer is a copy of what Authorize has returned, with
// the client's address, and capped if the door is read-only. It does not yet mean that he may do what he asks for.
func (d *Door) Admit(r *http.Request) (*Viewer, *Refusal) {
	d.once.Do(d.prepare)
	if !d.answersFor(r.Host) {
		return nil, refuse(WrongHost, "the host %.100q is not one that this server answers for: add it to the allowed hosts", r.Host)
	}
	if d.origins.Check(r) != nil || pulledIn(r) {
		return nil, refuse(CrossOrigin, "the request comes from a page of another origin")
	}
	client := d.Client(r)
	if wait := d.tooOften(client); wait > 0 {
		refusal := refuse(TooManyRequests, "too many requests from this address: go on more slowly")
		refusal.RetryAfter = wait
		return nil, refusal
	}
	if d.Authorize == nil {
		return nil, refuse(Stranger, "nobody may come in, because the program has not said who may: set Authorize")
	}
	v, refusal := d.recognise(r, client)
	if refusal != nil {
		return nil, refusal
	}
	in := *v
	in.Remote, in.readOnly = "", d.ReadOnly
	if client.IsValid() {
		in.Remote = client.String()
	}
	if in.Any() == None {
		refusal := refuse(Forbidden, "this account has no role on any queue")
		refusal.Who = in.Name
		return nil, refusal
	}
	return &in, nil
}

// tooOften counts a request, and returns how long its client is to wait if there were too many.
func (d *Door) tooOften(client netip.Addr) time.Duration {
	if d.asked == nil || !client.IsValid() || client.IsLoopback() { // without an address it came by a Unix socket
		return 0
	}
	return d.asked.take(client, d.now())
}

// recognise asks Authorize, unless the client has failed too often.
func (d *Door) recognise(r *http.Request, client netip.Addr) (*Viewer, *Refusal) {
	credentials := r.Header.Values("Authorization")
	counted := d.failed != nil && len(credentials) > 0
	var mark secret
	if counted {
		mark = d.mark(credentials)
		if wait := d.failed.wait(client, d.now()); wait > 0 && !d.known.has(mark) {
			refusal := refuse(TooManyLogins, "too many wrong passwords or tokens from this address: wait before the next try")
			refusal.RetryAfter = wait
			return nil, refusal
		}
	}
	v, err := d.Authorize(r)
	challenges := challengesOf(err)
	switch {
	case err == nil && v != nil:
		if counted {
			d.known.set(mark, struct{}{})
		}
		return v, nil
	case errors.Is(err, ErrForbidden):
		refusal := refuse(Forbidden, "this account may not come in")
		if v != nil {
			refusal.Who = v.Name
		}
		return nil, refusal
	case err != nil && len(challenges) == 0:
		refusal := refuse(Broken, "it could not be found out who you are: try again; the server's log tells why")
		refusal.Err, refusal.RetryAfter = err, 2*time.Second
		return nil, refusal
	}
	if counted {
		d.known.remove(mark)
		d.failed.charge(client, d.now())
	}
	refusal := refuse(Stranger, "show who you are, for example by a token in the header \"Authorization: Bearer …\"")
	if refusal.Challenges = challenges; len(challenges) == 0 {
		refusal.Challenges = []string{string(challengeBearer)}
	}
	return nil, refusal
}

// pulledIn reports whether a page of another site has a browser fetch something, as an image, a script or in a frame. Such a page cannot read the reply, but how long it takes
// and whether it works tell it something, and it costs the store something. A link that somebody follows is no such thing.
func pulledIn(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
	}
	return false
}

// mark returns the name under which credentials are remembered: a hash under a key that nobody else has.
func (d *Door) mark(credentials []string) (sum secret) {
	h := hmac.New(sha256.New, d.key[:])
	for _, c := range credentials {
		h.Write([]byte(c))
		h.Write([]byte{0})
	}
	h.Sum(sum[:0])
	return sum
}

// answersFor reports whether requests may give this host.
func (d *Door) answersFor(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostPort, "["), "]")
	}
	host = plainHost(host)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return true
	}
	return d.anyHost || host == "localhost" || d.hosts[host]
}

func plainHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }
