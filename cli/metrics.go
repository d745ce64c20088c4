package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/redact"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// metricsCmd tells how jobs went.
type metricsCmd struct {
	Since    sinceFlag `help:"How far back, such as 90m or 7d: from 1m to 14d. Default: ${default}." default:"1h" placeholder:"TIME"`
	Queue    string    `help:"One queue." placeholder:"NAME"`
	Kind     string    `help:"One kind." placeholder:"NAME"`
	By       string    `help:"A line for each queue, kind, or both. Default: ${default}." placeholder:"COLUMN" enum:"queue,kind,both" default:"both"`
	Failures bool      `help:"Show of what attempts failed, in groups, instead of counts."`
	Limit    int       `help:"How many lines at most: from 1 to 1000. Default: ${default}." default:"50" placeholder:"N"`
	UTC      bool      `name:"utc" help:"Show exact times."`
}

// sinceFlag is how far back: a length of time, also in days.
type sinceFlag struct{ d time.Duration }

// UnmarshalText reads it and checks its bounds.
func (f *sinceFlag) UnmarshalText(text []byte) (err error) {
	form := string(text)
	if days, is := strings.CutSuffix(form, "d"); is {
		if f.d, err = time.ParseDuration(days + "h"); err == nil {
			f.d *= 24
		}
	} else {
		f.d, err = time.ParseDuration(form)
	}
	if err != nil || f.d < time.Minute || f.d > rollup.Longest {
		return fmt.Errorf("%.40q is out of range: want a length of time from 1m to 14d, such as 90m or 7d", form)
	}
	return nil
}

// metricsResult is the JSON of metrics: the same as that of the API.
type metricsResult struct {
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	StepSeconds float64   `json:"step_seconds"`
	rollup.SeriesFigures
	Points   []rollup.PointFigures  `json:"points"`
	Rows     []rollup.SeriesFigures `json:"rows"`
	Failures []rollup.FailureGroup  `json:"failures,omitempty"`
	Marks    []rollup.Mark          `json:"marks"`
}

// Run reads what workers have counted and prints it.
func (c *metricsCmd) Run(ctx context.Context, a *app) error {
	for _, name := range []struct{ what, name string }{{"queue", c.Queue}, {"kind", c.Kind}} {
		if name.name != "" && name.name != rollup.Other {
			if err := bellhop.CheckName(name.what, name.name); err != nil {
				return refused("%w", err)
			}
		}
	}
	if c.Limit < 1 || c.Limit > 1000 {
		return refused("--limit=%d is out of range: want 1 to 1000", c.Limit)
	}
	client, err := a.open(ctx, useShared)
	if err != nil {
		return err
	}
	defer client.Close()
	m, err := c.read(ctx, client.Store())
	switch {
	case err != nil:
		return err
	case a.json:
		return a.printJSON(m.result())
	case m.chart.Total.IsZero():
		a.note("Workers have counted nothing in the last %s in %s.", span(c.Since.d), bellhop.MaskAddress(a.store))
		return nil
	case c.Failures:
		m.showFailures(a, clockwork{m.chart.Now, c.UTC})
		return nil
	}
	m.show(a, clockwork{m.chart.Now, c.UTC})
	return nil
}

// metrics is what the command has read.
type metrics struct {
	chart    *rollup.Chart
	course   rollup.Range                      // of the small charts
	counts   map[rollup.Series][]rollup.Counts // of the rows
	rows     []rollup.Row
	more     int // rows that are not shown
	failures *rollup.Failures
	marks    []rollup.Mark
}

func (c *metricsCmd) read(ctx context.Context, store bellhop.Store) (*metrics, error) {
	r, only := rollup.NewReader(store), rollup.Series{Queue: c.Queue, Kind: c.Kind}
	rng, err := r.Last(ctx, c.Since.d)
	if err != nil {
		return nil, err
	}
	m := &metrics{}
	course := make(chan error, 1)
	go func() { // beside the rows: whoever asks waits for the longer of both
		var err error
		if m.chart, err = r.Chart(ctx, rng, only); err == nil {
			m.marks, err = r.Marks(ctx, rng.From, rng.To)
		}
		course <- err
	}()
	err = c.readRows(ctx, r, rng, m)
	return m, cmp.Or(<-course, err)
}

// readRows reads what has a line for each: failures, or queues and kinds with their small charts.
func (c *metricsCmd) readRows(ctx context.Context, r *rollup.Reader, rng rollup.Range, m *metrics) (err error) {
	if c.Failures {
		m.failures, err = r.Failures(ctx, rng, c.Kind)
		if err != nil {
			return err
		}
		m.failures.Groups = slices.DeleteFunc(m.failures.Groups, func(g rollup.FailureGroup) bool {
			return c.Queue != "" && !slices.Contains(g.Queues, c.Queue)
		})
		m.more = max(len(m.failures.Groups)-c.Limit, 0)
		m.failures.Groups = m.failures.Groups[:min(len(m.failures.Groups), c.Limit)]
		if err := r.Describe(ctx, rng, m.failures.Groups); err != nil {
			return err
		}
		for i := range m.failures.Groups {
			g := &m.failures.Groups[i]
			g.Pattern, g.Sample = redact.Text(g.Pattern), redact.Text(g.Sample)
		}
		return nil
	}
	only := rollup.Series{Queue: c.Queue, Kind: c.Kind}
	by := map[string]rollup.By{"queue": rollup.ByQueue, "kind": rollup.ByKind, "both": rollup.ByQueueAndKind}[c.By]
	table, err := r.Table(ctx, rng, rollup.TableQuery{By: by, Only: only, Order: rollup.ByAttempts, Limit: c.Limit})
	if err != nil {
		return err
	}
	m.rows, m.more, m.counts = table.Rows, table.More, map[rollup.Series][]rollup.Counts{}
	for _, row := range m.rows {
		m.counts[row.Series] = nil
	}
	m.course = rng.Coarser(courseSteps)
	courses, err := r.Counts(ctx, m.course, rollup.CountsQuery{By: by, Only: only, Wanted: func(line rollup.Series) bool {
		_, shown := m.counts[line]
		return shown
	}})
	for _, s := range courses {
		m.counts[s.Series] = s.Points
	}
	return err
}

func (m *metrics) result() metricsResult {
	c := m.chart
	out := metricsResult{
		From: c.From, To: c.To, StepSeconds: c.Step.Seconds(), Points: c.PointFigures(), Rows: []rollup.SeriesFigures{},
		SeriesFigures: rollup.SeriesFigures{Queue: c.Series.Queue, Kind: c.Series.Kind, Figures: c.Total.Figures()}, Marks: m.marks,
	}
	for i := range m.rows {
		out.Rows = append(out.Rows, m.rows[i].SeriesFigures())
	}
	if m.failures != nil {
		out.Failures = m.failures.Groups
	}
	return out
}

const (
	// sparkWidth is how many columns the course of a line has, and courseSteps how many steps are read for it, at most.
	sparkWidth  = 24
	courseSteps = 32
)

func (m *metrics) show(a *app, clock clockwork) {
	t := table{columns: []column{
		{title: "QUEUE", least: 8},
		{title: "KIND", least: 8},
		{title: "ATTEMPTS", right: true},
		{title: "A SECOND", right: true, drop: 3},
		{title: "FAILED", right: true},
		{title: "DEAD", right: true},
		{title: "WAIT P50", right: true, drop: 4},
		{title: "P95", right: true, drop: 2},
		{title: "RUN P50", right: true, drop: 4},
		{title: "P95", right: true, drop: 2},
		{title: "P99", right: true, drop: 5},
		{title: "ATTEMPTS, FAILURES", drop: 1},
	}}
	add := func(queue, kind string, s *rollup.Sums, course []rollup.Counts) {
		failed, dead := cell{number(int(s.Failed())), dim}, cell{number(int(s.Dead)), dim}
		if s.Failed() > 0 {
			failed = cell{fmt.Sprintf("%s (%s)", number(int(s.Failed())), percent(s.ErrorRate())), yellow}
		}
		if s.Dead > 0 {
			dead.color = red
		}
		quantile := func(sketch *rollup.Sketch, q float64) cell {
			if sketch.Count() == 0 {
				return cell{}
			}
			return cell{text: took(rounded(sketch.Quantile(q)))}
		}
		t.add(cell{text: queue}, cell{text: kind}, cell{text: number(int(s.Attempts()))},
			cell{text: rate(float64(s.Attempts()) / max(m.chart.Passed().Seconds(), 1))}, failed, dead,
			quantile(&s.Wait, 0.5), quantile(&s.Wait, 0.95), quantile(&s.Run, 0.5), quantile(&s.Run, 0.95), quantile(&s.Run, 0.99),
			cell{text: spark(course)})
	}
	for i := range m.rows {
		r := &m.rows[i]
		add(r.Queue, r.Kind, &r.Sums, m.counts[r.Series])
	}
	if len(m.rows)+m.more > 1 {
		course := make([]rollup.Counts, m.course.Points())
		for i := range m.chart.Points {
			p := &m.chart.Points[i]
			if at := int(p.At.Sub(m.course.From) / m.course.Step); !p.At.Before(m.course.From) && at < len(course) {
				course[at].Add(&p.Counts)
			}
		}
		first := "all"
		if len(m.rows) > 0 && m.rows[0].Queue == "" {
			add("", first, &m.chart.Total, course)
		} else {
			add(first, "", &m.chart.Total, course)
		}
	}
	t.print(a.out)
	m.showMore(a, "line")
	for _, mark := range m.marks {
		by := ""
		if mark.By != "" {
			by = ", by " + mark.By
		}
		a.note("Mark: %s, %s%s.", mark.Text, clock.at(mark.At), by)
	}
}

func (m *metrics) showMore(a *app, noun string) {
	if m.more > 0 {
		a.note("%s more; --limit shows more, --queue and --kind narrow.", count(m.more, noun))
	}
}

func (m *metrics) showFailures(a *app, clock clockwork) {
	t := table{columns: []column{
		{title: "FAILED", right: true},
		{title: "DEAD", right: true},
		{title: "KIND", least: 8},
		{title: "CLASS", least: 8, drop: 3},
		{title: "ERROR", least: 20},
		{title: "FIRST", drop: 2},
		{title: "LAST"},
		{title: "LAST JOB", drop: 4},
		{title: "", drop: 1},
	}}
	for i := range m.failures.Groups {
		g := &m.failures.Groups[i]
		course := make([]rollup.Counts, len(g.Points))
		for k, n := range g.Points {
			course[k].Succeeded = n // a course of one kind
		}
		t.add(cell{number(int(g.Count)), yellow}, cell{number(int(g.Dead)), red}, cell{text: g.Kind}, cell{g.Class, dim}, cell{text: g.Pattern},
			cell{text: clock.at(g.First)}, cell{text: clock.at(g.Last)}, cell{g.LastJob.String(), dim}, cell{text: spark(course)})
	}
	if len(m.failures.Groups) == 0 {
		a.note("No attempt failed.")
		return
	}
	t.print(a.out)
	m.showMore(a, "group")
	if m.failures.Rest > 0 {
		a.note("%s in no group: there were too many different ones.", count(int(m.failures.Rest), "failure"))
	}
}

// bars are the heights of a course: none for nothing.
var bars = []rune(" ▁▂▃▄▅▆▇█")

// spark draws the course of attempts, the newest to the right; where more than half of them failed it is a cross.
func spark(points []rollup.Counts) string {
	if len(points) == 0 {
		return ""
	}
	width := min(sparkWidth, len(points))
	cells := make([]rollup.Counts, width)
	for i := range points {
		cells[i*width/len(points)].Add(&points[i])
	}
	most := int64(1)
	for i := range cells {
		most = max(most, cells[i].Attempts())
	}
	out := make([]rune, width)
	for i := range cells {
		n := cells[i].Attempts()
		out[i] = bars[(n*int64(len(bars)-1)+most-1)/most] // whatever happened shows
		if n > 0 && cells[i].ErrorRate() > 0.5 {
			out[i] = '×'
		}
	}
	return strings.TrimRight(string(out), " ")
}

// rate writes how often something happens in a second.
func rate(r float64) string {
	switch {
	case r == 0:
		return "0"
	case r < 0.01:
		return "<0.01"
	case r < 10:
		return fmt.Sprintf("%.2f", r)
	case r < 100:
		return fmt.Sprintf("%.1f", r)
	}
	return number(int(r + 0.5))
}

// percent writes a part of one.
func percent(part float64) string {
	switch {
	case part > 0 && part < 0.001:
		return "<0.1%"
	case part < 0.1:
		return fmt.Sprintf("%.1f%%", 100*part)
	}
	return fmt.Sprintf("%.0f%%", 100*part)
}

// rounded cuts a time to what a sketch knows of it: three digits.
func rounded(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
