package bellhop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidateJSONAccepts(t *testing.T) {
	for _, good := range []string{
		`null`, `true`, ` false `, "\t\r\n0\n", `""`, `{}`, `[]`, `[ ]`, `{ }`, `[{},[[]]]`,
		`-0`, `0.0`, `-0e-0`, `1e400`, `-1E+9999999999`, `9007199254740993`, `0.123456789012345678901234567890`,
		`123456789012345678901234567890`, `1.0e1`,
		`"añ日🎉"`, "\"\u007f\u0080\u2028\ufffe\uffff\U0010ffff\"", `"\"\\\/\b\f\n\r\t"`, `"\u0001\u00ff\uFFFF\uabCD"`,
		`"\\u0000"`, `"\\\\u0000"`, `"\ud83c\udf89"`, `"\uD83C\uDF89x"`, `"\udbff\udfff"`, `"\ufffd"`, `"` + "\ufffd" + `"`,
		`{"a":1,"a":2}`, `{"":0}`, ` { "a" : [ 1 , 2 ] , "b" : { } } `,
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		strings.Repeat(`{"a":`, 999) + "[]" + strings.Repeat("}", 999),
		"[" + strings.Repeat("[],", 5000) + "[]]",
	} {
		if err := ValidateJSON([]byte(good)); err != nil {
			t.Errorf("%.60q: %v", good, err)
		}
	}
}

func TestValidateJSONRefuses(t *testing.T) {
	const nul = `\u0000 is not allowed in a string: databases cannot store it`
	for _, bad := range []struct{ in, want string }{
		{`{"user":{"name":"\u0000"}}`, `at $.user.name (byte 17): ` + nul},
		{``, `at $ (byte 0): empty; want one JSON value`},
		{" \n", `at $ (byte 2): empty; want one JSON value`},
		{"\ufeff{}", `at $ (byte 0): character '\ufeff' is unexpected; want a value`},
		{"\xff", `at $ (byte 0): byte 0xff is unexpected; want a value`},
		{"\x00", `at $ (byte 0): character '\x00' is unexpected; want a value`},
		{"1\x00", `at $ (byte 1): character '\x00' after the end of the value; want one JSON value alone`},
		{`{} {}`, `at $ (byte 3): character '{' after the end of the value; want one JSON value alone`},
		{`nul`, `at $ (byte 3): the text ends early; want null`},
		{`trUe`, `at $ (byte 2): character 'U' is unexpected; want true`},
		{`NaN`, `at $ (byte 0): character 'N' is unexpected; want a value`},
		{`'a'`, `at $ (byte 0): character '\'' is unexpected; want a value`},
		{`[1,]`, `at $[1] (byte 3): character ']' is unexpected; want a value`},
		{`[1 2]`, `at $ (byte 3): character '2' is unexpected; want ',' or ']'`},
		{`[1`, `at $ (byte 2): the text ends early; want ',' or ']'`},
		{`{"a":1,}`, `at $ (byte 7): character '}' is unexpected; want an object key in double quotes`},
		{`{a:1}`, `at $ (byte 1): character 'a' is unexpected; want an object key in double quotes`},
		{`{"a" 1}`, `at $ (byte 5): character '1' is unexpected; want ':' after an object key`},
		{`{"a":1]`, `at $ (byte 6): character ']' is unexpected; want ',' or '}'`},
		{`{"a":}`, `at $.a (byte 5): character '}' is unexpected; want a value`},
		{`01`, `at $ (byte 1): a number must not begin with 0`},
		{`-`, `at $ (byte 1): the text ends early; want a digit`},
		{`+1`, `at $ (byte 0): character '+' is unexpected; want a value`},
		{`.5`, `at $ (byte 0): character '.' is unexpected; want a value`},
		{`[1.]`, `at $[0] (byte 3): character ']' is unexpected; want a digit`},
		{`1e+`, `at $ (byte 3): the text ends early; want a digit`},
		{`0x10`, `at $ (byte 1): character 'x' after the end of the value; want one JSON value alone`},
		{`"abc`, `at $ (byte 4): the text ends early; want '"' at the end of a string`},
		{`"\`, `at $ (byte 2): the text ends early; want an escape`},
		{`"\x41"`, `at $ (byte 1): escape with character 'x' is not JSON; want one of \" \\ \/ \b \f \n \r \t \u0000`},
		{`"\u12"`, `at $ (byte 1): \u is not followed by four hexadecimal digits`},
		{`"\u12`, `at $ (byte 1): \u is not followed by four hexadecimal digits`},
		{"\"a\nb\"", `at $ (byte 2): control character U+000A stands raw in a string; write it as an escape or leave it out`},
		{"[\"\x00\"]", `at $[0] (byte 2): control character U+0000 stands raw in a string; write it as an escape or leave it out`},
		{"[0,\"a\xffb\"]", `at $[1] (byte 5): byte 0xff is not valid UTF-8`},
		{"\"\xed\xa0\x80\"", `at $ (byte 1): byte 0xed is not valid UTF-8`},
		{"\"\xc0\x80\"", `at $ (byte 1): byte 0xc0 is not valid UTF-8`},
		{"\"\xe2\x82\"", `at $ (byte 1): byte 0xe2 is not valid UTF-8`},
		{`"\ud800"`, `at $ (byte 1): \ud800 is half of a surrogate pair, which is no character`},
		{`"\uDFFF"`, `at $ (byte 1): \uDFFF is half of a surrogate pair, which is no character`},
		{`"\ud800\ud800"`, `at $ (byte 1): \ud800 is half of a surrogate pair, which is no character`},
		{`"\ud83cx\udf89"`, `at $ (byte 1): \ud83c is half of a surrogate pair, which is no character`},
		{`"\ud83c\\udf89"`, `at $ (byte 1): \ud83c is half of a surrogate pair, which is no character`},
		{`{"a":{"b\u0000":1}}`, `at $.a (byte 8): in an object key: ` + nul},
		{`{"\udc00":1}`, `at $ (byte 2): in an object key: \udc00 is half of a surrogate pair, which is no character`},
		{"{\"\xff\":1}", `at $ (byte 2): in an object key: byte 0xff is not valid UTF-8`},
		{`{"first name":["x",{"\u00e9\u0085":"\u0000"}]}`, `at $["first name"][1]["é\u0085"] (byte 36): ` + nul},
		{strings.Repeat("[", 1001), `at $[0][0][0][0][0][0][0][0]…[0][0][0][0][0][0][0][0] (byte 1000): nested deeper than 1000 levels`},
	} {
		err := ValidateJSON([]byte(bad.in))
		var typed *JSONError
		if err == nil || err.Error() != bad.want || !errors.As(err, &typed) {
			t.Errorf("%.60q\n got %v\nwant %s", bad.in, err, bad.want)
		}
	}
}

func TestJSONErrorStaysShort(t *testing.T) {
	key := strings.Repeat(`\u0085`, 1000)
	in := strings.Repeat(`{"`+key+`":`, 900) + `"\u0000"`
	err := ValidateJSON([]byte(in))
	if err == nil || len(err.Error()) > MaxErrorText || strings.Contains(err.Error(), "\n") {
		t.Errorf("%d bytes: %.300v", len(err.Error()), err)
	}
	if CleanText(err.Error(), MaxErrorText) != err.Error() {
		t.Error("the message holds characters that must not be printed")
	}
}

// jsonOracle is a second, slow opinion on what ValidateJSON accepts: encoding/json for the grammar, the rest by searching.
func jsonOracle(data []byte) bool {
	if !json.Valid(data) || !utf8.Valid(data) {
		return false
	}
	for _, text := range jsonStrings.FindAll(data, -1) {
		for _, run := range jsonEscapes.FindAllString(string(text), -1) { // neighbouring \u escapes together
			if run[1] != 'u' {
				continue
			}
			units := []uint64{}
			for i := 0; i < len(run); i += 6 {
				unit, err := strconv.ParseUint(run[i+2:i+6], 16, 16)
				if err != nil || unit == 0 {
					return false
				}
				units = append(units, unit)
			}
			for len(units) > 0 {
				switch {
				case units[0]>>11 != 0xd800>>11:
					units = units[1:]
				case units[0]>>10 == 0xd800>>10 && len(units) > 1 && units[1]>>10 == 0xdc00>>10:
					units = units[2:]
				default:
					return false
				}
			}
		}
	}
	depth := 0
	for _, c := range jsonStrings.ReplaceAll(data, nil) {
		switch c {
		case '[', '{':
			if depth++; depth > 1000 {
				return false
			}
		case ']', '}':
			depth--
		}
	}
	return true
}

var (
	jsonStrings = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*"`)
	// The second alternative takes the other escapes, so that the u of \\u0000 is not taken for an escape.
	jsonEscapes = regexp.MustCompile(`(?:\\u[0-9a-fA-F]{4})+|\\[^u]`)
)

// jsonSeeds are the beginnings of the fuzz targets.
var jsonSeeds = []string{
	`{"user":{"name":"\u0000"}}`, `[1,2.5e-3,-0,1e400,null,true,false]`, `"\ud83c\udf89"`, `"\ud83c"`, `"\\u0000"`,
	"\"\xff\"", "\"a\nb\"", `{"b":1,"a":{"d":[],"c":{}},"b":2}`, ` [ ] `, `{"é":"\u00e9"}`, `[1,]`, `01`, `"\/\b"`, "{\"a\x00\":1}",
	`9007199254740993`, `{"":""}`, `nul`, `"\u0000`, `{"a":1}x`,
}

func FuzzValidateJSON(f *testing.F) {
	for _, seed := range jsonSeeds {
		f.Add([]byte(seed))
	}
	f.Add([]byte(strings.Repeat("[", 1001) + strings.Repeat("]", 1001)))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		err := ValidateJSON(data)
		if !bytes.Equal(before, data) {
			t.Fatal("the data was changed")
		}
		if want := jsonOracle(data); (err == nil) != want {
			t.Fatalf("%q: %v, the oracle says %v", data, err, want)
		}
		if err == nil {
			return
		}
		var typed *JSONError
		if !errors.As(err, &typed) || typed.Offset < 0 || typed.Offset > len(data) {
			t.Fatalf("%q: offset %d", data, typed.Offset)
		}
		if text := err.Error(); strings.Contains(text, "\n") || CleanText(text, MaxErrorText) != text {
			t.Fatalf("the error is not one clean line: %q", text)
		}
	})
}

func TestValidateJSONAllocations(t *testing.T) {
	data := sampleJSON(50)
	if n := testing.AllocsPerRun(100, func() {
		if ValidateJSON(data) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// sampleJSON makes an array of n records as applications send them, about 200 bytes each.
func sampleJSON(n int) []byte {
	var out bytes.Buffer
	for i := range n {
		fmt.Fprintf(&out, `,{"user_id":%d,"email":"anna.%d@example.com","name":"Anna \"A\" Müller","tags":["new","vip"],`+
			`"address":{"street":"Main Street 1","zip":"01067","lat":51.0504,"lon":13.7373},"active":true,"note":null}`, 1000+i, i)
	}
	data := append(out.Bytes(), ']')
	data[0] = '['
	return data
}

func BenchmarkValidateJSON(b *testing.B) {
	for name, data := range map[string][]byte{
		"small": []byte(`{"user_id":42,"template":"welcome","locale":"de"}`),
		"128KB": sampleJSON(600),
		"text":  []byte(`"` + strings.Repeat("plain text with some length, ", 4000) + `"`),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := ValidateJSON(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodingJSONValid(b *testing.B) {
	data := sampleJSON(600)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if !json.Valid(data) {
			b.Fatal("refused")
		}
	}
}
