package httpjob

import (
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

func TestRequestIsSentAsAsked(t *testing.T) {
	server := record(t, status(204))
	for _, c := range []struct {
		args    Args
		method  string
		body    string
		headers map[string]string
	}{
		{Args{}, "POST", "", map[string]string{"Content-Type": "", "User-Agent": "bellhop/" + version(), "Accept-Encoding": ""}},
		{Args{Method: "GET"}, "GET", "", nil},
		{Args{Method: "PURGE"}, "PURGE", "", nil},
		{Args{Body: ` {"a":1}`}, "POST", ` {"a":1}`, map[string]string{"Content-Type": "application/json"}},
		{Args{Body: `[1]`}, "POST", `[1]`, map[string]string{"Content-Type": "application/json"}},
		{Args{Body: `{"a":`}, "POST", `{"a":`, map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{Args{Body: "grüße"}, "POST", "grüße", map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{Args{BodyBase64: []byte{0, 255}}, "POST", "\x00\xff", map[string]string{"Content-Type": "application/octet-stream"}},
		{
			Args{Method: "PUT", Body: "x", Headers: map[string]string{"content-type": "text/csv", "user-agent": "mine", "X-A": "ä"}},
			"PUT", "x",
			map[string]string{"Content-Type": "text/csv", "User-Agent": "mine", "X-A": "ä"},
		},
	} {
		b := local(t, Config{})
		c.args.URL = server.URL + "/path?q=1#part"
		expect(t, b.do(c.args), bellhop.OutcomeSucceeded)
		req, body, _ := server.last(t)
		if req.Method != c.method || req.RequestURI != "/path?q=1" || body != c.body {
			t.Errorf("%+v: %s %s %q", c.args, req.Method, req.RequestURI, body)
		}
		for name, want := range c.headers {
			if got := req.Header.Get(name); got != want {
				t.Errorf("%+v: %s is %q, want %q", c.args, name, got, want)
			}
		}
	}
}

func TestRequestTellsJobAndAttempt(t *testing.T) {
	server := record(t, status(500))
	b := local(t, Config{})
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	b.meta = map[string]string{"traceparent": parent, "tracestate": "vendor=1"}
	expect(t, b.do(Args{URL: server.URL}), bellhop.OutcomeRetry)
	first, _, _ := server.last(t)
	b.Claim.Place.Attempt = 1
	expect(t, b.Again(), bellhop.OutcomeRetry)
	second, _, _ := server.last(t)
	key := first.Header.Get("Idempotency-Key")
	if len(key) != 36 || second.Header.Get("Idempotency-Key") != key {
		t.Errorf("the idempotency keys are %q and %q", key, second.Header.Get("Idempotency-Key"))
	}
	for name, want := range map[string]string{"Bellhop-Attempt": "2", "Bellhop-Job-Id": b.Claim.Job.ID.String(), "Traceparent": parent, "Tracestate": "vendor=1"} {
		if got := second.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if first.Header.Get("Bellhop-Attempt") != "1" {
		t.Errorf("the first attempt says %q", first.Header.Get("Bellhop-Attempt"))
	}
	expect(t, b.do(Args{URL: server.URL}), bellhop.OutcomeRetry)
	if other, _, _ := server.last(t); other.Header.Get("Idempotency-Key") == key {
		t.Error("another job has the same idempotency key")
	}
	b.meta = map[string]string{"traceparent": "nonsense", "tracestate": "vendor=1"}
	expect(t, b.do(Args{URL: server.URL, Headers: map[string]string{"idempotency-key": "order-7"}}), bellhop.OutcomeRetry)
	own, _, _ := server.last(t)
	if own.Header.Get("Idempotency-Key") != "order-7" || own.Header.Get("Traceparent")+own.Header.Get("Tracestate") != "" {
		t.Errorf("headers %v", own.Header)
	}
}

func TestSignatureOfTheSpecification(t *testing.T) {
	keys, err := parseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRequestIsSigned(t *testing.T) {
	secret := func(c string) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32)))
	}
	server := record(t, status(200))
	texts := map[string]string{"one": secret("a"), "two": secret("a") + " " + secret("b")}
	b := local(t, Config{Secrets: texts})
	b.sender.now = func() time.Time { return time.Unix(1700000000, 0) }
	for name, n := range map[string]int{"one": 1, "two": 2} {
		expect(t, b.do(Args{URL: server.URL, Body: "{}", Signing: name}), bellhop.OutcomeSucceeded)
		req, body, _ := server.last(t)
		id, at := req.Header.Get("webhook-id"), req.Header.Get("webhook-timestamp")
		if id != b.Claim.Job.ID.String() || at != strconv.Itoa(1700000000) {
			t.Errorf("id %q, timestamp %q", id, at)
		}
		keys, err := parseSecrets(texts[name])
		if err != nil {
			t.Fatal(err)
		}
		got := req.Header.Get("webhook-signature")
		if want := keys.sign(id, time.Unix(1700000000, 0), []byte(body)); got != want || len(strings.Fields(got)) != n {
			t.Errorf("signature %q, want %q", got, want)
		}
	}
	expect(t, b.do(Args{URL: server.URL, Signing: "three"}), bellhop.OutcomeRetry, `the secret "three", which is not configured here`)
}

func TestCertificates(t *testing.T) {
	server := recordOn(t, status(200), func(s *httptest.Server) {
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs that the caller hung up
		s.StartTLS()
	})
	b := local(t, Config{})
	expect(t, b.do(Args{URL: server.URL}), bellhop.OutcomeRetry, "certificate")
	trusting := local(t, Config{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig})
	expect(t, trusting.do(Args{URL: server.URL}), bellhop.OutcomeSucceeded)
}
