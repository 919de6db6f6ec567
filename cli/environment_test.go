package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
)

// program builds the binary once: what is tested here is what a user runs.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "composerp-cli-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "composerp")
	out, err := exec.Command("go", "build", "-o", path, "./composerp").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	time.Local = time.UTC // what runs in this process
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// environment is a test environment: a directory of its own, with a database and a virtual host of its own.
type environment struct {
	*testing.T
	dir      string
	database string
	broker   rabbitmq.Config
	env      []string
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	h := &environment{T: t, dir: t.TempDir(), database: storetest.URL(t), broker: rabbitmqtest.Vhost(t)}
	h.env = h.variables()
	return h
}

// variables are the settings that lead to the environment's servers.
func (h *environment) variables() []string {
	h.Helper()
	return append(cleanEnv(),
		"COMPOSERP_DATABASE_URL="+h.database, "COMPOSERP_AMQP_URL="+h.broker.URLs[0], "COMPOSERP_MANAGEMENT_URL="+rabbitmqtest.ManagementURL(h),
		"COMPOSERP_METRICS_ADDR=127.0.0.1:0")
}

// cleanEnv is the environment without the settings of other servers. The limits of servers that tests start stay.
func cleanEnv() []string {
	env := append(localtest.Environment(), "TZ=UTC")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COMPOSERP_") || strings.HasPrefix(v, local.LimitVariable+"=") {
			env = append(env, v)
		}
	}
	return env
}

type result struct {
	code        int
	out, errors string
}

// run runs the program to its end.
func (h *environment) run(args ...string) result {
	h.Helper()
	return runIn(h.T, h.dir, h.env, args...)
}

// ok runs the program and expects exit code 0.
func (h *environment) ok(args ...string) result {
	h.Helper()
	r := h.run(args...)
	if r.code != 0 {
		h.Fatalf("composerp %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.errors)
	}
	return r
}

func runIn(t *testing.T, dir string, env []string, args ...string) result {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// fleet is a running `composerp up`.
type fleet struct {
	cmd   *exec.Cmd
	ended chan error
	log   *lines
}

// lines keeps what a process says and tells when it has said something.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	said chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.want != "" && strings.Contains(l.text.String(), l.want) {
		close(l.said)
		l.want = ""
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// up starts the fleet and returns when it says that it is up.
func (h *environment) up(args ...string) *fleet {
	h.Helper()
	return h.part(" is up\n", append([]string{"up"}, args...)...)
}

// part starts a part of the fleet, or all of it, and returns when it has said what it says once it runs.
func (h *environment) part(says string, args ...string) *fleet {
	h.Helper()
	path, err := program()
	if err != nil {
		h.Fatal(err)
	}
	f := h.start(path, h.env, says, args...)
	f.isUp(h.T)
	return f
}

// start starts a program of the environment; isUp waits until it has said what it says once it runs.
func (h *environment) start(path string, env []string, says string, args ...string) *fleet {
	h.Helper()
	f := &fleet{cmd: exec.Command(path, args...), ended: make(chan error, 1), log: &lines{want: says, said: make(chan struct{})}}
	f.cmd.Dir, f.cmd.Env, f.cmd.Stdout, f.cmd.Stderr = h.dir, env, f.log, f.log
	if err := f.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	go func() { f.ended <- f.cmd.Wait() }()
	h.Cleanup(func() { _ = f.cmd.Process.Kill(); f.ended <- <-f.ended })
	return f
}

// isUp returns when the program says that it is up.
func (f *fleet) isUp(t *testing.T) {
	t.Helper()
	select {
	case <-f.log.said:
	case err := <-f.ended:
		f.ended <- err
		t.Fatalf("%s ended: %v\n%s", f.cmd.Args[1], err, f.log)
	// It may start servers of its own, and wait for a slot before that.
	case <-time.After(localtest.Deadline(2 * time.Minute)):
		t.Fatalf("%s\n%s", localtest.Late(2*time.Minute, f.cmd.Args[1]+" is up"), f.log)
	}
}

// kill is kill -9.
func (f *fleet) kill(t *testing.T) {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.ended <- <-f.ended
}

// stop is SIGTERM, and expects a clean end.
func (f *fleet) stop(t *testing.T) {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-f.ended:
		f.ended <- err
		if err != nil {
			t.Errorf("up did not end well: %v\n%s", err, f.log)
		}
	case <-time.After(localtest.Deadline(time.Minute)):
		t.Fatalf("%s\n%s", localtest.Late(time.Minute, "up ends"), f.log)
	}
}
