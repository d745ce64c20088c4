package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// The functions of this file read JSON strictly: unknown and doubled fields are refused by name, names are compared
// letter by letter, and a value that is kept raw is kept as the very bytes that came.

// checkSyntax says in a problem where a body ceases to be JSON.
func checkSyntax(body []byte) error {
	if json.Valid(body) {
		return nil
	}
	p := malformed.because("the body is not JSON")
	if bad, ok := bellhop.ValidateJSON(body).(*bellhop.JSONError); ok {
		p = malformed.because("the body is not JSON: %v", bad)
		p.Offset = &bad.Offset
	}
	return p
}

// fieldOfPath finds the member of the outermost object in a path such as $.args.name.
var fieldOfPath = regexp.MustCompile(`^\$\.([A-Za-z_]+)`)

// checkStrings refuses what no store could keep, anywhere in a value that is JSON: NUL, halves of surrogate pairs, bytes that
// are not UTF-8, a thousand levels.
func checkStrings(value []byte) error {
	bad, ok := bellhop.ValidateJSON(value).(*bellhop.JSONError)
	if !ok {
		return nil
	}
	p := invalid.because("%v", bad)
	if m := fieldOfPath.FindStringSubmatch(bad.Path); m != nil {
		p.Field = m[1]
	}
	return p
}

// elements calls fn for each element of an array that is valid JSON, in order, until fn fails.
func elements(array []byte, fn func(value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(array))
	if _, err := dec.Token(); err != nil {
		return malformed.because("the array cannot be read: %v", err)
	}
	for dec.More() {
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return malformed.because("the array cannot be read: %v", err)
		}
		if err := fn(value); err != nil {
			return err
		}
	}
	return nil
}

// members calls fn for each member of an object that is valid JSON, in order, until fn fails.
func members(object []byte, fn func(name string, value json.RawMessage) error) error {
	if what := typeOf(object); what != "an object" {
		return invalid.because("want an object, got %s", what)
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return malformed.because("the object cannot be read: %v", err)
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			return malformed.because("the object cannot be read: %v", err)
		}
		if seen[name] {
			return invalid.because("the field %.64q stands there twice", name).in(name)
		}
		seen[name] = true
		if len(seen) > maxMembers {
			return invalid.because("the object has more than %d members", maxMembers)
		}
		if err := fn(name, value); err != nil {
			return err
		}
	}
	return nil
}

// maxMembers is more than any object that the API reads has: metadata has at most 8 KiB.
const maxMembers = 4096

// field reads the value of one field into a T.
type field[T any] func(in *T, value json.RawMessage) error

// readFields fills in from an object. A null means the same as leaving the field out, except in those named in nullable.
func readFields[T any](object []byte, in *T, fields map[string]field[T], nullable ...string) error {
	return members(object, func(name string, value json.RawMessage) error {
		set := fields[name]
		if set == nil {
			return invalid.because("the field %.64q is unknown; the fields are %s", name, names(fields)).in(name)
		}
		if string(value) == "null" && !slices.Contains(nullable, name) {
			return nil
		}
		err := set(in, value)
		if err == nil {
			return nil
		}
		if p, ok := err.(*Problem); ok && p.Field != "" { // of a field within
			return p
		}
		return invalid.because("%s: %s", name, reason(err)).in(name)
	})
}

// reason is an error's text without the title of a problem.
func reason(err error) string {
	if p, ok := err.(*Problem); ok {
		return p.Detail
	}
	return err.Error()
}

func names[V any](fields map[string]V) string {
	list := make([]string, 0, len(fields))
	for name := range fields {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// typeOf says what a JSON value is, for messages.
func typeOf(value []byte) string {
	switch value = bytes.TrimLeft(value, " \t\r\n"); {
	case len(value) == 0:
		return "nothing"
	case value[0] == '{':
		return "an object"
	case value[0] == '[':
		return "an array"
	case value[0] == '"':
		return "a string"
	case value[0] == 't', value[0] == 'f':
		return "a boolean"
	case value[0] == 'n':
		return "null"
	}
	return "a number"
}

func textValue(value json.RawMessage) (s string, err error) {
	if typeOf(value) != "a string" {
		return "", fmt.Errorf("want a string, got %s", typeOf(value))
	}
	err = json.Unmarshal(value, &s)
	return s, err
}

func wholeValue(value json.RawMessage) (n int, err error) {
	if typeOf(value) != "a number" {
		return 0, fmt.Errorf("want a whole number, got %s", typeOf(value))
	}
	if json.Unmarshal(value, &n) != nil {
		return 0, fmt.Errorf("%.40s is not a whole number of usual size", value)
	}
	return n, nil
}

func flagValue(value json.RawMessage) (bool, error) {
	switch string(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("want true or false, got %s", typeOf(value))
}

func durationValue(value json.RawMessage) (time.Duration, error) {
	s, err := textValue(value)
	if err != nil {
		return 0, fmt.Errorf(`%w; write a duration such as "30s" or "1h30m"`, err)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf(`%.40q is not a duration: write it like "30s" or "1h30m"`, s)
	}
	return d, nil
}

func timeValue(value json.RawMessage) (time.Time, error) {
	s, err := textValue(value)
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(s)
}

func parseTime(s string) (t time.Time, err error) {
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return t, fmt.Errorf("%.60q is not a time of RFC 3339: write it like 2026-01-31T15:04:05Z", s)
	}
	return t, nil
}

func idValue(value json.RawMessage) (bellhop.ID, error) {
	s, err := textValue(value)
	if err != nil {
		return bellhop.ID{}, err
	}
	return bellhop.ParseID(s)
}

// listValue reads an array, each element by one.
func listValue[V any](value json.RawMessage, most int, one func(json.RawMessage) (V, error)) (list []V, err error) {
	if typeOf(value) != "an array" {
		return nil, fmt.Errorf("want an array, got %s", typeOf(value))
	}
	i := 0
	err = elements(value, func(element json.RawMessage) error {
		if i == most {
			return fmt.Errorf("more than %d elements", most)
		}
		v, err := one(element)
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		list, i = append(list, v), i+1
		return nil
	})
	return list, err
}

// textsValue reads an object whose values are strings.
func textsValue(value json.RawMessage) (map[string]string, error) {
	texts := map[string]string{}
	err := members(value, func(name string, v json.RawMessage) error {
		s, err := textValue(v)
		if err != nil {
			return fmt.Errorf("%.64q: %w", name, err)
		}
		texts[name] = s
		return nil
	})
	if err != nil { // the field is the one around it
		err = errors.New(reason(err))
	}
	return texts, err
}
