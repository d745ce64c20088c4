package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/docs"
)

func TestCatalogue(t *testing.T) {
	list := docs.Errors()
	var names []string
	for _, e := range list {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(e.Name) || e.Text == "" || strings.Contains(e.Text, "\n#") {
			t.Errorf("entry %q: %q", e.Name, e.Text)
		}
		names = append(names, e.Name)
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(list) {
		t.Errorf("a name stands twice: %v", names)
	}
	if e, ok := docs.Explain("unavailable"); !ok || !strings.Contains(e.Text, "ErrUnavailable") {
		t.Errorf("unavailable: %v %q", ok, e.Text)
	}
	if _, ok := docs.Explain("no-such-error"); ok {
		t.Error("an entry for an error that does not exist")
	}
}

// TestEachErrorIsExplained reads the errors that the library exports from its source.
func TestEachErrorIsExplained(t *testing.T) {
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("errors.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					if strings.HasPrefix(n.Name, "Err") {
						found++
						if !strings.Contains(string(text), "`bellhop."+n.Name+"`") {
							t.Errorf("errors.md has no entry for bellhop.%s", n.Name)
						}
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d errors were found in the source", found)
	}
}

func TestNamesLeadToEntries(t *testing.T) {
	for _, err := range []error{
		bellhop.ErrStale, bellhop.ErrIDTaken, bellhop.ErrNotFound, bellhop.ErrProcessGone, bellhop.ErrConflict, bellhop.ErrUnknown,
		bellhop.ErrUnsupported, bellhop.ErrUnavailable, bellhop.ErrUnchanged, bellhop.ErrLocked, bellhop.ErrRetryTx, bellhop.ErrSpans, bellhop.ErrClosed,
		bellhop.ErrInvalid, bellhop.ErrBadID, bellhop.ErrDeferredTx, bellhop.ErrSchemaNewer, bellhop.ErrSchemaOlder, bellhop.ErrNotCommitted,
		bellhop.ErrShutdown, bellhop.ErrTimeout, bellhop.ErrCancelled, bellhop.ErrLeaseLost,
	} {
		if e, ok := docs.Explain(bellhop.ErrorName(err)); !ok || !strings.Contains(e.Text, "`bellhop.Err") {
			t.Errorf("%v: its name %q leads to no entry", err, bellhop.ErrorName(err))
		}
	}
	if name := bellhop.ErrorName(nil); name != "" {
		t.Errorf("nil is called %q", name)
	}
}

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

// TestLinks follows the links between the pages of the project, to their headings too.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "adr/*.md", "../*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			to, anchor, _ := strings.Cut(l[1], "#")
			if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
				continue
			}
			target := page
			if to != "" {
				target = filepath.Join(filepath.Dir(page), to)
			}
			body, err := os.ReadFile(target)
			if info, statErr := os.Stat(target); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, l[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(body)), anchor) {
				t.Errorf("%s: the link %s leads to a heading that %s does not have", page, l[1], target)
			}
		}
	}
}

// TestRunbooks follows the links of the alert rules.
func TestRunbooks(t *testing.T) {
	rules, err := os.ReadFile("../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`runbook_url: \S+/docs/troubleshooting\.md#(\S+)`).FindAllStringSubmatch(string(rules), -1)
	if len(found) == 0 {
		t.Error("the rules name no page")
	}
	for _, f := range found {
		if !slices.Contains(anchors(string(page)), f[1]) {
			t.Errorf("troubleshooting.md has no heading for %s", f[1])
		}
	}
}

// anchors are the headings of a page as addresses have them.
func anchors(text string) (list []string) {
	dropped := regexp.MustCompile(`[^\p{L}\p{N}\- ]`)
	for line := range strings.Lines(text) {
		if heading := strings.TrimLeft(line, "#"); heading != line && strings.HasPrefix(heading, " ") {
			list = append(list, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-"))
		}
	}
	return list
}
