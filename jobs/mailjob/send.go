package mailjob

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"github.com/gobellhop/bellhop"
)

// Result is what a job leaves behind when the mail server has taken the mail.
type Result struct {
	// MessageID is the mail's, with its angle brackets.
	MessageID string `json:"message_id"`
	// Recipients is how many addresses the mail was accepted for.
	Recipients int `json:"recipients"`
	// Response is what the server said, often with its own id of the mail.
	Response string `json:"response,omitempty"`
}

// run is the handler: one attempt.
func (m *mailer) run(ctx context.Context, a Args) error {
	run := bellhop.FromContext(ctx)
	if run == nil {
		return errors.New("mail.send: the context is not a handler's; a worker must run it")
	}
	if err := a.Check(); err != nil {
		return bellhop.Dead(err)
	}
	msg, err := compose(ctx, run.Job(), a)
	if err != nil {
		return bellhop.Dead(err)
	}
	ctx, cancel := m.bound(ctx)
	defer cancel()
	response, err := m.deliver(ctx, msg)
	if err != nil {
		return m.verdict(ctx, err)
	}
	result := Result{MessageID: "<" + msg.id + ">", Recipients: len(msg.to), Response: bellhop.CleanText(response, 512)}
	if err := run.SetResult(result); err != nil {
		run.Logger().Warn("the server's answer could not be kept as the job's result", "error", err)
	}
	return nil
}

// goodbye is how long a server may take over its answer to QUIT.
const goodbye = 2 * time.Second

// deliver makes a connection and hands the mail over. If it returns nil, the
// server has taken the mail for all recipients; what comes after that, such as
// the goodbye, can fail nothing.
func (m *mailer) deliver(ctx context.Context, msg *message) (response string, err error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return "", failedAt(StageConnect, err)
	}
	defer conn.Close() //nolint:errcheck // the mail's fate is known by then
	// The protocol's reads and writes know no context: its end cuts them short.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	c, err := smtp.NewClient(conn, m.Host)
	if err != nil {
		return "", failedAt(StageConnect, err)
	}
	if err := c.Hello(m.Hello); err != nil {
		return "", failedAt(StageConnect, err)
	}
	if err := m.encrypt(c); err != nil {
		return "", failedAt(StageTLS, err)
	}
	if err := m.login(c); err != nil {
		return "", failedAt(StageLogin, err)
	}
	response, err = handOver(c, msg)
	if err == nil || answered(err) {
		stop()
		_ = conn.SetDeadline(time.Now().Add(goodbye))
		_ = c.Quit()
	}
	return response, err
}

// connect opens the connection, with TLS if it is to be there from the first byte.
func (m *mailer) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 15 * time.Second}
	plain, err := d.DialContext(ctx, "tcp", m.address)
	if err != nil {
		return nil, err
	}
	conn := &boundedConn{Conn: plain, left: maxReceived}
	if m.TLS != TLSImplicit {
		return conn, nil
	}
	secure := tls.Client(conn, m.TLSConfig)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return secure, nil
}

// maxReceived is how many bytes a server may say in one connection.
const maxReceived = 256 << 10

// boundedConn is a connection that ends after so many bytes received: replies
// are kept in memory until their last line has come.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the server has said more than %d bytes", maxReceived)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// encrypt changes to TLS as the policy says.
func (m *mailer) encrypt(c *smtp.Client) error {
	if m.TLS == TLSImplicit || m.TLS == TLSNone {
		return nil
	}
	if offered, _ := c.Extension("STARTTLS"); !offered {
		if m.TLS == TLSOpportunistic {
			return nil
		}
		return errors.New("the server does not offer TLS (STARTTLS), which is mandatory here")
	}
	return c.StartTLS(m.TLSConfig)
}

// login presents the user's name and password, if there is one, in the safest
// way that both sides know. In the clear they are shown to a loopback server only.
func (m *mailer) login(c *smtp.Client) error {
	if m.Username == "" {
		return nil
	}
	_, encrypted := c.TLSConnectionState()
	shows := encrypted || m.loopback
	_, offered := c.Extension("AUTH")
	for _, way := range []struct {
		name string
		ok   bool
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", true, smtp.ScramSHA256Auth(m.Username, m.Password)},
		{"PLAIN", shows, smtp.PlainAuth("", m.Username, m.Password, m.Host, true)},
		{"LOGIN", shows, smtp.LoginAuth(m.Username, m.Password, m.Host, true)},
		{"CRAM-MD5", true, smtp.CRAMMD5Auth(m.Username, m.Password)},
	} {
		if way.ok && containsWord(offered, way.name) {
			return c.Auth(way.auth)
		}
	}
	if offered == "" {
		return errors.New("the server offers no login on this connection")
	}
	return fmt.Errorf("the server offers only logins that cannot be used here (%.64q, TLS: %v)", offered, encrypted)
}

func containsWord(list, word string) bool {
	for _, w := range strings.Fields(list) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// handOver names sender and recipients and sends the data, if all recipients were accepted.
func handOver(c *smtp.Client, msg *message) (response string, err error) {
	wide := !ascii(msg.from)
	for _, to := range msg.to {
		wide = wide || !ascii(to)
	}
	if offered, _ := c.Extension("SMTPUTF8"); wide && !offered {
		return "", &SMTPError{Stage: StageRecipient, Permanent: true, fault: fault{Text: "an address is not ASCII, and the server does not take such addresses (SMTPUTF8)"}}
	}
	c.SkipSMTPUTF8(!wide) // else the mail could go on only to servers that know it
	if err := c.Mail(bracketed(msg.from)); err != nil {
		return "", failedAt(StageSender, err)
	}
	var refused refusals
	for _, to := range msg.to {
		err := c.Rcpt(bracketed(to))
		if err == nil {
			continue
		}
		if !answered(err) {
			return "", failedAt(StageRecipient, err)
		}
		refused = append(refused, refusal{to, failedAt(StageRecipient, err)})
	}
	if len(refused) > 0 {
		return "", refused.err(len(msg.to))
	}
	w, err := c.Data()
	if err != nil {
		return "", failedAt(StageData, err)
	}
	if _, err := w.Write(msg.data); err != nil {
		return "", failedAt(StageData, err)
	}
	if err := w.Close(); err != nil {
		return "", failedAt(StageData, err)
	}
	if d, ok := w.(*smtp.DataCloser); ok {
		response = d.ServerResponse()
	}
	return response, nil
}

// bracketed writes an address as a command wants it, quoted where needed.
func bracketed(address string) string { return (&mail.Address{Address: address}).String() }

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 })
}

// answered reports whether an error is an answer of the server, so that the
// connection still works.
func answered(err error) bool {
	var reply *textproto.Error
	var ours *SMTPError
	return errors.As(err, &reply) || errors.As(err, &ours) && ours.Code > 0
}
