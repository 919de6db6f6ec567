package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const root = ".."

// source is one Go file of the main module. The test parses the files itself instead of asking the go command, so that
// the test cache knows which files it has read.
type source struct {
	path string // relative to the module
	file *ast.File
	test bool
}

func sources(t *testing.T, mode parser.Mode) []source {
	t.Helper()
	var found []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(name, entry.Name())
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, mode)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		found = append(found, source{path: filepath.ToSlash(relative), file: file, test: strings.HasSuffix(name, "_test.go")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// enter skips the folders that hold no package of the main module.
func enter(folder, name string) error {
	if folder == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
		return filepath.SkipDir // a module of its own
	}
	return nil
}

// parse reads one file of a test's own.
func parse(t *testing.T, text string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func dependencies(t *testing.T) []dependency {
	t.Helper()
	var found []dependency
	for _, s := range sources(t, parser.ImportsOnly) {
		for _, spec := range s.file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, dependency{from: path.Dir(s.path), file: s.path, to: target, test: s.test})
		}
	}
	return found
}
