package deploy_test

import (
	"go/ast"
	"go/parser"
	"path"
	"testing"
)

// A package that is larger than this is two packages: its reader has to know all of it to find anything.
const (
	mostFiles    = 25 // tests aside
	mostExported = 60 // functions, types and methods
)

// large are the packages that may be larger, each with the reason.
var large = map[string]string{
	"exchange/event": "the catalogue: a type for every event and its payload",
}

// size is what a package holds, tests aside.
type size struct{ files, exported int }

func (s *size) add(file *ast.File) {
	s.files++
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && (decl.Recv == nil || ast.IsExported(receiver(decl))) {
				s.exported++
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok && spec.Name.IsExported() {
					s.exported++
				}
			}
		}
	}
}

// receiver is the name of a method's type.
func receiver(method *ast.FuncDecl) string {
	t := method.Recv.List[0].Type
	for {
		switch of := t.(type) {
		case *ast.StarExpr:
			t = of.X
		case *ast.IndexExpr:
			t = of.X
		case *ast.IndexListExpr:
			t = of.X
		default:
			return nameOf(of)
		}
	}
}

func TestPackageSizes(t *testing.T) {
	t.Parallel()
	sizes := map[string]*size{}
	for _, s := range sources(t, parser.SkipObjectResolution) {
		if s.test {
			continue
		}
		pkg := path.Dir(s.path)
		if sizes[pkg] == nil {
			sizes[pkg] = &size{}
		}
		sizes[pkg].add(s.file)
	}
	for pkg, s := range sizes {
		if s.files > mostFiles && large[pkg] == "" {
			t.Errorf("%s has %d files, at most %d: split it by subject", pkg, s.files, mostFiles)
		}
		if s.exported > mostExported && large[pkg] == "" {
			t.Errorf("%s exports %d functions, types and methods, at most %d: split it by subject", pkg, s.exported, mostExported)
		}
	}
	for pkg := range large {
		if s := sizes[pkg]; s == nil || s.files <= mostFiles && s.exported <= mostExported {
			t.Errorf("%s is no larger than others: take it off the list", pkg)
		}
	}
}

// TestPackageSizeCount holds the counting to what it is for.
func TestPackageSizeCount(t *testing.T) {
	t.Parallel()
	var got size
	got.add(parse(t, `package x
type A struct{}
type b[T any] struct{}
type (C int; d int)
func E() {}
func f() {}
func (a *A) G() {}
func (a A) h() {}
func (x *b[T]) I() {}
func (c C) J() {}
const K = 1
var L int
`))
	if want := (size{files: 1, exported: 5}); got != want { // A, C, E, A.G, C.J
		t.Errorf("counted %+v, want %+v", got, want)
	}
}
