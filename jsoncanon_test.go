package bellhop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestCanonicalJSON(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{` null `, `null`},
		{"\n[ 1 , 2\t]\r\n", `[1,2]`},
		{`{}`, `{}`},
		{`[ ]`, `[]`},
		{`{"b":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"b":{"d":[{"z":1,"y":2}],"c":0},"a":[]}`, `{"a":[],"b":{"c":0,"d":[{"y":2,"z":1}]}}`},
		{`{"a":1,"b":2,"a":{"x":3}}`, `{"a":{"x":3},"b":2}`},
		{`{"a":1,"\u0061":2}`, `{"a":2}`},
		{`{"a":[1],"a":[2],"a":[]}`, `{"a":[]}`},
		{`{"":1,"a":2,"A":3,"aa":4,"é":5,"z":6,"10":7,"9":8}`, `{"":1,"10":7,"9":8,"A":3,"a":2,"aa":4,"z":6,"é":5}`},
		{`{"\ud83c\udf89":1,"\uffff":2}`, "{\"\uffff\":2,\"🎉\":1}"}, // by UTF-8 bytes, not by UTF-16 units
		{`"\u0041\/\u00e9\ud83c\udf89"`, `"A/é🎉"`},
		{`"\"\\\b\f\n\r\t\u000A\u001f\u0001\u007f"`, `"\"\\\b\f\n\r\t\n\u001f\u0001` + "\x7f" + `"`},
		{`"<&>\u2028"`, "\"<&>\u2028\""},
		{`[1,1.0,1e0,-0,9007199254740993,0.123456789012345678901234567890,1E400]`, `[1,1.0,1e0,-0,9007199254740993,0.123456789012345678901234567890,1E400]`},
		{`[true ,false ,null ]`, `[true,false,null]`},
	} {
		got, err := CanonicalJSON([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s\n got %s, %v\nwant %s", c.in, got, err, c.want)
		}
	}
}

func TestCanonicalJSONRefusesWhatValidateJSONRefuses(t *testing.T) {
	for _, bad := range []string{``, `{"a":1,}`, `"\u0000"`, `"\ud800"`, "\"\xff\"", `1 2`, strings.Repeat("[", 1001)} {
		out, err := CanonicalJSON([]byte(bad))
		if want := ValidateJSON([]byte(bad)); out != nil || err == nil || err.Error() != want.Error() || !errors.As(err, new(*JSONError)) {
			t.Errorf("%.40q: %s, %v; want %v", bad, out, err, want)
		}
	}
}

func FuzzCanonicalJSON(f *testing.F) {
	for i, seed := range jsonSeeds {
		f.Add([]byte(seed), uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		before := bytes.Clone(data)
		canon, err := CanonicalJSON(data)
		if !bytes.Equal(before, data) {
			t.Fatal("the data was changed")
		}
		if valid := ValidateJSON(data); (err == nil) != (valid == nil) {
			t.Fatalf("%v, but ValidateJSON says %v", err, valid)
		}
		if err != nil {
			return
		}
		value := decodeExactly(t, data)
		if back := decodeExactly(t, canon); !reflect.DeepEqual(back, value) {
			t.Fatalf("%s\nbecame %s", data, canon)
		}
		again, err := CanonicalJSON(canon)
		if err != nil || !bytes.Equal(again, canon) {
			t.Fatalf("%s\nbecame %s, %v", canon, again, err)
		}
		other := respell(nil, value, rand.New(rand.NewPCG(seed, 0)))
		if got, err := CanonicalJSON(other); err != nil || !bytes.Equal(got, canon) {
			t.Fatalf("%s\nbecame %s, %v\nwant   %s", other, got, err, canon)
		}
	})
}

func decodeExactly(t *testing.T, data []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}

// respell writes v as JSON in another way: keys in random order, some of them twice, random white space, random escapes.
func respell(out []byte, v any, r *rand.Rand) []byte {
	space := func() { out = append(out, []string{"", " ", "\n\t", "\r\n"}[r.IntN(4)]...) }
	space()
	switch v := v.(type) {
	case map[string]any:
		out = append(out, '{')
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys) // the order of a map would make a failure hard to repeat
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		if len(keys) > 0 && r.IntN(2) == 0 { // an earlier value of a key does not count
			out = append(respellString(out, keys[len(keys)-1], r), ":[{}],"...)
		}
		for i, key := range keys {
			if i > 0 {
				out = append(out, ',')
			}
			space()
			out = respellString(out, key, r)
			space()
			out = respell(append(out, ':'), v[key], r)
		}
		space()
		out = append(out, '}')
	case []any:
		out = append(out, '[')
		for i, item := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = respell(out, item, r)
		}
		space()
		out = append(out, ']')
	case string:
		out = respellString(out, v, r)
	case json.Number:
		out = append(out, v...)
	case nil:
		out = append(out, "null"...)
	default:
		out = fmt.Append(out, v)
	}
	space()
	return out
}

func respellString(out []byte, s string, r *rand.Rand) []byte {
	out = append(out, '"')
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' || r.IntN(2) == 0 {
			for _, unit := range utf16.Encode([]rune{c}) {
				out = fmt.Appendf(out, []string{`\u%04x`, `\u%04X`}[r.IntN(2)], unit)
			}
		} else {
			out = append(out, string(c)...)
		}
	}
	return append(out, '"')
}

func BenchmarkCanonicalJSON(b *testing.B) {
	for name, data := range map[string][]byte{
		"small": []byte(`{"user_id":42,"template":"welcome","locale":"de"}`),
		"128KB": sampleJSON(600),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := CanonicalJSON(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
