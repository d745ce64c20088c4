package mailjob

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/jobtest"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench runs single attempts of jobs.
type bench struct {
	*jobtest.Bench
	opts []bellhop.Option
}

var expect = jobtest.Expect

func result(t *testing.T, o bellhop.Outcome) Result {
	t.Helper()
	return jobtest.Result[Result](t, o)
}

func newBench(t *testing.T, c Config) *bench {
	t.Helper()
	if c.Hello == "" {
		c.Hello = "client.example"
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{Bench: jobtest.New(t, memory.New(), h)}
}

// hello is a mail that anything may be changed in.
func hello() Args {
	return Args{From: "Shop <shop@example.com>", To: []string{"anna@example.org"}, Subject: "Hello", Text: "Good morning."}
}

func (b *bench) do(a Args) bellhop.Outcome {
	b.T.Helper()
	return b.Do(Send.New(a, b.opts...))
}

// sink is a mail server that keeps what it is given, and answers as told.
type sink struct {
	*smtp.Server
	t      *testing.T
	config Config // of a handler that sends to it

	mail, data error            // answers to MAIL FROM and to the data
	rcpt       map[string]error // answers to RCPT TO by address
	logins     map[string]string
	mechs      []string
	wantTLS    bool

	mu        sync.Mutex
	delivered []delivered
}

// delivered is a mail that the sink has taken.
type delivered struct {
	from, user string
	to         []string
	tls, utf8  bool
	data       string
}

func newSink(t *testing.T, set func(*sink)) *sink {
	t.Helper()
	s := &sink{t: t, rcpt: map[string]error{}, mechs: []string{sasl.Plain}}
	s.Server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{sink: s, conn: c}, nil }))
	s.Domain, s.AllowInsecureAuth, s.ErrorLog = "sink.example", true, discard{}
	if set != nil {
		set(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	s.config.Host, s.config.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	return s
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// took returns the mails taken so far.
func (s *sink) took() []delivered {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]delivered{}, s.delivered...)
}

type session struct {
	*sink
	conn *smtp.Conn
	now  delivered
}

func (s *session) Reset()        { s.now = delivered{user: s.now.user} }
func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string {
	if s.logins == nil {
		return nil
	}
	return s.mechs
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if s.logins[user] != password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "the password " + password + " is wrong"}
		}
		s.now.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	_, s.now.tls = s.conn.TLSConnectionState()
	s.now.from, s.now.utf8 = from, opts.UTF8
	if s.wantTLS && !s.now.tls {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Must issue a STARTTLS command first"}
	}
	return s.sink.mail
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.rcpt[to]; err != nil {
		return err
	}
	s.now.to = append(s.now.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.sink.data != nil {
		return s.sink.data
	}
	s.now.data = string(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered = append(s.delivered, s.now)
	return nil
}

func says(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}

// scripted is a mail server below SMTP. It greets with the first line of a
// script and answers each command with the next; a "354" is answered after the
// data too. At the end of the script it hangs up, or says nothing more if the
// last line is "silence".
func scripted(t *testing.T, script ...string) Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { play(conn, script) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
}

func play(conn net.Conn, script []string) {
	defer conn.Close() //nolint:errcheck // the other side may be gone
	in := bufio.NewReader(conn)
	for i, line := range script {
		if i > 0 {
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
		}
		if i > 0 && strings.HasPrefix(script[i-1], "354") { // that was the data's first line
			for text := ""; text != ".\r\n"; {
				var err error
				if text, err = in.ReadString('\n'); err != nil {
					return
				}
			}
		}
		if line == "silence" {
			_, _ = io.Copy(io.Discard, in) // until the other side gives up
			return
		}
		if _, err := fmt.Fprint(conn, line+"\r\n"); err != nil {
			return
		}
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, in)
}
