package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

// spec is an OpenAPI document, and checks JSON against its schemas. It knows the keywords that the document uses; any other
// is an error, so that no rule of the document goes unchecked.
type spec struct{ doc map[string]any }

func parseSpec(t *testing.T, text []byte) *spec {
	t.Helper()
	return &spec{doc: parse(t, text).(map[string]any)}
}

// parse decodes JSON with its numbers as they are.
func parse(t *testing.T, text []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	return v
}

// follow resolves a $ref, if v is one.
func (s *spec) follow(v any) map[string]any {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	var at any = s.doc
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[step]
	}
	if at == nil {
		panic("nothing at " + ref)
	}
	return s.follow(at)
}

// check returns what is wrong with v by the schema; nil if nothing is.
func (s *spec) check(schema any, v any) error {
	m := schema.(map[string]any)
	if _, ok := m["$ref"]; ok {
		if err := s.check(s.follow(m), v); err != nil {
			return err
		}
	}
	for _, keyword := range slices.Sorted(maps.Keys(m)) {
		rule, known := rules[keyword]
		if !known {
			return fmt.Errorf("the checker does not know the keyword %s", keyword)
		}
		if rule == nil {
			continue
		}
		if err := rule(s, m[keyword], m, v); err != nil {
			return err
		}
	}
	return nil
}

type rule func(s *spec, arg any, schema map[string]any, v any) error

// rules holds the keywords; those that only explain are nil. It is filled in init, since rules refer to it.
var rules map[string]rule

func init() {
	rules = map[string]rule{
		"$ref": nil, "description": nil, "default": nil, "examples": nil,
		"type": checkType, "enum": checkEnum, "const": checkConst, "format": checkFormat, "pattern": checkPattern,
		"required": checkRequired, "properties": checkProperties, "additionalProperties": checkAdditional, "items": checkItems, "oneOf": checkOneOf,
		"minimum": bound(number, -1), "maximum": bound(number, 1), "minLength": bound(runes, -1), "maxLength": bound(runes, 1),
		"minItems": bound(length, -1), "maxItems": bound(length, 1),
	}
}

func checkType(_ *spec, arg any, _ map[string]any, v any) error {
	types, many := arg.([]any)
	if !many {
		types = []any{arg}
	}
	for _, t := range types {
		ok := false
		switch t {
		case "object":
			_, ok = v.(map[string]any)
		case "array":
			_, ok = v.([]any)
		case "string":
			_, ok = v.(string)
		case "boolean":
			_, ok = v.(bool)
		case "number":
			_, ok = v.(json.Number)
		case "integer":
			n, is := v.(json.Number)
			_, whole := new(big.Int).SetString(n.String(), 10)
			ok = is && whole
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("%v is not of type %v", v, arg)
}

func checkEnum(_ *spec, arg any, _ map[string]any, v any) error {
	if !slices.ContainsFunc(arg.([]any), func(one any) bool { return reflect.DeepEqual(one, v) }) {
		return fmt.Errorf("%v is none of %v", v, arg)
	}
	return nil
}

func checkConst(_ *spec, arg any, _ map[string]any, v any) error {
	if !reflect.DeepEqual(arg, v) {
		return fmt.Errorf("%v is not %v", v, arg)
	}
	return nil
}

func checkFormat(_ *spec, arg any, _ map[string]any, v any) (err error) {
	text, ok := v.(string)
	if !ok {
		return nil
	}
	switch arg {
	case "uuid":
		_, err = bellhop.ParseID(text)
	case "date-time":
		_, err = time.Parse(time.RFC3339, text)
	default:
		err = fmt.Errorf("the checker does not know the format %v", arg)
	}
	return err
}

func checkPattern(_ *spec, arg any, _ map[string]any, v any) error {
	if text, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(text) {
		return fmt.Errorf("%q does not match %v", text, arg)
	}
	return nil
}

func checkRequired(_ *spec, arg any, _ map[string]any, v any) error {
	object, _ := v.(map[string]any)
	for _, name := range arg.([]any) {
		if _, has := object[name.(string)]; object != nil && !has {
			return fmt.Errorf("%v is missing in %v", name, v)
		}
	}
	return nil
}

func checkProperties(s *spec, arg any, _ map[string]any, v any) error {
	object, _ := v.(map[string]any)
	for name, schema := range arg.(map[string]any) {
		if member, has := object[name]; has {
			if err := s.check(schema, member); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func checkAdditional(s *spec, arg any, schema map[string]any, v any) error {
	properties, _ := schema["properties"].(map[string]any)
	object, _ := v.(map[string]any)
	for name, member := range object {
		if _, named := properties[name]; named {
			continue
		}
		if arg == false {
			return fmt.Errorf("%s is not in the schema", name)
		}
		if err := s.check(arg, member); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkItems(s *spec, arg any, _ map[string]any, v any) error {
	list, _ := v.([]any)
	for i, item := range list {
		if err := s.check(arg, item); err != nil {
			return fmt.Errorf("%d: %w", i, err)
		}
	}
	return nil
}

func checkOneOf(s *spec, arg any, _ map[string]any, v any) error {
	var errs []string
	for _, schema := range arg.([]any) {
		if err := s.check(schema, v); err != nil {
			errs = append(errs, err.Error())
		}
	}
	if fits := len(arg.([]any)) - len(errs); fits != 1 {
		return fmt.Errorf("%d fit: %s", fits, strings.Join(errs, "; "))
	}
	return nil
}

func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	f, _ := n.Float64()
	return f, ok
}

func runes(v any) (float64, bool) {
	s, ok := v.(string)
	return float64(utf8.RuneCountInString(s)), ok
}

func length(v any) (float64, bool) {
	l, ok := v.([]any)
	return float64(len(l)), ok
}

// bound makes a rule about a size: sign 1 for a greatest, -1 for a least.
func bound(size func(any) (float64, bool), sign float64) rule {
	return func(_ *spec, arg any, _ map[string]any, v any) error {
		n, applies := size(v)
		limit, _ := number(arg)
		if applies && n*sign > limit*sign {
			return fmt.Errorf("%v is beyond the bound %v", v, arg)
		}
		return nil
	}
}

func TestSchemaCheckerFinds(t *testing.T) {
	s := &spec{doc: map[string]any{}}
	for _, c := range []struct{ schema, good, bad string }{
		{`{"type":"object","required":["a"]}`, `{"a":1}`, `{"b":1}`},
		{`{"properties":{"a":{"type":"integer"}},"additionalProperties":false}`, `{"a":1}`, `{"a":1,"b":2}`},
		{`{"properties":{"a":{"type":"integer"}}}`, `{"a":12345678901234567890}`, `{"a":1.5}`},
		{`{"additionalProperties":{"type":"string"}}`, `{"a":"x"}`, `{"a":1}`},
		{`{"items":{"enum":["x","y"]}}`, `["x"]`, `["x","z"]`},
		{`{"type":["string","boolean"]}`, `true`, `1`},
		{`{"const":"ok"}`, `"ok"`, `"no"`},
		{`{"type":"number"}`, `1.5`, `"1.5"`},
		{`{"type":"integer","minimum":1,"maximum":3}`, `3`, `4`},
		{`{"minLength":2,"maxLength":2}`, `"äö"`, `"a"`},
		{`{"minItems":1,"maxItems":2}`, `[1]`, `[]`},
		{`{"pattern":"^a"}`, `"ab"`, `"b"`},
		{`{"format":"uuid"}`, `"019c7e5a-4d1b-7c3e-9f00-1a2b3c4d5e6f"`, `"x"`},
		{`{"format":"date-time"}`, `"2026-01-31T15:04:05Z"`, `"2026-01-31"`},
		{`{"oneOf":[{"type":"string"},{"type":"array"}]}`, `[]`, `{}`},
		{`{"oneOf":[{"type":"string"},{"minLength":2}]}`, `"x"`, `"xy"`},
		{`{"type":"string","description":"x"}`, `"x"`, `null`},
	} {
		schema := parse(t, []byte(c.schema))
		if err := s.check(schema, parse(t, []byte(c.good))); err != nil {
			t.Errorf("%s refuses %s: %v", c.schema, c.good, err)
		}
		if s.check(schema, parse(t, []byte(c.bad))) == nil {
			t.Errorf("%s accepts %s", c.schema, c.bad)
		}
	}
	if s.check(map[string]any{"not": nil}, 1) == nil {
		t.Error("an unknown keyword is passed over")
	}
}
