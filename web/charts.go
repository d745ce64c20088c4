package web

import (
	"html/template"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/draw"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// chartRange is a stretch of time that charts can show.
type chartRange struct {
	Name, Label string
	last        time.Duration
}

var chartRanges = []chartRange{
	{"5m", "5 min", 5 * time.Minute},
	{"15m", "15 min", 15 * time.Minute},
	{"1h", "1 h", time.Hour},
	{"6h", "6 h", 6 * time.Hour},
	{"24h", "24 h", 24 * time.Hour},
	{"3d", "3 d", 3 * 24 * time.Hour},
	{"14d", "14 d", 14 * 24 * time.Hour},
}

const (
	defaultRange = "1h"
	tableRows    = 50 // of the table of kinds or queues
)

// chart is one drawing of several lines, for the page as SVG and for its script as numbers.
type chart struct {
	ID    string        `json:"id"`
	Title string        `json:"title"`
	Unit  string        `json:"unit"` // "rate": things a minute; "time": seconds
	Lines []chartLine   `json:"lines"`
	SVG   template.HTML `json:"-"`
}

// chartLine is one line; a nil value is not known yet.
type chartLine struct {
	Name   string     `json:"name"`
	Class  string     `json:"class"` // of its colour
	Values []*float64 `json:"values"`
}

// chartsData is what the page of charts shows.
type chartsData struct {
	Ranges      []link
	Range       string
	Queue, Kind string
	Queues      []string // to choose from
	Kinds       []string
	Choose      bool // the viewer may not see all queues, so he has to name one
	Charts      []chart
	Total       *rollup.Sums
	Passed      time.Duration
	Step        time.Duration
	Marks       []rollup.Mark
	TableTitle  string
	TableColumn string
	Table       []tableRow
	TableMore   int
	Histogram   template.HTML
	Source      string // where the page's script gets the numbers
	ByQueue     bool
	AddMark     bool
}

// link is one of several choices.
type link struct {
	Label, URL string
	Current    bool
}

// tableRow is the sums of one series, with a link to its charts.
type tableRow struct {
	rollup.Row
	Name, URL string
}

// series reads which series an address is about, and refuses those that the viewer may not see.
func (v *view) series() (s rollup.Series, choose bool, err error) {
	s = rollup.Series{Queue: v.param("queue"), Kind: v.param("kind")}
	for what, name := range map[string]string{"queue": s.Queue, "kind": s.Kind} {
		if name != "" && name != rollup.Other {
			if err := bellhop.CheckName(what, name); err != nil {
				return s, false, badInput("%v", err)
			}
		}
	}
	if s.Queue != "" {
		return s, false, v.need(access.Read, s.Queue)
	}
	return s, !v.viewer.SeesAll(), nil
}

// rangeOf returns the range of a name; for an unknown one, the default.
func rangeOf(name string) chartRange {
	i := slices.IndexFunc(chartRanges, func(r chartRange) bool { return r.Name == name })
	if i < 0 {
		return rangeOf(defaultRange)
	}
	return chartRanges[i]
}

// rangeNames lists the ranges that there are.
func rangeNames() string {
	names := make([]string, len(chartRanges))
	for i, r := range chartRanges {
		names[i] = r.Name
	}
	return strings.Join(names, ", ")
}

// charts shows how jobs of a queue, of a kind, or of all have fared, from minutes to weeks.
func (s *Server) charts(v *view) (*page, error) {
	series, choose, err := v.series()
	if err != nil {
		return nil, err
	}
	over := rangeOf(v.param("range"))
	if named := v.param("range"); named != "" && named != over.Name {
		return nil, badInput("the range %.20q is unknown: want %s", named, rangeNames())
	}
	data := chartsData{Range: over.Name, Queue: series.Queue, Kind: series.Kind, Choose: choose, Source: v.with(), AddMark: v.viewer.All() >= access.Act}
	for _, r := range chartRanges {
		data.Ranges = append(data.Ranges, link{r.Label, v.with("range", r.Name), r.Name == over.Name})
	}
	if shot := v.snapshot(); shot != nil {
		for _, q := range shot.visible(v.viewer) {
			data.Queues = append(data.Queues, q.Queue)
		}
		data.Kinds = kinds(v.viewer.Processes(shot.Processes))
	}
	p := &page{name: "charts", title: "Metrics", nav: "/charts", status: http.StatusOK}
	if choose {
		p.data = data
		return p, nil
	}
	rng, err := s.reader.Last(v.Context(), over.last)
	if err != nil {
		return nil, err
	}
	if err := s.fillCharts(v, &data, rng, series); err != nil {
		return nil, err
	}
	if !v.wantsJSON() {
		if err := s.fillTable(v, &data, rng, series); err != nil {
			return nil, err
		}
	}
	p.data, p.json = data, chartsJSON(&data, rng)
	return p, nil
}

// fillCharts draws the charts of a series.
func (s *Server) fillCharts(v *view, data *chartsData, rng rollup.Range, series rollup.Series) error {
	read, err := s.reader.Chart(v.Context(), rng, series)
	if err != nil {
		return err
	}
	if data.Marks, err = s.reader.Marks(v.Context(), rng.From, rng.To); err != nil {
		return err
	}
	data.Total, data.Passed, data.Step = &read.Total, rng.Passed(), rng.Step
	data.Charts = chartsOf(read)
	times := make([]time.Time, len(read.Points))
	for i := range read.Points {
		times[i] = read.Points[i].At
	}
	var marks []draw.Mark
	for _, m := range data.Marks {
		marks = append(marks, draw.Mark{At: m.At, Text: m.Text})
	}
	for i := range data.Charts {
		c := &data.Charts[i]
		format := func(f float64) string { return digits(f) }
		if c.Unit == "time" {
			format = func(f float64) string { return brief(time.Duration(f * float64(time.Second))) }
		}
		var lines []draw.Line
		for _, l := range c.Lines {
			values := make([]float64, len(l.Values))
			for j, f := range l.Values {
				if values[j] = math.NaN(); f != nil {
					values[j] = *f
				}
			}
			lines = append(lines, draw.Line{Name: l.Name, Class: l.Class, Values: values})
		}
		c.SVG = draw.Lines(c.Title, times, lines, marks, format)
	}
	data.Histogram = histogram(&read.Total.Run, -1)
	return nil
}

// chartsOf makes the numbers of the charts.
func chartsOf(read *rollup.Chart) []chart {
	rates := func(name, class string, of func(*rollup.Point) int64) chartLine {
		l := chartLine{Name: name, Class: class, Values: make([]*float64, len(read.Points))}
		for i := range read.Points {
			if p := &read.Points[i]; p.Covers == read.Step || p.Covers > 2*time.Minute { // of what has just begun some is not written yet
				f := 60 * p.PerSecond(of(p))
				l.Values[i] = &f
			}
		}
		return l
	}
	times := func(of func(*rollup.Point) *rollup.Sketch) []chartLine {
		var lines []chartLine
		for _, q := range []struct {
			name, class string
			part        float64
		}{{"p50", "ready", 0.5}, {"p95", "scheduled", 0.95}, {"p99", "dead", 0.99}} {
			l := chartLine{Name: q.name, Class: q.class, Values: make([]*float64, len(read.Points))}
			for i := range read.Points {
				if sketch := of(&read.Points[i]); sketch.Count() > 0 && (read.Points[i].Covers == read.Step || sketch.Count() >= 100) {
					f := sketch.Quantile(q.part).Seconds()
					l.Values[i] = &f
				}
			}
			lines = append(lines, l)
		}
		return lines
	}
	return []chart{
		{ID: "jobs", Title: "Jobs a minute", Unit: "rate", Lines: []chartLine{
			rates("enqueued", "ready", func(p *rollup.Point) int64 { return p.Enqueued }),
			rates("succeeded", "succeeded", func(p *rollup.Point) int64 { return p.Succeeded }),
			rates("given up", "cancelled", func(p *rollup.Point) int64 { return p.Discarded + p.Cancelled }),
		}},
		{ID: "failures", Title: "Failed attempts a minute", Unit: "rate", Lines: []chartLine{
			rates("retried", "warn", func(p *rollup.Point) int64 { return p.Retried }),
			rates("dead", "dead", func(p *rollup.Point) int64 { return p.Dead }),
			rates("crashed", "scheduled", func(p *rollup.Point) int64 { return p.Crashed }),
		}},
		{ID: "wait", Title: "Wait, from due to start", Unit: "time", Lines: times(func(p *rollup.Point) *rollup.Sketch { return &p.Wait })},
		{ID: "run", Title: "Run, from start to end", Unit: "time", Lines: times(func(p *rollup.Point) *rollup.Sketch { return &p.Run })},
	}
}

// fillTable lists the kinds of a queue, the queues of a kind, or all kinds, those that took the most time first.
func (s *Server) fillTable(v *view, data *chartsData, rng rollup.Range, series rollup.Series) error {
	by, name := rollup.ByKind, func(r *rollup.Row) (string, string) { return r.Kind, "kind" }
	data.TableTitle, data.TableColumn = "By kind", "Kind"
	switch {
	case series.Queue != "" && series.Kind != "":
		return nil
	case v.param("by") == "queue" || series.Kind != "":
		by, name = rollup.ByQueue, func(r *rollup.Row) (string, string) { return r.Queue, "queue" }
		data.TableTitle, data.TableColumn, data.ByQueue = "By queue", "Queue", true
	}
	if series.Queue != "" || series.Kind != "" {
		by = rollup.ByQueueAndKind
	}
	table, err := s.reader.Table(v.Context(), rng, rollup.TableQuery{By: by, Only: series, Order: rollup.ByTime, Limit: tableRows})
	if err != nil {
		return err
	}
	data.TableMore = table.More
	for i := range table.Rows {
		label, what := name(&table.Rows[i])
		data.Table = append(data.Table, tableRow{table.Rows[i], label, v.with(what, label)})
	}
	return nil
}

// histogram draws how run times are distributed: on a logarithmic scale, as sketches are. It marks where own lies, unless that is negative.
func histogram(s *rollup.Sketch, own time.Duration) template.HTML {
	if s.Count() == 0 {
		return ""
	}
	const bars = 48
	scale := func(d time.Duration) float64 { return math.Log(max(d.Seconds(), 1e-6)) }
	low, high := scale(s.Quantile(0.005)), scale(s.Quantile(0.995))
	if own >= 0 {
		low, high = min(low, scale(own)), max(high, scale(own))
	}
	if high-low < 0.1 {
		low, high = low-0.05, high+0.05
	}
	counts := make([]float64, bars)
	place := func(d time.Duration) float64 { return min(max((scale(d)-low)/(high-low), 0), 1) * bars }
	s.Buckets(func(from, to time.Duration, n int64) { // a bucket's part of each bar that it reaches into: they are about as wide as each other
		a, b := place(from), place(to)
		for i := min(int(a), bars-1); b > a && float64(i) < b; i++ {
			counts[i] += float64(n) * (min(b, float64(i+1)) - max(a, float64(i))) / (b - a)
		}
		if b <= a { // beyond one of the ends
			counts[min(int(a), bars-1)] += float64(n)
		}
	})
	list := make([]draw.Bar, bars)
	edge := func(i int) time.Duration {
		return time.Duration(math.Exp(low+float64(i)*(high-low)/bars) * float64(time.Second))
	}
	var marks []draw.BarMark
	if own >= 0 {
		marks = append(marks, draw.BarMark{At: (scale(own) - low) / (high - low), Text: "this one: " + brief(own)})
	}
	for i, n := range counts {
		list[i] = draw.Bar{Value: n, Label: brief(edge(i)) + " to " + brief(edge(i+1)) + ": " + plural(int(math.Round(n)), "attempt")}
	}
	return draw.Bars("How long attempts run", "From short on the left to long on the right, on a logarithmic scale.", brief(edge(0)), brief(edge(bars)), list, marks...)
}

// chartsJSON is what the page's script draws of.
func chartsJSON(data *chartsData, rng rollup.Range) any {
	times := make([]float64, rng.Points())
	for i := range times {
		times[i] = float64(rng.At(i).Unix())
	}
	marks := make([]any, 0, len(data.Marks))
	for _, m := range data.Marks {
		marks = append(marks, map[string]any{"at": float64(m.At.UnixMilli()) / 1000, "text": m.Text, "by": m.By, "version": m.Version})
	}
	return map[string]any{"range": data.Range, "step": rng.Step.Seconds(), "times": times, "charts": data.Charts, "marks": marks, "queue": data.Queue, "kind": data.Kind}
}

// mark sets a mark that all charts show.
func (s *Server) mark(v *view) (*done, error) {
	e := audit.Entry{Action: "mark", Target: shorten(v.PostForm.Get("text"), 200)}
	if err := v.allowed(access.Act, "", e); err != nil {
		return nil, err
	}
	m, err := rollup.AddMark(v.Context(), s.client.Store(), strings.TrimSpace(v.PostForm.Get("text")), v.viewer.Name)
	if err := v.acted(e, err); err != nil {
		return nil, err
	}
	return &done{to: v.back("/charts"), said: "The charts show “" + m.Text + "” from now on."}, nil
}
