package redact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/redact"
)

func TestNames(t *testing.T) {
	for _, name := range []string{
		"password", "Password", "PASSWORD", "db_password", "dbPassword", "DB_PASSWORD", "user-password-2", "passwd", "pwd", "pass", "smtp.pass",
		"secret", "clientSecret", "client_secret", "secrets", "secretKey", "apiKey", "api_key", "API-KEY", "X-Api-Key", "apikey", "accessKey",
		"token", "authToken", "X-Auth-Token", "access_token", "refreshToken", "id_token", "tokens", "JWT", "jwt", "auth", "basicAuth",
		"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "private_key", "privateKeyPEM", "PEM", "credential", "AWSCredentials",
		"connectionString", "DSN", "sessionId", "session_id", "cvv", "card_number", "pin", "otp", "csrf_token", "password_hash", "hasPassword",
	} {
		if !redact.Secret(name) {
			t.Errorf("%q is not taken for a secret's name", name)
		}
	}
	for _, name := range []string{
		"", "user", "email", "name", "id", "key", "keys", "tokenize", "compass", "passenger", "bypass", "spin", "pinned", "author", "authors", "secretary",
		"max_tokens", "maxTokens", "promptTokens", "tokens_used", "token_count", "tokenType", "token_expires_at", "password_changed_at", "secret_name",
		"hotpot", "shipping", "opinion", "monkey", "tokyo", "123", "---", "ключ", "compassion", "passed",
	} {
		if redact.Secret(name) {
			t.Errorf("%q is taken for a secret's name", name)
		}
	}
	redact.Secret(strings.Repeat("passwor\xff", 1<<16)) // must not panic, nor take long
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		``:                                      ``,
		`{}`:                                    `{}`,
		`"password"`:                            `"password"`,
		`{"password":"x"}`:                      `{"password":"[redacted]"}`,
		` { "password" : "x" , "n": 1.50e+3 } `: ` { "password" : "[redacted]" , "n": 1.50e+3 } `,
		`{"password":12345678901234567890123}`:  `{"password":"[redacted]"}`,
		`{"n":12345678901234567890123,"token":1,"m":-0.0}`:                              `{"n":12345678901234567890123,"token":"[redacted]","m":-0.0}`,
		`{"password":null,"token":"","secret":{},"jwt":[],"auth":true}`:                 `{"password":null,"token":"","secret":{},"jwt":[],"auth":true}`,
		`{"secret":{"a":[1,{"password":"x"}]},"b":2}`:                                   `{"secret":"[redacted]","b":2}`,
		`{"tokens":["a","b"],"max_tokens":7}`:                                           `{"tokens":"[redacted]","max_tokens":7}`,
		`[{"a":[{"apiKey":"x"}]},{"apiKey":"y\"}"}]`:                                    `[{"a":[{"apiKey":"[redacted]"}]},{"apiKey":"[redacted]"}]`,
		`{"\u0070assword":"x"}`:                                                         `{"\u0070assword":"[redacted]"}`,
		`{"pass\u0077ord":"x","a":"\u0041\/"}`:                                          `{"pass\u0077ord":"[redacted]","a":"\u0041\/"}`,
		`{"password":"x","password":"y"}`:                                               `{"password":"[redacted]","password":"[redacted]"}`,
		`{"name":"Authorization","value":"Bearer x"}`:                                   `{"name":"Authorization","value":"[redacted]"}`,
		`{"value":"Bearer x","name":"Authorization"}`:                                   `{"value":"[redacted]","name":"Authorization"}`,
		`{"value":{"a":{"password":"x"}},"key":"secret"}`:                               `{"value":"[redacted]","key":"secret"}`,
		`{"name":"colour","value":"red"}`:                                               `{"name":"colour","value":"red"}`,
		`{"headers":[{"name":"X-A","value":"1"},{"name":"Cookie","values":["a","b"]}]}`: `{"headers":[{"name":"X-A","value":"1"},{"name":"Cookie","values":"[redacted]"}]}`,
		`{"password":"x"`:         `"[redacted]"`, // what cannot be read could be anything
		`{"password":"x"} {}`:     `"[redacted]"`,
		"{\"password\":\"\xff\"}": `{"password":"[redacted]"}`,
		"{\"a\":\"\xff\"}":        "{\"a\":\"\xff\"}",
	} {
		before := strings.Clone(in)
		if got := string(redact.JSON([]byte(in))); got != want {
			t.Errorf("%s becomes\n%s, want\n%s", in, got, want)
		}
		if in != before {
			t.Errorf("%s was changed itself", before)
		}
	}
	deep := strings.Repeat(`{"a":[`, 4000) + `{"token":"x"}` + strings.Repeat(`]}`, 4000)
	if got := string(redact.JSON([]byte(deep))); got != strings.Replace(deep, `"x"`, `"[redacted]"`, 1) {
		t.Errorf("at a depth of 8000: %.80s", got)
	}
	if got := string(redact.JSON([]byte(strings.Repeat("[", 1<<20)))); got != `"[redacted]"` {
		t.Errorf("a million brackets become %.80s", got)
	}
}

// tree draws JSON values with names of both sorts, written with odd white space and escapes; numbers are texts, of any size.
func tree(depth int) *rapid.Generator[string] {
	blank := rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r"})
	name := rapid.OneOf(rapid.SampledFrom([]string{"password", "apiKey", "secret", "name", "value", "key", "a", "b", "to\\u006ben", "max_tokens"}), plainText)
	leaf := rapid.OneOf(
		rapid.SampledFrom([]string{"null", "true", "false", `""`, "0", "-0.0e-7", "123456789012345678901234567890.10", `"password"`, `"Cookie"`}),
		rapid.Map(plainText, func(s string) string { return `"` + s + `"` }))
	return rapid.Custom(func(t *rapid.T) string {
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		if depth == 0 || kind < 2 {
			return leaf.Draw(t, "leaf")
		}
		n := rapid.IntRange(0, 3).Draw(t, "n")
		var parts []string
		for range n {
			part := tree(depth-1).Draw(t, "part")
			if kind >= 3 {
				part = `"` + name.Draw(t, "name") + `"` + blank.Draw(t, "blank") + ":" + blank.Draw(t, "blank") + part
			}
			parts = append(parts, blank.Draw(t, "blank")+part+blank.Draw(t, "blank"))
		}
		if kind >= 3 {
			return "{" + strings.Join(parts, ",") + "}"
		}
		return "[" + strings.Join(parts, ",") + "]"
	})
}

// plainText draws what may stand between the quotes of a JSON string.
var plainText = rapid.Map(rapid.String(), func(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(raw[1 : len(raw)-1])
})

// secretsLeft looks for values that should have gone, in decoded JSON: another way to the same answer.
func secretsLeft(v any) []string {
	var left []string
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			left = append(left, secretsLeft(item)...)
		}
	case map[string]any:
		named := false
		for _, key := range []string{"name", "key"} {
			text, _ := v[key].(string)
			named = named || redact.Secret(text)
		}
		for key, item := range v {
			empty := item == nil || item == "" || item == true || item == false || fmt.Sprint(item) == "map[]" || fmt.Sprint(item) == "[]"
			if secret := redact.Secret(key) || key == "value" && named; secret && !empty && item != redact.Mark {
				left = append(left, key)
			} else if !secret {
				left = append(left, secretsLeft(item)...)
			}
		}
	}
	return left
}

func checkJSON(t interface{ Fatalf(string, ...any) }, in string) {
	out := string(redact.JSON([]byte(in)))
	if !json.Valid([]byte(in)) {
		if in != "" && out != `"[redacted]"` {
			t.Fatalf("what is no JSON, %q, becomes %q", in, out)
		}
		return
	}
	var got any
	if err := json.Unmarshal([]byte(out), &got); err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
		t.Fatalf("%q becomes %q, which is no JSON: %v", in, out, err)
	}
	if again := string(redact.JSON([]byte(out))); again != out {
		t.Fatalf("%q becomes %q, and that %q", in, out, again)
	}
	// What stands between the marks are pieces of the input, in their order, and nothing else.
	rest := in
	for i, piece := range strings.Split(out, `"[redacted]"`) {
		at := strings.Index(rest, piece)
		if at < 0 || i == 0 && at != 0 {
			t.Fatalf("%q becomes %q: the piece %q is not in the input", in, out, piece)
		}
		rest = rest[at+len(piece):]
	}
	if !strings.Contains(in, redact.Mark) && !strings.Contains(out, redact.Mark) && in != out {
		t.Fatalf("%q without a secret becomes %q", in, out)
	}
}

// TestAnyJSON: no secret is left, and all else is as it was, byte for byte.
func TestAnyJSON(t *testing.T) {
	redacted := 0
	rapid.Check(t, func(t *rapid.T) {
		in := tree(4).Draw(t, "json")
		if rapid.Bool().Draw(t, "with a secret") {
			in = `{"data":` + in + `,"password":"x"}`
		}
		checkJSON(t, in)
		out := redact.JSON([]byte(in))
		if !bytes.Equal(out, []byte(in)) {
			redacted++
		}
		var got any
		d := json.NewDecoder(bytes.NewReader(out))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if duplicates(in) {
			return // decoding shows the last of each only
		}
		if left := secretsLeft(got); len(left) > 0 {
			t.Fatalf("%s becomes %s: left are %q", in, out, left)
		}
		back, err := redact.Restore(out, []byte(in))
		if err != nil || string(back) != in && !strings.Contains(in, redact.Mark) {
			t.Fatalf("%s, redacted and restored, is %s, %v", in, back, err)
		}
	})
	if redacted == 0 {
		t.Error("no text had a secret")
	}
}

// duplicates reports whether some object may have a name twice: decoded and encoded it is shorter then.
func duplicates(in string) bool {
	var v any
	d := json.NewDecoder(strings.NewReader(in))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return true
	}
	out, err := json.Marshal(v)
	return err != nil || bytes.Count(out, []byte(":")) != bytes.Count([]byte(in), []byte(":"))
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"password":"x","n":1e400}`, `[{"name":"Cookie","value":{"token":[]}}]`, `{"\u0070wd":0}`, "\xff", strings.Repeat("[", 10_001), `{"key":"secret","value":[{"token":1}],"a":{"token":2}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		checkJSON(t, in)
		_ = redact.Text(in)
		_, _ = redact.Restore([]byte(in), redact.JSON([]byte(in))) // must not panic
	})
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"unexpected token: }":                  "unexpected token: }",
		"invalid password":                     "invalid password",
		"a=1 password=hunter2 b=2":             "a=1 password=[redacted] b=2",
		"https://x.example/?a=1&token=abc&b=2": "https://x.example/?a=1&token=[redacted]&b=2",
		"open postgres://u:hunter2@db/x: no":   "open postgres://u:[redacted]@db/x: no",
		`body {"user":"a","password":"hun\"ter","n":1}`:       `body {"user":"a","password":"[redacted]","n":1}`,
		`body {\"password\": \"hunter2\"}`:                    `body {\"password\": \"[redacted]\"}`,
		"GET /\nAuthorization: Basic dTpodW50ZXIy\nAccept: x": "GET /\nAuthorization: [redacted]\nAccept: x",
		"sent Bearer abcdefgh.ijkl to x":                      "sent Bearer [redacted] to x",
		"a basic problem":                                     "a basic problem",
		`PGPASSWORD='hunter 2' x`:                             `PGPASSWORD=[redacted] x`,
		"text=token=hunter2 secret=aGk= x":                    "text=token=[redacted] secret=[redacted] x",
		"max_tokens=100":                                      "max_tokens=100",
	} {
		if got := redact.Text(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestSnapshot(t *testing.T) {
	failure := &bellhop.Failure{Class: "c", Message: "password=hunter2", Stack: "main.f(token=hunter2)"}
	s := &bellhop.Snapshot{
		Job: bellhop.Job{
			Args: []byte(`{"password":"hunter2"}`), Kind: "k",
			Meta: map[string]string{"token": "hunter2", "a": "b", "json": `{"api_key":"hunter2"}`},
		},
		Place:   bellhop.Place{Result: []byte(`{"secret":"hunter2"}`), Progress: []byte(`{"done":1,"note":"token=hunter2"}`), Reason: "pwd=hunter2"},
		History: []bellhop.Attempt{{Claim: 1}, {Claim: 2, Failure: failure, Log: []byte(`{"lines":[{"message":"token=hunter2","attrs":[{"key":"a","value":"b"}]}]}`)}},
	}
	before := fmt.Sprintf("%+v %s %v", s, s.Args, *failure)
	out := redact.Snapshot(s)
	if now := fmt.Sprintf("%+v %s %v", s, s.Args, *failure); now != before {
		t.Errorf("the job itself was changed: %s", now)
	}
	text := fmt.Sprintf("%s %s %s %s %v %v %s", out.Args, out.Place.Result, out.Place.Progress, out.Place.Reason, out.Meta, *out.History[1].Failure, out.History[1].Log)
	if strings.Contains(text, "hunter2") || out.Meta["a"] != "b" || string(out.Place.Progress) != `{"done":1,"note":"token=[redacted]"}` || out.History[0].Claim != 1 || out.Kind != "k" {
		t.Errorf("the job is shown as %s", text)
	}
	plain := map[string]string{"a": "b"}
	if got := redact.Meta(plain); reflect.ValueOf(got).Pointer() != reflect.ValueOf(plain).Pointer() || redact.Meta(nil) != nil {
		t.Error("metadata without a secret is copied")
	}
}

func TestLogsOfAttempts(t *testing.T) {
	line := func(message, key, value string) string {
		b, err := json.Marshal(bellhop.Log{Trace: "t", Lines: []bellhop.LogLine{{Message: message, Skipped: 7, Attrs: []bellhop.LogAttr{{Key: "a", Value: "b"}, {Key: key, Value: value}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for in, want := range map[string]string{
		"": "", "{}": "{}", "nonsense": `"[redacted]"`, `[{"password":"hunter2"}]`: `[{"password":"[redacted]"}]`,
		line("it runs", "n", "7"):                          line("it runs", "n", "7"),
		line("password=hunter2", "n", "7"):                 line("password=[redacted]", "n", "7"),
		line("x", "request.apiKey", "hunter2"):             line("x", "request.apiKey", "[redacted]"),
		line("x", "password", ""):                          line("x", "password", ""),
		line("x", "args", `{"user":1,"secret":"hunter2"}`): line("x", "args", `{"user":1,"secret":"[redacted]"}`),
		line("x", "url", "https://u:hunter2@h"):            line("x", "url", "https://u:[redacted]@h"),
	} {
		if got := string(redact.Log([]byte(in))); got != want {
			t.Errorf("%s becomes\n%s, want\n%s", in, got, want)
		}
	}
}

func TestLogs(t *testing.T) {
	type args struct {
		User     string `json:"user"`
		Password string `json:"password"`
	}
	for name, handler := range map[string]func(*bytes.Buffer, *slog.HandlerOptions) slog.Handler{
		"text": func(b *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(b, o) },
		"json": func(b *bytes.Buffer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(b, o) },
	} {
		var out bytes.Buffer
		log := slog.New(handler(&out, &slog.HandlerOptions{ReplaceAttr: redact.Attr}))
		log.With("token", "hunter2").WithGroup("g").Info("said", "password", "hunter2", "args", args{"anna", "hunter2"}, "p", &args{"anna", "hunter2"},
			"raw", json.RawMessage(`{"secret":"hunter2"}`), "bytes", []byte(`{"pwd":"hunter2"}`), "map", map[string]any{"a": map[string]string{"api_key": "hunter2"}},
			"err", errors.New("dial postgres://u:hunter2@h"), "pin", 1234567, "url", "http://h/?token=hunter2", slog.Group("in", slog.String("cookie", "hunter2")),
			"n", 7, "nothing", nil, "has_password", true, "list", []int{1, 2}, "id", bellhop.NewID())
		if text := out.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "1234567") || !strings.Contains(text, "anna") || strings.Contains(text, "!ERROR") {
			t.Errorf("%s: the line is %s", name, text)
		}
	}
}

func TestRestore(t *testing.T) {
	original := `{"user":"anna","password":"hunter2","n":12345678901234567890,"list":[{"id":1,"token":"t1"},{"id":2,"token":"t2"}],"h":{"name":"Cookie","value":"c"}}`
	if got := string(redact.JSON([]byte(original))); strings.Contains(got, "t1") || strings.Contains(got, "hunter2") {
		t.Fatal(got)
	}
	edit := strings.NewReplacer
	for _, c := range []struct {
		edit *strings.Replacer
		want string // empty: refused
	}{
		{edit(), original},
		{edit("anna", "bert"), strings.ReplaceAll(original, "anna", "bert")},
		{edit(`"password":"[redacted]"`, `"password":"new"`), strings.ReplaceAll(original, "hunter2", "new")},
		{edit(`"password":"[redacted]",`, ``), strings.ReplaceAll(original, `"password":"hunter2",`, "")},
		{edit(`"n":12345678901234567890`, `"n" : 12345678901234567891 `), strings.ReplaceAll(original, `"n":12345678901234567890`, `"n" : 12345678901234567891 `)},
		{edit(`"user":"anna"`, `"user":"[redacted]"`), original}, // what stood there
		{edit(`"id":1`, `"id":3`), ""},                   // whose token is it now?
		{edit(`{"id":1,"token":"[redacted]"},`, ``), ""}, // else t1 would go to 2
		{edit(`"password"`, `"passphrase"`), ""},         // there was none
		{edit(`"list":`, `"list2":`), ""},                //
		{edit(`"name":"Cookie"`, `"name":"colour"`), ""}, // else it would be shown
		{edit(`"name":"Cookie",`, ``), ""},               //
		{edit(`{"id":1,"token":"[redacted]"},{"id":2,"token":"[redacted]"}`, ``), strings.ReplaceAll(original, `{"id":1,"token":"t1"},{"id":2,"token":"t2"}`, "")},
	} {
		edited := c.edit.Replace(string(redact.JSON([]byte(original))))
		got, err := redact.Restore([]byte(edited), []byte(original))
		if c.want == "" && err == nil || c.want != "" && (err != nil || string(got) != c.want) {
			t.Errorf("%s\nis restored as\n%s, %v", edited, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "at $.") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("the error is %v", err)
		}
	}
	deep := strings.Repeat(`{"a":[{"b":`, 3000) + `{"token":"x"}` + strings.Repeat(`}]}`, 3000) // what takes long is a depth times a length
	if got, err := redact.Restore(redact.JSON([]byte(deep)), []byte(deep)); err != nil || string(got) != deep {
		t.Errorf("at a great depth: %.80s, %v", got, err)
	}
	big := `{"password":"` + strings.Repeat("x", 1<<20) + `"}`
	many := "{" + strings.Repeat(`"password":"[redacted]",`, 50_000) + `"a":1}`
	if got, err := redact.Restore([]byte(many), []byte(big)); err == nil || len(got) > 2*len(big) {
		t.Errorf("one value stands for %d bytes, %v", len(got), err)
	}
	if _, err := redact.Restore([]byte(`{"a":`), []byte(`{}`)); err == nil {
		t.Error("what is no JSON is restored")
	}
}

// TestPatternsTellNoSecrets: what is hidden in a message decides nothing about its group, so that nobody finds a secret out by trying words until the
// fingerprint, which is shown, is the same.
func TestPatternsTellNoSecrets(t *testing.T) {
	for _, form := range []string{
		"login with password=§ failed", "dial: DB_PASSWORD='§'", `apiKey="§", retry`, "https://user:§@example.com/x refused", "dial postgres://u:§@db:5432/x?sslmode=off: refused",
		"Authorization: Basic §", "GET /: authorization:§", "sent Bearer §abcdefgh", "token=§&user=anna", "https://x/?access_token=§#y", "smtp.pass=§", "card_number=§", "dsn=§",
		"client-secret=§; next", "cookie: a=§; b=§", "session_id=§)", "{pin=§}", `body {"password": "§"}`, "csrf=§,x=1", "jwt=§", "x otp=§", "connectionString=§",
	} {
		message := func(secret string) string { return strings.ReplaceAll(form, "§", secret) }
		if strings.Contains(redact.Text(message("hunter")), "hunter") {
			t.Errorf("%q is shown, so that this test proves nothing", message("hunter"))
		}
		one, two := bellhop.FailurePattern(message("hunter")), bellhop.FailurePattern(message("wanter"))
		if one != two || strings.Contains(one, "hunter") {
			t.Errorf("of %q the pattern is %q, and with another secret %q", message("hunter"), one, two)
		}
		if again := bellhop.FailurePattern(one); again != one {
			t.Errorf("the pattern of %q is %q", one, again)
		}
	}
	for _, name := range []string{"password", "db_pwd", "smtp.pass", "auth", "X-Auth-Token", "apikey", "private_key", "passphrase", "userCredentials", "sessionKey", "creditcard", "securityCode", "one_time_code", "cvc"} {
		if got := bellhop.FailurePattern(name + "=hunter"); !redact.Secret(name) || strings.Contains(got, "hunter") {
			t.Errorf("%s: a secret's name %v, the pattern is %q", name, redact.Secret(name), got)
		}
	}
	if got := bellhop.FailurePattern("status=timeout code=NotFound errno=EPIPE"); got != "status=timeout code=NotFound errno=EPIPE" {
		t.Errorf("what is no secret is left out: %q", got)
	}
}
