package httpjob

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
)

func TestArgumentsAreRefusedAtTheDoor(t *testing.T) {
	b := local(t, Config{})
	for _, c := range []struct{ args, want string }{
		{`{}`, "url: missing"},
		{`{"url":"ftp://example.com/"}`, `url: the scheme is "ftp"`},
		{`{"url":"example.com/hook"}`, `url: the scheme is ""`},
		{`{"url":"/hook"}`, `url: the scheme is ""`},
		{`{"url":"file:///etc/passwd"}`, `url: the scheme is "file"`},
		{`{"url":"http:///hook"}`, "url: there is no host"},
		{`{"url":"http:hook"}`, "url: there is no host"},
		{`{"url":"https://anna:geheim@example.com/"}`, "url: a user or password stands before the host"},
		{`{"url":"https://example.com:70000/"}`, `url: the port "70000" is out of range`},
		{`{"url":"https://example.com:0/"}`, "out of range"},
		{`{"url":"https://exa mple.com/"}`, "url: not a URL"},
		{`{"url":"https://example.com/\n"}`, "url: not a URL"},
		{`{"url":"https://[::1/?token=geheim"}`, "url: not a URL"},
		{`{"url":"https://e.com/` + strings.Repeat("x", maxURL) + `"}`, "more than the limit of 8192"},
		{`{"url":"https://e.com","method":"post"}`, `want "POST"`},
		{`{"url":"https://e.com","method":"GET /x HTTP/1.1\r\nHost: a"}`, "is not a method"},
		{`{"url":"https://e.com","method":"CONNECT"}`, "CONNECT is not for calls"},
		{`{"url":"https://e.com","method":"TRACE"}`, "TRACE is not for calls"},
		{`{"url":"https://e.com","headers":{"Bad Name":"x"}}`, `"Bad Name" is not a header's name`},
		{`{"url":"https://e.com","headers":{"":"x"}}`, `"" is not a header's name`},
		{`{"url":"https://e.com","headers":{"X-A":"geheim\r\nX-B: c"}}`, "the value of X-A has a line break"},
		{`{"url":"https://e.com","headers":{"x-a":"1","X-A":"2"}}`, "X-A is given twice"},
		{`{"url":"https://e.com","headers":{"host":"internal"}}`, "Host cannot be given: it comes from the URL"},
		{`{"url":"https://e.com","headers":{"content-length":"3"}}`, "Content-Length cannot be given"},
		{`{"url":"https://e.com","headers":{"transfer-encoding":"chunked"}}`, "Transfer-Encoding cannot be given"},
		{`{"url":"https://e.com","headers":{"bellhop-attempt":"1"}}`, "Bellhop-Attempt cannot be given"},
		{`{"url":"https://e.com","headers":{"Webhook-Signature":"v1,x"}}`, "name a secret in signing"},
		{`{"url":"https://e.com","headers":{"X":"` + strings.Repeat("v", maxHeaderLen+1) + `"}}`, "more than the limit of 8192"},
		{`{"url":"https://e.com","body":"a","body_base64":"YQ=="}`, "both are given"},
		{`{"url":"https://e.com","body_base64":"%"}`, "illegal base64"},
		{`{"url":"https://e.com","timeout_ms":-1}`, "timeout_ms: -1 is out of range"},
		{`{"url":"https://e.com","timeout_ms":3600001}`, "is out of range"},
		{`{"url":"https://e.com","signing":"no such name!"}`, "signing: secret"},
		{`{"url":"https://e.com","header":{"Authorization":"x"}}`, `unknown field "header"`},
		{`{"url":"https://e.com","body":{"id":7}}`, "do not fit the kind http.request"},
	} {
		_, err := bellhop.Enqueue(t.Context(), b.Client, Request.Raw([]byte(c.args)))
		if !errors.Is(err, bellhop.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: %v, want %q", c.args, err, c.want)
			continue
		}
		if text := err.Error(); strings.ContainsAny(text, "\r\n") || strings.Contains(text, "geheim") || len(text) > 300 {
			t.Errorf("%.80s: the error is not one short line without secrets: %q", c.args, text)
		}
	}
}

func TestArgumentsAreAccepted(t *testing.T) {
	b := newBench(t, Config{})
	for _, text := range []string{
		`{"url":"https://example.com"}`,
		`{"method":"POST","url":"https://example.com/hook?a=b#part","headers":{},"body":"…"}`,
		`{"method":"PURGE","url":"http://[2606:4700::1111]:8080/x","headers":{"X-Ü":"x"}}`,
		`{"url":"http://bücher.example/","headers":{"Authorization":"Bearer t","x-text":"\tä"},"body_base64":"AP8=","timeout_ms":1,"signing":"hooks/main"}`,
	} {
		_, err := bellhop.Enqueue(t.Context(), b.Client, Request.Raw([]byte(text)))
		if ok := !strings.Contains(text, "X-Ü"); ok != (err == nil) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The JSON names are what clients in other languages write.
func TestArgumentsInJSON(t *testing.T) {
	data, err := json.Marshal(Args{
		Method: "PUT", URL: "https://e.com", Headers: map[string]string{"A": "b"}, Body: "x", BodyBase64: []byte{255},
		TimeoutMS: 5, Signing: "s",
	})
	want := `{"method":"PUT","url":"https://e.com","headers":{"A":"b"},"body":"x","body_base64":"/w==","timeout_ms":5,"signing":"s"}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v; want %s", data, err, want)
	}
}

func TestHandlerChecksAgain(t *testing.T) {
	b := local(t, Config{})
	_, err := bellhop.Enqueue(t.Context(), b.Client, bellhop.RawJob(Kind, []byte(`{"url":"gopher://e.com"}`)))
	if err != nil {
		t.Fatal(err)
	}
	b.Take()
	expect(t, b.Again(), bellhop.OutcomeDead, `the scheme is "gopher"`)
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Secrets: map[string]string{"a b": "whsec_x"}}, "secret"},
		{Config{Secrets: map[string]string{"a": ""}}, "it is empty"},
		{Config{Secrets: map[string]string{"a": "geheim"}}, "does not begin with whsec_"},
		{Config{Secrets: map[string]string{"a": "whsec_geheim!"}}, "is not base64"},
		{Config{Secrets: map[string]string{"a": "whsec_Z2VoZWlt"}}, "has 6 bytes: want at least 24"},
		{Config{UserAgent: "a\r\nb"}, "control character"},
		{Config{Timeout: -1}, "negative"},
	} {
		_, err := New(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestRunOutsideAWorker(t *testing.T) {
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context(), []byte(`{"url":"https://example.com"}`)); err == nil || !strings.Contains(err.Error(), "a worker must run it") {
		t.Error(err)
	}
}
