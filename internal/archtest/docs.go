package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// documentedElsewhere are methods whose contract stands in the standard library.
var documentedElsewhere = []string{
	"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "LogValue", "ServeHTTP", "Len", "Less", "Swap",
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "MarshalBinary", "UnmarshalBinary", "Scan", "Value",
}

// helpTag is the tag from which the command line prints what a field means.
var helpTag = regexp.MustCompile(`\bhelp:"[^"]`)

// CheckPackageComments returns the packages that do not say what they are for.
func CheckPackageComments(t *Tree) []Finding {
	var found []Finding
	for dir, files := range t.packages {
		if !slices.ContainsFunc(files, func(f File) bool { return speaks(f.Syntax.Doc) }) {
			found = append(found, t.at(files[0].Syntax.Package,
				"package %s has no package comment: say in one file what it is for and how a job passes through it", dir))
		}
	}
	return found
}

// CheckExportedDocs returns the exported names without a comment, outside tests, programs and generated files. The comment of a group
// covers its constants and variables. The comment of a type covers its fields, since many say it all by their names, and the method of
// an interface that has but one; but each method of a larger interface is a promise, and each field of a Config or
// Options is a setting with a unit and a default, so those need a word each: a comment of their own, a help tag, or their name in the
// comment of the type.
func CheckExportedDocs(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test || f.Generated || f.Syntax.Name.Name == "main" {
			continue
		}
		missing := func(pos token.Pos, name string) {
			found = append(found, t.at(pos, "%s has no comment: say what it means, its unit, default and special values", name))
		}
		for _, decl := range f.Syntax.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				checkFunc(decl, missing)
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					checkSpec(decl, spec, missing)
				}
			}
		}
	}
	return found
}

// checkFunc looks at a function, or at a method of an exported type.
func checkFunc(fn *ast.FuncDecl, missing func(token.Pos, string)) {
	name := fn.Name.Name
	if !fn.Name.IsExported() || speaks(fn.Doc) {
		return
	}
	if fn.Recv == nil {
		missing(fn.Pos(), "func "+name)
		return
	}
	if receiver := typeName(fn.Recv.List[0].Type); ast.IsExported(receiver) && !slices.Contains(documentedElsewhere, name) {
		missing(fn.Pos(), "method "+receiver+"."+name)
	}
}

// checkSpec looks at one type, or at the names of one line of a const or var.
func checkSpec(decl *ast.GenDecl, spec ast.Spec, missing func(token.Pos, string)) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !spec.Name.IsExported() {
			return
		}
		doc := spec.Doc.Text() + spec.Comment.Text()
		if !decl.Lparen.IsValid() {
			doc = decl.Doc.Text() + doc
		}
		if strings.TrimSpace(doc) == "" {
			missing(spec.Pos(), "type "+spec.Name.Name)
		}
		checkMembers(spec, doc, missing)
	case *ast.ValueSpec:
		if speaks(spec.Doc, spec.Comment, decl.Doc) {
			return
		}
		for _, name := range spec.Names {
			if name.IsExported() {
				missing(name.Pos(), decl.Tok.String()+" "+name.Name)
			}
		}
	}
}

// checkMembers looks at the fields of settings and at the methods of an interface.
func checkMembers(spec *ast.TypeSpec, doc string, missing func(token.Pos, string)) {
	var members *ast.FieldList
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		if !strings.HasSuffix(spec.Name.Name, "Config") && !strings.HasSuffix(spec.Name.Name, "Options") {
			return
		}
		members = typ.Fields
	case *ast.InterfaceType:
		if len(typ.Methods.List) < 2 {
			return
		}
		members = typ.Methods
	default:
		return
	}
	for _, member := range members.List {
		if speaks(member.Doc, member.Comment) || member.Tag != nil && helpTag.MatchString(member.Tag.Value) {
			continue
		}
		for _, name := range member.Names { // none for an embedded one, which speaks for itself
			if name.IsExported() && !namesWord(doc, name.Name) {
				missing(name.Pos(), spec.Name.Name+"."+name.Name)
			}
		}
	}
}

// speaks reports whether one of the comments says something: a directive such as go:generate alone does not.
func speaks(groups ...*ast.CommentGroup) bool {
	return slices.ContainsFunc(groups, func(group *ast.CommentGroup) bool { return strings.TrimSpace(group.Text()) != "" })
}

// namesWord reports whether a text has the name as a word of its own.
func namesWord(text, name string) bool {
	return regexp.MustCompile(`\b` + name + `\b`).MatchString(text)
}

// typeName returns the name of a receiver's type, without star and type parameters.
func typeName(expr ast.Expr) string {
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}
