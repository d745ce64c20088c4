package bellhop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type decoded struct {
	N    int             `json:"n"`
	Text string          `json:"text"`
	Raw  json.RawMessage `json:"raw"`
	List []decoded       `json:"list"`
	Any  any             `json:"any"`
}

// decodesAlike compares decodeJSON with json.Unmarshal, errors included.
func decodesAlike[T any](t rapid.TB, text string) {
	t.Helper()
	var got, want T
	gotErr, wantErr := decodeJSON([]byte(text), &got), json.Unmarshal([]byte(text), &want)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Fatalf("decodeJSON(%q) returned %v, json.Unmarshal %v", text, gotErr, wantErr)
	}
	if wantErr == nil && !cmp.Equal(got, want) {
		t.Fatalf("decodeJSON(%q) differs from json.Unmarshal: %s", text, cmp.Diff(want, got))
	}
}

func TestDecodeJSONIsUnmarshal(t *testing.T) {
	long := strings.Repeat("x", reuseUpTo)
	texts := []string{
		`{"n":1,"text":"a","raw":[1, 2],"list":[{"n":2}],"any":{"b":[null]}}`, `{}`, ` {"n":3} `, `{"n":4}` + "\n", "", " ", `{"n":`, `{"n":5}}`,
		`{"n":6}{"n":7}`, `{"n":"eight","text":"kept"}`, `[1,2]`, `null`, `true`, `12`, `"text"`, `nul`, `{"text":"\u00e4\ud83d\ude00"}`, `{'n':1}`,
		`{"text":"` + long + `"}`, `{"text":"` + long[:reuseUpTo/2] + `"}`, `{"n":1}x`, `{"list":[{"n":"x"}]}`,
	}
	for range 2 { // a decoder that has seen an error must not come back
		for _, text := range texts {
			decodesAlike[decoded](t, text)
			decodesAlike[any](t, text)
			decodesAlike[int](t, text)
			decodesAlike[string](t, text)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := decoded{
			N: rapid.Int().Draw(t, "n"), Text: rapid.String().Draw(t, "text"),
			Any: rapid.SampledFrom([]any{nil, 1.5, "a", []any{true}}).Draw(t, "any"), Raw: json.RawMessage(`{"a":[1,2]}`),
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		decodesAlike[decoded](t, string(text))
		decodesAlike[decoded](t, string(text[:cut])+rapid.SampledFrom([]string{"", " ", "}", "1"}).Draw(t, "tail"))
	})
}

// TestDecodedValuesAreTheirOwn: what was decoded stays when the decoder is used again.
func TestDecodedValuesAreTheirOwn(t *testing.T) {
	var first, second decoded
	for text, v := range map[string]*decoded{`{"text":"aaaa","raw":"aaaa"}`: &first, `{"text":"bbbb","raw":"bbbb"}`: &second} {
		if err := decodeJSON([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	if first.Text != "aaaa" || string(first.Raw) != `"aaaa"` || second.Text != "bbbb" || string(second.Raw) != `"bbbb"` {
		t.Errorf("decoded one after the other: %+v and %+v", first, second)
	}
}

// reads counts how often it is decoded.
type reads int

func (r *reads) UnmarshalJSON([]byte) error { *r++; return nil }

func TestDecodeJSONReadsOnce(t *testing.T) {
	for _, text := range []string{`{}`, ` {}`, `{} `, "{}\r\n\t", `12 `} {
		var r reads
		if err := decodeJSON([]byte(text), &r); err != nil || r != 1 {
			t.Errorf("%q was read %d times, error %v", text, r, err)
		}
	}
}
