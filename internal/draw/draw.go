// Package draw makes the dashboard's drawings: the way of a job through its states, bars over time, a line over time, and how far
// something has come. They are SVG, written on the server as text: without scripts, without inline style, coloured by classes that
// the style sheet gives a colour for light and for dark. Each has a <title> and, where that is not all, a <desc>, for those who
// cannot see it.
package draw

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// svg gathers a drawing.
type svg struct{ strings.Builder }

// begin opens a drawing of a size in its own units.
func (s *svg) begin(class string, width, height float64, title, desc string) {
	s.add(`<svg class="%s" viewBox="0 0 %s %s" role="img"><title>%s</title>`, class, num(width), num(height), esc(title))
	if desc != "" {
		s.add(`<desc>%s</desc>`, esc(desc))
	}
}

func (s *svg) add(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func (s *svg) text(x, y float64, class, anchor, text string) {
	s.add(`<text class="%s" x="%s" y="%s" text-anchor="%s">%s</text>`, class, num(x), num(y), anchor, esc(text))
}

func (s *svg) end() template.HTML {
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) // #nosec: texts went through esc, the rest are numbers and fixed words
}

func esc(text string) string { return template.HTMLEscapeString(text) }

// num writes a coordinate to a tenth.
func num(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}

// Span writes a length of time in few characters: "850 µs", "12 ms", "3.2 s", "4 min", "2 h 5 min", "3 d".
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m > 0 {
			return fmt.Sprintf("%d h %d min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours())/24)
}
