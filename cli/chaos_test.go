package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/deploy/chaos"
)

func TestChaosSaysWhatIsWrongWithItsFlags(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"--faults kil":                   `there is no fault "kil"; there are kill, pause`,
		"--duration 10ms":                "want a second at least",
		"--output yaml":                  "want table or json",
		"--database-url postgres://x":    "database-url", // no servers can be named
		"kill":                           `no command "kill"`,
		"report":                         "takes one file of results",
		"report /nowhere/results.ndjson": "no such file",
	} {
		r := command(t, append([]string{"chaos"}, strings.Fields(line)...)...)
		if r.code != exit.WrongUsage || !strings.Contains(r.errors, want) {
			t.Errorf("chaos %s: exit %d, %q; want %q", line, r.code, r.errors, want)
		}
	}
}

func TestChaosReportAddsUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results.ndjson")
	for seed := range uint64(3) {
		if err := chaos.Append(path, chaos.Report{Seed: seed, Events: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	r := command(t, "chaos", "report", path)
	if r.code != exit.OK || !strings.Contains(r.out, "| 3 | 3 | 0s | 0 | 3000 | 0 | 0 |") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.errors)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "chaos", "report", empty); r.code != exit.Failure || !strings.Contains(r.errors, "no results") {
		t.Errorf("an empty file: exit %d, %s", r.code, r.errors)
	}
}
