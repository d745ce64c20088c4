package mailjob

import (
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"net/textproto"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/internal/builtin"
)

// Kind is the kind of the jobs of this package.
const Kind = "mail.send"

// Timeout is how long one attempt may take unless the definition or the job says otherwise.
const Timeout = 60 * time.Second

// Limits of one mail.
const (
	maxRecipients  = 100 // as many as every mail server takes (RFC 5321, section 4.5.3.1.8)
	maxAddress     = 254 // bytes
	maxName        = 256 // bytes of a name beside an address
	maxLine        = 900 // bytes of a subject or a header's value; lines end at 998
	maxHeaders     = 32
	maxAttachments = 20
	maxFileName    = 255 // bytes
)

// Args are the arguments of a job: one mail. As JSON:
//
//	{"from":"Shop <shop@example.com>","to":["anna@example.org"],"subject":"Your order","text":"Thank you."}
//
// An address is written anna@example.org or Anna Lind <anna@example.org>. Its
// domain is ASCII: bücher.example is given as xn--bcher-kva.example, which every
// mail server takes. What stands before the @ may have other letters; then the
// mail server must offer SMTPUTF8, or the job is dead. Names of people and files
// have any letters, but no characters that turn the direction of writing.
type Args struct {
	// From is the sender, in the header and on the envelope.
	From string `json:"from"`
	// To, Cc and Bcc are the recipients, at least one and at most 100 in all.
	// Those in Bcc are on the envelope only.
	To  []string `json:"to,omitempty"`
	Cc  []string `json:"cc,omitempty"`
	Bcc []string `json:"bcc,omitempty"`
	// ReplyTo is where answers go. Default: From.
	ReplyTo string `json:"reply_to,omitempty"`
	// Subject is one line of at most 900 bytes.
	Subject string `json:"subject,omitempty"`
	// Text and HTML are the body; a mail with both offers the reader the choice.
	// At least one of Text, HTML and Attachments must be there.
	Text string `json:"text,omitempty"`
	HTML string `json:"html,omitempty"`
	// Headers are further headers, at most 32: those that begin with X- or List-,
	// and Auto-Submitted, Comments, Feedback-ID, Importance, In-Reply-To,
	// Keywords, Organization, Precedence, Priority, References, Sensitivity.
	Headers map[string]string `json:"headers,omitempty"`
	// Attachments are files, at most 20. With all else they must fit the limit
	// of a job's arguments (128 KiB by default): for more, send a link.
	Attachments []Attachment `json:"attachments,omitempty"`
}

// Attachment is a file that goes with a mail.
type Attachment struct {
	// Name is the file's name, without folders.
	Name string `json:"name"`
	// ContentType is its media type. Default: by the name's ending, else application/octet-stream.
	ContentType string `json:"content_type,omitempty"`
	// Data is its content; base64 in JSON.
	Data []byte `json:"data"`
}

// Send is the definition of mail.send with its defaults.
var Send = Define()

// Define makes a definition of mail.send with other defaults than [Send]'s:
// each attempt is bounded by [Timeout], and the arguments are checked before
// they are enqueued; opts come after that. Give it to [New] in
// [Config].Definition. It panics if an option is not for definitions.
func Define(opts ...bellhop.Option) *bellhop.Definition[Args] {
	return builtin.Define[Args](Kind, Timeout, opts...)
}

// Check tells whether the mail can be sent as far as its arguments go. The
// error is one line that names the member.
func (a Args) Check() error {
	if _, err := a.envelope(); err != nil {
		return err
	}
	if a.ReplyTo != "" {
		if _, err := parseAddress(a.ReplyTo); err != nil {
			return fmt.Errorf("reply_to: %w", err)
		}
	}
	if err := checkLine(a.Subject); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	if a.Text == "" && a.HTML == "" && len(a.Attachments) == 0 {
		return errors.New("text: missing: want text, html or attachments")
	}
	if err := checkHeaders(a.Headers); err != nil {
		return err
	}
	if len(a.Attachments) > maxAttachments {
		return fmt.Errorf("attachments: %d are more than the limit of %d", len(a.Attachments), maxAttachments)
	}
	for i, file := range a.Attachments {
		if err := file.check(); err != nil {
			return fmt.Errorf("attachments: number %d: %w", i+1, err)
		}
	}
	return nil
}

// envelope is a mail's addresses.
type envelope struct {
	from        *mail.Address
	to, cc, bcc []*mail.Address
}

func (a Args) envelope() (envelope, error) {
	var e envelope
	var err error
	if a.From == "" {
		return e, errors.New("from: missing")
	}
	if e.from, err = parseAddress(a.From); err != nil {
		return e, fmt.Errorf("from: %w", err)
	}
	for _, list := range []struct {
		name  string
		texts []string
		into  *[]*mail.Address
	}{{"to", a.To, &e.to}, {"cc", a.Cc, &e.cc}, {"bcc", a.Bcc, &e.bcc}} {
		for _, text := range list.texts {
			address, err := parseAddress(text)
			if err != nil {
				return e, fmt.Errorf("%s: %w", list.name, err)
			}
			*list.into = append(*list.into, address)
		}
	}
	switch n := len(e.to) + len(e.cc) + len(e.bcc); {
	case n == 0:
		return e, errors.New("to: there is no recipient")
	case n > maxRecipients:
		return e, fmt.Errorf("to: %d recipients are more than the limit of %d: enqueue several jobs", n, maxRecipients)
	}
	return e, nil
}

// recipients returns the addresses of to, cc and bcc, each once.
func (e envelope) recipients() []string {
	var list []string
	seen := map[string]bool{}
	for _, group := range [][]*mail.Address{e.to, e.cc, e.bcc} {
		for _, a := range group {
			if !seen[a.Address] {
				seen[a.Address] = true
				list = append(list, a.Address)
			}
		}
	}
	return list
}

// parseAddress reads one address. Names are looked at after decoding, because
// an encoded word can hide a line break.
func parseAddress(text string) (*mail.Address, error) {
	if hasControl(text) {
		return nil, fmt.Errorf("%.64q has a line break or another control character in it", text)
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, fmt.Errorf("%.64q is not one address such as anna@example.org or Anna <anna@example.org>", text)
	}
	switch {
	case hasControl(a.Name) || hasControl(a.Address):
		return nil, fmt.Errorf("%.64q has a line break or another control character in it", text)
	case turnsText(a.Name) || turnsText(a.Address):
		return nil, fmt.Errorf("%.64q has a character in it that turns the direction of writing", text)
	case !ascii(domainOf(a.Address)):
		return nil, fmt.Errorf("%.64q: its domain is not ASCII: give it in its ASCII form, which begins with xn--", a.Address)
	case len(a.Address) > maxAddress:
		return nil, fmt.Errorf("%.64q has %d bytes, more than the limit of %d", a.Address, len(a.Address), maxAddress)
	case len(a.Name) > maxName:
		return nil, fmt.Errorf("the name %.64q has %d bytes, more than the limit of %d", a.Name, len(a.Name), maxName)
	}
	return a, nil
}

// domainOf returns what follows the last @ of an address.
func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// turnsText reports whether a text embeds, overrides or isolates the direction of writing, by which a name could show as another.
func turnsText(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' })
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' })
}

func checkLine(text string) error {
	if hasControl(text) {
		return errors.New("it has a line break or another control character in it")
	}
	if len(text) > maxLine {
		return fmt.Errorf("it has %d bytes, more than the limit of %d", len(text), maxLine)
	}
	return nil
}

// allowed are the headers that a job may set beside X- and List-. Others would
// say twice, or in another way, what the mail says already.
var allowed = map[string]bool{
	"Auto-Submitted": true, "Comments": true, "Feedback-Id": true, "Importance": true, "In-Reply-To": true, "Keywords": true,
	"Organization": true, "Precedence": true, "Priority": true, "References": true, "Sensitivity": true,
}

func checkHeaders(headers map[string]string) error {
	if len(headers) > maxHeaders {
		return fmt.Errorf("headers: %d are more than the limit of %d", len(headers), maxHeaders)
	}
	seen := map[string]bool{}
	for name, value := range headers {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if !validHeaderName(name) {
			return fmt.Errorf("headers: %.64q is not a header's name", name)
		}
		if !allowed[canonical] && !strings.HasPrefix(canonical, "X-") && !strings.HasPrefix(canonical, "List-") {
			return fmt.Errorf("headers: %s cannot be given: want one that begins with X- or List-, or one such as In-Reply-To", canonical)
		}
		if seen[canonical] {
			return fmt.Errorf("headers: %s is given twice", canonical)
		}
		seen[canonical] = true
		if strings.TrimSpace(value) == "" {
			return fmt.Errorf("headers: the value of %s is empty", canonical)
		}
		if err := checkLine(value); err != nil {
			return fmt.Errorf("headers: the value of %s: %w", canonical, err)
		}
	}
	return nil
}

func validHeaderName(name string) bool {
	return name != "" && len(name) <= 76 && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func (f Attachment) check() error {
	switch {
	case f.Name == "":
		return errors.New("it has no name")
	case len(f.Name) > maxFileName:
		return fmt.Errorf("its name has %d bytes, more than the limit of %d", len(f.Name), maxFileName)
	case hasControl(f.Name) || strings.ContainsAny(f.Name, `/\"`):
		return fmt.Errorf("its name %.64q has a slash, a quote or a control character in it", f.Name)
	case turnsText(f.Name):
		return fmt.Errorf("its name %.64q has a character in it that turns the direction of writing", f.Name)
	case f.ContentType == "":
		return nil
	}
	kind, params, err := mime.ParseMediaType(f.ContentType)
	if err != nil || len(f.ContentType) > maxName || hasControl(f.ContentType) || !strings.Contains(kind, "/") || strings.HasPrefix(kind, "multipart/") {
		return fmt.Errorf("its content_type %.64q is not a media type such as application/pdf", f.ContentType)
	}
	if _, named := params["name"]; named { // ours would stand beside it, and readers differ on which counts
		return fmt.Errorf("its content_type %.64q has a name of its own: give it in name", f.ContentType)
	}
	return nil
}
