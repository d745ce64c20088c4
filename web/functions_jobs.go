package web

import (
	"html/template"
	"strings"

	"github.com/gobellhop/bellhop/internal/draw"
	"github.com/gobellhop/bellhop/internal/jsonview"
)

// jobFunctions are what the templates of jobs, failures and operations call besides the others.
var jobFunctions = template.FuncMap{
	"tail":     tail,
	"question": func(title string) string { return strings.TrimSuffix(title, "?") },
	"progress": draw.Progress,
	"visible":  visible,
}

// tail returns the last n bytes of an id: where ids of one time differ.
func tail(id string, n int) string { return id[max(len(id)-n, 0):] }

// visible writes a text with what cannot be seen in it.
func visible(text string, max int) template.HTML {
	html, _ := jsonview.Text(text, max)
	return html
}
