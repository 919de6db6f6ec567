package words

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/tools/tree"
)

const (
	limit     = 10 // lines that hold a retired word
	longLimit = 0  // lines that hold a comment of more than MaxComment characters
)

// TestRepository holds the whole repository to the words. `make words` prints every finding.
func TestRepository(t *testing.T) {
	t.Parallel()
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.Read(root, Checked)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files were read under %s", len(files), root)
	}
	var found []Finding
	long := 0
	for _, file := range files {
		found = append(found, Check(file)...)
		long += len(LongComments(file))
	}
	folders, lines := Lines(found)
	if lines > limit {
		t.Errorf("%d lines hold a retired word, at most %d may; `make words` lists them\n%s", lines, limit, table(folders))
	}
	if long > longLimit {
		t.Errorf("%d lines with comments are longer than %d characters, at most %d may be; `make words` lists them", long, MaxComment, longLimit)
	}
	t.Logf("%d lines hold a retired word, %d a comment that is too long\n%s", lines, long, table(folders))
}

func table(folders map[string]int) string {
	names := slices.SortedFunc(maps.Keys(folders), func(a, b string) int {
		return cmp.Or(folders[b]-folders[a], strings.Compare(a, b))
	})
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, "%6d  %s\n", folders[name], name)
	}
	return text.String()
}

func TestExceptionsAreNeeded(t *testing.T) {
	t.Parallel()
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exceptions {
		if _, err := os.Stat(filepath.Join(root, e.path)); err != nil {
			t.Errorf("there is an exception for %s, because it is %s: %v", e.path, e.reason, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, text string
		want       string // line:word, ...
	}{
		"prose":                      {"docs/a.md", "Once\nIt shall heed the outsider's row.\n", "2:shall 2:outsider"},
		"a whole word":               {"docs/a.md", "warehouse, gateway, shallow, unheard\n", ""},
		"a name in camel case":       {"a.go", "package a\n\nvar topRung, LadderTop, HTTPGate int\n", "3:rung 3:ladder 3:gate"},
		"a name with underscores":    {"a.go", "package a\n\nconst c = `closed_gates`\n", "3:gates"},
		"a phrase in every form":     {"docs/a.md", "set aside, set_aside, set-aside, SetAside, setAside\n", "1:set aside 1:set aside 1:set aside 1:set aside 1:set aside"},
		"a phrase over two lines":    {"a.go", "package a\n\n// what is set\n// aside\nvar x int\n", "3:set aside"},
		"no phrase over a full stop": {"docs/a.md", "It is set. Aside from that.\n\nset\n\naside\n", ""},
		"a flag":                     {"docs/a.md", "`--stop-at 0.2` does not stop at once\n", "1:stop-at"},
		"an honest use":              {"docs/a.md", "the accounting journal, and our journal\n", "1:journal"},
		"a retired name":             {"a.go", "package a\n\nfunc (m M) Holds() bool { return m.ok }\n", "3:Holds"},
		"its English word":           {"a.go", "package a\n\n// Holds is retired, holds is not: \"Holds\".\nfunc holds() {}\n", ""},
		"a retired name in prose":    {"docs/a.md", "Holds\n", ""},
		"a column in SQL":            {"a.sql", "SELECT owed FROM debt; -- what is owed\n", "1:owed"},
		"an allowed file":            {"docs/CHANGELOG.md", "shall\n", ""},
		"an allowed folder":          {"deploy/tools/words/list.go", "package words // shall\n", ""},
		"an allowed word":            {"deploy/local/programs.go", "package local // nobody, shall\n", "1:shall"},
		"broken Go":                  {"a.go", "package a\n\nfunc { 'ab' ` shall", "3:shall"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range Check(tree.File{Path: c.path, Text: []byte(c.text)}) {
				if f.Path != c.path || f.Use == "" {
					t.Errorf("want the path and an advice, got %+v", f)
				}
				got = append(got, fmt.Sprintf("%d:%s", f.Line, f.Word))
			}
			if found := strings.Join(got, " "); found != c.want {
				t.Errorf("want %q, got %q", c.want, found)
			}
		})
	}
}

func TestLongComments(t *testing.T) {
	t.Parallel()
	long, short := strings.Repeat("ä", MaxComment-2), strings.Repeat("ä", MaxComment-3)
	text := strings.Join([]string{
		"package a",
		"// " + short,
		"// " + long, // 3
		"var a = `" + long + long + "`",
		"var b = 1 // " + long, // 5
		"//go:generate " + long,
		"/* x",
		long + long, // 8
		"*/",
		"var c = `// " + long + "`",
		"",
	}, "\n")
	if got := LongComments(tree.File{Path: "a.go", Text: []byte(text)}); !slices.Equal(got, []int{3, 5, 8}) {
		t.Errorf("want lines 3, 5 and 8, got %v", got)
	}
	if got := LongComments(tree.File{Path: "a.md", Text: []byte(text)}); got != nil {
		t.Errorf("want nothing in a document, got %v", got)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	folders, all := Lines([]Finding{
		{Path: "cli/a/b/c.go", Line: 1, Word: "x"}, {Path: "cli/a/b/c.go", Line: 1, Word: "y"},
		{Path: "cli/a/d.go", Line: 1}, {Path: "Makefile", Line: 1},
	})
	if want := map[string]int{"cli/a": 2, ".": 1}; all != 3 || !maps.Equal(folders, want) {
		t.Errorf("want 3 lines in %v, got %d in %v", want, all, folders)
	}
}

func TestChecked(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a.go": true, "docs/x.md": true, "Makefile": true, ".ci/run": true, "cli/testdata/help/composerp.txt": true,
		"LICENSE": false, "docs/chaos.ndjson": false, "go.sum": false, "store/x.json": false,
	} {
		if Checked(name) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
}
