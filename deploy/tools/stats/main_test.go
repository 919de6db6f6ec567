package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/tools/tree"
)

const fixture = "testdata/tree"

// TestRun holds every line of the output against a tree that was counted by hand.
func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(fixture, &out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"packages 8",
		"files of the biggest package, tests aside 1 (exchange/event)",
		"exported names a package, median / p90 / max 1 / 6 / 6 (store)",
		"functions, lines, median / p90 / over 80 1 / 5 / 0.0 %",
		"files, lines, median / p90 / max / over 300 3 / 22 / 22 / 0.0 %",
		"files to touch for a new worker 4 (its package; cli/testdata/topology.json, docs/workers.md, workers/fleet.go)",
		"lines with a private word, of Go, docs and help texts 4",
		"lines of Go, tests aside / of tests 53 / 6",
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("want\n%s\ngot\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// TestTooBig makes packages that are one file or one name too big.
func TestTooBig(t *testing.T) {
	t.Parallel()
	var files []tree.File
	add := func(folder string, n, names int) {
		for i := range n {
			text := "package p\n"
			for j := range names {
				if i == 0 {
					text += fmt.Sprintf("func F%d() {}\n", j)
				}
			}
			files = append(files, tree.File{Path: fmt.Sprintf("%s/f%d.go", folder, i), Text: []byte(text)})
		}
		files = append(files, tree.File{Path: folder + "/f_test.go", Text: []byte("package p\n")})
	}
	add("a", 25, 60)
	add("b", 26, 0)
	add("c", 1, 61)
	add(catalogue, 26, 61)
	m, err := measure(files)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range m.packages {
		got[p.folder] = p.tooBig()
	}
	want := map[string]string{"a": "", "b": "26 files", "c": "61 exported functions, types and methods", catalogue: "26 files"}
	for folder, why := range want {
		if got[folder] != why {
			t.Errorf("%s: want %q, got %q", folder, why, got[folder])
		}
	}
}

// TestOver has a function of 80 lines and one of 81.
func TestOver(t *testing.T) {
	t.Parallel()
	function := func(lines int) string { return "func _() {\n" + strings.Repeat("\n", lines-2) + "}\n" }
	m, err := measure([]tree.File{{Path: "a.go", Text: []byte("package a\n" + function(longFunction) + function(longFunction+1))}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{longFunction, longFunction + 1}; !slices.Equal(m.functions, want) || over(m.functions, longFunction) != 50 {
		t.Errorf("want half of %v over %d, got %v", want, longFunction, m.functions)
	}
}

// TestGenerated gives the fixture a command that writes golden files and docs: they are not the engineer's to touch any
// more.
func TestGenerated(t *testing.T) {
	t.Parallel()
	files, err := tree.Read(fixture, counted)
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		switch file.Path {
		case "Makefile":
			files[i].Text = []byte("generate: build\n")
		case "docs/workers.md":
			files[i].Text = append([]byte("<!-- by make generate -->\n"), file.Text...)
		}
	}
	if got, err := touched(files); err != nil || !slices.Equal(got, []string{"workers/fleet.go"}) {
		t.Errorf("want the line in workers/fleet.go, got %v, %v", got, err)
	}
}

func TestBrokenGo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("package {"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(root, os.Stderr); err == nil || !strings.Contains(err.Error(), "a.go:1:9") {
		t.Errorf("want the place of the error, got %v", err)
	}
}
