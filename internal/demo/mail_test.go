package demo

import (
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestMailIsCountedByOrderAndByMessageID(t *testing.T) {
	w := startWorld(t, fast)
	send := func(headers ...string) error {
		text := strings.Join(append(headers, "", "Hello", ""), "\r\n")
		client, err := smtp.Dial(w.Mail.Addr())
		if err != nil {
			return err
		}
		defer client.Close()
		return client.SendMail("shop@example.com", []string{"guest@example.com"}, strings.NewReader(text))
	}
	for _, headers := range [][]string{
		{"Message-ID: <1@x>", "X-Order: a"},
		{"Message-ID: <1@x>", "X-Order: a"}, // the same mail again
		{"Message-ID: <2@x>", "X-Order: a"}, // another mail for the same order
		{"Message-ID: <3@x>"},
		{"X-Order: b"},
	} {
		if err := send(headers...); err != nil {
			t.Fatal(err)
		}
	}
	want := Counts{Calls: 5, Effects: 5, Duplicates: 2, Messages: 3}
	if got := w.Mail.Counts(); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	effects := w.Mail.Effects()
	if len(effects["a"]) != 3 || len(effects["<3@x>"]) != 1 || len(effects["b"]) != 1 {
		t.Errorf("effects %v", effects)
	}

	for _, headers := range [][]string{{"Subject: nobody's"}, {"no header"}} {
		var reply *smtp.SMTPError
		if err := send(headers...); !errors.As(err, &reply) || reply.Code != 550 {
			t.Errorf("%v: %v, want reply 550", headers, err)
		}
	}
	if err := send("X-Order: c", "", strings.Repeat("x", 70)+strings.Repeat("\r\n"+strings.Repeat("x", 70), maxMail/70)); err == nil {
		t.Error("a mail beyond the limit was taken")
	}
	if got := w.Mail.Counts(); got.Effects != 5 || got.Refused != 3 {
		t.Errorf("after three bad mails: %+v", got)
	}
}

func TestMailTextHasItsHeaders(t *testing.T) {
	for _, c := range []struct {
		order Order
		want  string
	}{
		{purchase, "Thank you for buying Luggage tag for €19.00."},
		{Order{ID: "mem_1", Email: "guest@example.com", State: Joined}, "Good to have you."},
	} {
		id, messageID, err := readMail(strings.NewReader(MailText(c.order)))
		if err != nil || id != c.order.ID || messageID != "<"+c.order.ID+"@shop.example>" {
			t.Errorf("read %q, %q, %v", id, messageID, err)
		}
		if !strings.Contains(MailText(c.order), c.want) {
			t.Errorf("%q misses %q", MailText(c.order), c.want)
		}
	}
}
