package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
)

// A change of a help text is a change for users: a review sees it.
func TestGoldenHelp(t *testing.T) {
	t.Parallel()
	const folder = "testdata/help"
	known := map[string]bool{}
	compare := func(path string) {
		name := strings.ReplaceAll(path, " ", "_") + ".txt"
		known[name] = true
		r := command(t, append(strings.Fields(path)[1:], "--help")...)
		if r.code != exit.OK || r.errors != "" {
			t.Errorf("%s --help: exit %d, %s", path, r.code, r.errors)
		}
		for n, line := range strings.Split(r.out, "\n") {
			if strings.TrimRight(line, " ") != line && strings.TrimSpace(line) != "" {
				t.Logf("%s --help, line %d ends with blanks", path, n+1)
			}
		}
		CompareGolden(t, filepath.Join(folder, name), strings.TrimRight(r.out, "\n")+"\n")
	}
	compare("composerp")
	walk("composerp ", newApp(nil, nil, nil).Commands, func(path string, _ *cli.Command) { compare(path) })
	NoOtherGoldens(t, folder, known)
}

// CompareGolden holds a text against a golden file.
func CompareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *Update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v; go test ./cli -run Golden -update writes it", err)
		return
	}
	if got != string(want) {
		t.Errorf("%s has changed; if on purpose, go test ./cli -run Golden -update. %s", path, firstDifference(got, string(want)))
	}
}

// NoOtherGoldens finds golden files of commands that are gone.
func NoOtherGoldens(t *testing.T, folder string, known map[string]bool) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if known[e.Name()] {
			continue
		}
		if *Update {
			_ = os.Remove(filepath.Join(folder, e.Name()))
			continue
		}
		t.Errorf("%s is of no command; delete it", filepath.Join(folder, e.Name()))
	}
}

// firstDifference quotes the first line in which two texts differ.
func firstDifference(got, want string) string {
	is, was := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(is), len(was)) {
		a, b := "(the end)", "(the end)"
		if i < len(is) {
			a = is[i]
		}
		if i < len(was) {
			b = was[i]
		}
		if a != b {
			return fmt.Sprintf("Line %d is\n%s\nand was\n%s", i+1, a, b)
		}
	}
	return ""
}
