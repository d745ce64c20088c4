// Package report turns runs into what people read: medians with their spread, ratios, verdicts on the targets, tables, charts and
// docs/benchmarks.md. It measures nothing, and no job passes through it.
package report
