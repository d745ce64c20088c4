package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is a drawing of bars, or of ranges from a median to a 99th percentile, in panels one below the other.
type Chart struct {
	Title, Subtitle string
	Panels          []Panel
	// Logarithmic draws ranges on a scale of powers of ten, the same for all panels, in milliseconds.
	Logarithmic bool
}

// Panel is one part of a chart, with a scale of its own unless it is logarithmic.
type Panel struct {
	Title string
	Bars  []Bar
}

// Bar is one line of a panel.
type Bar struct {
	Label, Text string
	// Value is the length; Low and High are where a thin line over it begins and ends. In a logarithmic chart the line is all.
	Value, Low, High float64
	Look             Look
}

// Look says how a bar is drawn.
type Look string

// Looks of a bar: ours, somebody else's, the limit that a hand-written program reaches.
const (
	Ours  Look = "ours"
	Peer  Look = "peer"
	Limit Look = "limit"
)

// The measures of a chart, in pixels.
const (
	chartWidth = 900
	labelWidth = 290
	barWidth   = 450
	rowHeight  = 26
	barHeight  = 16
)

// chartStyle serves a light page and a dark one.
const chartStyle = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328 }
.title { font-size: 19px; font-weight: 600 } .panel { font-size: 14px; font-weight: 600 } .muted, .tick { fill: #59636e } .tick { font-size: 11px }
.bold { font-weight: 600 } .ours { fill: #b4262e } .peer { fill: #b9c2cc } .limit { fill: none; stroke: #8c959f; stroke-width: 1.2; stroke-dasharray: 4 3 }
.span { stroke: #59636e; stroke-width: 1.4 } .grid { stroke: #d8dee4 } line.ours { stroke: #b4262e } line.peer { stroke: #98a3ae } line.ours, line.peer { stroke-width: 5; stroke-linecap: round }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .muted, .tick { fill: #9198a1 } .ours { fill: #ff6b6b } .peer { fill: #4f5965 } .limit { stroke: #7d8590 }
.span { stroke: #b1bac4 } .grid { stroke: #30363d } line.ours { stroke: #ff6b6b } line.peer { stroke: #5c6773 }
}
</style>
`

// SVG draws the chart.
func (c Chart) SVG() string {
	var b strings.Builder
	y := 70
	for _, p := range c.Panels {
		if c.Logarithmic {
			y = c.ranges(&b, p, y)
		} else {
			y = c.bars(&b, p, y)
		}
	}
	var head strings.Builder
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", chartWidth, y, chartWidth, y)
	fmt.Fprintf(&head, "<title>%s</title>\n", html.EscapeString(c.Title))
	head.WriteString(chartStyle)
	text(&head, 12, 28, "title", "start", c.Title)
	text(&head, 12, 49, "muted", "start", c.Subtitle)
	return head.String() + b.String() + "</svg>\n"
}

func (c Chart) bars(b *strings.Builder, p Panel, y int) int {
	most := 0.0
	for _, bar := range p.Bars {
		most = max(most, bar.Value, bar.High)
	}
	y += 12
	text(b, 12, y+6, "panel", "start", p.Title)
	y += 18
	for _, bar := range p.Bars {
		length := 0.0
		if most > 0 {
			length = bar.Value / most * barWidth
		}
		c.label(b, bar, y)
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="3"/>`+"\n", bar.Look, labelWidth, y+4, max(length, 1.5), barHeight)
		end := length
		if bar.High > bar.Low {
			from, to := bar.Low/most*barWidth, bar.High/most*barWidth
			fmt.Fprintf(b, `<line class="span" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", labelWidth+from, labelWidth+to, y+12, y+12)
			end = max(end, to)
		}
		text(b, labelWidth+int(end)+8, y+17, weight(bar), "start", bar.Text)
		y += rowHeight
	}
	return y + 10
}

// decades of milliseconds that a logarithmic chart shows.
var decades = []float64{0.1, 1, 10, 100, 1000, 10000}

func onLog(ms float64) float64 {
	low, high := math.Log10(decades[0]), math.Log10(decades[len(decades)-1])
	at := (math.Log10(max(ms, decades[0])) - low) / (high - low)
	return labelWidth + min(at, 1)*barWidth
}

func (c Chart) ranges(b *strings.Builder, p Panel, y int) int {
	y += 12
	text(b, 12, y+6, "panel", "start", p.Title)
	y += 18
	bottom := y + len(p.Bars)*rowHeight
	for _, ms := range decades {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", onLog(ms), onLog(ms), y, bottom)
		text(b, int(onLog(ms)), bottom+13, "tick", "middle", strconv.FormatFloat(ms, 'g', -1, 64)+" ms")
	}
	for _, bar := range p.Bars {
		c.label(b, bar, y)
		fmt.Fprintf(b, `<line class="%s" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", bar.Look, onLog(bar.Low), onLog(bar.High), y+12, y+12)
		fmt.Fprintf(b, `<circle class="%s" cx="%.1f" cy="%d" r="6"/>`+"\n", bar.Look, onLog(bar.Low), y+12)
		text(b, int(onLog(bar.High))+10, y+17, weight(bar), "start", bar.Text)
		y += rowHeight
	}
	return bottom + 28
}

func (c Chart) label(b *strings.Builder, bar Bar, y int) {
	text(b, labelWidth-10, y+17, weight(bar), "end", bar.Label)
}

func weight(bar Bar) string {
	if bar.Look == Ours {
		return "bold"
	}
	return "muted"
}

func text(b *strings.Builder, x, y int, class, anchor, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(s))
}

func lookOf(x *Result) Look {
	switch x.Family {
	case "bellhop":
		return Ours
	case "minimum":
		return Limit
	}
	return Peer
}

// RateChart draws the rates of one task on every store that has it, the fastest first, the limit last.
func (r *Report) RateChart(task, title, subtitle string) Chart {
	c := Chart{Title: title, Subtitle: subtitle}
	for _, g := range r.Groups {
		if g.Name != task {
			continue
		}
		p := Panel{Title: StoreTitle(g.Store)}
		for _, x := range r.Of(g) {
			if len(x.Samples) == 0 {
				continue
			}
			rates := x.values(func(s Sample) float64 { return s.Rate })
			p.Bars = append(p.Bars, Bar{
				Label: x.Title, Text: Number(x.Rate()) + "/s", Value: x.Rate(), Low: slices.Min(rates), High: slices.Max(rates), Look: lookOf(x),
			})
		}
		slices.SortStableFunc(p.Bars, func(a, b Bar) int {
			if (a.Look == Limit) != (b.Look == Limit) {
				if a.Look == Limit {
					return 1
				}
				return -1
			}
			return int(math.Copysign(1, b.Value-a.Value))
		})
		if len(p.Bars) > 0 {
			c.Panels = append(c.Panels, p)
		}
	}
	return c
}

// LatencyChart draws medians and 99th percentiles.
func (r *Report) LatencyChart(title, subtitle string) Chart {
	c := Chart{Title: title, Subtitle: subtitle, Logarithmic: true}
	for _, g := range r.Groups {
		if g.Name != "latency" {
			continue
		}
		p := Panel{Title: StoreTitle(g.Store)}
		for _, x := range r.Of(g) {
			if len(x.Samples) == 0 {
				continue
			}
			low, high := x.Latency(50), x.Latency(99)
			p.Bars = append(p.Bars, Bar{Label: x.Title, Text: Number(low) + " / " + Number(high) + " ms", Low: low, High: high, Look: lookOf(x)})
		}
		slices.SortStableFunc(p.Bars, func(a, b Bar) int { return int(math.Copysign(1, a.Low-b.Low)) })
		if len(p.Bars) > 0 {
			c.Panels = append(c.Panels, p)
		}
	}
	return c
}
