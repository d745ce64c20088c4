package report

import "fmt"

// Noise is the factor below which a difference in rate means nothing on a machine that does other things too.
const Noise = 1.3

// Target is a ratio that we want to reach.
type Target struct {
	// Store and What say of what, Against whom in words.
	Store, What, Against string
	// Want is the least ratio of our rate to theirs.
	Want float64
	// Ours and Theirs are tasks and contenders; of several of theirs the fastest counts.
	OurTask, TheirTask string
	Ours               string
	Theirs             []string
}

// Targets are those that Bellhop set itself.
func Targets() []Target {
	list := []Target{
		{"postgres", "drain, best settings", "River", 4, "drain", "drain", "bellhop", []string{"river"}},
		{"postgres", "drain, best settings", "graphile-worker, which keeps no history, while we do", 2, "drain", "drain", "bellhop", []string{"graphile"}},
		{"postgres", "drain, best settings, finished jobs dropped", "graphile-worker", 2, "drain", "drain", "bellhop-drop", []string{"graphile"}},
		{"postgres", "drain, defaults", "River at its defaults", 10, "drain", "drain", "bellhop", []string{"river-default"}},
		{"postgres", "single enqueues, 64 goroutines", "River", 5, "enqueue-64", "enqueue-64", "bellhop", []string{"river"}},
		{"postgres", "bulk enqueue", "River's fastest", 1.5, "bulk", "bulk", "bellhop", []string{"river"}},
		{"postgres", "drain with an old snapshot held", "our own without it", 0.9, "snapshot-held", "snapshot-none", "bellhop", []string{"bellhop"}},
		{"postgres", "drain, 2 ms round trip", "River", 4, "drain-2ms", "drain-2ms", "bellhop", []string{"river"}},
		{"redis", "drain", "Asynq, best of 1 to 4 servers", 4, "drain", "drain", "bellhop", []string{"asynq-1", "asynq-4"}},
		{"redis", "drain, finished jobs dropped", "Asynq, best of 1 to 4 servers", 4, "drain", "drain", "bellhop-drop", []string{"asynq-drop-1", "asynq-drop-4"}},
		{"redis", "single enqueues, 64 goroutines", "Asynq", 3, "enqueue-64", "enqueue-64", "bellhop", []string{"asynq-4"}},
		{"sqlite", "drain, both synchronous=FULL", "best of goqite, backlite", 6, "drain", "drain", "bellhop", []string{"goqite", "backlite", "backlite-drop"}},
		{"sqlite", "drain, ours FULL, theirs NORMAL", "best of goqite, backlite", 6, "drain", "drain", "bellhop", []string{"goqite-normal", "backlite-normal"}},
		{"sqlite", "single enqueues, 64 goroutines, FULL", "best of goqite, backlite", 5, "enqueue-64", "enqueue-64", "bellhop", []string{"goqite", "backlite"}},
	}
	for _, store := range []string{"sqlite", "postgres", "mysql", "redis"} {
		list = append(list, Target{store, "drain", "the hand-written minimum", 0.5, "drain", "drain", "bellhop", []string{"minimum"}})
	}
	for _, store := range []string{"sqlite", "postgres", "mysql", "redis"} {
		list = append(list, Target{store, "drain out of a long backlog", "our own out of one of a hundredth", 0.9, "backlog-long", "backlog-short", "bellhop", []string{"bellhop"}})
	}
	return append(list,
		Target{"mysql", "drain with an old snapshot held", "our own without it", 0.9, "snapshot-held", "snapshot-none", "bellhop", []string{"bellhop"}},
	)
}

// Verdict is what a target came to.
type Verdict struct {
	Target
	// Ratio is that of the medians, Rate and CPU those of interleaved pairs: rates, and the processor time that they need for each
	// job against ours.
	Ratio     float64
	Rate, CPU Interval
	// Near says that the ratio is within the noise of the target, so that the intervals decide.
	Near bool
	// Measured says that both were, Holds that the target is reached.
	Measured, Holds bool
	// Pairs is how many there were.
	Pairs int
}

// Judge compares a target with the results.
func (r *Report) Judge(t Target) Verdict {
	v := Verdict{Target: t}
	ours := r.Find(t.Store, t.OurTask, t.Ours)
	theirs := r.fastest(t)
	if ours == nil || theirs == nil {
		return v
	}
	v.Measured, v.Ratio = true, ours.Rate()/theirs.Rate()
	rate := func(s Sample) float64 { return s.Rate }
	v.Rate = Pairs(ours.values(rate), theirs.values(rate))
	v.CPU = Pairs(theirs.values(Sample.CPU), ours.values(Sample.CPU))
	v.Pairs = min(len(ours.Samples), len(theirs.Samples))
	v.Near = v.Ratio > t.Want/Noise && v.Ratio < t.Want*Noise
	v.Holds = v.Ratio >= t.Want
	if v.Near && !v.Holds {
		v.Holds = v.CPU.reaches(t.Want) || v.Rate.reaches(t.Want)
	}
	return v
}

// reaches reports whether the interval includes a value or lies above it. One that is itself wider than the noise, to
// both sides, includes anything and says nothing.
func (i Interval) reaches(want float64) bool {
	return i.Low >= want || i.High >= want && i.High <= i.Low*Noise*Noise
}

// Opponent returns whose result a target was judged against.
func (r *Report) Opponent(t Target) string {
	if x := r.fastest(t); x != nil {
		return x.Contender
	}
	return ""
}

func (r *Report) fastest(t Target) (best *Result) {
	for _, name := range t.Theirs {
		if x := r.Find(t.Store, t.TheirTask, name); x != nil && (best == nil || x.Rate() > best.Rate()) {
			best = x
		}
	}
	return best
}

// The worker's own target, in processor time and allocations for each job.
const (
	WorkerCPU    = 3.0
	WorkerAllocs = 10.0
)

// TargetTable returns all verdicts as a table.
func (r *Report) TargetTable() Table {
	t := Table{Head: []string{"", "against", "at least", "measured", "pairs: rate, 95 %", "pairs: CPU, 95 %", ""}}
	for _, target := range Targets() {
		v := r.Judge(target)
		if !v.Measured {
			continue
		}
		t.Rows = append(t.Rows, []string{
			StoreTitle(v.Store) + ", " + v.What, v.Against, times(v.Want), times(v.Ratio), v.Rate.String(), v.CPU.String(), v.Word(),
		})
	}
	if x := r.Find("memory", "worker", "bellhop"); x != nil {
		cpu, allocs := x.CPU(), x.median(func(s Sample) float64 { return s.Allocs })
		word := "holds"
		if cpu >= WorkerCPU || allocs > WorkerAllocs {
			word = "does NOT hold"
		}
		t.Rows = append(t.Rows, []string{
			"Worker, no-op job on store/memory", "", fmt.Sprintf("< %g µs, ≤ %g allocations", WorkerCPU, WorkerAllocs),
			fmt.Sprintf("%.2f µs, %.1f allocations", cpu, allocs), "", "", word,
		})
	}
	return t
}

// Word is the verdict in words.
func (v Verdict) Word() string {
	switch {
	case !v.Measured:
		return "not measured"
	case v.Holds && v.Near:
		return fmt.Sprintf("holds (%d pairs)", v.Pairs)
	case v.Holds:
		return "holds"
	}
	return "does NOT hold"
}

// String returns the interval for a table.
func (i Interval) String() string {
	return fmt.Sprintf("%s – %s", Number(i.Low), Number(i.High))
}

func times(v float64) string { return Number(v) + " ×" }

// StoreTitle returns the name of a store as people write it.
func StoreTitle(store string) string {
	titles := map[string]string{"postgres": "PostgreSQL", "mysql": "MariaDB", "redis": "Redis", "sqlite": "SQLite", "memory": "Memory"}
	if title, known := titles[store]; known {
		return title
	}
	return store
}
