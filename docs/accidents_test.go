package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`([a-z]+(?:/[a-z]+)*)\\.((?:Test|Fuzz)[A-Z]\\w*)`")
	namedClause = regexp.MustCompile("`storetest: ([a-z]+)/([^`]+)`")
)

// TestAccidents looks up each test that the page on accidents names, in the package that it names. Each accident has one,
// or is told to be of a feature that is still to come.
func TestAccidents(t *testing.T) {
	page, err := os.ReadFile("accidents.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, clauses := map[string][]string{}, suite(t)
	accidents, named := 0, 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| What went wrong") {
			continue
		}
		accidents++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 3 {
			t.Errorf("%d cells, want what, where and here: %s", len(cells), line)
			continue
		}
		here := cells[2]
		ofTests, ofClauses := namedTest.FindAllStringSubmatch(here, -1), namedClause.FindAllStringSubmatch(here, -1)
		if n := len(ofTests) + len(ofClauses); n != strings.Count(here, "`")/2 || (n == 0) != strings.HasPrefix(here, "not yet: ") {
			t.Errorf("want tests, and each in the form that is told at the top, or \"not yet\": %s", here)
		}
		for _, m := range ofTests {
			named++
			dir := filepath.Join("..", strings.TrimPrefix(m[1], "bellhop"))
			if tests[dir] == nil {
				tests[dir] = functions(t, dir)
			}
			if !slices.Contains(tests[dir], m[2]) {
				t.Errorf("the package in %s has no test %s", m[1], m[2])
			}
		}
		for _, m := range ofClauses {
			named++
			if !slices.Contains(clauses[m[1]], m[2]) {
				t.Errorf("the suite has no test %q in the group %q", m[2], m[1])
			}
		}
	}
	if accidents != 120 || named < 200 {
		t.Errorf("%d accidents and %d tests were found on the page, want 120 and more than 200: has its form changed?", accidents, named)
	}
}

// functions returns the names of all functions in a folder's test files.
func functions(t *testing.T, dir string) []string {
	t.Helper()
	names := []string{}
	for _, f := range parsed(t, filepath.Join(dir, "*_test.go")) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}

// suite returns the names of the tests in store/storetest by their groups, as they stand in its tables: a table of groups, each with the
// table of its tests; races and faults have theirs apart.
func suite(t *testing.T) map[string][]string {
	t.Helper()
	tables, groups := map[string][]string{}, map[string]string{"races": "raceParts", "faults": "faultScenes"}
	for _, f := range parsed(t, "../store/storetest/*.go") {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				table := s.(*ast.ValueSpec).Names[0].Name
				ast.Inspect(s, func(n ast.Node) bool {
					row, ok := n.(*ast.CompositeLit)
					if !ok || row.Type != nil || len(row.Elts) < 2 {
						return true
					}
					name, ok := row.Elts[0].(*ast.BasicLit)
					if !ok || name.Kind != token.STRING {
						return true
					}
					text, err := strconv.Unquote(name.Value)
					if err != nil {
						t.Fatal(err)
					}
					tables[table] = append(tables[table], text)
					if of, ok := row.Elts[1].(*ast.Ident); ok && table == "groups" {
						groups[text] = of.Name
					}
					return false
				})
			}
		}
	}
	byGroup := map[string][]string{}
	for name, table := range groups {
		byGroup[name] = tables[table]
	}
	return byGroup
}

// parsed returns the syntax of files.
func parsed(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
