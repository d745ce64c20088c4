package web

import (
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/draw"
	"github.com/gobellhop/bellhop/internal/jsonview"
	"github.com/gobellhop/bellhop/internal/redact"
	"github.com/gobellhop/bellhop/internal/rollup"
)

// failureRange is a stretch of time, by its name in the address.
type failureRange struct {
	Name, Label string
	Of          time.Duration
}

// failureRanges are those that the page offers.
var failureRanges = []failureRange{{"1h", "1 hour", time.Hour}, {"24h", "24 hours", 24 * time.Hour}, {"7d", "7 days", 7 * 24 * time.Hour}, {"14d", "14 days", 14 * 24 * time.Hour}}

// failuresData is what the page of failures shows.
type failuresData struct {
	Groups []failureRow
	Ranges []rangeTab
	Label  string // of the range: "24 hours"
	Kind   string
	Rest   int64 // failures in no group
	Total  int64
	Pager  pager
	MayAct bool
	Hidden bool
	Sort   string
	Sorts  []rangeTab
}

type rangeTab struct {
	Name, Label, URL string
	Current          bool
}

// failureRow is one group of failures.
type failureRow struct {
	rollup.FailureGroup
	Shown   template.HTML // the pattern
	Example template.HTML
	Same    bool // the example says nothing more
	Bars    template.HTML
	JobsURL string // all jobs whose newest attempt failed so
	DeadURL string
	Q       string // the filter of the group's dead jobs, for what is done to them all
	Waiting string // the filter of those that wait for their next attempt
	Fresh   bool   // see freshAfter
}

// failures lists what fails, by groups of failures that are alike.
func (s *Server) failures(v *view) (*page, error) {
	at := slices.IndexFunc(failureRanges, func(r failureRange) bool { return r.Name == v.param("range") })
	if at < 0 {
		if v.param("range") != "" {
			return nil, badInput("the range %.20q is unknown: want 1h, 24h, 7d or 14d", v.param("range"))
		}
		at = 1
	}
	d := &failuresData{Label: failureRanges[at].Label, Kind: strings.TrimSpace(v.param("kind")), MayAct: v.mayAct(), Hidden: !v.viewer.SeesAll(), Sort: v.param("sort")}
	if d.Kind != "" {
		if err := bellhop.CheckName("kind", d.Kind); err != nil {
			return nil, badInput("%v", err)
		}
	}
	for i, r := range failureRanges {
		d.Ranges = append(d.Ranges, rangeTab{r.Name, r.Label, v.with("range", r.Name), i == at})
	}
	if d.Sort != "last" && d.Sort != "first" {
		d.Sort = "count"
	}
	for _, by := range [][2]string{{"count", "most"}, {"last", "latest"}, {"first", "newest"}} {
		d.Sorts = append(d.Sorts, rangeTab{by[0], by[1], v.with("sort", by[0]), by[0] == d.Sort})
	}
	rng, err := s.reader.Last(v.Context(), failureRanges[at].Of)
	if err != nil {
		return nil, err
	}
	found, err := s.reader.Failures(v.Context(), rng, d.Kind)
	if err != nil {
		return nil, err
	}
	visible := slices.DeleteFunc(slices.Clone(found.Groups), func(g rollup.FailureGroup) bool { return !v.seesGroup(&g) })
	sortGroups(visible, d.Sort)
	for _, g := range visible {
		d.Total += g.Count
	}
	from, to, p := v.paginate(len(visible), "group")
	d.Pager = p
	if !d.Hidden {
		d.Rest = found.Rest
	}
	if err := s.reader.Describe(v.Context(), rng, visible[from:to]); err != nil {
		return nil, err
	}
	fresh := freshAfter(visible, found.Range)
	for _, g := range visible[from:to] {
		row := s.failureRow(g, found.Range)
		row.Fresh = g.First.After(fresh)
		d.Groups = append(d.Groups, row)
	}
	return &page{name: "failures", title: "Failures", nav: "/failures", data: d, live: true, json: map[string]any{
		"from": found.From, "to": found.To, "groups": jsonGroups(visible[from:to]), "rest": d.Rest, "next": p.Next,
	}}, nil
}

// seesGroup reports whether the viewer may see a group: all its queues. One that may have failures on queues that it does not name is
// for those who see all: its counts, its sample and its latest job may be of a hidden one.
func (v *view) seesGroup(g *rollup.FailureGroup) bool {
	if v.viewer.SeesAll() {
		return true
	}
	return len(g.Queues) > 0 && g.NamesAll() && !slices.ContainsFunc(g.Queues, func(q string) bool { return !v.viewer.Sees(q) })
}

func sortGroups(groups []rollup.FailureGroup, by string) {
	switch by {
	case "last":
		slices.SortStableFunc(groups, func(a, b rollup.FailureGroup) int { return b.Last.Compare(a.Last) })
	case "first":
		slices.SortStableFunc(groups, func(a, b rollup.FailureGroup) int { return b.First.Compare(a.First) })
	}
}

// freshAfter returns the moment after which a group that first came up is new: the last tenth of the range. Where all groups are of that
// time none is, since the store is young.
func freshAfter(groups []rollup.FailureGroup, rng rollup.Range) time.Time {
	tenth := rng.To.Add(-rng.To.Sub(rng.From) / 10)
	if !slices.ContainsFunc(groups, func(g rollup.FailureGroup) bool { return g.First.Before(tenth) }) {
		return rng.To
	}
	return tenth
}

// maxBars is how many bars are drawn for a group: of the hours of two weeks they would be more than a page may weigh.
const maxBars = 60

func (s *Server) failureRow(g rollup.FailureGroup, rng rollup.Range) failureRow {
	g.Sample, g.Pattern = redact.Text(g.Sample), redact.Text(g.Pattern)
	row := failureRow{FailureGroup: g, Same: g.Sample == g.Pattern, Q: "state=dead&kind=" + g.Kind + "&fingerprint=" + g.Fingerprint}
	row.Shown, _ = jsonview.Text(g.Pattern, 256)
	row.Example, _ = jsonview.Text(g.Sample, 500)
	together := max(1, (len(g.Points)+maxBars-1)/maxBars)
	var bars []draw.Bar
	for points := range slices.Chunk(g.Points, together) {
		n := int64(0)
		for _, p := range points {
			n += p
		}
		text, _ := number(n) // an int64 is a number
		bars = append(bars, draw.Bar{Value: float64(n), Bad: float64(n), Label: rng.At(len(bars)*together).UTC().Format("Jan 2 15:04") + ": " + text})
	}
	row.Bars = draw.Bars("Failures over time", "", "", "", bars)
	row.JobsURL = s.at("/jobs", "kind="+g.Kind+"&fingerprint="+g.Fingerprint)
	row.DeadURL = s.at("/jobs", row.Q)
	row.Waiting = "state=scheduled&kind=" + g.Kind + "&fingerprint=" + g.Fingerprint
	return row
}

// jsonGroups is how groups look as JSON.
func jsonGroups(groups []rollup.FailureGroup) []rollup.FailureGroup {
	out := slices.Clone(groups)
	for i := range out {
		out[i].Sample, out[i].Pattern = redact.Text(out[i].Sample), redact.Text(out[i].Pattern)
	}
	return out
}
