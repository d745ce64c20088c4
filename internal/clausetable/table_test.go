package main

import (
	"io"
	"strings"
	"testing"
)

// events are what "go test -json" says of two stores; the one named bad fails one test and skips another.
const events = `
{"Action":"attr","Package":"x/store/good","Test":"TestStore/a","Key":"clauses","Value":"X10 G1"}
{"Action":"pass","Package":"x/store/good","Test":"TestStore/a"}
{"Action":"attr","Package":"x/store/good","Test":"TestStore/b","Key":"clauses","Value":"X2"}
{"Action":"pass","Package":"x/store/good","Test":"TestStore/b"}
{"Action":"pass","Package":"x/store/good","Elapsed":1.5}
# a line of a build
{"Action":"attr","Package":"x/store/bad","Test":"TestStore/a","Key":"clauses","Value":"X10 G1"}
{"Action":"fail","Package":"x/store/bad","Test":"TestStore/a"}
{"Action":"attr","Package":"x/store/bad","Test":"TestStore/b","Key":"clauses","Value":"X2"}
{"Action":"skip","Package":"x/store/bad","Test":"TestStore/b"}
{"Action":"fail","Package":"x/store/bad","Elapsed":2}
{"Action":"attr","Package":"x/other","Test":"TestElse","Key":"colour","Value":"red"}
`

func TestTable(t *testing.T) {
	tab := newTable()
	if err := tab.read(strings.NewReader(events), io.Discard); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	tab.print(&out)
	want := `| clause | bad | good |
|---|---:|---:|
| G1 | FAIL | 1 |
| X2 | – | 1 |
| X10 | FAIL | 1 |
| **hold** | 0 of 3 | 3 of 3 |
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	if tab.complete() {
		t.Error("a table with failures and gaps calls itself complete")
	}
}

func TestTableIsCompleteOnlyWithoutGaps(t *testing.T) {
	good, _, _ := strings.Cut(events, "# a line")
	tab := newTable()
	if err := tab.read(strings.NewReader(good), io.Discard); err != nil {
		t.Fatal(err)
	}
	if !tab.complete() {
		t.Error("all passed, and the table does not say so")
	}
	tab.announce("good", "TestStore/c", []string{"X2"}) // it never ends: the binary crashed
	if tab.complete() {
		t.Error("a test that did not end counts as passed")
	}
}
