package storetest

import "testing"

// furtherParts go beyond single clauses: many callers, chance, faults.
var furtherParts = []struct {
	name string
	run  func(t *testing.T, h Harness)
}{
	{"random", runRandom},
	{"faults", runFaults},
	{"races", runRaces},
	{"decorators", runDecorators},
}
