package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that notes what it is told.
type recorder struct {
	testing.TB
	errors []string
}

func (*recorder) Helper() {}

func (r *recorder) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestDifferencesAreFound(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	page := filepath.Join(folder, "page.md")
	if err := os.WriteFile(page, []byte("head\n<!-- begin -->\na\nb\n<!-- end -->\ntail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	between := func(got string) func(testing.TB) {
		return func(r testing.TB) { CompareBetween(r, page, "<!-- begin -->\n", "<!-- end -->", got) }
	}
	for name, c := range map[string]struct {
		check func(testing.TB)
		want  string // of the only error
	}{
		"equal part":   {between("a\nb\n"), ""},
		"another line": {between("a\nc\n"), "Line 2 is\nc\nand was\nb"},
		"a line less":  {between("a\n"), "Line 2 is\n\nand was\nb"},
		"another file": {func(r testing.TB) { Compare(r, page, "head\n") }, "Line 2 is\n\nand was\n<!-- begin -->"},
		"no file":      {func(r testing.TB) { Compare(r, page+"x", "head\n") }, "no such file"},
		"a known file": {func(r testing.TB) { NoOthers(r, folder, map[string]bool{"page.md": true}) }, ""},
		"a stray file": {func(r testing.TB) { NoOthers(r, folder, nil) }, "no test makes " + page},
	} {
		r := &recorder{}
		if c.check(r); c.want == "" && len(r.errors) > 0 || c.want != "" && (len(r.errors) != 1 || !strings.Contains(r.errors[0], c.want)) {
			t.Errorf("%s: %q, want %q", name, r.errors, c.want)
		}
	}
	if got := Between(t, page, "<!-- begin -->\n", "<!-- end -->"); got != "a\nb\n" {
		t.Errorf("between the marks is %q", got)
	}
}
