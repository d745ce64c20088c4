package bellhop

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxNameBytes is the greatest length of a kind, queue or tag.
const maxNameBytes = 128

const nameRule = "use letters, digits and . _ - : /"

// CheckName tells whether name may name a kind, a queue or a tag: 1 to 128 characters from a to z, A to Z, 0 to 9
// and . _ - : / with a letter or a digit first. Such a name needs no quoting in logs, metric labels, patterns,
// comma-separated lists, HTML or shell commands; in one segment of a URL path only / needs escaping. Upper and
// lower case differ.
//
// what is the noun that the error begins with, such as "queue". The error is one line that quotes at most 64
// bytes of the name.
func CheckName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf(`%s "": empty; %s, 1 to %d of them`, what, nameRule, maxNameBytes)
	case len(name) > maxNameBytes:
		return fmt.Errorf("%s %s: %d bytes long; at most %d are allowed", what, quoteCut(name, 64), len(name), maxNameBytes)
	}
	for i := range len(name) {
		switch kind := nameBytes[name[i]]; {
		case kind == nameNever:
			return fmt.Errorf("%s %s: %s at position %d is not allowed; %s",
				what, quoteCut(name, 64), describeChar(name[i:]), i+1, nameRule)
		case kind == nameLater && i == 0:
			return fmt.Errorf("%s %s: must begin with a letter or a digit", what, quoteCut(name, 64))
		}
	}
	return nil
}

// What a byte may do in a name.
const (
	nameNever  = iota
	nameAlways // letters and digits
	nameLater  // punctuation: not as the first character
)

var nameBytes = func() (kinds [256]uint8) {
	for c := range kinds {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			kinds[c] = nameAlways
		case c == '.', c == '_', c == '-', c == ':', c == '/':
			kinds[c] = nameLater
		}
	}
	return kinds
}()

// describeChar names the first character of s for a message: character 'x', or byte 0xff where s is not UTF-8.
func describeChar[T string | []byte](s T) string {
	head := string(s[:min(len(s), utf8.UTFMax)])
	r, size := utf8.DecodeRuneInString(head)
	if r == utf8.RuneError && size == 1 {
		return fmt.Sprintf("byte 0x%02x", head[0])
	}
	return "character " + strconv.QuoteRune(r)
}

// quoteCut quotes at most max bytes of s as a Go string, cut at a character, with … after the quote if some are missing.
func quoteCut(s string, max int) string {
	if len(s) <= max {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:runeBoundary(s, max)]) + "…"
}
