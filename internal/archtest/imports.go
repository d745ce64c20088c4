package archtest

import (
	"slices"
	"strings"
)

// importRule forbids some imports between packages of the project. Arrows go down: a package may know those it stands on, never
// those that stand on it.
type importRule struct {
	forbids func(from, to string) bool // folders
	why     string                     // one sentence for the one who broke it
}

// importRules hold for all files but tests: a test may build whatever world it needs.
var importRules = []importRule{
	{
		func(from, to string) bool {
			return storeOf(from) != "" && storeOf(to) != "" && storeOf(from) != storeOf(to)
		},
		"stores never import each other, so that a program carries only the database drivers it uses; what two share belongs in store/internal",
	},
	{
		func(from, to string) bool {
			return under(from, "store") && under(to, "worker", "api", "web", "jobs", "outbox", "advise", "bellhoptest", "otel", "prom", "cli", "cmd")
		},
		"a store keeps the contract of store.go and knows nothing of those who use it, so that every part can stand on any store",
	},
	{
		func(from, to string) bool {
			return under(from, "worker", "api", "web", "jobs", "outbox", "advise", "otel", "prom") && under(to, "store")
		},
		"this package speaks to the contract in store.go alone, so that it works the same on every store; take the client or the store as a parameter",
	},
	{
		func(from, to string) bool { return under(from, "worker") && under(to, "api", "web", "jobs", "cli") },
		"the worker runs any handler and must not know a particular one, nor how people look at it",
	},
	{
		func(from, to string) bool { return under(to, "store/all") && !mayImportAll(from) },
		"store/all brings every database driver along; only programs may want that, a library package must leave the choice to its user",
	},
	{
		func(from, to string) bool { return under(to, "store/storetest") && !under(from, "store/storetest") },
		"storetest is the contract's test suite; only tests import it, so that no program carries the testing package",
	},
	{
		func(from, to string) bool {
			return under(to, "jobs/internal/jobtest") && !under(from, "jobs/internal/jobtest")
		},
		"jobtest is the test bench of the built-in kinds; only tests import it",
	},
	{
		func(from, to string) bool { return under(to, "access/accesstest") && !under(from, "access/accesstest") },
		"accesstest has the visitors as whom handlers are tried; only tests import it",
	},
	{
		func(from, to string) bool { return under(to, "internal/demo") && !under(from, "internal/demo", "cli") },
		"the demonstration stands at the very top; only cli imports it, so that nothing comes to depend on a show",
	},
	{
		func(from, to string) bool { return under(from, "access") && !under(to, "access") && to != "." },
		"access is what the API and the dashboard stand on; it knows nothing of ours but the root package",
	},
	{
		func(from, to string) bool { return under(to, "cli") && !under(from, "cli", "cmd") },
		"cli sees everything, so whoever imports it does too; only cmd may",
	},
}

const (
	whyRoot = "the root package imports nothing but the standard library, so that whoever defines or enqueues a job takes on no dependency"
	whyMany = "only store/all sees all stores; open stores by address, or import the one that is needed"
	whyForm = "what comes from a store or a network is read as JSON into known types; a form in which bytes name types or bring code lets them choose what runs"
	whyAll  = "store/all stands for every store; add the blank import"
)

// CheckImports returns the imports that point the wrong way.
func CheckImports(t *Tree) []Finding {
	var found []Finding
	for dir, files := range t.packages {
		stores := map[string]bool{}
		for _, f := range files {
			if f.Test {
				continue
			}
			for _, imp := range f.Imports {
				if dir == "." && (imp.Own || !standard(imp.Path)) {
					found = append(found, t.at(imp.Pos, "the root package imports %s: %s", imp.Path, whyRoot))
				}
				if imp.Path == "encoding/gob" || imp.Path == "plugin" {
					found = append(found, t.at(imp.Pos, "%s imports %s: %s", dir, imp.Path, whyForm))
				}
				if !imp.Own {
					continue
				}
				for _, rule := range importRules {
					if rule.forbids(dir, imp.Path) {
						found = append(found, t.at(imp.Pos, "%s imports %s: %s", dir, imp.Path, rule.why))
					}
				}
				if store := storeOf(imp.Path); store != "" {
					stores[store] = true
				}
				if len(stores) > 1 && !mayImportAll(dir) && storeOf(dir) == "" {
					found = append(found, t.at(imp.Pos, "%s imports more than one store: %s", dir, whyMany))
				}
			}
		}
		if dir == "store/all" {
			found = append(found, t.missingFromAll(files[0], stores)...)
		}
	}
	return found
}

// missingFromAll returns a finding for each store that store/all does not import.
func (t *Tree) missingFromAll(all File, has map[string]bool) []Finding {
	var found []Finding
	for dir, files := range t.packages {
		store := storeOf(dir)
		program := slices.ContainsFunc(files, func(f File) bool { return !f.Test })
		if dir == "store/"+store && program && !has[store] {
			found = append(found, t.at(all.Syntax.Package, "store/all does not import %s: %s", dir, whyAll))
		}
	}
	return found
}

// under reports whether dir is one of the folders or inside one.
func under(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return dir == folder || strings.HasPrefix(dir, folder+"/")
	})
}

// storeOf returns the name of the store that dir belongs to, or "": store/all, the suite and shared code are none.
func storeOf(dir string) string {
	rest, ok := strings.CutPrefix(dir, "store/")
	name, _, _ := strings.Cut(rest, "/")
	if !ok || name == "all" || name == "internal" || name == "storetest" {
		return ""
	}
	return name
}

// mayImportAll reports whether dir may bring all stores along: store/all itself, and what stands at the top.
func mayImportAll(dir string) bool {
	return under(dir, "store/all", "cli", "cmd", "bench", "examples", "internal/storm", "internal/bigstore")
}

// standard reports whether an import path is one of the standard library, whose first element has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
