package web

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
)

// The size of a sparkline in its own units.
const (
	sparkWidth  = 120
	sparkHeight = 24
)

// spark draws values, oldest first, as a small line over a filled area. label tells what it shows to those who cannot see it. There
// is nothing to draw of fewer than two values, nor of none but zeros: then it is a flat line.
func spark(label string, values []float64) template.HTML {
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	var line strings.Builder
	for i, v := range values {
		x, y := float64(sparkWidth), float64(sparkHeight-2)
		if len(values) > 1 {
			x = float64(i) * sparkWidth / float64(len(values)-1)
		}
		if top > 0 {
			y = 2 + (1-v/top)*(sparkHeight-4)
		}
		if i > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(coordinate(x) + "," + coordinate(y))
	}
	points := line.String()
	if len(values) < 2 {
		points = fmt.Sprintf("0,%d %d,%d", sparkHeight-2, sparkWidth, sparkHeight-2)
	}
	class := "spark"
	if top == 0 {
		class += " spark-flat"
	}
	return template.HTML(fmt.Sprintf(`<svg class="%s" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s">`+ // the label is escaped, the rest are numbers
		`<polygon points="0,%d %s %d,%d"></polygon><polyline points="%s"></polyline></svg>`,
		class, sparkWidth, sparkHeight, template.HTMLEscapeString(label), sparkHeight, points, sparkWidth, sparkHeight, points))
}

// coordinate writes a place in a drawing, to a tenth.
func coordinate(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}
