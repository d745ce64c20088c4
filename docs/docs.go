// Package docs carries the guides that the program itself shows: the catalogue of errors, for `bellhop explain`. No job passes through it.
package docs

import (
	_ "embed" // for errors.md
	"strings"
)

// Address is where the catalogue of errors is to be read; a name after "#" leads to one of them.
const Address = "https://github.com/gobellhop/bellhop/blob/main/docs/errors.md"

//go:embed errors.md
var errorsText string

// Entry is one error of the catalogue.
type Entry struct {
	// Name is what stands in addresses and in `bellhop explain NAME`.
	Name string
	// Text says what it means and what to do, in Markdown, without the heading.
	Text string
}

// Errors returns the catalogue in its order.
func Errors() []Entry {
	var list []Entry
	for _, part := range strings.Split(errorsText, "\n### ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		list = append(list, Entry{strings.TrimSpace(name), strings.TrimSpace(text)})
	}
	return list
}

// Explain returns the entry of a name, and whether there is one.
func Explain(name string) (Entry, bool) {
	for _, e := range Errors() {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}
