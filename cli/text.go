package cli

import (
	"strings"

	"github.com/gobellhop/bellhop"
)

// clean makes one line of a text that comes from a job.
func clean(text string) string {
	return strings.Join(strings.Fields(bellhop.CleanText(text, 4<<10)), " ")
}

// oneLine makes one line of an error's text, fit for a terminal.
func oneLine(text string) string {
	lines := strings.FieldsFunc(bellhop.CleanText(text, 4<<10), func(r rune) bool { return r == '\n' })
	return strings.ReplaceAll(strings.Join(lines, "; "), "\t", " ")
}
