package archtest

import (
	"go/ast"
	"regexp"
	"slices"
)

// The sizes from which a reason is asked for, in lines.
const (
	maxFile     = 500
	maxFunc     = 70
	maxTestFunc = 120 // a test reads as a list of cases
	headLines   = 40  // how far down a file's reason may stand
)

// sizeReason is what excuses a size: a line of a comment that begins with "Size:" and goes on in words.
var sizeReason = regexp.MustCompile(`(?m)^\s*Size:\s+\S+\s+\S+`)

// CheckSizes returns the files and functions that are too long and do not say why. A "// Size: ..." in a file's head covers the file
// and its functions; one in a function's doc comment covers that function. Generated files are not looked at.
func CheckSizes(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Generated || t.headHasReason(f) {
			continue
		}
		if f.Lines > maxFile {
			found = append(found, t.at(f.Syntax.Package,
				"the file has %d lines, more than %d: split it, or give the reason in its head (// Size: ...)", f.Lines, maxFile))
		}
		for _, decl := range f.Syntax.Decls {
			found = append(found, t.longFuncs(f, decl)...)
		}
	}
	return found
}

// headHasReason reports whether a reason stands in the file's first lines, outside the comments of functions, which speak for
// those alone.
func (t *Tree) headHasReason(f File) bool {
	ofFunc := map[*ast.CommentGroup]bool{}
	for _, decl := range f.Syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Doc != nil {
			ofFunc[fn.Doc] = true
		}
	}
	return slices.ContainsFunc(f.Syntax.Comments, func(group *ast.CommentGroup) bool {
		return !ofFunc[group] && t.Fset.Position(group.Pos()).Line <= headLines && hasReason(group)
	})
}

// longFuncs returns the functions in a declaration that are too long: the declared one, or those that a variable is made of.
func (t *Tree) longFuncs(f File, decl ast.Decl) []Finding {
	var found []Finding
	check := func(what string, node ast.Node, typ *ast.FuncType, doc *ast.CommentGroup) {
		limit := maxFunc
		if f.Test || takesTest(typ) {
			limit = maxTestFunc
		}
		lines := t.lines(node)
		if lines > limit && !hasReason(doc) {
			found = append(found, t.at(node.Pos(),
				"%s has %d lines, more than %d: split it, or give the reason in its comment (// Size: ...)", what, lines, limit))
		}
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		check("func "+decl.Name.Name, decl, decl.Type, decl.Doc)
	case *ast.GenDecl:
		ast.Inspect(decl, func(node ast.Node) bool {
			lit, ok := node.(*ast.FuncLit)
			if ok {
				check("a func literal", lit, lit.Type, decl.Doc)
			}
			return !ok // one within another is part of it
		})
	}
	return found
}

// lines counts from the first line of a node's code, without its comment, to its last.
func (t *Tree) lines(node ast.Node) int {
	return t.Fset.Position(node.End()).Line - t.Fset.Position(node.Pos()).Line + 1
}

// takesTest reports whether a function is a test or a test's helper: it takes a *testing.T, B or F, a testing.TB or a *rapid.T.
func takesTest(typ *ast.FuncType) bool {
	return slices.ContainsFunc(typ.Params.List, func(param *ast.Field) bool {
		of := param.Type
		if star, ok := of.(*ast.StarExpr); ok {
			of = star.X
		}
		name, ok := of.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := name.X.(*ast.Ident)
		return ok && (pkg.Name == "testing" || pkg.Name == "rapid") && slices.Contains([]string{"T", "B", "F", "TB"}, name.Sel.Name)
	})
}

// hasReason reports whether a comment gives the reason of a size.
func hasReason(group *ast.CommentGroup) bool {
	return sizeReason.MatchString(group.Text())
}
