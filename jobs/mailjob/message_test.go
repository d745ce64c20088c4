package mailjob

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

func parse(t *testing.T, data string) *mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(data, "\r\n", "\n"), "\n") {
		if len(line) > 998 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	return m
}

// parts returns the leaves of a message as "media type: content".
func parts(t *testing.T, header func(string) string, body io.Reader) []string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		switch header("Content-Transfer-Encoding") {
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return []string{kind + ": " + strings.TrimSuffix(string(data), "\r\n")}
	}
	var all []string
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		if p.FileName() != "" {
			decoded, err := new(mime.WordDecoder).DecodeHeader(p.FileName())
			if err != nil {
				t.Error(err)
			}
			name = decoded + " "
		}
		for _, leaf := range parts(t, p.Header.Get, p) {
			all = append(all, name+leaf)
		}
	}
}

func TestMessage(t *testing.T) {
	s := newSink(t, nil)
	b := newBench(t, s.config)
	a := Args{
		From: "Blumen Grüße <shop@example.com>", To: []string{"Anna <anna@example.org>", "bob@example.org"},
		Cc: []string{"cem@example.org", "bob@example.org"}, Bcc: []string{"secret@example.org"}, ReplyTo: "help@example.com",
		Subject: "Ihre Bestellung – 7 × Rosen", Text: "Grüße,\n.\n..\n" + strings.Repeat("x", 3000), HTML: "<p>Grüße</p>",
		Headers:     map[string]string{"X-Order": "7", "list-unsubscribe": "<https://example.com/u?a=b>", "In-Reply-To": "<1@example.com>"},
		Attachments: []Attachment{{Name: "Räder.pdf", ContentType: "application/pdf", Data: []byte{0, 1, 255}}, {Name: "b.txt", Data: []byte("b")}},
	}
	o := b.do(a)
	expect(t, o, bellhop.OutcomeSucceeded)
	got := s.took()[0]
	if want := []string{"anna@example.org", "bob@example.org", "cem@example.org", "secret@example.org"}; !slices.Equal(got.to, want) || got.from != "shop@example.com" {
		t.Errorf("the envelope is from %s to %v", got.from, got.to)
	}
	m := parse(t, got.data)
	decode := func(name string) string {
		text, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
		if err != nil {
			t.Error(err)
		}
		return text
	}
	for name, want := range map[string]string{
		"Subject": a.Subject, "From": `Blumen Grüße <shop@example.com>`, "To": `"Anna" <anna@example.org>, <bob@example.org>`,
		"Cc": "<cem@example.org>, <bob@example.org>", "Bcc": "", "Reply-To": "<help@example.com>", "X-Order": "7",
		"List-Unsubscribe": "<https://example.com/u?a=b>", "In-Reply-To": "<1@example.com>", "User-Agent": "", "X-Mailer": "",
		"Message-Id": result(t, o).MessageID, "Date": b.Claim.Job.EnqueuedAt.UTC().Format(time.RFC1123Z),
	} {
		if got := decode(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(got.data, "secret@example.org") {
		t.Error("the message names a blind copy")
	}
	leaves := parts(t, m.Header.Get, m.Body)
	want := []string{
		"text/plain: " + strings.ReplaceAll(a.Text, "\n", "\r\n"), "text/html: <p>Grüße</p>",
		"Räder.pdf application/pdf: \x00\x01\xff", "b.txt text/plain: b",
	}
	if !slices.Equal(leaves, want) {
		t.Errorf("the parts are %q, want %q", leaves, want)
	}
	if r := result(t, o); r.Recipients != 4 || !strings.Contains(r.Response, "OK") {
		t.Errorf("result %+v", r)
	}
}

func TestBodies(t *testing.T) {
	s := newSink(t, nil)
	for _, c := range []struct {
		change func(*Args)
		want   []string
	}{
		{func(*Args) {}, []string{"text/plain: Good morning."}},
		{func(a *Args) { a.Text, a.HTML = "", "<p>" }, []string{"text/html: <p>"}},
		{func(a *Args) { a.HTML = "<p>" }, []string{"text/plain: Good morning.", "text/html: <p>"}},
		{func(a *Args) { a.Text, a.Attachments = "", []Attachment{{Name: "a.bin", Data: []byte("x")}} }, []string{"text/plain: ", "a.bin application/octet-stream: x"}},
		{func(a *Args) { a.To, a.Bcc = nil, a.To }, []string{"text/plain: Good morning."}},
	} {
		a := hello()
		c.change(&a)
		if len(a.Attachments) > 0 {
			a.Attachments[0].ContentType = "application/octet-stream"
		}
		expect(t, newBench(t, s.config).do(a), bellhop.OutcomeSucceeded)
		took := s.took()
		m := parse(t, took[len(took)-1].data)
		if got := parts(t, m.Header.Get, m.Body); !slices.Equal(got, c.want) {
			t.Errorf("parts %q, want %q", got, c.want)
		}
	}
}

// All attempts of a job send the same mail; another job's is another.
func TestMessageIDAndDateAreStable(t *testing.T) {
	s := newSink(t, nil)
	b := newBench(t, s.config)
	ids, dates := map[string]bool{}, map[string]bool{}
	expect(t, b.do(hello()), bellhop.OutcomeSucceeded)
	b.Claim.Place.Attempt, b.Claim.Place.Failures = 5, 5
	expect(t, b.Again(), bellhop.OutcomeSucceeded)
	for _, d := range s.took() {
		m := parse(t, d.data)
		ids[m.Header.Get("Message-Id")], dates[m.Header.Get("Date")] = true, true
	}
	expect(t, b.do(hello()), bellhop.OutcomeSucceeded)
	took := s.took()
	other := parse(t, took[len(took)-1].data).Header.Get("Message-Id")
	if len(took) != 3 || len(ids) != 1 || len(dates) != 1 || ids[other] || !strings.HasSuffix(other, "@example.com>") {
		t.Errorf("%d mails, ids %v and %s, dates %v", len(took), ids, other, dates)
	}
}

func TestDate(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		job  bellhop.Job
		want time.Time
	}{
		{bellhop.Job{EnqueuedAt: at}, at},
		{bellhop.Job{EnqueuedAt: at, RunAt: at.Add(time.Hour)}, at.Add(time.Hour)},
		{bellhop.Job{EnqueuedAt: at, RunAt: at.Add(-time.Hour)}, at},
		{bellhop.Job{EnqueuedAt: at, Delay: time.Hour}, at.Add(time.Hour)},
	} {
		if got := date(&c.job); !got.Equal(c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

func TestIDDomain(t *testing.T) {
	for address, want := range map[string]string{
		"a@example.com": "example.com", `"a@b"@example.com`: "example.com", "a@[127.0.0.1]": "localhost", "a@bücher.example": "localhost",
	} {
		if got := idDomain(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
