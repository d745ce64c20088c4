package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// table counts, for each clause and store, the tests that proved it.
type table struct {
	stores  map[string]bool
	waiting map[name][]string // the clauses of tests that have not ended
	fields  map[string]map[string]*field
}

// name is a test of a store.
type name struct{ store, test string }

// field is one clause on one store.
type field struct{ passed, failed int }

func newTable() *table {
	return &table{stores: map[string]bool{}, waiting: map[name][]string{}, fields: map[string]map[string]*field{}}
}

// announce notes which clauses a test proves, if it passes.
func (t *table) announce(store, test string, clauses []string) {
	t.stores[store] = true
	t.waiting[name{store, test}] = clauses
}

// end notes what came of a test. A test that was skipped proves nothing.
func (t *table) end(store, test, action string) {
	for _, clause := range t.waiting[name{store, test}] {
		row := t.fields[clause]
		if row == nil {
			row = map[string]*field{}
			t.fields[clause] = row
		}
		f := row[store]
		if f == nil {
			f = &field{}
			row[store] = f
		}
		switch action {
		case "pass":
			f.passed++
		case "fail":
			f.failed++
		}
	}
	delete(t.waiting, name{store, test})
}

// complete reports whether every clause held on every store, and every test ended.
func (t *table) complete() bool {
	for _, row := range t.fields {
		for store := range t.stores {
			if f := row[store]; f == nil || f.passed == 0 || f.failed > 0 {
				return false
			}
		}
	}
	return len(t.waiting) == 0
}

// clauses returns the numbers in their order: by letter as in the contract, then by number.
func (t *table) clauses() []string {
	const letters = "GEXRBSPDAQLNTUC" // the order of the verbs in store.go
	return slices.SortedFunc(maps.Keys(t.fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Index(letters, a[:1]), strings.Index(letters, b[:1])), cmp.Compare(numberOf(a), numberOf(b)))
	})
}

func numberOf(clause string) int {
	n, _ := strconv.Atoi(clause[1:]) // a clause without a number comes first
	return n
}

// print writes the table as Markdown: how many tests proved a clause, FAIL if
// one did not, and a dash where none ran.
func (t *table) print(out io.Writer) {
	stores := slices.Sorted(maps.Keys(t.stores))
	fmt.Fprintf(out, "| clause | %s |\n|---|%s\n", strings.Join(stores, " | "), strings.Repeat("---:|", len(stores)))
	held := map[string]int{}
	for _, clause := range t.clauses() {
		row := []string{clause}
		for _, store := range stores {
			f := t.fields[clause][store]
			switch {
			case f == nil || f.passed+f.failed == 0:
				row = append(row, "–")
			case f.failed > 0:
				row = append(row, "FAIL")
			default:
				row = append(row, strconv.Itoa(f.passed))
				held[store]++
			}
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
	sums := make([]string, len(stores))
	for i, store := range stores {
		sums[i] = fmt.Sprintf("%d of %d", held[store], len(t.fields))
	}
	fmt.Fprintf(out, "| **hold** | %s |\n", strings.Join(sums, " | "))
}
