package httpjob

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
)

// redirects answers /<status> with that status and a Location, and anything
// else with 200.
func redirects(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if code, err := strconv.Atoi(strings.Trim(r.URL.Path, "/")); err == nil {
			w.Header().Set("Location", location)
			w.WriteHeader(code)
		}
	}
}

func TestRedirectsByMethodAndStatus(t *testing.T) {
	server := record(t, redirects("/to?key=geheim#part"))
	for _, c := range []struct {
		status int
		method string
		want   string // of the second request; "" if there is none
	}{
		{301, "GET", "GET"},
		{302, "GET", "GET"},
		{303, "GET", "GET"},
		{307, "GET", "GET"},
		{308, "GET", "GET"},
		{301, "HEAD", "HEAD"},
		{302, "HEAD", "HEAD"},
		{303, "HEAD", "HEAD"},
		{301, "POST", ""},
		{302, "POST", ""},
		{301, "PUT", ""},
		{302, "DELETE", ""},
		{303, "POST", "GET"},
		{303, "PUT", "GET"},
		{307, "POST", "POST"},
		{308, "PUT", "PUT"},
		{300, "GET", ""},
		{304, "GET", ""},
		{305, "GET", ""},
		{306, "POST", ""},
		{399, "GET", ""},
	} {
		b := local(t, Config{Secrets: map[string]string{"s": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}})
		a := Args{Method: c.method, URL: server.URL + "/" + strconv.Itoa(c.status), Headers: map[string]string{"Authorization": "Bearer t"}}
		if c.method == "POST" || c.method == "PUT" {
			a.Body, a.Signing = "{}", "s"
		}
		o := b.do(a)
		req, body, _ := server.last(t)
		if c.want == "" {
			expect(t, o, bellhop.OutcomeDead, c.method, "answered "+strconv.Itoa(c.status))
			if req.URL.Path == "/to" || strings.Contains(o.Failure.Message, "geheim") {
				t.Errorf("%d %s: followed, or %q", c.status, c.method, o.Failure.Message)
			}
			continue
		}
		expect(t, o, bellhop.OutcomeSucceeded)
		if req.Method != c.want || req.RequestURI != "/to?key=geheim" || req.Header.Get("Authorization") != "Bearer t" {
			t.Errorf("%d %s: %s %s %v", c.status, c.method, req.Method, req.RequestURI, req.Header)
		}
		keeps := c.want == c.method && a.Body != ""
		if keeps != (body == "{}") || keeps != (req.Header.Get("Content-Type") != "") || keeps != (req.Header.Get("Webhook-Signature") != "") {
			t.Errorf("%d %s: body %q, headers %v", c.status, c.method, body, req.Header)
		}
		if r := result(t, o); r.URL != server.URL+"/to?key=xxxxx" {
			t.Errorf("the result says %q", r.URL)
		}
	}
}

func TestRedirectsThatAreNotFollowed(t *testing.T) {
	for location, want := range map[string]string{
		"":                                      "does not say where to",
		"ftp://example.com/":                    `the scheme is "ftp"`,
		"http://anna:geheim@example.com/":       "a user or password",
		"http://%zz/geheim":                     "its URL cannot be read",
		"http://example.com:99999/?key=geheim":  "out of range",
		"/307":                                  "more than 5 redirects",
		"http://e/" + strings.Repeat("x", 9000): "more than the limit",
	} {
		server := record(t, redirects(location))
		o := local(t, Config{}).do(Args{URL: server.URL + "/307"})
		expect(t, o, bellhop.OutcomeDead, "answered 307 Temporary Redirect", want)
		if strings.Contains(o.Failure.Message, "geheim") {
			t.Errorf("%q", o.Failure.Message)
		}
		if _, _, n := server.last(t); n > 1+maxRedirects {
			t.Errorf("%d requests", n)
		}
	}
}

func TestRedirectToPlainHTTPIsRefused(t *testing.T) {
	plain := record(t, status(200))
	secure := recordOn(t, redirects(plain.URL+"/to?key=geheim"), (*httptest.Server).StartTLS)
	b := local(t, Config{TLS: secure.Client().Transport.(*http.Transport).TLSClientConfig})
	o := b.do(Args{URL: secure.URL + "/307"})
	expect(t, o, bellhop.OutcomeDead, "from https to http", "key=xxxxx")
	if len(plain.requests) > 0 {
		t.Error("it was followed")
	}
}

// Once left behind, secrets stay behind, also where a third redirect leads back.
func TestSecretsStayWithTheirHost(t *testing.T) {
	var home *recorder
	away := record(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, home.URL+"/back", http.StatusTemporaryRedirect)
	})
	home = record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/back" {
			http.Redirect(w, r, away.URL+"/away", http.StatusTemporaryRedirect)
		}
	})
	b := local(t, Config{Secrets: map[string]string{"s": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}})
	o := b.do(Args{URL: home.URL, Body: "{}", Signing: "s", Headers: map[string]string{
		"Authorization": "Bearer t", "Cookie": "a=b", "X-Api-Key": "k", "Accept": "text/plain", "Content-Type": "text/csv",
	}})
	expect(t, o, bellhop.OutcomeSucceeded)
	for _, server := range []*recorder{away, home} {
		req, body, _ := server.last(t)
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Webhook-Signature", "Webhook-Id"} {
			if req.Header.Get(name) != "" {
				t.Errorf("%s was sent to %s", name, req.URL)
			}
		}
		if body != "{}" || req.Header.Get("Accept") != "text/plain" || req.Header.Get("Content-Type") != "text/csv" || req.Header.Get("Idempotency-Key") == "" {
			t.Errorf("body %q, headers %v", body, req.Header)
		}
	}
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"https://e.com/", "https://E.com:443/x", true},
		{"http://e.com/", "https://e.com/", true},
		{"http://e.com:80/", "https://e.com:443/", true},
		{"http://e.com:8080/", "https://e.com/", false},
		{"http://e.com:443/", "https://e.com/", false},
		{"https://e.com/", "https://e.com:8443/", false},
		{"https://e.com/", "https://www.e.com/", false},
		{"https://e.com/", "https://e.com.evil/", false},
		{"http://[::1]/", "http://[::1]:80/", true},
	} {
		a, errA := parseURL(c.a)
		b, errB := parseURL(c.b)
		if errA != nil || errB != nil || sameHost(a, b) != c.want {
			t.Errorf("sameHost(%s, %s) is not %v (%v, %v)", c.a, c.b, c.want, errA, errB)
		}
	}
}
