package storetest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestClauses: the list is the contract's, each clause has a test, and no test
// names a clause that is not there.
func TestClauses(t *testing.T) {
	source, err := os.ReadFile("../../store.go")
	if err != nil {
		t.Fatal(err)
	}
	var marks []string
	for _, m := range regexp.MustCompile(`//   - \[([A-Z]\d+)\]`).FindAllStringSubmatch(string(source), -1) {
		marks = append(marks, m[1])
	}
	listed := strings.Fields(clauses)
	if len(marks) == 0 || !slices.Equal(marks, listed) {
		t.Errorf("store.go has the clauses %v, clauses.go lists %v", marks, listed)
	}
	tests := proved()
	for _, number := range marks {
		if len(tests[number]) == 0 {
			t.Errorf("clause %s has no test", number)
		}
	}
	for number, names := range tests {
		if !slices.Contains(marks, number) {
			t.Errorf("clause %s, which %v name, is not in store.go", number, names)
		}
	}
}
