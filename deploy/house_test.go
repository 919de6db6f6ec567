package deploy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const root = ".."

// source is one Go file of the main module. The files are parsed here and not listed by the go command, for then the test cache knows that
// the test has read them.
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
			if base := entry.Name(); name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); name != root && err == nil {
				return filepath.SkipDir // A module of its own.
			}
			return nil
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

func edges(t *testing.T) []edge {
	t.Helper()
	var found []edge
	for _, s := range sources(t, parser.ImportsOnly) {
		for _, spec := range s.file.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, edge{from: path.Dir(s.path), file: s.path, to: target, test: s.test})
		}
	}
	return found
}

func TestRoomsImportOnlyFromFloorsBelow(t *testing.T) {
	t.Parallel()
	ours := 0
	for _, e := range edges(t) {
		if strings.HasPrefix(e.to, module) {
			ours++
		}
		if text := problem(e); text != "" {
			t.Error(text)
		}
	}
	if ours == 0 {
		t.Error("no import of ours was found: the test would pass whatever stands in the files")
	}
}

// TestTheRulesBite holds the rules themselves to what they are for.
func TestTheRulesBite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, to string
		test     bool
		want     string // part of the problem; empty: none
	}{
		{"exchange", module + "/exchange/event", false, ""},
		{"exchange/event", module + "/exchange", false, "floors below"},
		{"store", module + "/exchange", false, "floors below"},
		{"exchange", module + "/store", false, "floors below"},
		{"exchange", module + "/store", true, "floors below"},
		{"store", module + "/deploy/local", false, "floors below"},
		{"exchange/relay", module + "/store", false, ""},
		{"exchange/relay", module + "/exchange/gateway", false, "floors below"},
		{"exchange/relay", "github.com/rabbitmq/amqp091-go", false, "only exchange"},
		{"exchange", "github.com/rabbitmq/amqp091-go", false, ""},
		{"workers/ledger", "github.com/lib/pq", false, "only store"},
		{"cli", "github.com/jmoiron/sqlx", false, "only store"},
		{"cli", "github.com/jmoiron/sqlx/reflectx", true, "only store"},
		{"store/migrations", "github.com/lib/pq", false, ""},
		{"deploy/bench", "github.com/lib/pq", false, ""},
		{"workers/worker", module + "/workers/ledger", false, "floors below"},
		{"workers/ledger", module + "/workers/worker", false, ""},
		{"workers/ledger", module + "/workers/intake", false, "workers never import one another"},
		{"workers/ledger", module + "/workers/intake", true, "workers never import one another"},
		{"workers/ledger", module + "/workers", false, "floors below"},
		{"workers", module + "/workers/ledger", false, ""},
		{"deploy/demo", module + "/cli", false, "floors below"},
		{"deploy/demo", module + "/deploy/local", false, ""},
		{"cli/composerp", module + "/cli", false, ""},
		{"cli", module + "/deploy/local", false, ""},
		{"store", module + "/store/storetest", false, "test helpers"},
		{"cli", module + "/store/storetest", false, "test helpers"},
		{"cli", module + "/deploy/local/localtest", true, ""},
		{"store", module + "/store/storetest", true, ""},
		{"store/storetest", module + "/deploy/local", false, ""},
		{"store/storetest", module + "/deploy/demo", false, "floors below"},
		{"workers/worker/workertest", module + "/store/storetest", false, ""},
		{"util", "fmt", false, "no place"},
		{"cli", module + "/util", false, "no place"},
	} {
		got := problem(edge{from: test.from, file: test.from + "/file.go", to: test.to, test: test.test})
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s imports %s (test: %v): %q, want %q", test.from, test.to, test.test, got, test.want)
		}
	}
}

// TestEnvironmentIsReadOnTopAlone: configuration is a plain struct everywhere else.
func TestEnvironmentIsReadOnTopAlone(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t, parser.SkipObjectResolution) {
		if top, _, _ := strings.Cut(s.path, "/"); top == "cli" || top == "deploy" || s.test {
			continue
		}
		ast.Inspect(s.file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch name, _ := selector.X.(*ast.Ident); {
			case name == nil || name.Name != "os":
			case selector.Sel.Name == "Getenv", selector.Sel.Name == "LookupEnv", selector.Sel.Name == "Environ":
				t.Errorf("%s calls os.%s: the environment is read in cli and deploy alone", s.path, selector.Sel.Name)
			}
			return true
		})
	}
}

func TestMainIsShort(t *testing.T) {
	t.Parallel()
	const longest = 20
	text, err := os.ReadFile(filepath.Join(root, "cli/composerp/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > longest {
		t.Errorf("cli/composerp/main.go has %d lines, at most %d: wiring belongs to cli", lines, longest)
	}
}

func TestEveryWorkerIsOnTheGuestList(t *testing.T) {
	t.Parallel()
	fleet, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "workers/fleet.go"), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	guests := map[string]bool{"worker": true, "testdata": true} // The harness is no guest.
	for _, spec := range fleet.Imports {
		if target, err := strconv.Unquote(spec.Path.Value); err == nil {
			guests[strings.TrimPrefix(target, module+"/workers/")] = true
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "workers"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && !guests[entry.Name()] {
			t.Errorf("workers/%s is not in workers/fleet.go", entry.Name())
		}
	}
}

// TestTopLevel looks at what git knows, so that a data file somebody tries out does not count.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if permittedOnTop(name) {
			continue
		}
		list := exec.Command("git", "ls-files", "--", name)
		list.Dir = root
		if tracked, err := list.Output(); err == nil && len(tracked) == 0 {
			continue
		}
		t.Errorf("%s stands in the top folder, where only these may: %s", name, strings.Join(topLevel, " "))
	}
	if permittedOnTop("util") {
		t.Error("anything may stand in the top folder")
	}
}
