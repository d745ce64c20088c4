package storetest

import "testing"

// furtherParts go beyond single clauses: many callers, chance, faults.
var furtherParts = []struct {
	name string
	run  func(t *testing.T, h Harness)
}{
	{"random", runWhole(runRandom)},
	{"faults", runWhole(runFaults)},
	{"races", runWhole(runRaces)},
	{"decorators", runDecorators},
}
