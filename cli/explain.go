package cli

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/gobellhop/bellhop/docs"
)

// explainCmd shows what the catalogue says of an error.
type explainCmd struct {
	Name string `arg:"" optional:"" help:"The error's name, such as unavailable. Without it all are listed."`
}

// explainResult is the JSON of explain.
type explainResult struct {
	Name string `json:"name"`
	Text string `json:"text"` // Markdown
	URL  string `json:"url"`
}

// Run shows one entry, or all names with what they mean in a few words.
func (c *explainCmd) Run(a *app) error {
	if c.Name == "" {
		list := []explainResult{}
		for _, e := range docs.Errors() {
			list = append(list, explained(e))
		}
		if a.json {
			return a.printJSON(list)
		}
		for _, e := range list {
			a.print("%-17s %s", e.Name, summary(e.Text))
		}
		return nil
	}
	e, ok := docs.Explain(strings.ToLower(strings.TrimSpace(c.Name)))
	if !ok {
		return exitWith(exitNotFound, "no error is called %.64q; bellhop explain lists the names", c.Name)
	}
	if a.json {
		return a.printJSON(explained(e))
	}
	text := link.ReplaceAllString(e.Text, "$1 ("+strings.TrimSuffix(docs.Address, "errors.md")+"$2)") // nobody can follow a link here
	a.print("%s\n\n%s\n\n%s", a.out.paint(bold, e.Name), fold(plainText(text), a.out.width), a.out.paint(dim, explained(e).URL))
	return nil
}

func explained(e docs.Entry) explainResult {
	return explainResult{e.Name, e.Text, docs.Address + "#" + e.Name}
}

// subject is what an entry begins with before it says what the error means: its name in Go, or its status over HTTP.
var subject = regexp.MustCompile("^(`bellhop\\.[A-Za-z]+`[^:]*: |[0-9]{3}[^.]*\\. )")

// summary is the first sentence of an entry.
func summary(text string) string {
	text = plainText(strings.Join(strings.Fields(subject.ReplaceAllString(text, "")), " ")) + " "
	text, _, _ = strings.Cut(text, ". ")
	return strings.TrimSpace(text)
}

// link is one of Markdown; its text stays.
var link = regexp.MustCompile(`\[([^]]+)\]\(([^)]+)\)`)

// fold breaks the lines of paragraphs anew, so that they fit a terminal of that width, or 100 columns.
func fold(text string, width int) string {
	if width == 0 || width > 100 {
		width = 100
	}
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		var lines []string
		line := ""
		for _, word := range strings.Fields(p) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		paragraphs[i] = strings.Join(append(lines, line), "\n")
	}
	return strings.Join(paragraphs, "\n\n")
}

// plainText takes the marks of Markdown away that a terminal does not show.
func plainText(text string) string {
	return strings.NewReplacer("**", "", "`", "", "*", "").Replace(link.ReplaceAllString(text, "$1"))
}
