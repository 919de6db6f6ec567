package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/deploy/golden"
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
		golden.Compare(t, filepath.Join(folder, name), strings.TrimRight(r.out, "\n")+"\n")
	}
	compare("composerp")
	walk("composerp ", newApp(nil, nil, nil).Commands, func(path string, _ *cli.Command) { compare(path) })
	golden.NoOthers(t, folder, known)
}
