package bellhop

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// The types of these tests, with one way each in which encoding/json finds a string or passes it over.
type (
	named    string
	textual  string // encodes itself
	byAddr   string // encodes itself when addressable
	hidden   struct{ Text string }
	selfJSON struct{ Text string }
	chain    struct {
		Next *chain
		Text string
	}
	count struct { // recursive, and without any string
		Next *count
		N    int
	}
	loop     *loop
	embedded struct {
		hidden
		N int
	}
	embeddedPointer struct {
		*hidden
		N int
	}
	embeddedName struct{ named }
	EmbeddedText struct{ Text string }
	Wrapped      struct {
		EmbeddedText `json:"inner"`
	}
	twoSelves struct { // two methods MarshalJSON at one depth: neither is promoted, so the fields count
		selfJSON
		otherSelf
	}
	otherSelf struct{ Other string }
	tags      struct {
		Skip string `json:"-"`
		//lint:ignore SA5008 a field that is named "-" is what is tested
		Dash  string `json:"-,"`
		Named string `json:"name,omitempty"`
		quiet string
	}
	everything struct {
		Map    map[named]*[]any
		Array  [2]named
		Deep   map[int]map[string][]hidden
		Any    any
		Fmt    fmt.Stringer
		Raw    json.RawMessage
		Bytes  []byte
		Time   time.Time
		Number json.Number
	}
)

func (textual) MarshalText() ([]byte, error)   { return []byte("text"), nil }
func (*byAddr) MarshalText() ([]byte, error)   { return []byte("text"), nil }
func (selfJSON) MarshalJSON() ([]byte, error)  { return []byte("1"), nil }
func (otherSelf) MarshalJSON() ([]byte, error) { return []byte("1"), nil }
func (n named) String() string                 { return string(n) }

const badUTF8 = "x\xff"

// TestValidStringsLooksWhereEncodingJSONLooks hands both the same values. encoding/json shows by a replacement
// character in its output that it came by the bad string.
func TestValidStringsLooksWhereEncodingJSONLooks(t *testing.T) {
	addressed := byAddr(badUTF8)
	for _, c := range []struct {
		value any
		path  string // "" where the string is passed over
	}{
		{badUTF8, "."},
		{named(badUTF8), "."},
		{new(badUTF8), "."},
		{textual(badUTF8), ""},
		{byAddr(badUTF8), "."},
		{&addressed, ""},
		{[]byAddr{badUTF8}, ""},
		{[1]byAddr{badUTF8}, "[0]"},
		{map[string]byAddr{"k": badUTF8}, ".k"},
		{selfJSON{badUTF8}, ""},
		{[]string{"a", badUTF8}, "[1]"},
		{[]named{badUTF8}, "[0]"},
		{map[string]string{"a b": badUTF8}, `["a b"]`},
		{map[string]any{"a": []any{1, "x", badUTF8}}, ".a[2]"},
		{map[named]int{badUTF8: 1}, "."},
		{map[textual]int{badUTF8: 1}, "."}, // a key of string kind is never asked to encode itself
		{map[int]named{7: badUTF8}, "[7]"},
		{hidden{badUTF8}, ".Text"},
		{[]*hidden{nil, {badUTF8}}, "[1].Text"},
		{embedded{hidden: hidden{badUTF8}}, ".hidden.Text"},
		{embeddedPointer{}, ""},
		{embeddedName{badUTF8}, ""},
		{Wrapped{EmbeddedText{badUTF8}}, ".EmbeddedText.Text"},
		{twoSelves{selfJSON: selfJSON{badUTF8}}, ".selfJSON.Text"},
		{tags{Skip: badUTF8, quiet: badUTF8}, ""},
		{tags{Dash: badUTF8}, ".Dash"},
		{&tags{Named: badUTF8}, ".Named"},
		{chain{Next: &chain{Next: &chain{Text: badUTF8}}}, ".Next.Next.Text"},
		{everything{Map: map[named]*[]any{"k": {1, hidden{badUTF8}}}}, ".Map.k[1].Text"},
		{everything{Array: [2]named{"", badUTF8}}, ".Array[1]"},
		{everything{Deep: map[int]map[string][]hidden{3: {"k": {{badUTF8}}}}}, ".Deep[3].k[0].Text"},
		{everything{Any: &hidden{badUTF8}}, ".Any.Text"},
		{everything{Any: badUTF8}, ".Any"},
		{everything{Any: named(badUTF8)}, ".Any"},
		{everything{Fmt: named(badUTF8)}, ".Fmt"},
		{everything{Bytes: []byte(badUTF8)}, ""},
		{[]byte(badUTF8), ""},
		{struct{ S *[]named }{&[]named{badUTF8}}, ".S[0]"},
		{nil, ""},
		{(*hidden)(nil), ""},
		{[]any{}, ""},
		{count{Next: &count{}}, ""},
	} {
		data, err := json.Marshal(c.value)
		if err != nil {
			t.Fatalf("%T: %v", c.value, err)
		}
		if altered := strings.Contains(string(data), `\ufffd`); altered != (c.path != "") {
			t.Errorf("%T: the table is wrong about encoding/json: %s", c.value, data)
		}
		got := ValidStrings(c.value)
		switch {
		case c.path == "" && got != nil:
			t.Errorf("%T: %v", c.value, got)
		case c.path != "" && (got == nil || !strings.HasPrefix(got.Error(), "at "+c.path+": ")):
			t.Errorf("%T: %v; want a path of %s", c.value, got, c.path)
		}
	}
}

func TestValidStringsMessages(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{hidden{"ab\x00"}, "at .Text: NUL at index 2 is not allowed in a string: databases cannot store it"},
		{hidden{"\uFFFDé\xff"}, "at .Text: byte 0xff at index 5 is not valid UTF-8"},
		{hidden{"\xed\xa0\x80"}, "at .Text: byte 0xed at index 0 is not valid UTF-8"},
		{struct{ M map[string]int }{map[string]int{"a\x00": 1}}, `at .M: map key "a\x00": NUL at index 1 is not allowed in a string: databases cannot store it`},
		{map[string]string{"\xff": ""}, `at .: map key "\xff": byte 0xff at index 0 is not valid UTF-8`},
		{map[string]any{"\xff": ""}, `at .: map key "\xff": byte 0xff at index 0 is not valid UTF-8`},
	} {
		err := ValidStrings(c.value)
		var typed *JSONError
		if err == nil || err.Error() != c.want || !errors.As(err, &typed) || typed.Offset != -1 {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
	good := everything{
		Map: map[named]*[]any{"é": {"日", nil, 1.5}}, Any: map[string]string{"a": "\uFFFD\n\x7f"},
		Raw: json.RawMessage("\xff\x00"), Bytes: []byte("\xff\x00"), Time: time.Now(), Number: "1e400",
	}
	if err := ValidStrings(&good); err != nil {
		t.Error(err)
	}
}

func TestValidStringsInCyclesAndDepths(t *testing.T) {
	ring := &chain{}
	ring.Next = &chain{Next: ring}
	list := []any{nil}
	list[0] = list
	table := map[string]any{}
	table["self"] = table
	var self any
	self = &self
	type knot struct{ M map[int]*knot }
	mapped := &knot{M: map[int]*knot{}}
	mapped.M[1] = mapped
	type strung struct {
		M map[int]*strung
		S string
	}
	tied := &strung{M: map[int]*strung{}}
	tied.M[1] = tied
	var pure loop
	pure = &pure
	for name, c := range map[string]struct {
		value any
		bad   bool
	}{
		"structs": {ring, true}, "slice": {list, true}, "map": {table, true}, "interface": {self, true}, "map of pointers": {tied, true},
		"no string": {mapped, false}, "pure pointer": {pure, false}, // json.Marshal refuses these itself
		"depth 999": {nest(999), false}, "depth 1000": {nest(1000), false}, "depth 1001": {nest(1001), true},
		"list of 1000": {linked(1000), false}, "list of 1001": {linked(1001), true},
	} {
		err := ValidStrings(c.value)
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "nested deeper than 1000 levels, or a cycle of pointers") || len(err.Error()) > 300) {
			t.Errorf("%s: %v", name, err)
		}
		if data, jsonErr := json.Marshal(c.value); jsonErr == nil && (ValidateJSON(data) != nil) != c.bad {
			t.Errorf("%s: ValidateJSON is of another opinion: %v", name, ValidateJSON(data))
		}
	}
}

// nest makes depth arrays, one within the other.
func nest(depth int) any {
	var v any = "x"
	for range depth {
		v = []any{v}
	}
	return v
}

// linked makes a list of n structs.
func linked(n int) (first *chain) {
	for range n {
		first = &chain{Next: first}
	}
	return first
}

func TestValidStringsFromManyGoroutines(t *testing.T) {
	type a struct {
		B *struct {
			A []a
			S string
		}
	}
	bad := a{B: &struct {
		A []a
		S string
	}{S: badUTF8}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := ValidStrings([]a{{}, bad}); err == nil || !strings.HasPrefix(err.Error(), "at [1].B.S: ") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

type (
	noStrings  struct{ A, B, C, D, E, F, G, H int }
	flatStruct struct {
		UserID                       int64
		Email, Name, Locale, Subject string
		Active                       bool
		At                           time.Time
	}
)

var (
	numbers = &noStrings{}
	flat    = &flatStruct{42, "anna@example.com", "Anna Müller", "de", "Welcome to the hotel", true, time.Time{}}
	dynamic = map[string]any{"user_id": 42.0, "email": "anna@example.com", "tags": []any{"new", "vip"}, "address": map[string]any{"zip": "01067"}}
)

func TestValidStringsAllocations(t *testing.T) {
	for _, v := range []any{numbers, flat, dynamic, "text", []string{"a"}, &everything{Any: "x", Fmt: named("y")}} {
		if n := testing.AllocsPerRun(1000, func() {
			if ValidStrings(v) != nil {
				t.Error("refused")
			}
		}); n != 0 {
			t.Errorf("%T: %v allocations", v, n)
		}
	}
}

func BenchmarkValidStrings(b *testing.B) {
	for name, v := range map[string]any{"no strings": numbers, "flat struct": flat, "dynamic": dynamic, "string": "text"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := ValidStrings(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
