package demo

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMail bounds one mail, in bytes.
const maxMail = 1 << 20

// serveMail is the mail server: it takes any mail on any connection and delivers it to nobody. The latency is spent in DATA,
// and the mail counts as delivered at its end, just before the answer. The order is read from the X-Order header; a mail
// without one is counted under its Message-ID, and a mail with neither is refused with 550.
func serveMail(ctx context.Context, s *Service, l net.Listener) func() {
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &mailSession{ctx: ctx, service: s}, nil
	}))
	srv.Domain = "mail.localhost"
	srv.MaxMessageBytes = maxMail
	srv.MaxRecipients = 50
	srv.ReadTimeout = 5 * time.Minute
	srv.WriteTimeout = time.Minute
	srv.ErrorLog = log.New(io.Discard, "", 0) // cut connections are part of the play

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l) // ends with the listener, always with an error that says so
	}()
	return func() {
		<-ended
		// Every connection is cut by now, so this only waits for the sessions' goroutines. The listener is closed already, and
		// that is all the error would say.
		limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(limit)
	}
}

// mailSession is one SMTP session.
type mailSession struct {
	ctx     context.Context
	service *Service
}

// Mail accepts every sender.
func (*mailSession) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt accepts every recipient.
func (*mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

// Reset has nothing to forget.
func (*mailSession) Reset() {}

// Logout has nothing to free.
func (*mailSession) Logout() error { return nil }

// Data takes one mail.
func (m *mailSession) Data(r io.Reader) error {
	mode, err := m.service.enter()
	if err != nil {
		return closing()
	}
	defer m.service.leave()
	id, messageID, err := readMail(r)
	if err != nil {
		m.service.unread(m.ctx)
		return err
	}
	if mode == Failing {
		m.service.refuse()
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "The mail server is failing, try again later"}
	}
	if !m.service.pause(m.ctx, mode, 1) {
		return closing()
	}
	m.service.book.mail(id, messageID)
	return nil
}

func closing() error {
	return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "The mail server is going down"}
}

// readMail reads a mail to its end and returns under which id it is counted.
func readMail(r io.Reader) (id, messageID string, err error) {
	m, err := mail.ReadMessage(bufio.NewReader(r))
	if err != nil {
		var own *smtp.SMTPError // too large, or cut off
		if errors.As(err, &own) {
			return "", "", own
		}
		return "", "", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "This is no mail"}
	}
	if _, err := io.Copy(io.Discard, m.Body); err != nil {
		return "", "", err
	}
	messageID = strings.TrimSpace(m.Header.Get("Message-Id"))
	id = strings.TrimSpace(m.Header.Get("X-Order"))
	if id == "" {
		id = messageID
	}
	if id == "" {
		return "", "", &smtp.SMTPError{
			Code: 550, EnhancedCode: smtp.EnhancedCode{5, 6, 0},
			Message: "The mail has neither X-Order nor Message-ID",
		}
	}
	return id, messageID, nil
}
