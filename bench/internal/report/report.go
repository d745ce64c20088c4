package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Report is all that a benchmark came to.
type Report struct {
	// Machine says where it ran, a line each; Stores the servers' versions and settings.
	Machine []string
	Stores  map[string][]string
	// Contenders are the settings of each, Groups the tables in their order.
	Contenders []Contender
	Groups     []Group
	Results    []*Result
	// Notes say what was left out or failed.
	Notes []string
	// Method holds how many rounds and jobs, a line each.
	Method []string
}

// Contender says with what settings somebody ran.
type Contender struct{ Store, Name, Title, Version, Settings string }

// Group is one table.
type Group struct{ Store, Name, Title string }

// Find returns the result of a contender at a task; nil if it was not measured.
func (r *Report) Find(store, task, contender string) *Result {
	i := slices.IndexFunc(r.Results, func(x *Result) bool {
		return x.Store == store && x.Task == task && x.Contender == contender && len(x.Samples) > 0
	})
	if i < 0 {
		return nil
	}
	return r.Results[i]
}

// Of returns the results of a group, in their order.
func (r *Report) Of(g Group) []*Result {
	var list []*Result
	for _, x := range r.Results {
		if x.Store == g.Store && x.Group == g.Name {
			list = append(list, x)
		}
	}
	return list
}

// Reference returns our own result that another is compared with: the same task, and finished jobs kept or dropped
// by both if we ran both ways. Our best settings are our defaults.
func (r *Report) Reference(x *Result) *Result {
	if !x.Keeps {
		if dropping := r.Find(x.Store, x.Task, "bellhop-drop"); dropping != nil {
			return dropping
		}
	}
	return r.Find(x.Store, x.Task, "bellhop")
}

// Ratio says how many times as fast as a result our own is; 0 if that was not measured.
func (r *Report) Ratio(x *Result) float64 {
	ref := r.Reference(x)
	if ref == nil || len(x.Samples) == 0 {
		return 0
	}
	if x.IsLatency() {
		return x.Latency(50) / ref.Latency(50)
	}
	return ref.Rate() / x.Rate()
}

// IsLatency reports whether the runs timed single jobs.
func (r *Result) IsLatency() bool { return len(r.Samples) > 0 && len(r.Samples[0].Latencies) > 0 }

// Table is rows under a head; the first column is text, all others numbers.
type Table struct {
	Head []string
	Rows [][]string
}

// Table returns a group as a table.
func (r *Report) Table(g Group) Table {
	results := r.Of(g)
	latency := slices.ContainsFunc(results, (*Result).IsLatency)
	tasks := map[string]bool{}
	for _, x := range results {
		tasks[x.Task] = true
	}
	ratioHead := "Bellhop is"
	if len(tasks) > 1 {
		ratioHead = "of its first row"
	}
	t := Table{Head: []string{"", "jobs/s", "±", ratioHead, "CPU µs/job client", "server", "commits/job", "log B/job", "buffers/job", "memory MB", "jobs a run"}}
	if latency {
		t.Head = []string{"", "p50 ms", "p99 ms", "Bellhop is", "CPU µs/job client", "server", "commits/job", "memory MB", "jobs"}
	}
	if g.Name == "worker" {
		t.Head = []string{"", "jobs/s", "±", "CPU µs/job", "allocations/job", "memory MB", "jobs a run"}
	}
	for _, x := range results {
		title := x.Title
		if len(tasks) > 1 {
			title += ": " + taskWords(x.Task)
		}
		switch {
		case len(x.Samples) == 0:
			t.Rows = append(t.Rows, append([]string{title + ": no result"}, make([]string, len(t.Head)-1)...))
		case latency:
			t.Rows = append(t.Rows, r.latencyRow(title, x))
		case g.Name == "worker":
			t.Rows = append(t.Rows, []string{
				title, Number(x.Rate()), percent(x), Number(x.CPU()), Number(x.median(func(s Sample) float64 { return s.Allocs })), memory(x), jobs(x),
			})
		case len(tasks) > 1:
			t.Rows = append(t.Rows, r.rateRow(title, x, ofFirst(results, x)))
		default:
			t.Rows = append(t.Rows, r.rateRow(title, x, r.times(x)))
		}
	}
	return t
}

func (r *Report) rateRow(title string, x *Result, ratio string) []string {
	row := []string{title, Number(x.Rate()), percent(x), ratio}
	for _, of := range []func(Sample) float64{
		func(s Sample) float64 { return s.ClientCPU },
		func(s Sample) float64 { return s.ServerCPU },
		func(s Sample) float64 { return s.Commits },
		func(s Sample) float64 { return s.LogBytes },
		func(s Sample) float64 { return s.Buffers },
	} {
		row = append(row, Number(x.median(of)))
	}
	return append(row, memory(x), jobs(x))
}

func (r *Report) latencyRow(title string, x *Result) []string {
	row := []string{title, Number(x.Latency(50)), Number(x.Latency(99)), r.times(x)}
	for _, of := range []func(Sample) float64{
		func(s Sample) float64 { return s.ClientCPU },
		func(s Sample) float64 { return s.ServerCPU },
		func(s Sample) float64 { return s.Commits },
	} {
		row = append(row, Number(x.median(of)))
	}
	return append(row, memory(x), jobs(x))
}

// ofFirst compares a result with the contender's own first task in the group.
func ofFirst(results []*Result, x *Result) string {
	for _, first := range results {
		if first.Contender == x.Contender && len(first.Samples) > 0 {
			if first == x {
				break
			}
			return Number(x.Rate()/first.Rate()) + " ×"
		}
	}
	return "–"
}

// times is the ratio as a cell; our own rows have none.
func (r *Report) times(x *Result) string {
	ratio := r.Ratio(x)
	if ratio == 0 || x.Family == "bellhop" {
		return "–"
	}
	return Number(ratio) + " ×"
}

func percent(x *Result) string {
	return fmt.Sprintf("%.0f %%", 100*Spread(x.values(func(s Sample) float64 { return s.Rate })))
}

func memory(x *Result) string {
	return Number(x.median(func(s Sample) float64 { return float64(s.Peak) / 1e6 }))
}

func jobs(x *Result) string {
	return Number(x.median(func(s Sample) float64 { return float64(s.Jobs) }))
}

// taskWords turns "drain-2ms" into words.
func taskWords(task string) string { return strings.ReplaceAll(task, "-", " ") }

// Number writes a number with three digits that mean something, and commas between thousands.
func Number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0) || abs == math.MaxFloat64:
		return "–"
	case abs == 0:
		return "0"
	case abs < 0.01:
		return "<0.01"
	case abs < 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case abs < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case abs < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs < 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	digits := strconv.FormatFloat(math.Round(v/unit)*unit, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
