package bellhop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

const hidden = "hunter2-hunter2"

// login has a secret where secrets may be: a field, behind a pointer, in lists and maps, and one that is not exported.
type login struct {
	User   string                            `json:"user"`
	Key    bellhop.Secret[string]            `json:"key"`
	More   *bellhop.Secret[string]           `json:"more,omitempty"`
	List   []bellhop.Secret[string]          `json:"list,omitempty"`
	Map    map[string]bellhop.Secret[string] `json:"map,omitempty"`
	Nested bellhop.Secret[struct{ A any }]   `json:"nested,omitzero"`
	Number bellhop.Secret[int64]             `json:"number,omitzero"`
	inner  bellhop.Secret[map[string]string]
}

func newLogin() login {
	s := bellhop.NewSecret(hidden)
	return login{
		User: "anna", Key: s, More: &s, List: []bellhop.Secret[string]{s}, Map: map[string]bellhop.Secret[string]{"a": s},
		Nested: bellhop.NewSecret(struct{ A any }{s}), Number: bellhop.NewSecret(int64(9007199254740993)),
		inner: bellhop.NewSecret(map[string]string{hidden: hidden}),
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	l := newLogin()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3v", "%p"} {
		for _, v := range []any{l, &l, l.Key, &l.Key, []any{l}, map[string]any{"l": l}, l.inner, l.Nested} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, l.Key, errors.Join(fmt.Errorf("with %v", l.Key)), l.Key.GoString())
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h).With("l", l, "key", l.Key)
		log.Info(l.Key.String(), "all", []any{l}, "p", &l, "group", slog.GroupValue(slog.Any("k", l.Key)))
	}
	encoded, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	text := out.String()
	for _, no := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), "9007199254740993"} {
		if at := strings.Index(text, no); at >= 0 {
			t.Errorf("the secret shows: %.200s", text[max(0, at-100):])
		}
	}
	if !strings.Contains(text, "[redacted]") || l.Key.Reveal() != hidden {
		t.Error("nothing was printed, or the value is lost")
	}
}

// TestSecretsTravel: a handler gets what was enqueued, the store has it in the form that is documented, and nobody need open a seal.
func TestSecretsTravel(t *testing.T) {
	def := bellhop.Define[login]("login", bellhop.Unique())
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r, err := def.Enqueue(t.Context(), client, newLogin())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := def.Enqueue(t.Context(), client, newLogin()); err != nil || again.ID != r.ID || !again.Existing {
		t.Errorf("the same arguments are not the same: %v, %v", again, err)
	}
	job, err := client.Get(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"user":"anna","key":{"secret":%[1]q},"more":{"secret":%[1]q},"list":[{"secret":%[1]q}],"map":{"a":{"secret":%[1]q}},`+
		`"nested":{"secret":{"A":{"secret":%[1]q}}},"number":{"secret":9007199254740993}}`, hidden)
	if string(job.Args) != want {
		t.Errorf("the arguments are\n%s, want\n%s", job.Args, want)
	}
	var got login
	h := def.With(func(_ context.Context, l login) error { got = l; return nil })
	if err := h.Run(t.Context(), job.Args); err != nil || got.Key.Reveal() != hidden || got.Map["a"].Reveal() != hidden || got.Number.Reveal() != 9007199254740993 {
		t.Errorf("the handler got %+v, %v", got, err)
	}
}

func TestSecretForms(t *testing.T) {
	for in, want := range map[string]string{
		`{"secret":"a"}`: "a", ` "plain"`: "plain", `null`: "", `{"secret":""}`: "",
	} {
		var s bellhop.Secret[string]
		if err := json.Unmarshal([]byte(in), &s); err != nil || s.Reveal() != want || s.IsZero() != (want == "") {
			t.Errorf("%s is read as %q, %v", in, s.Reveal(), err)
		}
	}
	for _, in := range []string{`{"secret":"[redacted]"}`, `{"secret":5}`, `5`, `{"secret":"a","b":1}`, `["hunter2"]`, `"bellhop:sealed:0011223344556677:AAAA"`} {
		s := bellhop.NewSecret("old")
		if err := json.Unmarshal([]byte(in), &s); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s is read as %q, %v", in, s.Reveal(), err)
		}
	}
	var wrapped bellhop.Secret[map[string]int] // a value that looks like the form itself
	if err := json.Unmarshal([]byte(`{"secret":7}`), &wrapped); err != nil || wrapped.Reveal()["secret"] != 7 {
		t.Errorf("a plain object is read as %v, %v", wrapped.Reveal(), err)
	}
	if _, err := json.Marshal(bellhop.NewSecret("a\x00b")); err == nil {
		t.Error("a NUL in a secret is not refused")
	}
	if _, err := json.Marshal(bellhop.NewSecret(make(chan int))); err == nil {
		t.Error("a channel is encoded")
	}
}

// TestSealsAreNotKept: what json.Marshal makes of a secret is nothing that could be opened later, so it does not get into a store.
func TestSealsAreNotKept(t *testing.T) {
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sealed, err := json.Marshal(newLogin())
	if err != nil {
		t.Fatal(err)
	}
	for _, draft := range []bellhop.Draft{bellhop.RawJob("login", sealed), bellhop.Define[login]("login").Raw(sealed)} {
		if _, err := bellhop.Enqueue(t.Context(), client, draft); !errors.Is(err, bellhop.ErrInvalid) || !strings.Contains(err.Error(), "under seal") {
			t.Errorf("sealed arguments: %v", err)
		}
	}
	quoted, err := json.Marshal(string(sealed))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bellhop.Define[any]("text").Enqueue(t.Context(), client, json.RawMessage(quoted)); !errors.Is(err, bellhop.ErrInvalid) {
		t.Errorf("a seal within a string: %v", err)
	}
	broken := bytes.Replace(sealed, []byte(`","more"`), []byte(`A","more"`), 1)
	if _, err := bellhop.Define[any]("any").Enqueue(t.Context(), client, json.RawMessage(broken)); !errors.Is(err, bellhop.ErrInvalid) {
		t.Errorf("a seal that was changed: %v", err)
	}
	var back login
	if err := json.Unmarshal(sealed, &back); err != nil || back.Key.Reveal() != hidden {
		t.Errorf("within the process the seal opens as %q, %v", back.Key.Reveal(), err)
	}
}

func TestSecretResults(t *testing.T) {
	run := bellhop.NewRun(nil, &bellhop.Claim{Job: &bellhop.Job{}}, time.Now(), time.Now)
	if err := run.SetResult(newLogin()); err != nil {
		t.Fatal(err)
	}
	if got := string(run.Result()); strings.Contains(got, "sealed") || !strings.Contains(got, `"key":{"secret":"`+hidden+`"}`) {
		t.Errorf("the result is %s", got)
	}
}

// TestSecretsOfAnyValue: what is sealed, enqueued and read again is what it was.
func TestSecretsOfAnyValue(t *testing.T) {
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	type args struct {
		Before string                   `json:"before"`
		S      bellhop.Secret[[]string] `json:"s"`
		After  string                   `json:"after"`
	}
	def := bellhop.Define[args]("any")
	text := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 }))
	rapid.Check(t, func(t *rapid.T) {
		in := args{text.Draw(t, "before"), bellhop.NewSecret(rapid.SliceOf(text).Draw(t, "secret")), text.Draw(t, "after")}
		r, err := def.Enqueue(context.Background(), client, in)
		if err != nil {
			t.Fatal(err)
		}
		job, err := client.Get(context.Background(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		var out args
		if err := json.Unmarshal(job.Args, &out); err != nil || out.Before != in.Before || out.After != in.After ||
			fmt.Sprintf("%q", out.S.Reveal()) != fmt.Sprintf("%q", in.S.Reveal()) {
			t.Fatalf("%s is read as %q, %v", job.Args, out.S.Reveal(), err)
		}
	})
}
