package bellhop

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// CanonicalJSON writes a JSON text in one fixed form, so that texts which say the same get the same bytes. Unique
// keys are made from it. The form will not change between releases:
//
//   - no white space; object keys in the order of their UTF-8 bytes at every depth;
//   - of a key that occurs more than once in an object, the last value alone;
//   - in strings \" \\ \b \f \n \r \t, \u00xx in lower case for the other control characters below U+0020,
//     and every other character as itself;
//   - numbers as they were written: 1, 1.0 and 1e0 stay different.
//
// Data that ValidateJSON refuses gets the same *JSONError here.
func CanonicalJSON(data []byte) ([]byte, error) {
	if err := ValidateJSON(data); err != nil {
		return nil, err
	}
	r := canonReader{jsonScanner{data: data}}
	r.space()
	return r.value().append(make([]byte, 0, len(data))), nil
}

// canonValue is a value of which only the parts that must be moved are taken apart.
type canonValue struct {
	kind    byte          // '{', '[', '"', or 0 for a number or a literal
	raw     []byte        // of a number or a literal
	text    string        // of a string, decoded
	items   []canonValue  // of an array
	members []canonMember // of an object, in the order of their keys, each key once
}

type canonMember struct {
	key   string
	value canonValue
}

func (v canonValue) append(out []byte) []byte {
	switch v.kind {
	case '"':
		return appendJSONString(out, v.text)
	case '[':
		out = append(out, '[')
		for i, item := range v.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.append(out)
		}
		return append(out, ']')
	case '{':
		out = append(out, '{')
		for i, member := range v.members {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendJSONString(out, member.key), ':')
			out = member.value.append(out)
		}
		return append(out, '}')
	}
	return append(out, v.raw...)
}

// canonReader reads a text that ValidateJSON has passed, so nothing can be wrong with it.
type canonReader struct{ jsonScanner }

func (r *canonReader) value() canonValue {
	start := r.pos
	switch r.data[r.pos] {
	case '"':
		return canonValue{kind: '"', text: r.string()}
	case '[':
		return canonValue{kind: '[', items: r.items()}
	case '{':
		return canonValue{kind: '{', members: r.members()}
	}
	for r.pos < len(r.data) && !endsScalar[r.data[r.pos]] {
		r.pos++
	}
	return canonValue{raw: r.data[start:r.pos]}
}

var endsScalar = [256]bool{' ': true, '\t': true, '\n': true, '\r': true, ',': true, ']': true, '}': true}

func (r *canonReader) string() string {
	start := r.pos
	for r.pos++; r.data[r.pos] != '"'; r.pos++ {
		if r.data[r.pos] == '\\' {
			r.pos++
		}
	}
	r.pos++
	return unquoteJSON(r.data[start:r.pos])
}

func (r *canonReader) items() (items []canonValue) {
	for r.more(']') {
		items = append(items, r.value())
	}
	return items
}

func (r *canonReader) members() (members []canonMember) {
	for r.more('}') {
		key := r.string()
		r.space()
		r.pos++ // the colon
		r.space()
		members = append(members, canonMember{key, r.value()})
	}
	slices.SortStableFunc(members, func(a, b canonMember) int { return strings.Compare(a.key, b.key) })
	kept := members[:0]
	for i, member := range members {
		if i+1 == len(members) || members[i+1].key != member.key {
			kept = append(kept, member)
		}
	}
	return kept
}

// more steps over the opening bracket or the comma, and tells whether a member follows it. If not, it steps over
// the closing bracket.
func (r *canonReader) more(closing byte) bool {
	r.space()
	if r.data[r.pos] != closing {
		r.pos++
		r.space()
	}
	if r.data[r.pos] == closing {
		r.pos++
		return false
	}
	return true
}

// unquoteJSON decodes a string that has passed the scanner, given with its quotes.
func unquoteJSON(quoted []byte) string {
	body := quoted[1 : len(quoted)-1]
	if !slices.Contains(body, '\\') {
		return string(body)
	}
	text := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			text = append(text, body[i])
			continue
		}
		i++
		switch c := body[i]; c {
		case 'u':
			r := rune(hexUnit(body[i-1:]))
			if isHighSurrogate(int(r)) {
				r = (r-0xd800)<<10 + rune(hexUnit(body[i+5:])) - 0xdc00 + 0x10000
				i += 6
			}
			text = utf8.AppendRune(text, r)
			i += 4
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		default: // the quote, the backslash and the slash
			text = append(text, c)
		}
	}
	return string(text)
}

// appendJSONString appends text, which is valid UTF-8, as CanonicalJSON writes strings.
func appendJSONString(out []byte, text string) []byte {
	const hexDigits = "0123456789abcdef"
	out = append(out, '"')
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, `\b`...)
		case '\f':
			out = append(out, `\f`...)
		case '\n':
			out = append(out, `\n`...)
		case '\r':
			out = append(out, `\r`...)
		case '\t':
			out = append(out, `\t`...)
		default:
			if c < ' ' {
				out = append(out, `\u00`...)
				out = append(out, hexDigits[c>>4], hexDigits[c&15])
			} else {
				out = append(out, c)
			}
		}
	}
	return append(out, '"')
}
