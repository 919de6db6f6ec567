package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/settings"
)

// The table of settings in docs/operations.md is that of settings.go.
func TestGoldenSettingsInTheDocs(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../docs/operations.md", "<!-- settings -->\n", "<!-- end of settings -->\n"
	var table strings.Builder
	table.WriteString("| flag | environment, also with `_FILE` | key | default | |\n|---|---|---|---|---|\n")
	for _, s := range settings.All {
		key, standard := "`"+s.Key()+"`", "`"+s.Standard+"`"
		if s.NotInFile {
			key = ""
		}
		switch {
		case s.Server:
			standard = "the running `up`'s"
		case s.Standard == "":
			standard = ""
		}
		fmt.Fprintf(&table, "| `--%s` | `%s` | %s | %s | %s |\n", s.Name, s.Variable(), key, standard, s.Usage)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	is, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", path)
	}
	if *Update {
		if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if is != table.String() {
		t.Errorf("the table of settings in %s is not that of the program; go test ./cli -run Golden -update writes it. %s", path, firstDifference(table.String(), is))
	}
}
