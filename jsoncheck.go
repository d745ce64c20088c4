package bellhop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth is how deep arrays and objects may be nested, in encoded JSON and in Go values.
const maxJSONDepth = 1000

// JSONError says where a JSON text, or a Go value that is to become one, breaks the rules, and which rule.
// Its message begins with "at", so that the caller can put a noun before it: "arguments at $.user.name (byte 17): …".
type JSONError struct {
	// Path leads to the offending value: $.items[3]["first name"] in JSON, .Items[3].Name in a Go value.
	// For an object key it leads to the object. Long keys are cut, and of more than 16 steps the middle is left out.
	Path string
	// Offset is the index of the offending byte, from 0. It is -1 for a Go value.
	Offset int
	// Reason is the broken rule.
	Reason string
}

// Error returns one line: at $.user.name (byte 17): …
func (e *JSONError) Error() string {
	if e.Offset < 0 {
		return "at " + e.Path + ": " + e.Reason
	}
	return fmt.Sprintf("at %s (byte %d): %s", e.Path, e.Offset, e.Reason)
}

// ValidateJSON tells whether data may be kept as arguments, metadata or a result. It is the one rule for all
// stores, so what one of them accepts the others accept too:
//
//   - one JSON value by RFC 8259, with white space around it and nothing else, no byte order mark;
//   - at most 1,000 levels of arrays and objects;
//   - in strings and object keys: valid UTF-8, no raw control character, no \u0000, no half of a surrogate pair.
//
// Numbers of any size and precision pass as they are. So do objects in which a key occurs more than once: what
// that means is left to the one who decodes them (encoding/json takes the last).
//
// The error is a *JSONError. Valid data costs one pass and no allocation.
func ValidateJSON(data []byte) error {
	s := jsonScanner{data: data}
	if f := s.document(); f != nil {
		return f.jsonError("$")
	}
	return nil
}

// fault is a JSONError in the making. Its path grows from the inside out while the recursion returns, so that
// valid data never pays for a path.
type fault struct {
	offset int
	reason string
	path   []string // innermost step first
}

func (f *fault) in(step string) *fault {
	f.path = append(f.path, step)
	return f
}

func (f *fault) jsonError(root string) *JSONError {
	const most = 16
	steps := f.path
	slices.Reverse(steps)
	if len(steps) > most {
		steps = slices.Concat(steps[:most/2], []string{"…"}, steps[len(steps)-most/2:])
	}
	return &JSONError{Path: root + strings.Join(steps, ""), Offset: f.offset, Reason: f.reason}
}

// keyStep is the step of a path that leads into the member of an object or a map.
func keyStep(key string) string {
	plain := key != "" && len(key) <= 64
	for i := 0; plain && i < len(key); i++ {
		c := key[i]
		plain = c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	if plain {
		return "." + key
	}
	return "[" + quoteCut(key, 64) + "]"
}

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

type jsonScanner struct {
	data []byte
	pos  int
}

func (s *jsonScanner) document() *fault {
	s.space()
	if s.pos == len(s.data) {
		return s.fault("empty; want one JSON value")
	}
	if f := s.value(0); f != nil {
		return f
	}
	s.space()
	if s.pos < len(s.data) {
		return s.fault(describeChar(s.data[s.pos:]) + " after the end of the value; want one JSON value alone")
	}
	return nil
}

// value reads one value that stands inside depth arrays and objects.
func (s *jsonScanner) value(depth int) *fault {
	switch c := s.peek(); {
	case c == '"':
		return s.text()
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.unexpected("a value")
}

func (s *jsonScanner) object(depth int) *fault {
	if depth > maxJSONDepth {
		return s.fault(tooDeep)
	}
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.unexpected("an object key in double quotes")
		}
		start := s.pos
		if f := s.text(); f != nil {
			f.reason = "in an object key: " + f.reason
			return f
		}
		end := s.pos
		s.space()
		if s.peek() != ':' {
			return s.unexpected("':' after an object key")
		}
		s.pos++
		s.space()
		if f := s.value(depth); f != nil {
			return f.in(keyStep(string(unquoteJSON(s.data[start:end]))))
		}
		if end, f := s.next('}'); end || f != nil {
			return f
		}
	}
}

func (s *jsonScanner) array(depth int) *fault {
	if depth > maxJSONDepth {
		return s.fault(tooDeep)
	}
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for i := 0; ; i++ {
		if f := s.value(depth); f != nil {
			return f.in(indexStep(i))
		}
		if end, f := s.next(']'); end || f != nil {
			return f
		}
	}
}

// next reads what follows a member: a comma and the space up to the next member, or the closing bracket.
func (s *jsonScanner) next(closing byte) (end bool, f *fault) {
	s.space()
	switch s.peek() {
	case closing:
		s.pos++
		return true, nil
	case ',':
		s.pos++
		s.space()
		return false, nil
	}
	return false, s.unexpected("',' or '" + string(closing) + "'")
}

// text reads a string with its quotes.
func (s *jsonScanner) text() *fault {
	s.pos++
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case plainInJSON[c]:
			s.pos++
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if f := s.escape(); f != nil {
				return f
			}
		case c < ' ':
			return s.fault(fmt.Sprintf(`control character U+%04X stands raw in a string; write it as an escape or leave it out`, c))
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return s.fault(fmt.Sprintf("byte 0x%02x is not valid UTF-8", c))
			}
			s.pos += size
		}
	}
	return s.unexpected(`'"' at the end of a string`)
}

// plainInJSON holds the ASCII characters that need no second look in a string.
var plainInJSON = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

func (s *jsonScanner) escape() *fault {
	rest := s.data[s.pos:]
	if len(rest) < 2 {
		s.pos = len(s.data)
		return s.unexpected("an escape")
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
	default:
		return s.fault("escape with " + describeChar(rest[1:]) + ` is not JSON; want one of \" \\ \/ \b \f \n \r \t \u0000`)
	}
	switch unit := hexUnit(rest); {
	case unit < 0:
		return s.fault(`\u is not followed by four hexadecimal digits`)
	case unit == 0:
		return s.fault(`\u0000 is not allowed in a string: databases cannot store it`)
	case isLowSurrogate(unit), isHighSurrogate(unit) && !isLowSurrogate(hexUnit(rest[6:])):
		return s.fault(string(rest[:6]) + " is half of a surrogate pair, which is no character")
	case isHighSurrogate(unit):
		s.pos += 12
	default:
		s.pos += 6
	}
	return nil
}

// hexUnit returns the value of the \uXXXX at the beginning of b, or -1.
func hexUnit(b []byte) int {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	unit := 0
	for _, c := range b[2:6] {
		digit := hexDigit(c)
		if digit < 0 {
			return -1
		}
		unit = unit<<4 | digit
	}
	return unit
}

func isHighSurrogate(unit int) bool { return unit >= 0xd800 && unit < 0xdc00 }
func isLowSurrogate(unit int) bool  { return unit >= 0xdc00 && unit < 0xe000 }

func (s *jsonScanner) number() *fault {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
		if isDigit(s.peek()) {
			return s.fault("a number must not begin with 0")
		}
	} else if !s.digits() {
		return s.unexpected("a digit")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.unexpected("a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c = s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.unexpected("a digit")
		}
	}
	return nil
}

// digits reads all that come, and tells whether there was one at least.
func (s *jsonScanner) digits() bool {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *jsonScanner) literal(word string) *fault {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.unexpected(word)
		}
		s.pos++
	}
	return nil
}

func (s *jsonScanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the byte at hand, or at the end 0, which is allowed nowhere.
func (s *jsonScanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

const tooDeep = "nested deeper than 1000 levels"

func (s *jsonScanner) fault(reason string) *fault { return &fault{offset: s.pos, reason: reason} }

func (s *jsonScanner) unexpected(want string) *fault {
	if s.pos >= len(s.data) {
		return s.fault("the text ends early; want " + want)
	}
	return s.fault(describeChar(s.data[s.pos:]) + " is unexpected; want " + want)
}
