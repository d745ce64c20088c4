package draw

import (
	"html/template"
	"math"
	"strings"
	"time"
)

// Line is one line of a [Lines].
type Line struct {
	// Name tells what it shows: "succeeded".
	Name string
	// Class gives it its colour: the drawing's lines have the class "line-" and this.
	Class string
	// Values has one for each time; NaN where nothing is known.
	Values []float64
}

// Mark is a moment that a [Lines] shows.
type Mark struct {
	At   time.Time
	Text string
}

// The place of a Lines in its own units: room for the labels is left and below.
const (
	linesWidth, linesHeight = 640.0, 190.0
	linesLeft, linesRight   = 52.0, 632.0
	linesTop, linesGround   = 10.0, 166.0
)

// Lines draws lines over time from 0 up, with two or three values named on the left by format, and the first, the middle and the last
// time below. title says what is shown.
func Lines(title string, times []time.Time, lines []Line, marks []Mark, format func(float64) string) template.HTML {
	top := 0.0
	for _, l := range lines {
		for _, v := range l.Values {
			if !math.IsInf(v, 1) && v > top { // NaN is not greater
				top = v
			}
		}
	}
	step, ticks := niceStep(top)
	y := func(v float64) float64 {
		return linesGround - min(max(v/(step*float64(ticks)), 0), 1)*(linesGround-linesTop)
	}
	x := func(i int) float64 {
		return linesLeft + float64(i)*(linesRight-linesLeft)/float64(max(len(times)-1, 1))
	}
	var s svg
	s.begin("lines", linesWidth, linesHeight, title, "")
	for i := range ticks + 1 {
		at := y(step * float64(i))
		s.add(`<path class="lines-grid" d="M%s %s H%s"></path>`, num(linesLeft), num(at), num(linesRight))
		s.text(linesLeft-6, at+3.5, "lines-label", "end", format(step*float64(i)))
	}
	if len(times) > 1 {
		s.marks(times, marks)
		layout := "15:04"
		if times[len(times)-1].Sub(times[0]) > 25*time.Hour {
			layout = "Jan 2"
		}
		for i, anchor := range []string{"start", "middle", "end"} {
			at := i * (len(times) - 1) / 2
			s.text(x(at), linesHeight-6, "lines-label", anchor, times[at].UTC().Format(layout))
		}
	}
	for _, l := range lines {
		var d strings.Builder
		pen := "M"
		for i, v := range l.Values {
			if i >= len(times) || math.IsNaN(v) {
				pen = "M"
				continue
			}
			d.WriteString(pen + num(x(i)) + " " + num(y(v)))
			if pen == "M" {
				d.WriteString("h0") // a value between two gaps is a dot
			}
			pen = "L"
		}
		s.add(`<path class="line line-%s" d="%s"><title>%s</title></path>`, esc(l.Class), d.String(), esc(l.Name))
	}
	return s.end()
}

// marks draws the moments that lie within the times.
func (s *svg) marks(times []time.Time, marks []Mark) {
	first, whole := times[0], times[len(times)-1].Sub(times[0])
	for _, m := range marks {
		if part := float64(m.At.Sub(first)) / float64(whole); part >= 0 && part <= 1 {
			at := linesLeft + part*(linesRight-linesLeft)
			s.add(`<path class="lines-mark" d="M%s %s V%s"><title>%s</title></path>`, num(at), num(linesTop), num(linesGround), esc(m.Text))
		}
	}
}

// niceStep returns the distance of two to five grid lines that reach over top, and their number: 1, 2 or 5 times a power of ten.
func niceStep(top float64) (step float64, ticks int) {
	if !(top > 0) || math.IsInf(top, 1) {
		return 1, 1
	}
	step = math.Pow(10, math.Floor(math.Log10(top)))
	for _, part := range []float64{0.2, 0.5, 1} {
		if n := math.Ceil(top / (step * part)); n <= 5 {
			return step * part, int(n)
		}
	}
	return 2 * step, int(math.Ceil(top / (2 * step)))
}
