package report

import (
	"fmt"
	"math"
)

// Wait is how long a job may take from before its enqueue to its handler on an idle system: half of them P50, and 99 of 100 P99, in milliseconds.
type Wait struct {
	Store, Task string
	P50, P99    float64
}

// Waits are those that Bellhop set itself. MySQL and MariaDB have nothing that wakes another process: there the poll is the floor.
func Waits() []Wait {
	return []Wait{
		{"sqlite", "latency", 1, 5},
		{"postgres", "latency", 3, 15},
		{"mysql", "latency", 3, 15},
		{"redis", "latency", 3, 15},
		{"sqlite", "across", 10, 30},
		{"postgres", "across", 3, 15},
		{"mysql", "across", 260, 550},
		{"redis", "across", 3, 15},
	}
}

// WaitVerdict is what a [Wait] came to.
type WaitVerdict struct {
	Wait
	Got50, Got99 float64
	Jobs         int
	// Near says that the figures miss, but that the target lies in the 95 % interval of so few jobs.
	Measured, Holds, Near bool
}

// JudgeWait compares a wait with the results.
func (r *Report) JudgeWait(w Wait) WaitVerdict {
	v := WaitVerdict{Wait: w}
	x := r.Find(w.Store, w.Task, "bellhop")
	if x == nil || !x.IsLatency() {
		return v
	}
	for _, s := range x.Samples {
		v.Jobs += len(s.Latencies)
	}
	v.Measured, v.Got50, v.Got99 = true, x.Latency(50), x.Latency(99)
	v.Holds = v.Got50 <= w.P50 && v.Got99 <= w.P99
	// Of n jobs the share that is below a percentile is uncertain by 1.96 sqrt(p (1 - p) / n).
	low := func(p float64) float64 {
		return x.Latency(max(p-1.96*math.Sqrt(p*(100-p)/float64(v.Jobs)), 0))
	}
	v.Near = !v.Holds && low(50) <= w.P50 && low(99) <= w.P99
	return v
}

// WaitTable returns all that was measured as a table.
func (r *Report) WaitTable() Table {
	t := Table{Head: []string{"", "p50 ms, at most", "measured", "p99 ms, at most", "measured", "jobs", ""}}
	for _, w := range Waits() {
		v := r.JudgeWait(w)
		if !v.Measured {
			continue
		}
		where, word := "within one process", "holds"
		if w.Task == "across" {
			where = "from one process to another"
		}
		switch {
		case v.Near:
			word = "within the noise of so few jobs"
		case !v.Holds:
			word = "does NOT hold"
		}
		t.Rows = append(t.Rows, []string{
			StoreTitle(w.Store) + ", " + where, Number(w.P50), Number(v.Got50), Number(w.P99), Number(v.Got99), fmt.Sprint(v.Jobs), word,
		})
	}
	return t
}
