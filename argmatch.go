package bellhop

import (
	"bytes"
	"strconv"
	"strings"
)

// ArgMatch is a condition on one value in the arguments of a job. It reads their
// bytes as they are: of a name that an object has twice the last one counts, as it
// does for encoding/json, and numbers are compared exactly, whatever their size.
type ArgMatch struct {
	// Path leads to the value: names in objects and places in lists, from 0, with
	// dots between: "user.id", "items.0.sku". A dot or a backslash within a name
	// has a backslash before it: `a\.b`. An empty path is the whole of the arguments.
	Path string `json:"path"`
	// Value is what must stand there, as text: the characters of a string; a
	// number, in whatever form it is written (1, 1.0 and 1e0 are equal); true,
	// false or null. "42" matches the number as well as the string. Objects and
	// lists match nothing.
	Value string `json:"value"`
}

// ParseArgMatch reads "user.id=42": a path, the first "=", and the value.
// The error matches [ErrInvalid].
func ParseArgMatch(text string) (ArgMatch, error) {
	path, value, ok := strings.Cut(text, "=")
	if !ok {
		return ArgMatch{}, invalid("argument condition", "%s has no \"=\": want PATH=VALUE, as in user.id=42", quoteCut(text, 64))
	}
	return ArgMatch{path, value}, nil
}

// String returns the condition as [ParseArgMatch] reads it.
func (m ArgMatch) String() string { return m.Path + "=" + m.Value }

// Matches reports whether args, a JSON text, have the value at the path.
func (m *ArgMatch) Matches(args []byte) bool {
	s := jsonScanner{data: args}
	s.space()
	path := m.Path
	for path != "" {
		var step string
		step, path = cutStep(path)
		if !s.into(step) {
			return false
		}
	}
	start := s.pos
	switch c := s.peek(); {
	case c == '"':
		return s.text() == nil && string(unquoteJSON(args[start:s.pos])) == m.Value
	case c == '-' || isDigit(c):
		return s.number() == nil && sameNumber(string(args[start:s.pos]), m.Value)
	case c == 't', c == 'f', c == 'n':
		return bytes.HasPrefix(args[start:], []byte(m.Value)) && (m.Value == "true" || m.Value == "false" || m.Value == "null")
	}
	return false
}

// cutStep takes the first step off a path.
func cutStep(path string) (step, rest string) {
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '.':
			return unescapeStep(path[:i]), path[i+1:]
		case '\\':
			i++
		}
	}
	return unescapeStep(path), ""
}

func unescapeStep(step string) string {
	if strings.IndexByte(step, '\\') < 0 {
		return step
	}
	var b strings.Builder
	for i := 0; i < len(step); i++ {
		if step[i] == '\\' && i+1 < len(step) {
			i++
		}
		b.WriteByte(step[i])
	}
	return b.String()
}

// into goes from the value at hand to one of its members; false if there is no such member.
func (s *jsonScanner) into(step string) bool {
	opening := s.peek()
	if opening != '{' && opening != '[' {
		return false
	}
	place, err := strconv.Atoi(step)
	if opening == '[' && (err != nil || strconv.Itoa(place) != step) {
		return false
	}
	s.pos++
	s.space()
	found := -1
	for i := 0; s.peek() != opening+2; i++ {
		name := false
		if opening == '{' {
			start := s.pos
			if s.peek() != '"' || s.text() != nil {
				return false
			}
			name = string(unquoteJSON(s.data[start:s.pos])) == step
			s.space()
			s.pos++ // the colon
			s.space()
		}
		if name || opening == '[' && i == place {
			found = s.pos
		}
		if opening == '[' && found >= 0 {
			break // of an object the last member of the name counts
		}
		if s.value(0) != nil {
			return false
		}
		if end, f := s.next(opening + 2); f != nil {
			return false
		} else if end {
			break
		}
	}
	if found < 0 {
		return false
	}
	s.pos = found
	return true
}

// sameNumber compares a number with a text, exactly. A text that is no number is not the same.
func sameNumber(number, text string) bool {
	if number == text {
		return true
	}
	s := jsonScanner{data: []byte(text)}
	if s.number() != nil || s.pos != len(text) {
		return false
	}
	a, aOK := readDecimal(number)
	b, bOK := readDecimal(text)
	return aOK && bOK && a == b
}

// decimal is a number in the one form that equal numbers share.
type decimal struct {
	negative bool
	digits   string // without zeros at either end; empty for zero
	exponent int64  // of the last digit
}

// readDecimal reads a JSON number; false if its exponent is beyond all measure.
func readDecimal(text string) (d decimal, ok bool) {
	text, d.negative = strings.CutPrefix(text, "-")
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		var err error
		if d.exponent, err = strconv.ParseInt(text[at+1:], 10, 62); err != nil {
			return decimal{}, strings.Trim(text[:at], "0.") == "" // zero, whatever its exponent
		}
		text = text[:at]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	d.exponent -= int64(len(fraction))
	d.digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(d.digits, "0")
	d.exponent += int64(len(d.digits) - len(short))
	if d.digits = short; short == "" {
		return decimal{}, true // -0 is 0
	}
	return d, true
}
