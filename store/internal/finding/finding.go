// Package finding has what the stores share of their looks at themselves: the levels of what they find, and its order. No job passes
// through here.
package finding

import (
	"slices"

	"github.com/gobellhop/bellhop"
)

// Levels of findings, the gravest first.
const (
	Problem = "problem"
	Warning = "warning"
	OK      = "ok"
)

// GravestFirst brings findings into the order of their levels; those of one level stay as they are.
func GravestFirst(findings []bellhop.Finding) {
	order := []string{Problem, Warning, OK}
	slices.SortStableFunc(findings, func(a, b bellhop.Finding) int {
		return slices.Index(order, a.Level) - slices.Index(order, b.Level)
	})
}
