package bellhop

import (
	"bytes"
	"slices"
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
	r := canonReader{jsonScanner: jsonScanner{data: data}, open: make([]canonValue, 0, 8)}
	r.space()
	var v canonValue
	r.read(&v)
	return v.append(make([]byte, 0, len(data))), nil
}

// canonValue is a value, or a member of an array or an object with its value.
type canonValue struct {
	kind  byte         // '{', '[', '"', or 0 for a number or a literal
	key   []byte       // of an object's member, decoded
	raw   []byte       // of a string, decoded; of a number or a literal, as written
	parts []canonValue // of an array; of an object, in the order of their keys, each key once
}

func (v *canonValue) append(out []byte) []byte {
	switch v.kind {
	case 0:
		return append(out, v.raw...)
	case '"':
		return appendJSONString(out, v.raw)
	}
	out = append(out, v.kind)
	for i := range v.parts {
		part := &v.parts[i]
		if i > 0 {
			out = append(out, ',')
		}
		if v.kind == '{' {
			out = append(appendJSONString(out, part.key), ':')
		}
		out = part.append(out)
	}
	return append(out, v.kind+2) // in ASCII both closing brackets stand two after their opening ones
}

// canonReader reads a text that ValidateJSON has passed, so nothing can be wrong with it.
type canonReader struct {
	jsonScanner
	open []canonValue // the parts read so far of the arrays and objects that are not closed yet
}

// read reads the value at hand into v.
func (r *canonReader) read(v *canonValue) {
	switch c := r.data[r.pos]; c {
	case '"':
		v.kind, v.raw = c, r.string()
	case '[', '{':
		v.kind, v.parts = c, r.parts(c)
	default:
		start := r.pos
		for r.pos < len(r.data) && !endsScalar[r.data[r.pos]] {
			r.pos++
		}
		v.raw = r.data[start:r.pos]
	}
}

var endsScalar = [256]bool{' ': true, '\t': true, '\n': true, '\r': true, ',': true, ']': true, '}': true}

func (r *canonReader) string() []byte {
	start := r.pos
	for r.pos++; r.data[r.pos] != '"'; r.pos++ {
		if r.data[r.pos] == '\\' {
			r.pos++
		}
	}
	r.pos++
	return unquoteJSON(r.data[start:r.pos])
}

// parts reads an array or an object.
func (r *canonReader) parts(opening byte) []canonValue {
	outer := len(r.open)
	for r.more(opening + 2) {
		var part canonValue
		if opening == '{' {
			part.key = r.string()
			r.space()
			r.pos++ // the colon
			r.space()
		}
		r.read(&part)
		r.open = append(r.open, part)
	}
	parts := slices.Clone(r.open[outer:])
	r.open = r.open[:outer]
	if opening == '{' {
		parts = sortedMembers(parts)
	}
	return parts
}

// sortedMembers sorts by key, and keeps the last of those with the same key.
func sortedMembers(members []canonValue) []canonValue {
	slices.SortStableFunc(members, func(a, b canonValue) int { return bytes.Compare(a.key, b.key) })
	kept := members[:0]
	for i, member := range members {
		if i+1 == len(members) || !bytes.Equal(members[i+1].key, member.key) {
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

// unquoteJSON decodes a string that has passed the scanner, given with its quotes. The result is a part of quoted
// where the string has no escapes.
func unquoteJSON(quoted []byte) []byte {
	body := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(body, '\\') < 0 {
		return body
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
	return text
}

// appendJSONString appends text, which is valid UTF-8, as CanonicalJSON writes strings.
func appendJSONString(out, text []byte) []byte {
	const hexDigits = "0123456789abcdef"
	out = append(out, '"')
	plain := 0 // the beginning of what is not yet appended
	for i, c := range text {
		if plainInJSON[c] || c >= utf8.RuneSelf {
			continue
		}
		out = append(append(out, text[plain:i]...), '\\')
		plain = i + 1
		switch c {
		case '"', '\\':
			out = append(out, c)
		case '\b':
			out = append(out, 'b')
		case '\f':
			out = append(out, 'f')
		case '\n':
			out = append(out, 'n')
		case '\r':
			out = append(out, 'r')
		case '\t':
			out = append(out, 't')
		default:
			out = append(out, 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(out, text[plain:]...), '"')
}
