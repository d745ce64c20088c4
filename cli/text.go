package cli

import (
	"strings"

	"github.com/gobellhop/bellhop"
)

// clean makes one line of a text that comes from a job.
func clean(text string) string { return strings.Join(strings.Fields(safe(text, 4<<10)), " ") }

// safe cleans a text that comes from a job: no escape codes, and none of the characters that turn the direction of writing, by
// which a text could show another order than it has.
func safe(text string, most int) string {
	return strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return -1
		}
		return r
	}, bellhop.CleanText(text, most))
}

// oneLine makes one line of an error's text, fit for a terminal.
func oneLine(text string) string {
	lines := strings.FieldsFunc(safe(text, 4<<10), func(r rune) bool { return r == '\n' })
	return strings.ReplaceAll(strings.Join(lines, "; "), "\t", " ")
}
