package draw

import (
	"fmt"
	"html/template"
	"math"
)

// Bar is one bar of a [Bars].
type Bar struct {
	// Value is its height; negative ones count as 0.
	Value float64
	// Bad is the part of Value that is drawn as such, at the foot.
	Bad float64
	// Label tells what it stands for: "14:05, 12 failures".
	Label string
}

// BarMark is a place along the bars of a [Bars].
type BarMark struct {
	// At is where: 0 at the left end, 1 at the right.
	At   float64
	Text string
}

// Bars draws bars side by side, the first on the left: counts over time, or a histogram. title says what they count. from and to
// are written below the ends; empty ones are not. Marks are lines across the bars with their texts above. Without bars there is only
// the ground line.
func Bars(title, desc, from, to string, bars []Bar, marks ...BarMark) template.HTML {
	const width, foot = 320.0, 14.0
	height, head := 64.0, 0.0
	if len(marks) > 0 {
		head = 14
		height += head
	}
	var s svg
	s.begin("bars", width, height+foot, title, desc)
	top := 0.0
	for _, b := range bars {
		if !math.IsInf(b.Value, 1) && b.Value > top { // NaN is not greater
			top = b.Value
		}
	}
	step := width / float64(max(len(bars), 1))
	gap := min(step*0.2, 2)
	for i, b := range bars {
		if top == 0 || !(b.Value > 0) {
			continue
		}
		h := max(min(b.Value/top, 1)*(height-head-2), 1.5)
		bad := h * min(max(b.Bad/b.Value, 0), 1)
		x := float64(i) * step
		s.add(`<g><title>%s</title>`, esc(b.Label))
		if h > bad {
			s.add(`<rect class="bar" x="%s" y="%s" width="%s" height="%s"></rect>`, num(x), num(height-h), num(max(step-gap, 0.5)), num(h-bad))
		}
		if bad > 0 {
			s.add(`<rect class="bar bar-bad" x="%s" y="%s" width="%s" height="%s"></rect>`, num(x), num(height-bad), num(max(step-gap, 0.5)), num(bad))
		}
		s.add(`</g>`)
	}
	s.add(`<path class="bars-ground" d="M0 %s H%s"></path>`, num(height), num(width))
	for _, m := range marks {
		at, anchor := min(max(m.At, 0), 1)*(width-2)+1, "start"
		if m.At > 0.5 {
			anchor = "end"
		}
		s.add(`<path class="bars-mark" d="M%s %s V%s"></path>`, num(at), num(head-2), num(height))
		s.text(at, head-5, "bars-label bars-name", anchor, m.Text)
	}
	if from != "" {
		s.text(0, height+foot-2, "bars-label", "start", from)
	}
	if to != "" {
		s.text(width, height+foot-2, "bars-label", "end", to)
	}
	return s.end()
}

// Spark draws values as a line over a filled ground, the first on the left, as high as the greatest.
func Spark(title string, values []float64) template.HTML {
	const width, height = 120.0, 24.0
	top := 0.0
	for _, v := range values {
		if !math.IsInf(v, 1) && v > top {
			top = v
		}
	}
	var s svg
	class := "spark"
	if top == 0 {
		class += " spark-flat"
	}
	s.begin(class+`" preserveAspectRatio="none`, width, height, title, "") // it fills whatever room the page gives it
	if len(values) < 2 {
		values = []float64{0, 0}
	}
	points := ""
	for i, v := range values {
		y := height - 2
		if top > 0 && v > 0 {
			y = 2 + (1-min(v/top, 1))*(height-4)
		}
		if i > 0 {
			points += " "
		}
		points += num(float64(i)*width/float64(len(values)-1)) + "," + num(y)
	}
	s.add(`<polygon points="0,%s %s %s,%s"></polygon><polyline points="%s"></polyline>`, num(height), points, num(width), num(height), points)
	return s.end()
}

// Progress draws how far something has come, from 0 to 100 percent; below 0 it is not known how far. label tells what it is.
func Progress(label string, percent int) template.HTML {
	const width, height = 240.0, 8.0
	var s svg
	class, title := "progress", fmt.Sprintf("%s: %d %%", label, min(percent, 100))
	if percent < 0 {
		class, title = "progress progress-unknown", label+": it is not known how far"
	}
	s.begin(class+`" preserveAspectRatio="none`, width, height, title, "") // it fills whatever room the page gives it, which rounds its ends
	s.add(`<rect class="progress-ground" width="%s" height="%s"></rect>`, num(width), num(height))
	if percent < 0 {
		s.add(`<rect class="progress-part" x="%s" width="%s" height="%s"></rect>`, num(width/3), num(width/3), num(height))
	} else if percent > 0 {
		s.add(`<rect class="progress-part" width="%s" height="%s"></rect>`, num(width*float64(min(percent, 100))/100), num(height))
	}
	return s.end()
}
