package main

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/composerp/composerp/deploy/tools/tree"
)

const (
	longFunction = 80 // lines
	longFile     = 300

	mostFiles = 25 // of a package, tests aside
	mostNames = 60 // exported functions, types and methods of a package

	// catalogue is the package of event types: it has a name for each, however many there are.
	catalogue = "exchange/event"
)

// measured is what a tree of Go packages counts.
type measured struct {
	packages  []*pkg   // in the order of their folders
	functions []int    // lines of each function with a body
	files     []int    // lines of each file that is no test
	lines     int      // of files that are no tests
	testLines int      // of files that are
	worker    []string // what a new worker touches beside its own package
}

// pkg is a folder of Go files, tests aside.
type pkg struct {
	folder   string
	files    int
	exported int // names: constants, variables, functions, types, methods
	callable int // of these functions, types and methods
}

var target = regexp.MustCompile(`(?m)^generate:`)

// measure counts Go files. Files of the module deploy/tools and below a folder testdata are the caller's to leave out.
func measure(files []tree.File) (measured, error) {
	var m measured
	packages := map[string]*pkg{}
	for _, file := range files {
		if path.Ext(file.Path) != ".go" {
			continue
		}
		lines := bytes.Count(file.Text, []byte{'\n'})
		if strings.HasSuffix(file.Path, "_test.go") {
			m.testLines += lines
			continue
		}
		m.lines += lines
		m.files = append(m.files, lines)
		folder := path.Dir(file.Path)
		if packages[folder] == nil {
			packages[folder] = &pkg{folder: folder}
			m.packages = append(m.packages, packages[folder])
		}
		functions, err := packages[folder].add(file)
		if err != nil {
			return m, err
		}
		m.functions = append(m.functions, functions...)
	}
	slices.SortFunc(m.packages, func(a, b *pkg) int { return cmp.Compare(a.folder, b.folder) })
	return m, nil
}

// add counts a file, and gives the lengths of its functions.
func (p *pkg) add(file tree.File) (functions []int, err error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file.Path, file.Text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	p.files++
	for _, declaration := range parsed.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				p.exported++
				p.callable++
			}
			if d.Body != nil {
				functions = append(functions, set.Position(d.End()).Line-set.Position(d.Pos()).Line+1)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				p.declare(spec)
			}
		}
	}
	return functions, nil
}

func (p *pkg) declare(spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			p.exported++
			p.callable++
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() {
				p.exported++
			}
		}
	}
}

// tooBig says why a package is too big; "" when it is not.
func (p *pkg) tooBig() string {
	var reasons []string
	if p.files > mostFiles {
		reasons = append(reasons, strconv.Itoa(p.files)+" files")
	}
	if p.callable > mostNames && p.folder != catalogue {
		reasons = append(reasons, strconv.Itoa(p.callable)+" exported functions, types and methods")
	}
	return strings.Join(reasons, ", ")
}

// touched gives the files that every worker of the fleet is named in, but for its own package: a new worker is to be
// named there too. One worker may be missing from a file, for some lists leave one out on purpose. What `make generate`
// writes does not count.
func touched(files []tree.File) ([]string, error) {
	workers, err := fleet(files)
	if err != nil {
		return nil, err
	}
	var touched []string
	for _, file := range files {
		if path.Base(file.Path) == "CHANGELOG.md" || generated(file, files) {
			continue
		}
		missing := 0
		for _, worker := range workers {
			if !regexp.MustCompile(`\b` + worker + `\b`).Match(file.Text) {
				missing++
			}
		}
		if missing <= 1 && len(workers) > 2 {
			touched = append(touched, file.Path)
		}
	}
	return touched, nil
}

// fleet gives the workers' names: the packages below workers/ that workers/fleet.go imports.
func fleet(files []tree.File) ([]string, error) {
	at := slices.IndexFunc(files, func(f tree.File) bool { return f.Path == "workers/fleet.go" })
	if at < 0 {
		return nil, nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "", files[at].Text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var workers []string
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if _, name, ok := strings.Cut(imported, "/workers/"); ok && name != "worker" && !strings.Contains(name, "/") {
			workers = append(workers, name)
		}
	}
	return workers, nil
}

// generated reports whether `make generate` writes a file: golden files, and what says so itself.
func generated(file tree.File, files []tree.File) bool {
	makefile := slices.IndexFunc(files, func(f tree.File) bool { return f.Path == "Makefile" })
	if makefile < 0 || !target.Match(files[makefile].Text) {
		return false
	}
	return strings.Contains(file.Path, "/testdata/") || file.Path != "Makefile" &&
		(bytes.Contains(file.Text, []byte("make generate")) || bytes.Contains(file.Text, []byte("Code generated")))
}
