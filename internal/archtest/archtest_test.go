package archtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gobellhop/bellhop/internal/archtest"
)

// root is the project's folder as seen from here.
const root = "../.."

func load(t *testing.T) *archtest.Tree {
	t.Helper()
	tree, err := archtest.Load(os.DirFS(filepath.FromSlash(root)))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) < 5 {
		t.Fatalf("only %d files below %s: the project was not found", len(tree.Files), root)
	}
	return tree
}

func TestProject(t *testing.T) {
	tree := load(t)
	for _, c := range []struct {
		rule  string
		check func(*archtest.Tree) []archtest.Finding
	}{
		{"imports", archtest.CheckImports},
		{"sizes", archtest.CheckSizes},
		{"package comments", archtest.CheckPackageComments},
		{"exported names", archtest.CheckExportedDocs},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, finding := range c.check(tree) {
				t.Error(finding)
			}
		})
	}
}

// example makes a tree of files given as path and content.
func example(t *testing.T, files map[string]string) *archtest.Tree {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module example.com/hop\n\ngo 1.26.0\n")}}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	tree, err := archtest.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// expect compares findings with the wanted ones, each given as a part of its text.
func expect(t *testing.T, got []archtest.Finding, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(got[i].String(), want[i])
	}
	if !ok {
		t.Errorf("found %q, want %q", got, want)
	}
}

// importing is the content of a file that imports the paths; "hop/" stands for the module.
func importing(paths ...string) string {
	var b strings.Builder
	b.WriteString("package p\n")
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, "hop"); ok {
			p = "example.com/hop" + rest
		}
		fmt.Fprintf(&b, "import _ %q\n", p)
	}
	return b.String()
}

func TestCheckImportsFinds(t *testing.T) {
	for _, c := range []struct{ file, imports, want string }{
		{"job.go", "github.com/google/uuid", "job.go:2: the root package imports github.com/google/uuid: "},
		{"job.go", "hop/internal/loop", "the root package imports internal/loop: "},
		{"job.go", "hop", "the root package imports .: "},
		{"store/sqlite/open.go", "hop/store/memory", "store/sqlite imports store/memory: stores never import each other"},
		{"store/redis/scripts/a.go", "hop/store/mysql/b", "store/redis/scripts imports store/mysql/b: stores never import each other"},
		{"store/memory/a.go", "hop/worker", "store/memory imports worker: a store keeps"},
		{"store/internal/sqlstore/a.go", "hop/api", "store/internal/sqlstore imports api: a store keeps"},
		{"worker/run.go", "hop/store/memory", "worker imports store/memory: this package speaks to the contract"},
		{"worker/run.go", "hop/store/all", "worker imports store/all: this package speaks to the contract|store/all brings every"},
		{"access/door.go", "hop/api", "access imports api: access is what the API and the dashboard stand on"},
		{"worker/run.go", "hop/jobs/mailjob", "worker imports jobs/mailjob: the worker runs any handler"},
		{"api/a.go", "hop/store/sqlite", "api imports store/sqlite: this package"},
		{"web/a.go", "hop/store/sqlite", "web imports store/sqlite: this package"},
		{"jobs/httpjob/a.go", "hop/store/sqlite", "jobs/httpjob imports store/sqlite: this package"},
		{"advise/a.go", "hop/store/sqlite", "advise imports store/sqlite: this package"},
		{"outbox/a.go", "hop/store/sqlite", "outbox imports store/sqlite: this package"},
		{"web/a.go", "hop/access/accesstest", "web imports access/accesstest: accesstest has the visitors"},
		{"worker/run.go", "encoding/gob", "worker imports encoding/gob: what comes from a store"},
		{"tour/a.go", "hop/store/all", "tour imports store/all: store/all brings every"},
		{"tour/a.go", "hop/store/sqlite hop/store/mysql", "tour/a.go:3: tour imports more than one store: "},
		{"bellhoptest/a.go", "hop/store/storetest", "bellhoptest imports store/storetest: storetest is"},
		{"worker/run.go", "hop/internal/demo", "worker imports internal/demo: the demonstration"},
		{"internal/storm/a.go", "hop/cli", "internal/storm imports cli: cli sees everything"},
	} {
		tree := example(t, map[string]string{c.file: importing(strings.Fields(c.imports)...)})
		expect(t, archtest.CheckImports(tree), strings.Split(c.want, "|")...)
	}
}

func TestCheckImportsAllows(t *testing.T) {
	for file, imports := range map[string]string{
		"job.go":                         "context encoding/json crypto/rand",
		"job_test.go":                    "pgregory.net/rapid hop/store/memory",
		"store/sqlite/open.go":           "hop hop/store/internal/sqlstore hop/internal/loop modernc.org/sqlite",
		"store/redis/a.go":               "hop/store/redis/scripts",
		"store/storetest/model.go":       "testing hop/store/memory hop/store/storetest/faults",
		"store/sqlite/store_test.go":     "hop/store/storetest",
		"worker/run.go":                  "hop hop/internal/loop",
		"worker/run_test.go":             "hop/store/memory hop/store/sqlite hop/store/storetest",
		"bellhoptest/kit.go":             "hop/store/memory hop/worker",
		"cli/serve.go":                   "hop/store/all hop/store/sqlite hop/store/memory hop/api hop/worker hop/internal/demo",
		"cmd/bellhop/main.go":            "hop/cli",
		"internal/demo/shop.go":          "hop hop/store/sqlite hop/worker hop/jobs/httpjob",
		"bench/ours.go":                  "hop/store/all hop/store/sqlite hop/store/memory github.com/someone/else",
		"worker/testdata/bad.go":         "hop/store/memory",
		"tmp/try/main.go":                "hop/cli hop/internal/demo",
		"internal/hoppers/notourself.go": "hopper.example/store/memory",
	} {
		tree := example(t, map[string]string{file: importing(strings.Fields(imports)...)})
		if found := archtest.CheckImports(tree); len(found) > 0 {
			t.Errorf("%s importing %s: %q", file, imports, found)
		}
	}
}

func TestCheckImportsWantsEveryStoreInAll(t *testing.T) {
	files := map[string]string{
		"store/memory/a.go":            importing("hop"),
		"store/sqlite/a.go":            importing("hop"),
		"store/sqlite/sub/a.go":        importing("hop"),
		"store/storetest/a.go":         importing("hop"),
		"store/internal/sqlstore/a.go": importing("hop"),
		"store/all/all.go":             importing("hop/store/memory"),
	}
	expect(t, archtest.CheckImports(example(t, files)), "store/all/all.go:1: store/all does not import store/sqlite: ")
	files["store/all/all.go"] = importing("hop/store/memory", "hop/store/sqlite")
	expect(t, archtest.CheckImports(example(t, files)))
}

// function is a function of the given number of lines.
func function(head string, lines int) string {
	return head + " {\n" + strings.Repeat("\tx()\n", lines-2) + "}\n"
}

func TestCheckSizes(t *testing.T) {
	const reason = "// Size: one table, read from top to bottom.\n"
	for _, c := range []struct{ name, file, content, want string }{
		{"short file", "a.go", "package p\n" + strings.Repeat("\n", 499), ""},
		{"long file", "a.go", "package p\n" + strings.Repeat("\n", 500), "a.go:1: the file has 501 lines, more than 500"},
		{"long test file", "a_test.go", "package p\n" + strings.Repeat("\n", 500), "the file has 501 lines"},
		{"long file without last newline", "a.go", "package p\n" + strings.Repeat("\n", 499) + "// end", "the file has 501 lines"},
		{"reason in the head", "a.go", "package p\n\n" + reason + strings.Repeat("\n", 500), ""},
		{"reason too far down", "a.go", "package p\n" + strings.Repeat("\n", 40) + reason + strings.Repeat("\n", 500), "the file has"},
		{"reason without words", "a.go", "package p\n\n// Size: big\n" + strings.Repeat("\n", 500), "the file has"},
		{"generated", "a.go", "// Code generated by x. DO NOT EDIT.\n\npackage p\n" + strings.Repeat("\n", 500), ""},
		{"short func", "a.go", "package p\n\n" + function("func f()", 70), ""},
		{"long func", "a.go", "package p\n\n" + function("func f()", 71), "a.go:3: func f has 71 lines, more than 70"},
		{"long method", "a.go", "package p\n\n" + function("func (s *T) f()", 71), "func f has 71 lines"},
		{"reason of a func", "a.go", "package p\n\n// f does it all.\n//\n" + reason + function("func f()", 71), ""},
		{
			"reason of another func", "a.go",
			"package p\n\n" + reason + function("func f()", 71) + "\n" + function("func g()", 71), "func g has 71 lines",
		},
		{"reason of the file", "a.go", "package p\n\n" + reason + "\n" + function("func f()", 71), ""},
		{"func in a variable", "a.go", "package p\n\n" + function("var f = func()", 71), "a func literal has 71 lines"},
		{"func in a test", "a_test.go", "package p\n\n" + function("func f()", 120), ""},
		{"long test", "a_test.go", "package p\n\n" + function("func TestF(t *testing.T)", 121), "func TestF has 121 lines, more than 120"},
		{"clause of a suite", "a.go", "package p\n\n" + function("func f(h harness, t *testing.T)", 120), ""},
		{"clause on rapid", "a.go", "package p\n\n" + function("func f(t *rapid.T)", 121), "func f has 121 lines, more than 120"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := archtest.CheckSizes(example(t, map[string]string{c.file: c.content}))
			if c.want == "" {
				expect(t, found)
			} else {
				expect(t, found, c.want)
			}
		})
	}
}

func TestCheckPackageComments(t *testing.T) {
	expect(t, archtest.CheckPackageComments(example(t, map[string]string{
		"a.go":        "package hop\n",
		"doc.go":      "// Package hop is here.\npackage hop\n",
		"silent/a.go": "package silent\n",
		"silent/b.go": "// A remark.\n\npackage silent\n",
		"tests/a.go":  "//go:build linux\npackage tests\n",
	})), "silent/a.go:1: package silent has no package comment", "tests/a.go:2: package tests has no package comment")
}

func TestCheckExportedDocs(t *testing.T) {
	bad := `package p

func Bare() {}

func (t *T) Bare() {}

func (l List[E]) Bare() {}

//go:noinline
func Directive() {}

type Naked struct{ A, b int }

// Config has Named.
type Config struct {
	Named  int
	Rename int
	Tagged string ` + "`json:\"tagged\"`" + `
	inner  int
	Inline // embedded
}

// Verbs is a contract.
type Verbs interface {
	Do()
	do()
}

const Answer, other = 42, 43

var (
	First  int
	second int
)

// A group of types is none.
type (
	Member int
)
`
	found := archtest.CheckExportedDocs(example(t, map[string]string{"a.go": bad}))
	expect(t, found, "a.go:3: func Bare has", "method T.Bare has", "method List.Bare has", "func Directive has",
		"type Naked has", "Config.Rename has", "Config.Tagged has", "Verbs.Do has",
		"const Answer has", "var First has", "type Member has")

	good := `package p

// Plain does nothing.
func Plain() {}

func hidden() {}

func (h hiddenType) Plain() {}

func (e *Err) Error() string { return "" }

// Err is what goes wrong.
type Err struct {
	Code int
}

// Doer does.
type Doer interface{ Do() }

// ServeOptions has a Port.
type ServeOptions struct {
	Port int
	Kind string ` + "`help:\"what to run\" short:\"k\"`" + `
	// Above is documented above.
	Above int
	Behind, Too int // documented behind
}

// The states.
const (
	Ready = iota
	Running
)

var Behind int // documented behind
`
	expect(t, archtest.CheckExportedDocs(example(t, map[string]string{
		"a.go":      good,
		"a_test.go": bad,
		"cmd/a.go":  strings.Replace(bad, "package p", "package main", 1),
		"b.go":      "// Code generated by x. DO NOT EDIT.\n\n" + bad,
	})))
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	mod := &fstest.MapFile{Data: []byte("module example.com/hop\n")}
	for name, fsys := range map[string]fstest.MapFS{
		"no go.mod":      {"a.go": {Data: []byte("package p\n")}},
		"no module line": {"go.mod": {Data: []byte("go 1.26.0\n")}},
		"broken file":    {"go.mod": mod, "a.go": {Data: []byte("package p\nfunc {\n")}},
	} {
		if _, err := archtest.Load(fsys); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
