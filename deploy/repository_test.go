package deploy_test

import (
	"go/ast"
	"go/parser"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Configuration is a plain struct everywhere but in cli, which reads flags and environment, and in deploy, whose parts
// start programs.
func TestEnvironmentIsReadInCLIAndDeploy(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t, parser.SkipObjectResolution) {
		if folder := top(s.path); folder == "cli" || folder == "deploy" || s.test {
			continue
		}
		for _, name := range environmentReads(s.file) {
			t.Errorf("%s calls os.%s: only cli and deploy read the environment", s.path, name)
		}
	}
	if reads := environmentReads(parse(t, "package x\nimport \"os\"\nvar y = os.Getenv(\"Y\")\n")); !slices.Equal(reads, []string{"Getenv"}) {
		t.Errorf("a file that reads the environment is found to call %q", reads)
	}
}

// environmentReads are the functions by which a file reads the environment.
func environmentReads(file *ast.File) (names []string) {
	ast.Inspect(file, func(node ast.Node) bool {
		if s, ok := node.(*ast.SelectorExpr); ok && nameOf(s.X) == "os" && slices.Contains([]string{"Getenv", "LookupEnv", "Environ"}, s.Sel.Name) {
			names = append(names, s.Sel.Name)
		}
		return true
	})
	return names
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

// topLevel are the names that may stand in the top folder, beside those that begin with a dot.
var topLevel = []string{
	"exchange", "store", "workers", "deploy", "cli", "docs",
	"go.mod", "go.sum", "Makefile", "compose.yaml", "README.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE",
}

func allowedOnTop(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(topLevel, name)
}

// TestTopLevel asks git, so that a data file that is lying about does not count.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if allowedOnTop(name) {
			continue
		}
		list := exec.Command("git", "ls-files", "--", name)
		list.Dir = root
		if tracked, err := list.Output(); err == nil && len(tracked) == 0 {
			continue
		}
		t.Errorf("%s stands in the top folder, where only these may: %s", name, strings.Join(topLevel, " "))
	}
	if allowedOnTop("util") {
		t.Error("any name may stand in the top folder")
	}
}
