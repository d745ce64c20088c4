package mailjob

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// TLSPolicy says whether the connection to the mail server is encrypted. Where
// it is, the certificate is always verified.
type TLSPolicy string

// The policies.
const (
	// TLSMandatory begins in the clear and must change to TLS (STARTTLS).
	TLSMandatory TLSPolicy = "mandatory"
	// TLSImplicit speaks TLS from the first byte.
	TLSImplicit TLSPolicy = "implicit"
	// TLSOpportunistic changes to TLS if the server offers it. Who sits between
	// can take the offer away.
	TLSOpportunistic TLSPolicy = "opportunistic"
	// TLSNone never uses TLS.
	TLSNone TLSPolicy = "none"
)

// Config names the mail server. Host is all that must be given.
type Config struct {
	// Definition is the definition to work. Default: [Send].
	Definition *bellhop.Definition[Args]
	// Host is the mail server's name or address.
	Host string
	// Port is its port. Default: 465 with [TLSImplicit], else 587.
	Port int
	// TLS is the policy. Default: [TLSMandatory]; [TLSNone] if Host is localhost
	// or a loopback address.
	TLS TLSPolicy
	// TLSConfig is used for TLS; it is cloned. Default: the system's roots, TLS
	// 1.2 and later. A ServerName is filled in from Host.
	TLSConfig *tls.Config
	// Username and Password are for the login: both or none. Without TLS they
	// are sent only to a loopback server, or in a way that does not show them.
	Username, Password string
	// Hello is the name by which this machine greets the server. Default: its host name.
	Hello string
	// Timeout bounds the attempts of jobs that have no timeout. Default: [Timeout].
	Timeout time.Duration
}

// New returns the handler of mail.send for a worker's Handle. It makes a
// connection for each job and keeps none. The error says what is wrong with the
// configuration, and does not show the password.
func New(c Config) (bellhop.Handler, error) {
	m, err := newMailer(c)
	if err != nil {
		return bellhop.Handler{}, fmt.Errorf("mail.send: %w", err)
	}
	if c.Definition == nil {
		c.Definition = Send
	}
	return c.Definition.With(m.run), nil
}

// mailer sends the mails of all jobs.
type mailer struct {
	Config
	loopback bool
	address  string   // host:port
	hidden   []string // what no error may show
}

func newMailer(c Config) (*mailer, error) {
	m := &mailer{Config: c}
	if c.Host == "" || strings.ContainsAny(c.Host, " \t\r\n/@") {
		return nil, fmt.Errorf("the host %.64q is not the name or address of a mail server", c.Host)
	}
	addr, err := netip.ParseAddr(c.Host)
	m.loopback = strings.EqualFold(c.Host, "localhost") || err == nil && addr.IsLoopback()
	if m.TLS == "" {
		m.TLS = TLSMandatory
		if m.loopback {
			m.TLS = TLSNone
		}
	}
	if !slices.Contains([]TLSPolicy{TLSMandatory, TLSImplicit, TLSOpportunistic, TLSNone}, m.TLS) {
		return nil, fmt.Errorf("the TLS policy %.32q is unknown: want mandatory, implicit, opportunistic or none", m.TLS)
	}
	if m.Port == 0 {
		m.Port = 587
		if m.TLS == TLSImplicit {
			m.Port = 465
		}
	}
	if m.Port < 1 || m.Port > 65535 {
		return nil, fmt.Errorf("the port %d is out of range: want 1 to 65535", m.Port)
	}
	if (c.Username == "") != (c.Password == "") {
		return nil, errors.New("username and password: give both or none")
	}
	if m.Timeout < 0 {
		return nil, fmt.Errorf("the timeout %v is negative", m.Timeout)
	}
	if m.Timeout == 0 {
		m.Timeout = Timeout
	}
	if m.Hello == "" {
		m.Hello, _ = os.Hostname()
		if !validHello(m.Hello) {
			m.Hello = "localhost"
		}
	}
	if !validHello(m.Hello) {
		return nil, fmt.Errorf("the name %.64q for the greeting is not a host name", m.Hello)
	}
	if m.TLSConfig == nil {
		m.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	m.TLSConfig = m.TLSConfig.Clone()
	if m.TLSConfig.ServerName == "" {
		m.TLSConfig.ServerName = c.Host
	}
	m.address = net.JoinHostPort(c.Host, strconv.Itoa(m.Port))
	if c.Password != "" {
		encode := base64.StdEncoding.EncodeToString
		m.hidden = []string{encode([]byte("\x00" + c.Username + "\x00" + c.Password)), encode([]byte(c.Password)), c.Password}
	}
	return m, nil
}

func validHello(name string) bool {
	return name != "" && len(name) <= 253 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// bound returns the context of one attempt.
func (m *mailer) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	cause := fmt.Errorf("the mail server took longer than %v: %w", m.Timeout, context.DeadlineExceeded)
	return context.WithTimeoutCause(ctx, m.Timeout, cause)
}
