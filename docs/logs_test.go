package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
)

// logLevels are the methods of a logger whose arguments after the message are keys and values in turn.
var logLevels = []string{"Debug", "Info", "Warn", "Error"}

// TestLogAttributesAreDocumented: each attribute that a log line has stands in the guide, so that people can search by it and it keeps its name.
func TestLogAttributesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("observability.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([a-z_ ]+)`").FindAllStringSubmatch(cells[1], -1) {
				documented[m[1]] = true
			}
		}
	}
	for _, key := range []string{
		bellhop.AttrJob, bellhop.AttrKind, bellhop.AttrQueue, bellhop.AttrAttempt, bellhop.AttrClaim, bellhop.AttrProcess,
		bellhop.AttrWaited, bellhop.AttrTook, bellhop.AttrWait, bellhop.AttrError, bellhop.AttrClass, bellhop.AttrOp,
	} {
		if !documented[key] {
			t.Errorf("observability.md does not have the attribute %q", key)
		}
	}
	used := loggedKeys(t)
	if len(used) < 10 {
		t.Errorf("only %d attributes were found in the source: %v", len(used), slices.Sorted(maps.Keys(used)))
	}
	for key, where := range used {
		if !documented[key] {
			t.Errorf("%s: the attribute %q is not in observability.md", where, key)
		}
	}
}

// loggedKeys finds the keys that are written out in calls such as log.Warn("…", "key", value).
func loggedKeys(t *testing.T) map[string]string {
	t.Helper()
	used := map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != ".." && (base[0] == '.' || slices.Contains([]string{"testdata", "bench", "examples", "storm", "demo", "tmp", "tools"}, base)) {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(logLevels, method.Sel.Name) || len(call.Args) < 3 {
				return true
			}
			if of, ok := method.X.(*ast.Ident); ok && of.Name == "http" { // http.Error is no logger
				return true
			}
			for i := 1; i+1 < len(call.Args); i += 2 {
				if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if key, err := strconv.Unquote(lit.Value); err == nil {
						used[key] = files.Position(lit.Pos()).String()
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}
