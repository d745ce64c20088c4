package cli

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-smtp"
)

// mailbox is a mail server that keeps what it gets.
type mailbox struct{ mails chan string }

func (b mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return mailSession(b), nil }

type mailSession mailbox

func (mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (mailSession) Reset()                               {}
func (mailSession) Logout() error                        { return nil }

func (s mailSession) Data(r io.Reader) error {
	mail, err := io.ReadAll(r)
	s.mails <- string(mail)
	return err
}

func TestServeSendsMail(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	box := mailbox{make(chan string, 10)}
	server := smtp.NewServer(box)
	server.Domain = "localhost"
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		<-ended
	}()

	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "smtp")
	if err := os.WriteFile(settings, []byte("# where mail goes\nhost = 127.0.0.1\nport = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := newStore(t)
	p := launch(t, []string{"BELLHOP_SMTP_PORT=" + port}, "serve", "--store", store, "--listen", "127.0.0.1:0", "--smtp-file", settings)
	out := must(t, store, "", "enqueue", "mail.send", `{"from":"shop@example.com","to":["anna@example.org"],"subject":"Your order","text":"Thank you."}`)
	must(t, store, "", "jobs", "wait", anyID.FindString(out), "--timeout", patience.String())
	if mail := <-box.mails; !strings.Contains(mail, "Subject: Your order") || !strings.Contains(mail, "Thank you.") {
		t.Errorf("the mail that came is another:\n%s", mail)
	}
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, p.output)
	}
}
