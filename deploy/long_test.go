package deploy_test

import (
	"go/ast"
	"go/parser"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var faultsLine = regexp.MustCompile(`(?m)^FAULTS := (.*)$`)

// TestWhatShortLeavesOutIsRun holds the tests that ask for -short, which `make test` sets, against those that `make
// test-faults` runs.
func TestWhatShortLeavesOutIsRun(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	if line := faultsLine.FindSubmatch(makefile); line != nil {
		for _, name := range strings.Fields(string(line[1])) {
			listed[name] = true
		}
	}
	for _, s := range sources(t, parser.SkipObjectResolution) {
		for _, declared := range s.file.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if !ok || !asksForShort(function) {
				continue
			}
			if name := function.Name.Name; !listed[name] {
				t.Errorf("%s: %s asks for -short, and FAULTS in the Makefile does not have it", s.path, name)
			} else {
				delete(listed, name)
			}
			if folder := filepath.Dir(s.path); !strings.Contains(string(makefile), "./"+folder+" ") && !strings.Contains(string(makefile), "./"+folder+"\n") {
				t.Errorf("%s: make test-faults does not run the tests of %s", s.path, folder)
			}
		}
	}
	for name := range listed {
		t.Errorf("FAULTS in the Makefile has %s, and no test of this name asks for -short", name)
	}
}

func asksForShort(function *ast.FuncDecl) bool {
	asks := false
	ast.Inspect(function, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Short" {
			name, ok := selector.X.(*ast.Ident)
			asks = asks || ok && name.Name == "testing"
		}
		return !asks
	})
	return asks
}
