package access_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/access"
)

// request makes a request of another machine to localhost, with headers as name and value.
func request(header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/jobs", nil)
	r.Host, r.RemoteAddr = "localhost:8080", "192.0.2.7:4444"
	for i := 0; i+1 < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "method":
			r.Method = header[i+1]
		case "from":
			r.RemoteAddr = header[i+1]
		case "user":
			r.SetBasicAuth(header[i+1], "sesame-street")
		default:
			r.Header.Add(header[i], header[i+1])
		}
	}
	return r
}

// admit returns the cause of a refusal, or the viewer's name after an equals sign.
func admit(d *access.Door, r *http.Request) string {
	v, refusal := d.Admit(r)
	if refusal != nil {
		return string(refusal.Cause)
	}
	return "=" + v.Name
}

func TestDoorIsClosed(t *testing.T) {
	_, refusal := new(access.Door).Admit(request())
	if refusal == nil || refusal.Cause != access.Stranger || refusal.Status() != 401 || !strings.Contains(refusal.Text, "Authorize") {
		t.Errorf("the zero value answers %+v", refusal)
	}
}

func TestAdmit(t *testing.T) {
	directory := errors.New("the directory is down")
	anna := &access.Viewer{Name: "anna", Role: access.Admin, Remote: "made up"}
	private := netip.MustParsePrefix("10.0.0.0/8")
	lookup := func(name string) *access.Viewer {
		if name == "anna" {
			return anna
		}
		return nil
	}
	all := access.First(
		access.TrustedHeader("X-User", []netip.Prefix{private}, lookup),
		access.Basic("bob", "sesame-street", access.Read), access.Bearer("s3cret", access.Act),
		func(r *http.Request) (*access.Viewer, error) {
			switch r.Header.Get("X-Case") {
			case "banned":
				return anna, fmt.Errorf("banned: %w", access.ErrForbidden)
			case "down":
				return nil, directory
			case "powerless":
				return &access.Viewer{Name: "carl"}, nil
			}
			return nil, nil
		})
	d := &access.Door{Authorize: all, Hosts: []string{"jobs.example", "10.1.1.1"}}
	for _, c := range []struct {
		want   string
		header []string
	}{
		{"=token", []string{"Authorization", "Bearer s3cret"}},
		{"=token", []string{"Authorization", "bearer  s3cret "}},
		{"=token", []string{"Authorization", "Bearer s3cret", "Host", "JOBS.example.:443"}},
		{"=token", []string{"Authorization", "Bearer s3cret", "Host", "10.1.1.1"}},
		{"=token", []string{"Authorization", "Bearer s3cret", "Host", "[::1]:80"}},
		{"=token", []string{"Authorization", "Bearer s3cret", "Sec-Fetch-Site", "same-origin"}},
		{"host", []string{"Authorization", "Bearer s3cret", "Host", "evil.example"}},
		{"host", []string{"Authorization", "Bearer s3cret", "Host", "jobs.example.evil"}},
		{"host", []string{"Authorization", "Bearer s3cret", "Host", "127.0.0.1.evil.example"}},
		{"host", []string{"Authorization", "Bearer s3cret", "Host", "10.1.1.2"}},
		{"host", []string{"Authorization", "Bearer s3cret", "Host", ""}},
		{"cross-origin", []string{"Authorization", "Bearer s3cret", "Sec-Fetch-Site", "cross-site"}},
		{"cross-origin", []string{"Authorization", "Bearer s3cret", "Origin", "https://evil.example"}},
		{"cross-origin", []string{"Authorization", "Bearer s3cret", "Origin", "null"}},
		{"cross-origin", []string{"Authorization", "Bearer s3cret", "method", "GET", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}},
		{"cross-origin", []string{"Authorization", "Bearer s3cret", "method", "GET", "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}},
		{"=token", []string{"Authorization", "Bearer s3cret", "method", "GET", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
		{"=token", []string{"Authorization", "Bearer s3cret", "method", "GET", "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
		{"=token", []string{"Authorization", "Bearer s3cret", "method", "GET", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}},
		{"unauthorized", nil},
		{"unauthorized", []string{"Authorization", "Bearer s3cre"}},
		{"unauthorized", []string{"Authorization", "Bearer s3crets"}},
		{"unauthorized", []string{"Authorization", "Bearer "}},
		{"unauthorized", []string{"Authorization", "Basic s3cret"}},
		{"unauthorized", []string{"Authorization", "Bearer s3cret", "Authorization", "Bearer s3cret"}},
		{"=bob", []string{"user", "bob"}},
		{"unauthorized", []string{"user", "bobby"}},
		{"=anna", []string{"X-User", "anna", "from", "10.2.3.4:1"}},
		{"=anna", []string{"X-User", "anna", "from", "[::ffff:10.2.3.4]:1"}},
		{"unauthorized", []string{"X-User", "anna"}}, // not from the proxy
		{"unauthorized", []string{"X-User", "anna", "from", "@"}},
		{"unauthorized", []string{"X-User", "anna", "X-User", "anna", "from", "10.2.3.4:1"}},
		{"unauthorized", []string{"X-User", "", "from", "10.2.3.4:1"}},
		{"unauthorized", []string{"X-User", "bert", "from", "10.2.3.4:1"}},
		{"forbidden", []string{"X-Case", "banned"}},
		{"forbidden", []string{"X-Case", "powerless"}},
		{"login-failed", []string{"X-Case", "down"}},
	} {
		if got := admit(d, request(c.header...)); got != c.want {
			t.Errorf("%q is answered %s, want %s", c.header, got, c.want)
		}
	}
	_, refusal := d.Admit(request())
	h := http.Header{}
	refusal.SetHeader(h)
	if got := h.Values("WWW-Authenticate"); len(got) != 2 || !strings.HasPrefix(got[0], "Basic ") || !strings.HasPrefix(got[1], "Bearer ") {
		t.Errorf("the challenges are %q", got)
	}
	if _, refusal := d.Admit(request("X-Case", "down")); !errors.Is(refusal, directory) || strings.Contains(refusal.Text, "directory") {
		t.Errorf("the cause is lost or told to strangers: %v", refusal)
	}
	v, _ := d.Admit(request("X-User", "anna", "from", "10.2.3.4:1"))
	if v == anna || v.Remote != "10.2.3.4" || anna.Remote != "made up" {
		t.Errorf("the viewer is %+v", v)
	}
}

func TestEmptySecretsLetNobodyIn(t *testing.T) {
	for name, authorize := range map[string]access.Authorize{
		"bearer": access.Bearer("", access.Admin), "basic": access.Basic("", "", access.Admin), "user": access.Basic("u", "", access.Admin),
		"nothing": access.First(),
	} {
		d := &access.Door{Authorize: authorize}
		basic := request()
		basic.SetBasicAuth("u", "")
		for _, r := range []*http.Request{request(), request("Authorization", "Bearer"), request("Authorization", "Bearer "), request("Authorization", "Basic Og=="), basic} {
			if got := admit(d, r); got != "unauthorized" {
				t.Errorf("%s, %q: %s", name, r.Header, got)
			}
		}
	}
}

func TestReadOnlyCapsEveryRole(t *testing.T) {
	d := &access.Door{ReadOnly: true, Authorize: func(*http.Request) (*access.Viewer, error) {
		return &access.Viewer{Name: "anna", Role: access.Admin, Queues: map[string]access.Role{"hidden": access.None}}, nil
	}}
	v, refusal := d.Admit(request())
	if refusal != nil || v.On("mail") != access.Read || v.On("hidden") != access.None || v.Any() != access.Read || v.All() != access.None {
		t.Fatalf("%+v, %v", v, refusal)
	}
	var why *access.Refusal
	if !errors.As(v.Allow(access.Act, "mail"), &why) || why.Cause != access.ReadOnly {
		t.Errorf("an action is answered %v", why)
	}
	if !errors.As(v.Allow(access.Read, "hidden"), &why) || why.Cause != access.Forbidden {
		t.Errorf("a hidden queue is answered %v", why)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	d := &access.Door{
		Hosts:   []string{"*", "jobs.example", "::1", "10.0.0.1", "", "jobs.example:443", "https://jobs.example", "a b"},
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), {}},
	}
	joined, _ := d.Check().(interface{ Unwrap() []error })
	if joined == nil || len(joined.Unwrap()) != 5 {
		t.Fatalf("Check returns %v, want five errors", d.Check())
	}
	for _, err := range joined.Unwrap() {
		var bad *access.SettingError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "Door."+bad.Setting+": ") || !strings.Contains(bad.Reason, "want") {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestClientBehindProxies(t *testing.T) {
	d := &access.Door{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, c := range []struct {
		from      string
		forwarded []string
		want      string
	}{
		{"192.0.2.7:1", nil, "192.0.2.7"},
		{"192.0.2.7:1", []string{"203.0.113.9"}, "192.0.2.7"}, // nobody that we trust says so
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"}, // what a client has written itself is passed over
		{"10.0.0.1:1", []string{"198.51.100.1, 203.0.113.9 , 10.0.0.2"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"198.51.100.1", "203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"10.0.0.1:1", []string{"[2001:db8::9]:4711, fd00::1"}, "2001:db8::9"},
		{"[fd00::1%eth0]:1", []string{"2001:db8::9"}, "2001:db8::9"},
		{"10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:1", []string{strings.Repeat(",", 10_000)}, "10.0.0.1"},
		{"@", []string{"203.0.113.9"}, "invalid IP"},
		{"", nil, "invalid IP"},
	} {
		r := request("from", c.from)
		for _, f := range c.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if got := d.Client(r).String(); got != c.want {
			t.Errorf("from %s forwarded for %.60q the client is %s, want %s", c.from, c.forwarded, got, c.want)
		}
	}
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newDoor(d *access.Door) (*access.Door, *clock) {
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	d.SetNow(c.time)
	return d, c
}

func TestGuessingIsSlow(t *testing.T) {
	asked := 0
	d, clock := newDoor(&access.Door{Logins: 5, Authorize: func(r *http.Request) (*access.Viewer, error) {
		asked++
		return access.Bearer("right", access.Admin)(r)
	}})
	guess := func(token, from string) string {
		return admit(d, request("Authorization", "Bearer "+token, "from", from))
	}
	if got := guess("right", "192.0.2.1:1"); got != "=token" {
		t.Fatal(got)
	}
	for i := range 5 {
		if got := guess(fmt.Sprint("wrong", i), "192.0.2.1:1"); got != "unauthorized" {
			t.Fatalf("guess %d: %s", i, got)
		}
	}
	before := asked
	_, refusal := d.Admit(request("Authorization", "Bearer wrong", "from", "192.0.2.1:2"))
	if refusal == nil || refusal.Cause != access.TooManyLogins || refusal.Status() != 429 || asked != before {
		t.Fatalf("the sixth guess is answered %+v, and Authorize was asked %d times more", refusal, asked-before)
	}
	h := http.Header{}
	if refusal.SetHeader(h); h.Get("Retry-After") != "12" {
		t.Errorf("Retry-After is %q", h.Get("Retry-After"))
	}
	if got := guess("right", "192.0.2.1:3"); got != "=token" {
		t.Errorf("a token that was right before is shut out by the wrong ones of others: %s", got)
	}
	if got := guess("wrong", "192.0.2.2:1"); got != "unauthorized" {
		t.Errorf("another client is shut out: %s", got)
	}
	if got := admit(d, request("from", "192.0.2.1:4")); got != "unauthorized" {
		t.Errorf("a request without a guess is answered %s", got)
	}
	clock.pass(refusal.RetryAfter)
	if got := guess("wrong", "192.0.2.1:1"); got != "unauthorized" {
		t.Errorf("after Retry-After: %s", got)
	}
	if got := guess("wrong", "192.0.2.1:1"); got != "logins" {
		t.Errorf("the guess after that: %s", got)
	}
}

// TestGuessesOfOneSubscriber: an IPv6 subscriber has 2^64 addresses, and counts as one client.
func TestGuessesOfOneSubscriber(t *testing.T) {
	d, _ := newDoor(&access.Door{Logins: 5, Authorize: access.Bearer("right", access.Admin)})
	let := 0
	for i := range 100 {
		if admit(d, request("Authorization", "Bearer wrong", "from", fmt.Sprintf("[2001:db8::%x]:1", i+1))) == "unauthorized" {
			let++
		}
	}
	if let != 5 {
		t.Errorf("%d guesses were let through, want 5", let)
	}
	if got := admit(d, request("Authorization", "Bearer wrong", "from", "[2001:db8:0:1::1]:1")); got != "unauthorized" {
		t.Errorf("another subscriber is shut out: %s", got)
	}
}

// TestGuessesAtOnce: however many guesses are under way at once, they are paid for afterwards.
func TestGuessesAtOnce(t *testing.T) {
	arrived, gate := make(chan struct{}), make(chan struct{})
	d, clock := newDoor(&access.Door{Logins: 6, Authorize: func(*http.Request) (*access.Viewer, error) {
		select {
		case arrived <- struct{}{}:
			<-gate
		case <-gate:
		}
		return nil, nil
	}})
	var all sync.WaitGroup
	var mu sync.Mutex
	var answers []string
	for i := range 30 {
		all.Go(func() {
			got := admit(d, request("Authorization", fmt.Sprint("Bearer ", i)))
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, got)
		})
	}
	for range 30 {
		<-arrived // all are at the door before the first is answered
	}
	close(gate)
	all.Wait()
	slices.Sort(answers)
	if got := slices.Compact(answers); len(got) != 1 || got[0] != "unauthorized" {
		t.Fatalf("the answers are %q", got)
	}
	clock.pass(4 * time.Minute) // 24 of the 30 are paid for; none is left over
	if got := admit(d, request("Authorization", "Bearer x")); got != "logins" {
		t.Errorf("after four minutes: %s", got)
	}
	clock.pass(11 * time.Second)
	if got := admit(d, request("Authorization", "Bearer x")); got != "unauthorized" {
		t.Errorf("after another ten seconds: %s", got)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	d, clock := newDoor(&access.Door{Rate: 10, Authorize: access.Everyone(access.Read), Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	count := func(n int, header ...string) (let int) {
		for range n {
			switch got := admit(d, request(header...)); got {
			case "=everyone":
				let++
			case "rate":
			default:
				t.Fatal(got)
			}
		}
		return let
	}
	if let := count(50); let != 20 {
		t.Errorf("%d requests at once, want 20", let)
	}
	clock.pass(time.Second)
	if let := count(50); let != 10 {
		t.Errorf("%d requests a second later, want 10", let)
	}
	if let := count(50, "from", "192.0.2.8:1"); let != 20 {
		t.Errorf("%d requests of another client, want 20", let)
	}
	if let := count(500, "from", "127.0.0.1:1"); let != 500 {
		t.Errorf("%d requests of this machine, want all", let)
	}
	if let := count(50, "from", "127.0.0.1:1", "X-Forwarded-For", "192.0.2.9"); let != 20 {
		t.Errorf("%d requests through a proxy on this machine, want 20", let)
	}
	clock.pass(-time.Hour) // a clock that is set back
	if let := count(50); let != 0 {
		t.Errorf("%d requests after the clock was set back, want none", let)
	}
	free, _ := newDoor(&access.Door{Rate: -1, Logins: -1, Authorize: access.Bearer("x", access.Read)})
	for range 5000 {
		if got := admit(free, request("Authorization", "Bearer y")); got != "unauthorized" {
			t.Fatalf("without limits: %s", got)
		}
	}
}

// TestMemoryIsBounded: clients from ever new addresses with ever new tokens do not make the door grow.
func TestMemoryIsBounded(t *testing.T) {
	d, _ := newDoor(&access.Door{Authorize: func(r *http.Request) (*access.Viewer, error) {
		if strings.HasSuffix(r.Header.Get("Authorization"), "0") {
			return &access.Viewer{Name: "anna", Role: access.Read}, nil
		}
		return nil, nil
	}})
	for i := range 100_000 {
		d.Admit(request("Authorization", fmt.Sprint("Bearer ", i), "from", netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}).String()+":1"))
	}
	if held := d.Held(); held > access.MostHeld || held < access.MostHeld/4 {
		t.Errorf("the door holds %d entries, want at most %d", held, access.MostHeld)
	}
}

func TestDoorIsSafeForManyGoroutines(t *testing.T) {
	d := &access.Door{Authorize: access.First(access.Bearer("right", access.Act), access.Basic("bob", "sesame-street", access.Act))}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				from := fmt.Sprintf("192.0.2.%d:1", g)
				if got := admit(d, request("Authorization", "Bearer right", "from", from)); got != "=token" {
					t.Errorf("%s", got)
				}
				admit(d, request("Authorization", fmt.Sprint("Bearer ", i), "from", from))
			}
		})
	}
	all.Wait()
}
