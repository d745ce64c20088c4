package storetest

import "strings"

// clauses are the numbers of the contract's clauses, as they stand in the
// comments of [bellhop.Store]. A test of this package compares the list with
// that source, and finds for each clause a test that names it. The list stands
// here because the suite may run in another module, far from that source.
const clauses = "G1 G2 G3 G4 G5 G6 G7 G8 G9 " +
	"E1 E2 E3 E4 E5 E6 E7 E8 " +
	"X1 X2 X3 X4 X5 X6 X7 X8 X9 X10 X11 X12 X13 " +
	"R1 R2 B1 B2 B3 B4 B5 B6 S1 S2 S3 P1 P2 D1 D2 " +
	"A1 A2 A3 A4 A5 A6 Q1 L1 L2 L3 L4 N1 N2 T1 T2 T3 U1 U2 C1 C2 C3"

// proved returns for each clause the tests that name it.
func proved() map[string][]string {
	tests := map[string][]string{}
	for _, g := range groups {
		for _, c := range g.tests {
			for _, number := range strings.Fields(c.clauses) {
				tests[number] = append(tests[number], g.name+"/"+c.name)
			}
		}
	}
	return tests
}
