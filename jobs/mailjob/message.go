package mailjob

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/gobellhop/bellhop"
)

// message is a mail ready to be handed over.
type message struct {
	id   string // without angle brackets
	from string
	to   []string
	data []byte
}

// compose writes the mail of a job. An error means that it can never be written.
func compose(ctx context.Context, job *bellhop.Job, a Args) (*message, error) {
	e, err := a.envelope()
	if err != nil {
		return nil, err
	}
	m := &message{id: bellhop.Key(ctx, Kind) + "@" + idDomain(e.from.Address), from: e.from.Address, to: e.recipients()}
	w := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	w.SetMessageIDWithValue(m.id)
	w.SetDateWithValue(date(job))
	w.FromMailAddress(e.from)
	w.ToMailAddress(e.to...)
	w.CcMailAddress(e.cc...)
	if a.ReplyTo != "" {
		address, err := parseAddress(a.ReplyTo)
		if err != nil {
			return nil, err
		}
		w.ReplyToMailAddress(address)
	}
	w.Subject(a.Subject)
	for name, value := range a.Headers {
		w.SetGenHeader(gomail.Header(name), strings.TrimSpace(value))
	}
	switch {
	case a.HTML == "":
		w.SetBodyString(gomail.TypeTextPlain, a.Text)
	case a.Text == "":
		w.SetBodyString(gomail.TypeTextHTML, a.HTML)
	default:
		w.SetBodyString(gomail.TypeTextPlain, a.Text)
		w.AddAlternativeString(gomail.TypeTextHTML, a.HTML)
	}
	for _, file := range a.Attachments {
		var opts []gomail.FileOption
		if file.ContentType != "" {
			opts = append(opts, gomail.WithFileContentType(gomail.ContentType(file.ContentType)))
		}
		if err := w.AttachReader(file.Name, bytes.NewReader(file.Data), opts...); err != nil {
			return nil, fmt.Errorf("attachment %q: %w", file.Name, err)
		}
	}
	var buf bytes.Buffer
	if _, err := w.WriteTo(&buf); err != nil {
		return nil, fmt.Errorf("the message cannot be written: %w", err)
	}
	m.data = buf.Bytes()
	return m, nil
}

// date returns when the mail was meant to go, the same in all attempts: when it
// was enqueued, or the later time that it was to run at.
func date(job *bellhop.Job) time.Time {
	at := job.EnqueuedAt
	if due := job.Due(at); due.After(at) {
		at = due
	}
	return at.UTC()
}

// idDomain returns the part after the @ of a Message-ID: the sender's domain
// where it is a plain one.
func idDomain(address string) string {
	domain := domainOf(address)
	plain := func(r rune) bool {
		return r == '.' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if domain == "" || strings.ContainsFunc(domain, func(r rune) bool { return !plain(r) }) {
		return "localhost"
	}
	return domain
}
