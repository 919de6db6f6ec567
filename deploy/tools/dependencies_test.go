package tools

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"github.com/composerp/composerp/deploy/tools/tree"
)

// TestDependenciesHaveReasons holds docs/dependencies.md to the go.mod files: each module that one of them requires for
// itself has a line with a reason in the table of that go.mod, and no other has.
func TestDependenciesHaveReasons(t *testing.T) {
	t.Parallel()
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"go.mod", "deploy/tools/go.mod", "deploy/tools/kubernetes/go.mod", "deploy/tools/grafana/go.mod"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		required, err := required(file, text)
		if err != nil {
			t.Fatal(err)
		}
		if len(required) == 0 {
			t.Errorf("%s requires nothing", file)
		}
		for _, problem := range unexplained(file, required, string(document)) {
			t.Error(problem)
		}
	}
}

// required gives the modules that a go.mod requires for packages of its module or for its tools.
func required(name string, text []byte) ([]string, error) {
	file, err := modfile.Parse(name, text, nil)
	if err != nil {
		return nil, err
	}
	var modules []string
	for _, r := range file.Require {
		if !r.Indirect {
			modules = append(modules, r.Mod.Path)
		}
	}
	for _, tool := range file.Tool {
		module := "" // the longest path that the tool's begins with
		for _, r := range file.Require {
			if strings.HasPrefix(tool.Path+"/", r.Mod.Path+"/") && len(r.Mod.Path) > len(module) {
				module = r.Mod.Path
			}
		}
		if !slices.Contains(modules, module) {
			modules = append(modules, module)
		}
	}
	return modules, nil
}

var row = regexp.MustCompile(`(?m)^\| ([^ |]+\.[^ |]+/[^ |]+|[^ |]+\.[a-z]+) \| *([^|]*?) *\|$`)

// unexplained holds the section of the document whose heading names the file to the modules that it requires.
func unexplained(file string, required []string, document string) []string {
	heading := "## `" + file + "`"
	_, section, ok := strings.Cut("\n"+document, "\n"+heading+"\n")
	if !ok {
		return []string{fmt.Sprintf("docs/dependencies.md has no heading %q", heading)}
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var problems, explained []string
	for _, match := range row.FindAllStringSubmatch(section, -1) {
		module, reason := match[1], match[2]
		explained = append(explained, module)
		if reason == "" {
			problems = append(problems, module+" has no reason")
		}
		if !slices.Contains(required, module) {
			problems = append(problems, fmt.Sprintf("%s is explained and %s does not require it", module, file))
		}
	}
	for _, module := range required {
		if !slices.Contains(explained, module) {
			problems = append(problems, fmt.Sprintf("%s is required by %s and has no line in docs/dependencies.md", module, file))
		}
	}
	return problems
}

func TestUnexplained(t *testing.T) {
	t.Parallel()
	const mod = `module example.com/a

go 1.26.0

tool (
	example.com/tool/v2/cmd/tool
	example.com/single
)

require (
	example.com/used v1.0.0
	pgregory.net/rapid v1.0.0
)

require (
	example.com/indirect v1.0.0 // indirect
	example.com/single v1.0.0 // indirect
	example.com/tool v1.0.0 // indirect
	example.com/tool/v2 v2.0.0 // indirect
)
`
	modules, err := required("go.mod", []byte(mod))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"example.com/used", "pgregory.net/rapid", "example.com/tool/v2", "example.com/single"}
	if !slices.Equal(modules, want) {
		t.Errorf("want %v, got %v", want, modules)
	}
	const document = "# Dependencies\n\n## `go.mod`\n\n| module | why |\n|---|---|\n| example.com/used | reads |\n| pgregory.net/rapid | |\n| example.com/old | gone |\n\n" +
		"## `b/go.mod`\n\n| example.com/single | not here |\n"
	got := strings.Join(unexplained("go.mod", []string{"example.com/used", "pgregory.net/rapid", "example.com/single"}, document), "\n")
	for _, problem := range []string{
		"pgregory.net/rapid has no reason",
		"example.com/old is explained and go.mod does not require it",
		"example.com/single is required by go.mod and has no line in docs/dependencies.md",
	} {
		if !strings.Contains(got, problem) {
			t.Errorf("want %q in\n%s", problem, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 3 {
		t.Errorf("want three problems, got %d:\n%s", n, got)
	}
	if got := unexplained("c/go.mod", nil, document); len(got) != 1 || !strings.Contains(got[0], path.Join("c", "go.mod")) {
		t.Errorf("want the missing heading, got %v", got)
	}
}
