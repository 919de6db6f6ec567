package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mostExposure is what `systemd-analyze security` may say of a unit, of 10: with 1.5 it counts as "OK", and what is
// left is the network, which the service is for.
const mostExposure = 1.5

// units are those of deploy/systemd, by name.
func units(t *testing.T) map[string]string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "deploy/systemd/*.service"))
	if err != nil || len(found) < 2 {
		t.Fatalf("units %v, %v", found, err)
	}
	texts := map[string]string{}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(text)
	}
	return texts
}

func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("NOT TESTED: the units of deploy/systemd; systemd-analyze is not installed")
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

func TestUnitsAreHardened(t *testing.T) {
	t.Parallel()
	for name := range units(t) {
		out, err := analyze(t, "security", "--offline=true", filepath.Join(root, "deploy/systemd", name))
		if strings.Contains(out, "unrecognized option") { // before systemd 250
			t.Skipf("NOT TESTED: how exposed the units of deploy/systemd are; this systemd-analyze takes no files")
		}
		level := exposure.FindStringSubmatch(out)
		if level == nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if n, err := strconv.ParseFloat(level[1], 64); err != nil || n > mostExposure {
			t.Errorf("%s has the exposure %s, at most %v:\n%s", name, level[1], mostExposure, out)
		}
	}
}

// TestUnitsAreUnderstood has systemd read the units, with a program that is there in the place of ours.
func TestUnitsAreUnderstood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range units(t) {
		text = strings.ReplaceAll(text, "/usr/bin/composerp", "/bin/true")
		text = strings.ReplaceAll(text, "man:composerp(1) ", "")
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := analyze(t, "verify", "--man=no", path)
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if strings.Contains(out, strings.TrimSuffix(name, ".service")) {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}

var drainTime = regexp.MustCompile(`(?m)^const drainTime = (\d+) \* time\.Second$`)

// TestUnitsLetWorkFinish holds TimeoutStopSec to the time in which a process finishes what it has, and 15 s more.
func TestUnitsLetWorkFinish(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(root, "workers/worker/runner.go"))
	if err != nil {
		t.Fatal(err)
	}
	drain := drainTime.FindSubmatch(source)
	if drain == nil {
		t.Fatal("workers/worker/runner.go has no drainTime")
	}
	seconds, err := strconv.Atoi(string(drain[1]))
	if err != nil {
		t.Fatal(err)
	}
	least := time.Duration(seconds+15) * time.Second
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\S+)$`)
	for name, text := range units(t) {
		given := stop.FindStringSubmatch(text)
		if given == nil {
			t.Errorf("%s has no TimeoutStopSec", name)
			continue
		}
		if d, err := time.ParseDuration(given[1]); err != nil || d < least {
			t.Errorf("%s has TimeoutStopSec=%s, at least %s", name, given[1], least)
		}
		for _, line := range []string{"DynamicUser=yes", "Restart=on-failure", "CapabilityBoundingSet=", "KillSignal=SIGTERM"} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s has no line %s", name, line)
			}
		}
	}
}
