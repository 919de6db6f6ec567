// Package golden compares what tests make with golden files, and with the generated parts of pages. The flag -update of
// `go test` has them written instead. Tests of every layer may import it.
package golden

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Updating reports whether the test was run with -update.
func Updating() bool { return *update }

// Compare compares a text with a golden file.
func Compare(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		write(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v; run the test with -update to write it", err)
		return
	}
	compare(t, path, got, string(want))
}

// CompareBetween compares a text with what stands in a page between the marks begin and end.
func CompareBetween(t testing.TB, page, begin, end, got string) {
	t.Helper()
	before, is, after := cut(t, page, begin, end)
	if *update {
		write(t, page, before+begin+got+end+after)
		return
	}
	compare(t, page, got, is)
}

// Between is what stands in a page between the marks begin and end.
func Between(t testing.TB, page, begin, end string) string {
	t.Helper()
	_, is, _ := cut(t, page, begin, end)
	return is
}

// NoOthers finds the files of a folder that are not known, by their names; -update deletes them.
func NoOthers(t testing.TB, folder string, known map[string]bool) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		switch {
		case known[e.Name()]:
		case *update:
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("no test makes %s: delete it, or run the test with -update", path)
		}
	}
}

func compare(t testing.TB, path, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s has changed; if on purpose, run the test with -update. %s", path, firstDifference(got, want))
	}
}

// firstDifference quotes the first line in which two texts differ.
func firstDifference(got, want string) string {
	is, was := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(is), len(was)) {
		if a, b := line(is, i), line(was, i); a != b {
			return fmt.Sprintf("Line %d is\n%s\nand was\n%s", i+1, a, b)
		}
	}
	return ""
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(the end)"
}

func cut(t testing.TB, page, begin, end string) (before, is, after string) {
	t.Helper()
	before, rest, found := strings.Cut(read(t, page), begin)
	is, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s lacks the marks %q and %q", page, begin, end)
	}
	return before, is, after
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
