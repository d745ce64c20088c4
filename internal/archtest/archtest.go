// Package archtest keeps the house rules by test: who may import whom, how long a file or a function may be, and that every
// package and every exported name says what it is for.
//
// Its tests parse the whole project, nested modules too, and hand the syntax trees to checkers; nothing is built. Each checker is a plain
// function from a [Tree] to findings, so that its own test can feed it a small example and see it complain. No job passes
// through this package; it watches over the paths that jobs take.
package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is the Go source of a project.
type Tree struct {
	Module string         // path of the root module
	Fset   *token.FileSet // positions of all files
	Files  []File         // by path
}

// File is one Go source file.
type File struct {
	Path      string // from the project's folder, with slashes
	Dir       string // folder of Path; "." is the root package
	Test      bool   // the name ends in _test.go
	Generated bool   // its head says so in the standard form
	Lines     int    // length of the file
	Syntax    *ast.File
	Imports   []Import
}

// Import is one import of a file.
type Import struct {
	Path string // a package of the project as its folder, "." for the root; any other as written
	Own  bool   // it is a package of the project
	Pos  token.Pos
}

// A Finding is one breach of a rule: where, what, and what to do.
type Finding struct {
	Pos  token.Position
	Text string
}

// String returns the finding in one line.
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.Pos.Filename, f.Pos.Line, f.Text) }

// Load parses every Go file below the root of fsys. It passes over testdata, vendor, and names that begin with a dot or an
// underscore, as the go command does, and over the folder tmp at the root, which git ignores. Build tags are ignored: the rules
// hold on every platform.
func Load(fsys fs.FS) (*Tree, error) {
	module, err := modulePath(fsys)
	if err != nil {
		return nil, err
	}
	t := &Tree{Module: module, Fset: token.NewFileSet()}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		hidden := name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" || name == "tmp")
		switch {
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case entry.IsDir() || hidden || path.Ext(name) != ".go":
			return nil
		}
		return t.add(fsys, name)
	})
	if err != nil {
		return nil, fmt.Errorf("archtest: %w", err)
	}
	slices.SortFunc(t.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return t, nil
}

// modulePath reads the module's name from go.mod.
func modulePath(fsys fs.FS) (string, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return "", fmt.Errorf("archtest: the project's folder has no go.mod: %w", err)
	}
	for line := range strings.Lines(string(mod)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("archtest: go.mod has no module line")
}

// add parses one file.
func (t *Tree) add(fsys fs.FS, name string) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(t.Fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := File{
		Path: name, Dir: path.Dir(name), Syntax: syntax,
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(syntax),
		Lines:     t.Fset.File(syntax.FileStart).LineCount(),
	}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		dir, own := strings.CutPrefix(imported+"/", t.Module+"/")
		if own {
			imported = path.Clean(dir)
		}
		f.Imports = append(f.Imports, Import{Path: imported, Own: own, Pos: spec.Pos()})
	}
	t.Files = append(t.Files, f)
	return nil
}

// packages calls yield for each folder with its files.
func (t *Tree) packages(yield func(dir string, files []File) bool) {
	byDir := map[string][]File{}
	for _, f := range t.Files {
		byDir[f.Dir] = append(byDir[f.Dir], f)
	}
	dirs := make([]string, 0, len(byDir))
	for dir := range byDir {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		if !yield(dir, byDir[dir]) {
			return
		}
	}
}

// at makes a finding at pos.
func (t *Tree) at(pos token.Pos, format string, args ...any) Finding {
	return Finding{Pos: t.Fset.Position(pos), Text: fmt.Sprintf(format, args...)}
}
