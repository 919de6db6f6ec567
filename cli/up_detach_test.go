package cli_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/local"
)

// Of a start that fails the reason and the exit code are those of the process in the background. A start that succeeds
// returns when the fleet is ready, prints what clients need, and leaves a fleet that `down` stops.
func TestUpDetached(t *testing.T) {
	t.Parallel()
	h := &environment{T: t, dir: t.TempDir(), env: append(cleanEnv(), "COMPOSERP_METRICS_ADDR=127.0.0.1:0")}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's own context has ended by then
		down := exec.CommandContext(context.Background(), path, "down")
		down.Dir, down.Env = h.dir, h.env
		_ = down.Run()
		_ = local.Remove(context.Background(), filepath.Join(h.dir, ".composerp"))
	})
	if r := h.run("up", "--detach", "--database-url", "postgres://ann:secret@127.0.0.1:1/x"); r.code != 78 ||
		!strings.Contains(r.errors, "only one is given") || !strings.Contains(r.errors, "did not start; its log is .composerp/up.log") {
		t.Errorf("a start with half its servers: exit %d, %s", r.code, r.errors)
	}
	r := h.ok("up", "--detach")
	for _, want := range []string{
		`(?m)^composerp .* is up$`,
		`(?m)^  management UI +http://127\.0\.0\.1:\d+ +user \S+, password \S+$`,
		`(?m)^  AMQP +amqp://127\.0\.0\.1:\d+/\S* +vhost \S+, user \S+, password \S+$`,
		`(?m)^  database +postgres://127\.0\.0\.1:\d+/\S+ +user \S+, password \S+$`,
		`(?m)^  metrics +http://127\.0\.0\.1:\d+/metrics`,
		"(?m)^  stop +`composerp down`, process \\d+, log .composerp/up.log$",
	} {
		if !regexp.MustCompile(want).MatchString(r.out) {
			t.Errorf("up --detach does not print %s:\n%s", want, r.out)
		}
	}
	log, err := os.ReadFile(filepath.Join(h.dir, ".composerp/up.log"))
	if err != nil || !strings.Contains(string(log), " is up\n") || !strings.Contains(string(log), "\n  AMQP ") {
		t.Errorf("the log of the process in the background: %v\n%s", err, log)
	}
	if again := h.run("up", "--detach"); again.code != 1 || !strings.Contains(again.errors, "already up") {
		t.Errorf("a second start: exit %d, %s", again.code, again.errors)
	}
	h.ok("down")
	if r := h.run("stock"); r.code != 78 {
		t.Errorf("after down, stock: exit %d, %s", r.code, r.errors)
	}
}

// The passwords of servers that others run are not printed: the output of a service is in the systemd journal.
func TestUpPrintsNoPasswordOfGivenServers(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	f := h.up()
	said := f.log.String()
	if !strings.Contains(said, "\n  AMQP ") || !strings.Contains(said, "\n  database ") || strings.Contains(said, "password") {
		t.Errorf("up prints\n%s", said)
	}
	f.stop(t)
}
