package report

import (
	"math"
	"slices"
)

// Median returns the middle value, or the mean of the two middle ones; 0 of none.
func Median(values []float64) float64 { return Percentile(values, 50) }

// Percentile returns the value below which a percentage of the values lie, interpolated; 0 of none.
func Percentile(values []float64, percent float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := percent / 100 * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// Spread returns how far the values lie from their median, to both sides, as a fraction of it: (max - min) / 2 median.
func Spread(values []float64) float64 {
	m := Median(values)
	if m == 0 {
		return 0
	}
	return (slices.Max(values) - slices.Min(values)) / 2 / m
}

// Interval is a ratio with its 95 % confidence interval.
type Interval struct{ Ratio, Low, High float64 }

// student holds the 97.5 % points of Student's distribution for 1 to 20 degrees of freedom.
var student = []float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
}

// Pairs returns the geometric mean of the ratios over[i] / under[i] of interleaved pairs, and the interval in which the true one
// lies with 95 % confidence. Ratios are compared as logarithms, so that twice and half are equally far away.
func Pairs(over, under []float64) Interval {
	n := min(len(over), len(under))
	if n == 0 {
		return Interval{}
	}
	logs, mean := make([]float64, n), 0.0
	for i := range n {
		logs[i] = math.Log(over[i] / under[i])
		mean += logs[i] / float64(n)
	}
	if n == 1 {
		return Interval{math.Exp(mean), 0, math.MaxFloat64} // one pair says nothing about the spread
	}
	variance := 0.0
	for _, l := range logs {
		variance += (l - mean) * (l - mean) / float64(n-1)
	}
	t := 1.96
	if n-2 < len(student) {
		t = student[n-2]
	}
	half := t * math.Sqrt(variance/float64(n))
	return Interval{math.Exp(mean), math.Exp(mean - half), math.Exp(mean + half)}
}
