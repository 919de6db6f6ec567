package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script string
		want   int
	}{
		{"exit 0", 0},
		{"exit 7", 7},
		{"kill -KILL $$", 128 + 9},
		{`test "$GREETING" = hello`, 0},
	} {
		code, err := command([]string{"sh", "-c", test.script}, []string{"GREETING=hello"}, nil)
		if err != nil || code != test.want {
			t.Errorf("%s: %d, %v; want %d", test.script, code, err, test.want)
		}
	}
	if code, err := command([]string{"/no/such/program"}, nil, nil); code != 127 || err == nil {
		t.Errorf("a program that is not there: %d, %v", code, err)
	}
}

// TestSignalReachesTheCommand passes one on before the command has begun to run, so nothing here waits for a time.
func TestSignalReachesTheCommand(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	code, err := command([]string{"sleep", "60"}, nil, signals)
	if err != nil || code != 128+int(syscall.SIGTERM) {
		t.Errorf("%d, %v; want the signal's code", code, err)
	}
}

// TestVariables needs the servers, so it is one test and not one for each thing that holds.
func TestVariables(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), runMain+"=1")
	cmd.Args = append(cmd.Args, "--", "sh", "-c", "env; exit 5")
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 5 {
		t.Errorf("exit code %d, %v; want the command's 5", code, err)
	}
	for _, variable := range []string{"COMPOSERP_TEST_DATABASE_URL=postgres://", "COMPOSERP_TEST_AMQP_URL=amqp://", "COMPOSERP_TEST_MANAGEMENT_URL=http://",
		"COMPOSERP_TEST_SLOWNESS="} {
		if !strings.Contains(string(out), variable) {
			t.Errorf("no %s in the command's environment", variable)
		}
	}
}

// runMain makes the test binary the command itself.
const runMain = "COMPOSERP_WITHSERVERS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		os.Unsetenv(runMain)
		main()
	}
	os.Exit(m.Run())
}
