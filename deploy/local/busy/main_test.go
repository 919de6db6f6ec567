package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "runs")
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 1, "test $(wc -l <" + file + ") != 2": 1} {
		os.Remove(file)
		if code := run(t.Context(), 3, []string{"sh", "-c", "echo run >>" + file + "; " + script}); code != want {
			t.Errorf("%s: %d, want %d", script, code, want)
		}
		if runs, err := os.ReadFile(file); err != nil || strings.Count(string(runs), "run") != 3 {
			t.Errorf("%s: ran %q, %v; want three times", script, runs, err)
		}
	}
	if code := run(t.Context(), 1, []string{"/no/such/program"}); code != 1 {
		t.Errorf("a program that is not there: %d", code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if code := run(ctx, 3, []string{"sleep", "600"}); code != 130 {
		t.Errorf("a signal: %d, want 130", code)
	}
}

// runMain makes the test binary the command itself.
const runMain = "COMPOSERP_BUSY_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestTheLoopsSpin runs a command that ends when the process that runs it has used a second of the processor's time.
func TestTheLoopsSpin(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("SKIPPED: there is no /proc to look into")
	}
	busy := exec.CommandContext(localtest.Context(t, 30*time.Second), os.Args[0], "-times", "1", "-loops", "1", "--",
		"sh", "-c", `until [ "$(cut -d' ' -f14 /proc/$PPID/stat)" -ge 100 ]; do sleep 0.05; done`)
	busy.Env = append(os.Environ(), runMain+"=1")
	if out, err := busy.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", localtest.Late(30*time.Second, "the loops have used a second"), err, out)
	}
}
