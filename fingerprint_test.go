package bellhop_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
)

func TestFailurePattern(t *testing.T) {
	for message, want := range map[string]string{
		"":                                   "",
		"connection refused":                 "connection refused",
		"POST http://10.0.0.1:80/x22 failed": "POST http://<addr>/<id> failed",
		"GET /v1/jobs/a7: no":                "GET /v1/jobs/<id>: no",
		"job-17 of user_42 on x22 by http2":  "job-<n> of user_<n> on x<n> by http2",
		"user 42 not found":                  "user <n> not found",
		"GET /users/42/orders/7: status 404": "GET /users/<n>/orders/<n>: status <n>",
		"dial tcp 10.0.0.7:5432: connect: connection refused":      "dial tcp <addr>: connect: connection refused",
		"dial tcp [::1]:5432: connect: connection refused":         "dial tcp <addr>: connect: connection refused",
		"dial tcp 10.0.0.7: no route":                              "dial tcp <addr>: no route",
		"lookup db-12.internal:5432":                               "lookup db-<n>.internal:<n>",
		"job 0190f5c2-7c1e-7f3a-9b1c-1d2e3f405162 gone":            "job <id> gone",
		"x509: certificate has expired: sha256 mismatch":           "x509: certificate has expired: sha256 mismatch",
		"panic at 0xc000123abc, commit deadbeef01, order a1b2c3d":  "panic at <hex>, commit <hex>, order <id>",
		"timeout after 30s, 1.5 tries, 250ms":                      "timeout after <n>s, <n> tries, <n>ms",
		`unknown field "name of 7" in 'x y' and ` + "`z`":          `unknown field "…" in '…' and ` + "`…`",
		`a "quote \" in it" ends`:                                  `a "…" ends`,
		"can't do what it doesn't":                                 "can't do what it doesn't",
		"at 2026-01-31T15:04:05.123Z: at 15:04:05, on 2026-01-31.": "at <time>: at <time>, on <time>.",
		"2026/01/31 15:04:05+01:00 no":                             "<time> no",
		"550 anna.b+c@example.com. No such user":                   "<n> <addr>. No such user",
		"two\n  lines\tof  it ":                                    "two lines of it",
		"grüße 7 日本 9":                                             "grüße <n> 日本 <n>",
		`an open "quote 12`:                                        `an open "quote <n>`,
	} {
		if got := bellhop.FailurePattern(message); got != want {
			t.Errorf("the pattern of %q is\n%q, want\n%q", message, got, want)
		}
	}
	long := bellhop.FailurePattern(strings.Repeat("word ", 10_000))
	if len(long) > 256 {
		t.Errorf("a pattern has %d bytes", len(long))
	}
}

// TestFailurePatternOfAnything: no message is too strange, and a pattern that people
// copy leads to the same pattern again.
func TestFailurePatternOfAnything(t *testing.T) {
	words := rapid.SampledFrom([]string{
		"user", "42", "x509:", "10.0.0.1:80", "[::1]:80", "<n>", "é", "a@b.c", "0x1f", "2026-01-31T15:04:05Z", "+", `"x"`, "'7'", "5ms", "a1b2c3", "/1/2",
	})
	rapid.Check(t, func(t *rapid.T) {
		once := bellhop.FailurePattern(strings.Join(rapid.SliceOfN(words, 0, 12).Draw(t, "words"), " "))
		if twice := bellhop.FailurePattern(once); twice != once {
			t.Fatalf("the pattern of %q is %q", once, twice)
		}
		strange := strings.Join(rapid.SliceOfN(rapid.OneOf(words, rapid.String(), rapid.SampledFrom([]string{"'", `"`, "[", "@", ":", "\xff"})), 0, 12).Draw(t, "strange"), "")
		if got := bellhop.FailurePattern(strange); len(got) > 256 || bellhop.CleanText(got, 256) != got {
			t.Fatalf("the pattern of %q is %q", strange, got)
		}
	})
}

func TestFingerprint(t *testing.T) {
	one := bellhop.Fingerprint("mail", &bellhop.Failure{Class: "net.OpError", Message: "dial 10.0.0.1:25: refused", Stack: "a"})
	if len(one) != 16 || strings.Trim(one, "0123456789abcdef") != "" {
		t.Errorf("the fingerprint is %q", one)
	}
	if same := bellhop.Fingerprint("mail", &bellhop.Failure{Class: "net.OpError", Message: "dial 10.0.0.2:587: refused"}); same != one {
		t.Errorf("another address and stack make %s of %s", same, one)
	}
	for what, other := range map[string]string{
		"kind":    bellhop.Fingerprint("sms", &bellhop.Failure{Class: "net.OpError", Message: "dial 10.0.0.1:25: refused"}),
		"class":   bellhop.Fingerprint("mail", &bellhop.Failure{Class: "timeout", Message: "dial 10.0.0.1:25: refused"}),
		"message": bellhop.Fingerprint("mail", &bellhop.Failure{Class: "net.OpError", Message: "dial 10.0.0.1:25: reset"}),
	} {
		if other == one {
			t.Errorf("another %s has the same fingerprint", what)
		}
	}
	if none := bellhop.Fingerprint("mail", nil); none != "" {
		t.Errorf("no failure has the fingerprint %q", none)
	}
}
