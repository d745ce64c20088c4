package mailjob

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
)

func TestArgumentsAreRefusedAtTheDoor(t *testing.T) {
	b := newBench(t, Config{Host: "localhost"})
	long := strings.Repeat("x", 1000)
	many := `"a@b.c"` + strings.Repeat(`,"a@b.c"`, 100)
	for _, c := range []struct{ args, want string }{
		{`{}`, "from: missing"},
		{`{"from":"nobody"}`, `from: "nobody" is not one address`},
		{`{"from":"a@b.c, d@e.f"}`, "is not one address"},
		{`{"from":"a@b.c"}`, "to: there is no recipient"},
		{`{"from":"a@b.c","to":["x"]}`, `to: "x" is not one address`},
		{`{"from":"a@b.c","cc":[""]}`, `cc: "" is not one address`},
		{`{"from":"a@b.c","bcc":["x@y.z\r\nBcc: evil@e.e"]}`, "bcc: "},
		{`{"from":"A\r\nBcc: evil@e.e <a@b.c>","to":["a@b.c"]}`, "line break"},
		{`{"from":"=?utf-8?q?=0d=0aBcc:_evil@e.e?= <a@b.c>","to":["a@b.c"]}`, "is not one address"},
		{`{"from":"=?utf-8?q?a=C2=85b?= <a@b.c>","to":["a@b.c"]}`, "control character"},
		{`{"from":"a@b.c","to":["\"x\u0085y\"@b.c"]}`, "control character"},
		{`{"from":"a@b.c","to":["anna@bücher.example"]}`, `to: "anna@bücher.example": its domain is not ASCII: give it in its ASCII form, which begins with xn--`},
		{`{"from":"Bücher <a@bücher.example>","to":["a@b.c"]}`, `from: "a@bücher.example": its domain is not ASCII`},
		{`{"from":"a@b.c","to":["grüße@例え.jp"]}`, "its domain is not ASCII"},
		{`{"from":"a@b.c","to":["a@b.c"],"reply_to":"a@bücher.example"}`, "reply_to: "},
		{`{"from":"Anna \u202emoc.live <a@b.c>","to":["a@b.c"]}`, `from: "Anna \u202emoc.live <a@b.c>" has a character in it that turns the direction`},
		{`{"from":"=?utf-8?q?a=E2=80=AEb?= <a@b.c>","to":["a@b.c"]}`, "turns the direction"},
		{`{"from":"a@b.c","cc":["\u2066Anna\u2069 <a@b.c>"]}`, "cc: "},
		{`{"from":"a@b.c","to":["a\u202eb@b.c"]}`, "turns the direction"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"invoice\u202efdp.exe"}]}`, `its name "invoice\u202efdp.exe" has a character in it that turns the direction`},
		{`{"from":"a@b.c","to":["` + long + `@b.c"]}`, "more than the limit of 254"},
		{`{"from":"a@b.c","to":["` + long + ` <x@b.c>"]}`, "more than the limit of 256"},
		{`{"from":"a@b.c","to":[` + many + `]}`, "101 recipients are more than the limit of 100"},
		{`{"from":"a@b.c","to":["a@b.c"],"reply_to":"x"}`, "reply_to: "},
		{`{"from":"a@b.c","to":["a@b.c"],"subject":"Hi\nBcc: evil@e.e"}`, "subject: it has a line break"},
		{`{"from":"a@b.c","to":["a@b.c"],"subject":"` + long + `"}`, "subject: it has 1000 bytes"},
		{`{"from":"a@b.c","to":["a@b.c"],"subject":"Hi"}`, "text: missing"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","headers":{"Bcc":"evil@e.e"}}`, "headers: Bcc cannot be given"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","headers":{"message-id":"<1@2>"}}`, "headers: Message-Id cannot be given"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","headers":{"content-type":"x"}}`, "headers: Content-Type cannot be given"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","headers":{"X-A: b\r\nBcc":"evil@e.e"}}`, "is not a header's name"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","headers":{"X-A":"b\r\nBcc: evil@e.e"}}`, "the value of X-A: it has a line break"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","headers":{"X-A":" "}}`, "the value of X-A is empty"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","headers":{"X-A":"1","x-a":"2"}}`, "X-A is given twice"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"data":""}]}`, "attachments: number 1: it has no name"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"../a"}]}`, "has a slash"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"a\r\nb"}]}`, "control character"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"` + long + `"}]}`, "more than the limit of 255"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"a","content_type":"nonsense"}]}`, "is not a media type"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"a.pdf","content_type":"application/pdf; Name=\"a.exe\""}]}`, "has a name of its own"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"a","content_type":"text/plain\r\nX-Evil: 1"}]}`, "is not a media type"},
		{`{"from":"a@b.c","to":["a@b.c"],"attachments":[{"name":"a","data":"%"}]}`, "illegal base64"},
		{`{"from":"a@b.c","to":["a@b.c"],"text":"x","reply-to":"a@b.c"}`, `unknown field "reply-to"`},
		{`{"from":"a@b.c","to":"a@b.c","text":"x"}`, "do not fit the kind mail.send"},
	} {
		_, err := bellhop.Enqueue(t.Context(), b.Client, Send.Raw([]byte(c.args)))
		if !errors.Is(err, bellhop.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.120s: %v, want %q", c.args, err, c.want)
			continue
		}
		if text := err.Error(); strings.ContainsAny(text, "\r\n") || len(text) > 300 {
			t.Errorf("%.120s: the error is not one short line: %q", c.args, text)
		}
	}
}

func TestTooManyFiles(t *testing.T) {
	a := hello()
	a.Attachments = make([]Attachment, maxAttachments+1)
	if err := a.Check(); err == nil || !strings.Contains(err.Error(), "21 are more than the limit of 20") {
		t.Error(err)
	}
	a.Attachments, a.Headers = nil, map[string]string{}
	for i := range maxHeaders + 1 {
		a.Headers["X-"+strings.Repeat("a", i)] = "b"
	}
	if err := a.Check(); err == nil || !strings.Contains(err.Error(), "33 are more than the limit of 32") {
		t.Error(err)
	}
}

// The JSON names are what clients in other languages write.
func TestArgumentsInJSON(t *testing.T) {
	data, err := json.Marshal(Args{
		From: "f", To: []string{"t"}, Cc: []string{"c"}, Bcc: []string{"b"}, ReplyTo: "r", Subject: "s", Text: "x", HTML: "h",
		Headers: map[string]string{"X": "y"}, Attachments: []Attachment{{Name: "n", ContentType: "a/b", Data: []byte{255}}},
	})
	want := `{"from":"f","to":["t"],"cc":["c"],"bcc":["b"],"reply_to":"r","subject":"s","text":"x","html":"h",` +
		`"headers":{"X":"y"},"attachments":[{"name":"n","content_type":"a/b","data":"/w=="}]}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v; want %s", data, err, want)
	}
}

func TestHandlerChecksAgain(t *testing.T) {
	b := newBench(t, Config{Host: "localhost", Port: 1})
	if _, err := bellhop.Enqueue(t.Context(), b.Client, bellhop.RawJob(Kind, []byte(`{"from":"a@b.c"}`))); err != nil {
		t.Fatal(err)
	}
	b.Take()
	expect(t, b.Again(), bellhop.OutcomeDead, "to: there is no recipient")
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, `the host "" is not`},
		{Config{Host: "user@mail.example"}, "is not the name or address"},
		{Config{Host: "m", Port: 70000}, "the port 70000 is out of range"},
		{Config{Host: "m", TLS: "yes"}, `the TLS policy "yes" is unknown`},
		{Config{Host: "m", Password: "geheim"}, "give both or none"},
		{Config{Host: "m", Username: "u"}, "give both or none"},
		{Config{Host: "m", Hello: "a b"}, "is not a host name"},
		{Config{Host: "m", Timeout: -1}, "is negative"},
	} {
		_, err := New(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	for host, want := range map[string]TLSPolicy{
		"mail.example": TLSMandatory, "10.0.0.1": TLSMandatory, "localhost.example": TLSMandatory, "localhost": TLSNone, "127.0.0.2": TLSNone, "::1": TLSNone,
	} {
		m, err := newMailer(Config{Host: host})
		if err != nil || m.TLS != want || m.Port != 587 {
			t.Errorf("%s: %v, policy %s, port %d", host, err, m.TLS, m.Port)
		}
	}
	if m, err := newMailer(Config{Host: "m", TLS: TLSImplicit}); err != nil || m.address != "m:465" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestRunOutsideAWorker(t *testing.T) {
	h, err := New(Config{Host: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	err = h.Run(t.Context(), []byte(`{"from":"a@b.c","to":["a@b.c"],"text":"x"}`))
	if err == nil || !strings.Contains(err.Error(), "a worker must run it") {
		t.Error(err)
	}
}
