package tools

import (
	"fmt"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/tools/tree"
)

const program = "github.com/composerp/composerp/"

// TestWorkersDoNotImportOneAnother holds the test files of workers to what depguard asks of their other files. depguard
// cannot: a test file imports the package that it tests, and a rule of .golangci.yml does not know which that is.
func TestWorkersDoNotImportOneAnother(t *testing.T) {
	t.Parallel()
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.Read(root, func(name string) bool {
		return strings.HasPrefix(name, "workers/") && path.Ext(name) == ".go"
	})
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		if workerOf(file.Path) != "" {
			checked++
		}
		for _, problem := range otherWorkers(file) {
			t.Error(problem)
		}
	}
	if checked == 0 {
		t.Error("no worker was found")
	}
}

// workerOf is the worker whose package a file is part of; "" when it is part of none.
func workerOf(file string) string {
	parts := strings.Split(file, "/")
	if len(parts) < 3 || parts[0] != "workers" || parts[1] == "worker" || parts[1] == "runtime" {
		return ""
	}
	return parts[1]
}

func otherWorkers(file tree.File) []string {
	worker := workerOf(file.Path)
	if worker == "" {
		return nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file.Path, file.Text, parser.ImportsOnly)
	if err != nil {
		return []string{err.Error()}
	}
	var problems []string
	for _, spec := range parsed.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		other := workerOf(strings.TrimPrefix(imported, program) + "/file.go")
		if other != "" && other != worker {
			problems = append(problems, fmt.Sprintf("%s imports %s: workers never import one another, they meet in events", file.Path, imported))
		}
	}
	return problems
}

func TestOtherWorkers(t *testing.T) {
	t.Parallel()
	file := func(name string, imports ...string) tree.File {
		text := "package p\n"
		for _, i := range imports {
			text += fmt.Sprintf("import %q\n", program+i)
		}
		return tree.File{Path: name, Text: []byte(text)}
	}
	for _, fine := range []tree.File{
		file("workers/lots/lots_test.go", "workers/lots", "workers/lots/calendar", "workers/worker", "workers/worker/workertest", "workers/runtime/relay", "workers"),
		file("workers/fleet.go", "workers/lots", "workers/ledger"),
		file("workers/runtime/audit/audit_test.go", "workers/ledger"),
	} {
		if got := otherWorkers(fine); got != nil {
			t.Errorf("want no problem, got %v", got)
		}
	}
	bad := file("workers/lots/calendar/calendar_test.go", "workers/lots", "workers/ledger", "workers/analytics/measure")
	got := otherWorkers(bad)
	if len(got) != 2 || !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, "workers/ledger") }) {
		t.Errorf("want two problems, got %q", got)
	}
}
