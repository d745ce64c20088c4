package api_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/docs"
)

// TestEachProblemIsExplained: the address in a problem's help leads to an entry.
func TestEachProblemIsExplained(t *testing.T) {
	names := api.ProblemNames()
	for _, name := range names {
		if _, ok := docs.Explain(name); !ok {
			t.Errorf("docs/errors.md has no entry %s", name)
		}
	}
	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`problemType\{"([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !slices.Contains(names, m[1]) {
			t.Errorf("%s is missing in this test", m[1])
		}
	}
	w := newWorld(t, api.Options{})
	if p := w.do("GET", "/nothing", "").problem(404, "unknown-route"); p.Help != docs.Address+"#unknown-route" {
		t.Errorf("help is %q", p.Help)
	}
}
