package bellhop

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxErrorText is how many bytes of an error's text, of a panic or of a stack are kept.
const MaxErrorText = 8 << 10

// CleanText makes any bytes safe to keep in every store and to print on every terminal. It never fails, so the
// path that records a failure cannot fail over the failure's own text.
//
//   - Each run of bytes that are not valid UTF-8 becomes one U+FFFD.
//   - NUL, the other control characters (C0, DEL, C1) and whole ANSI escape sequences go, \n and \t stay.
//     Of a sequence that never ends only its opening goes, so it cannot hide the text behind it.
//   - Characters that turn the direction of what follows (U+202A to U+202E, U+2066 to U+2069) go: they make
//     a line read otherwise than it is. Letters of any script, and the marks within words, stay.
//   - What is then longer than max bytes is cut between two characters, and ends with a mark such as
//     "… (12345 bytes cut)". The mark counts the clean bytes that are missing, and fits within max;
//     where max is too small for any mark there is none.
//
// The result is at most max bytes long, and cleaning it again changes nothing. For max <= 0 it is empty.
// Text that is clean and short enough is returned as it is, without an allocation.
func CleanText(s string, max int) string {
	if max <= 0 {
		return ""
	}
	clean := cleanPrefix(s)
	if clean == len(s) {
		if len(s) <= max {
			return s
		}
		return cutWithMark(s[:runeBoundary(s, max)], len(s), max)
	}
	kept := make([]byte, 0, min(len(s)+utf8.UTFMax, max))
	total := 0 // clean bytes so far, kept or not
	keep := func(piece string) {
		if total < max { // of the piece that crosses max, as many whole characters as fit
			kept = append(kept, piece[:runeBoundary(piece, min(len(piece), max-total))]...)
		}
		total += len(piece)
	}
	keep(s[:clean])
	for rest := s[clean:]; rest != ""; rest = rest[clean:] {
		skip, invalid := dirtyPrefix(rest)
		if invalid {
			keep("\uFFFD")
		}
		rest = rest[skip:]
		clean = cleanPrefix(rest)
		keep(rest[:clean])
	}
	if total <= max {
		return string(kept)
	}
	return cutWithMark(string(kept), total, max)
}

// cutWithMark shortens kept, the beginning of a text of total bytes, until a mark that counts the missing bytes fits within max.
func cutWithMark(kept string, total, max int) string {
	mark := func(cut int) string { return "… (" + strconv.Itoa(cut) + " bytes cut)" }
	room := max - len(mark(total)) // the count of what is cut has no more digits than total
	if room < 0 {
		return kept
	}
	kept = kept[:runeBoundary(kept, min(room, len(kept)))]
	return kept + mark(total-len(kept))
}

// runeBoundary returns the greatest index up to at where s, if it is valid UTF-8, may be cut.
func runeBoundary(s string, at int) int {
	for floor := at - utf8.UTFMax; at > 0 && at > floor && at < len(s) && !utf8.RuneStart(s[at]); {
		at--
	}
	return at
}

// cleanPrefix returns the length of the longest beginning of s that may stay as it is.
func cleanPrefix(s string) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r < 0xa0 || turnsText(r) {
			return i
		}
		i += size
	}
	return len(s)
}

// turnsText reports whether r embeds, overrides or isolates the direction of the text behind it.
func turnsText(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// dirtyPrefix returns how many bytes at the beginning of s, which is not clean there, go as one: a run that is
// not UTF-8 (invalid is true), an escape sequence, or a control character.
func dirtyPrefix(s string) (size int, invalid bool) {
	for size < len(s) {
		r, n := utf8.DecodeRuneInString(s[size:])
		if r != utf8.RuneError || n != 1 {
			break
		}
		size++
	}
	if size > 0 {
		return size, true
	}
	switch r, n := utf8.DecodeRuneInString(s); r {
	case 0x1b:
		if len(s) > 1 && s[1] >= 0x40 && s[1] < 0x60 { // ESC and a letter stands for a C1 character
			return 2 + escapeLength(rune(s[1])+0x40, s[2:]), false
		}
		n += skipBytes(s[n:], 0x20, 0x2f)
		return n + min(1, skipBytes(s[n:], 0x30, 0x7e)), false
	default:
		return n + escapeLength(r, s[n:]), false
	}
}

// escapeLength returns how many bytes after a control character belong to the sequence that it opens.
func escapeLength(opener rune, s string) int {
	switch opener {
	case 0x9b: // CSI: parameters, intermediates, one final byte
		n := skipBytes(s, 0x30, 0x3f)
		n += skipBytes(s[n:], 0x20, 0x2f)
		return n + min(1, skipBytes(s[n:], 0x40, 0x7e))
	case 0x90, 0x98, 0x9d, 0x9e, 0x9f: // DCS, SOS, OSC, PM, APC: text up to its terminator
		return commandLength(s)
	}
	return 0
}

// commandLength returns the length of a command's text with its terminator (BEL or ST), or 0 if another control
// character or the end comes first. It looks at no byte beyond the next control character, so time stays linear.
func commandLength(s string) int {
	n := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
	switch {
	case n < 0:
		return 0
	case s[n] == 0x07:
		return n + 1
	case strings.HasPrefix(s[n:], "\x1b\\"), strings.HasPrefix(s[n:], "\u009c"):
		return n + 2
	}
	return 0
}

// skipBytes counts the bytes at the beginning of s that lie between low and high.
func skipBytes(s string, low, high byte) int {
	n := 0
	for n < len(s) && s[n] >= low && s[n] <= high {
		n++
	}
	return n
}
