package links

import (
	"os"
	"path"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/composerp/composerp/deploy/tools/tree"
)

// TestRepository follows every relative link of the repository's documents.
func TestRepository(t *testing.T) {
	t.Parallel()
	root, err := tree.Find()
	if err != nil {
		t.Fatal(err)
	}
	documents, err := tree.Read(root, func(name string) bool { return path.Ext(name) == ".md" })
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) < 5 {
		t.Fatalf("only %d documents were read under %s", len(documents), root)
	}
	for _, problem := range Check(documents, os.DirFS(root)) {
		t.Error(problem)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const other = "# Other\n\nText\n\n## Retry, and `dlq`\n\n## Retry, and `dlq`\n\nUnderlined [text](x)\n---\n\n<a id=\"old\"></a>\n\n```\n# no heading\n```\n"
	for name, c := range map[string]struct {
		text string
		want []string // the targets that lead nowhere
	}{
		"a file":                      {"[x](other.md) [y](../go.mod) [z](sub/) ![p](p.png)", nil},
		"a file that is not there":    {"a\n[x](others.md)", []string{"others.md"}},
		"from the root":               {"[x](/go.mod) [y](/no.mod)", []string{"/no.mod"}},
		"out of the repository":       {"[x](../../go.mod)", []string{"../../go.mod"}},
		"another site":                {"[x](https://example.com/no.md) [y](mailto:a@example.com) [z](//example.com)", nil},
		"an anchor":                   {"[x](other.md#other) [y](other.md#retry-and-dlq) [z](other.md#retry-and-dlq-1) [u](other.md#underlined-text) [o](other.md#old)", nil},
		"an anchor that is not there": {"[x](other.md#no) [y](other.md#no-heading) [z](#here) [w](other.md#Other)", []string{"other.md#no", "other.md#no-heading", "#here", "other.md#Other"}},
		"an anchor of this document":  {"# Here and there\n[x](#here-and-there)", nil},
		"an anchor of a source":       {"[x](../go.mod#L3)", nil},
		"a title":                     {"[x](no.md \"title\") [y](other.md \"title\")", []string{"no.md"}},
		"a reference":                 {"see [x]\n\n[x]: no.md\n[y]: other.md", []string{"no.md"}},
		"HTML":                        {`<img src="no.png"> <a href="other.md">x</a>`, []string{"no.png"}},
		"code":                        {"`[x](no.md)`\n```md\n[x](no.md)\n```\n~~~\n[x](no.md)\n~~~\n[y](nor.md)", []string{"nor.md"}},
		"a blank in a name":           {"[x](with%20blank.md)", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := fstest.MapFS{}
			for _, file := range []string{"docs/a.md", "docs/other.md", "docs/sub/x.md", "docs/p.png", "docs/with blank.md", "go.mod"} {
				repository[file] = &fstest.MapFile{}
			}
			documents := []tree.File{{Path: "docs/a.md", Text: []byte(c.text)}, {Path: "docs/other.md", Text: []byte(other)}}
			var got []string
			for _, p := range Check(documents, repository) {
				if p.Path == "docs/a.md" {
					got = append(got, p.Target)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("want %q, got %q", c.want, got)
			}
		})
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	problems := Check([]tree.File{{Path: "docs/a.md", Text: []byte("\n\n[x](b.md)\n")}}, fstest.MapFS{})
	if len(problems) != 1 || problems[0].String() != "docs/a.md:3: b.md: there is no such file" {
		t.Errorf("got %v", problems)
	}
}
