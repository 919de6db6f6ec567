package deploy_test

import (
	"go/ast"
	"go/parser"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/composerp/composerp/store/failpoint"
)

// TestFailPointsAreListed compares the list of fail points, the calls and the document: each name of the list is hit
// in one place of the code and has its line in the document, and no other name is hit.
func TestFailPointsAreListed(t *testing.T) {
	t.Parallel()
	hit := map[string]string{}
	for _, s := range sources(t, parser.SkipObjectResolution) {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || !isHit(call) {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s hits a fail point whose name is not a literal: write the name at the call, so that it can be searched for", s.path)
				return true
			}
			name, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Error(err)
			}
			if before := hit[name]; before != "" {
				t.Errorf("%s is hit in %s and in %s: a test that kills there could not tell which", name, before, s.path)
			}
			hit[name] = s.path
			return true
		})
	}
	documented := documentedPoints(t)
	for _, p := range failpoint.Points {
		if hit[p.Name] == "" {
			t.Errorf("%s is listed, and no code hits it", p.Name)
		}
		if p.Leaves == "" || documented[p.Name] != p.Leaves {
			t.Errorf("%s leaves %q by the list, and %q by the document", p.Name, p.Leaves, documented[p.Name])
		}
		delete(hit, p.Name)
		delete(documented, p.Name)
	}
	for name, where := range hit {
		t.Errorf("%s hits %s, which is not listed", where, name)
	}
	for name := range documented {
		t.Errorf("the document has %s, which is not listed", name)
	}
}

func isHit(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != "Hit" || len(call.Args) != 1 {
		return false
	}
	name, ok := selector.X.(*ast.Ident)
	return ok && name.Name == "failpoint"
}

var pointLine = regexp.MustCompile("^\\| `([a-z]+\\.[a-z]+)` \\| (.+) \\|$")

// documentedPoints are the lines of the table of crash steps in docs/reference.
func documentedPoints(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "reference", "crash-steps.md"))
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]string{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if cells := pointLine.FindStringSubmatch(strings.TrimSpace(line)); cells != nil {
				points[cells[1]] = cells[2]
			}
		}
	}
	return points
}
