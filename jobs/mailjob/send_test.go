package mailjob

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/jobtest"
)

func TestAnswersDecide(t *testing.T) {
	const retry, dead = bellhop.OutcomeRetry, bellhop.OutcomeDead
	for _, c := range []struct {
		stage string
		code  int
		want  bellhop.OutcomeKind
	}{
		{"sender", 421, retry},
		{"sender", 451, retry},
		{"sender", 530, retry},
		{"sender", 535, retry},
		{"sender", 550, dead},
		{"sender", 553, dead},
		{"recipient", 421, retry},
		{"recipient", 450, retry},
		{"recipient", 452, retry},
		{"recipient", 530, retry},
		{"recipient", 550, dead},
		{"recipient", 554, dead},
		{"data", 421, retry},
		{"data", 451, retry},
		{"data", 452, retry},
		{"data", 550, dead},
		{"data", 552, dead},
		{"data", 554, dead},
	} {
		s := newSink(t, func(s *sink) {
			answer := says(c.code, "because of the weather")
			switch c.stage {
			case "sender":
				s.mail = answer
			case "recipient":
				s.rcpt["anna@example.org"] = answer
			case "data":
				s.data = answer
			}
		})
		o := newBench(t, s.config).do(hello())
		expect(t, o, c.want, fmt.Sprintf("127.0.0.1:%d: %s: ", s.config.Port, c.stage), fmt.Sprintf("%d %d.1.1 because of the weather", c.code, c.code/100))
		if len(s.took()) > 0 || o.Failure.Class != "*mailjob.SMTPError" {
			t.Errorf("%s %d: %d mails, class %s", c.stage, c.code, len(s.took()), o.Failure.Class)
		}
	}
}

// All recipients get the mail, or none.
func TestSeveralRecipients(t *testing.T) {
	gone, full := says(550, "no such user"), says(452, "mailbox full")
	for _, c := range []struct {
		name  string
		rcpt  map[string]error
		want  bellhop.OutcomeKind
		parts []string
	}{
		{"all accepted", nil, bellhop.OutcomeSucceeded, nil},
		{"one refused", map[string]error{"b@e.org": gone}, bellhop.OutcomeDead, []string{"1 of 3 were not accepted, so the mail went to nobody", "b@e.org 550"}},
		{"one put off", map[string]error{"b@e.org": full}, bellhop.OutcomeRetry, []string{"b@e.org 452"}},
		{"one of each", map[string]error{"a@e.org": full, "c@e.org": gone}, bellhop.OutcomeDead, []string{"2 of 3", "a@e.org 452", "c@e.org 550"}},
		{"all refused", map[string]error{"a@e.org": gone, "b@e.org": gone, "c@e.org": gone}, bellhop.OutcomeDead, []string{"3 of 3"}},
		{"all put off", map[string]error{"a@e.org": full, "b@e.org": full, "c@e.org": full}, bellhop.OutcomeRetry, []string{"3 of 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSink(t, func(s *sink) { s.rcpt = c.rcpt })
			a := hello()
			a.To, a.Cc, a.Bcc = []string{"a@e.org"}, []string{"b@e.org"}, []string{"c@e.org"}
			expect(t, newBench(t, s.config).do(a), c.want, c.parts...)
			if got := len(s.took()); (got == 1) != (c.want == bellhop.OutcomeSucceeded) {
				t.Errorf("%d mails were taken", got)
			}
		})
	}
	t.Run("many refused", func(t *testing.T) {
		s := newSink(t, func(s *sink) {
			for i := range 9 {
				s.rcpt[fmt.Sprintf("r%d@e.org", i)] = gone
			}
		})
		a := hello()
		for i := range 9 {
			a.To = append(a.To, fmt.Sprintf("r%d@e.org", i))
		}
		expect(t, newBench(t, s.config).do(a), bellhop.OutcomeDead, "9 of 10", "r4@e.org", "and 4 more")
	})
}

func TestBrokenServers(t *testing.T) {
	ready := []string{"220 s", "250 s", "250 ok", "250 ok"}
	tooLong := strings.Repeat("220-"+strings.Repeat("x", 1000)+"\r\n", 300)
	for name, c := range map[string]struct {
		script []string
		want   bellhop.OutcomeKind
		part   string
	}{
		"421 at connect":            {[]string{"421 4.3.2 try later"}, bellhop.OutcomeRetry, "connect: 421 4.3.2 try later"},
		"554 at connect":            {[]string{"554 5.7.1 no mail from you"}, bellhop.OutcomeRetry, "connect: 554"},
		"closes at once":            {nil, bellhop.OutcomeRetry, "connect: EOF"},
		"no mail server":            {[]string{"HTTP/1.1 400 Bad Request"}, bellhop.OutcomeRetry, "connect: "},
		"endless greeting":          {[]string{tooLong}, bellhop.OutcomeRetry, "connect: the server has said more than 262144 bytes"},
		"no EHLO and no HELO":       {[]string{"220 s", "502 no", "502 no"}, bellhop.OutcomeRetry, "connect: 502"},
		"only HELO":                 {[]string{"220 s", "502 no", "250 s", "250 ok", "250 ok", "354 go", "250 taken", "221 bye"}, bellhop.OutcomeSucceeded, ""},
		"cut after EHLO":            {ready[:2], bellhop.OutcomeRetry, "sender: EOF"},
		"cut after MAIL":            {ready[:3], bellhop.OutcomeRetry, "recipient: EOF"},
		"cut after RCPT":            {ready, bellhop.OutcomeRetry, "data: EOF"},
		"554 at DATA":               {append(ready[:4:4], "554 no valid recipients"), bellhop.OutcomeDead, "data: 554 no valid recipients"},
		"cut after the data":        {append(ready[:4:4], "354 go"), bellhop.OutcomeRetry, "data: EOF"},
		"451 after the data":        {append(ready[:4:4], "354 go", "451-one\r\n451 two"), bellhop.OutcomeRetry, "data: 451 one two"},
		"taken, then cut":           {append(ready[:4:4], "354 go", "250 taken"), bellhop.OutcomeSucceeded, ""},
		"taken, rude goodbye":       {append(ready[:4:4], "354 go", "250 taken", "500 what?"), bellhop.OutcomeSucceeded, ""},
		"several lines in a reply":  {append(ready[:3:3], "550-5.1.1 no such user\r\n550 5.1.1 here", "221 bye"), bellhop.OutcomeDead, "no such user 5.1.1 here"},
		"escape codes in a reply":   {append(ready[:3:3], "550 \x1b[31mred\x07", "221 bye"), bellhop.OutcomeDead, "550 red"},
		"nonsense in place of code": {append(ready[:3:3], "what?"), bellhop.OutcomeRetry, "recipient: "},
	} {
		t.Run(name, func(t *testing.T) {
			o := newBench(t, scripted(t, c.script...)).do(hello())
			expect(t, o, c.want, c.part)
			if c.want == bellhop.OutcomeSucceeded && result(t, o).Response != "taken" {
				t.Errorf("result %s", o.Result)
			}
		})
	}
}

func TestSilentServers(t *testing.T) {
	for name, script := range map[string][]string{
		"at connect": {"silence"}, "at EHLO": {"220 s", "silence"}, "at MAIL": {"220 s", "250 s", "silence"},
		"after the data": {"220 s", "250 s", "250 ok", "250 ok", "354 go", "silence"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, scripted(t, script...))
			ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, bellhop.ErrTimeout)
			defer cancel()
			b.Ctx = ctx
			o := b.do(hello())
			if o.Kind != bellhop.OutcomeRetry || o.Failure.Class != "timeout" || !strings.Contains(o.Failure.Message, bellhop.ErrTimeout.Error()) {
				t.Errorf("outcome %v, failure %+v", o.Kind, o.Failure)
			}
		})
	}
	t.Run("without any timeout", func(t *testing.T) {
		config := scripted(t, "silence")
		config.Timeout = 50 * time.Millisecond
		b := newBench(t, config)
		b.opts = []bellhop.Option{bellhop.Timeout(0)}
		expect(t, b.do(hello()), bellhop.OutcomeRetry, "connect: the mail server took longer than 50ms")
	})
}

// What the context was cancelled for decides, as for every handler.
func TestContextEnds(t *testing.T) {
	for cause, want := range map[error]bellhop.OutcomeKind{
		bellhop.ErrShutdown: bellhop.OutcomeHandedBack, bellhop.ErrCancelled: bellhop.OutcomeCancelled,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		b := newBench(t, scripted(t, "220 s", "silence"))
		b.Ctx = ctx
		stop := time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		defer stop.Stop()
		if o := b.do(hello()); o.Kind != want {
			t.Errorf("%v: outcome %v, failure %+v", cause, o.Kind, o.Failure)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	o := newBench(t, Config{Host: "127.0.0.1", Port: jobtest.NobodyAt(t).Port}).do(hello())
	expect(t, o, bellhop.OutcomeRetry, "connect: ", "refused")
	if o.Failure.Class != "*mailjob.SMTPError" {
		t.Errorf("the class is %s", o.Failure.Class)
	}
}

// certificates returns a server's and a client's side of TLS that know each other.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots}
}

func TestTLS(t *testing.T) {
	server, client := certificates(t)
	for _, c := range []struct {
		name    string
		policy  TLSPolicy
		offered bool
		wanted  bool // by the server
		trusted bool
		want    bellhop.OutcomeKind
		tls     bool
		part    string
	}{
		{"mandatory", TLSMandatory, true, true, true, bellhop.OutcomeSucceeded, true, ""},
		{"mandatory, not offered", TLSMandatory, false, false, true, bellhop.OutcomeRetry, false, "tls: the server does not offer TLS"},
		{"mandatory, unknown certificate", TLSMandatory, true, true, false, bellhop.OutcomeRetry, false, "certificate"},
		{"opportunistic", TLSOpportunistic, true, true, true, bellhop.OutcomeSucceeded, true, ""},
		{"opportunistic, not offered", TLSOpportunistic, false, false, true, bellhop.OutcomeSucceeded, false, ""},
		{"none", TLSNone, true, false, true, bellhop.OutcomeSucceeded, false, ""},
		{"none, but wanted", TLSNone, true, true, true, bellhop.OutcomeRetry, false, "sender: 530 5.7.0 Must issue a STARTTLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSink(t, func(s *sink) {
				if c.offered {
					s.TLSConfig = server
				}
				s.wantTLS, s.config.TLS = c.wanted, c.policy
				if c.trusted {
					s.config.TLSConfig = client
				}
			})
			expect(t, newBench(t, s.config).do(hello()), c.want, c.part)
			if took := s.took(); len(took) > 0 && took[0].tls != c.tls {
				t.Errorf("TLS was %v", took[0].tls)
			}
		})
	}
}

func TestImplicitTLS(t *testing.T) {
	server, client := certificates(t)
	s := newSink(t, func(s *sink) { s.logins = map[string]string{"u": "geheim"} })
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = l.Close(); <-done }()
	s.config.TLS, s.config.TLSConfig, s.config.Port = TLSImplicit, client, l.Addr().(*net.TCPAddr).Port
	s.config.Username, s.config.Password = "u", "geheim"
	expect(t, newBench(t, s.config).do(hello()), bellhop.OutcomeSucceeded)
	if took := s.took(); len(took) != 1 || !took[0].tls || took[0].user != "u" {
		t.Errorf("%+v", took)
	}
	s.config.TLSConfig = nil
	expect(t, newBench(t, s.config).do(hello()), bellhop.OutcomeRetry, "connect: ", "certificate")
}

func TestLogin(t *testing.T) {
	for _, c := range []struct {
		name   string
		logins map[string]string
		mechs  []string
		want   bellhop.OutcomeKind
		part   string
	}{
		{"right", map[string]string{"u": "geheim"}, []string{sasl.Plain}, bellhop.OutcomeSucceeded, ""},
		{"wrong", map[string]string{"u": "other"}, []string{sasl.Plain}, bellhop.OutcomeRetry, "login: 535 5.7.8 the password xxxxx is wrong"},
		{"not offered", nil, nil, bellhop.OutcomeRetry, "login: the server offers no login"},
		{"in no usable way", map[string]string{}, []string{"GSSAPI"}, bellhop.OutcomeRetry, `only logins that cannot be used here ("GSSAPI"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSink(t, func(s *sink) {
				s.logins, s.mechs, s.config.Username, s.config.Password = c.logins, c.mechs, "u", "geheim"
			})
			o := newBench(t, s.config).do(hello())
			expect(t, o, c.want, c.part)
			if o.Failure != nil && strings.Contains(o.Failure.Message, "geheim") {
				t.Error(o.Failure.Message)
			}
		})
	}
}

// In the clear a password is shown to a loopback server only.
func TestPasswordStaysHome(t *testing.T) {
	s := newSink(t, func(s *sink) { s.logins = map[string]string{"u": "geheim"} })
	s.config.Username, s.config.Password = "u", "geheim"
	m, err := newMailer(s.config)
	if err != nil {
		t.Fatal(err)
	}
	m.loopback, m.Hello = false, "client.example"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = m.deliver(ctx, &message{from: "a@b.c", to: []string{"a@b.c"}, data: []byte("x")})
	if err == nil || !strings.Contains(err.Error(), "cannot be used here") || len(s.took()) > 0 {
		t.Error(err)
	}
}

func TestAddressesBeyondASCII(t *testing.T) {
	a := hello()
	a.To = []string{"grüße@example.org"}
	plain := newSink(t, nil)
	expect(t, newBench(t, plain.config).do(a), bellhop.OutcomeDead, "SMTPUTF8")
	wide := newSink(t, func(s *sink) { s.EnableSMTPUTF8 = true })
	b := newBench(t, wide.config)
	expect(t, b.do(a), bellhop.OutcomeSucceeded)
	expect(t, b.do(hello()), bellhop.OutcomeSucceeded)
	if took := wide.took(); len(took) != 2 || !took[0].utf8 || took[1].utf8 || took[0].to[0] != "grüße@example.org" {
		t.Errorf("%+v", took)
	}
}

func TestNamesInAllScripts(t *testing.T) {
	s := newSink(t, nil)
	a := hello()
	a.To = []string{"דנה كريم 安娜 <dana@xn--bcher-kva.example>"}
	a.Attachments = []Attachment{{Name: "חשבון.pdf", Data: []byte("x")}}
	expect(t, newBench(t, s.config).do(a), bellhop.OutcomeSucceeded)
	if took := s.took(); took[0].to[0] != "dana@xn--bcher-kva.example" {
		t.Errorf("%q", took[0].to)
	}
}

func TestQuotedAddresses(t *testing.T) {
	s := newSink(t, nil)
	a := hello()
	a.To = []string{`"anna lind"@example.org`}
	expect(t, newBench(t, s.config).do(a), bellhop.OutcomeSucceeded)
	if took := s.took(); took[0].to[0] != "anna lind@example.org" && took[0].to[0] != `"anna lind"@example.org` {
		t.Errorf("%q", took[0].to)
	}
}

var _ smtp.AuthSession = (*session)(nil)
