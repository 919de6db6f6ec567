package localtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/composerp/composerp/deploy/local"
)

// superuserVariable names the same database as its superuser, for scripts that make roles.
const superuserVariable = "COMPOSERP_TEST_SUPERUSER_URL"

// supervise makes a process a supervisor instead of what it otherwise is. Its value says which servers: both, postgres
// or broker.
const supervise = "COMPOSERP_LOCAL_SUPERVISE"

// init turns the process into a supervisor when it was started as one. It must happen here, before any test's main
// function: that is what lets every test binary be its own supervisor.
func init() {
	if os.Getenv(local.LimitVariable) == "" {
		// One directory a user, as the slots are the machine's. It is for all that this process starts, too.
		os.Setenv(local.LimitVariable, filepath.Join(os.TempDir(), "composerp-slots-"+strconv.Itoa(os.Geteuid())))
	}
	if what := os.Getenv(supervise); what != "" {
		os.Exit(supervisor(what, os.Stdin, os.Stdout))
	}
}

// answer is the one line a supervisor writes.
type answer struct {
	Endpoints    local.Endpoints
	SuperuserURL string
	Problem      string
}

// Pair are throw-away servers under a supervisor.
type Pair struct {
	local.Endpoints
	superuser string // the database's URL of its superuser
	process   *exec.Cmd
	hold      io.Closer // while it is open, the servers run
}

// Start starts throw-away servers that live until Stop or the end of this process. cfg's Dir and Log are not used.
func Start(ctx context.Context, cfg local.Config) (*Pair, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting the servers' supervisor: %w", err)
	}
	what := "both"
	if cfg.PostgresOnly {
		what = "postgres"
	} else if cfg.BrokerOnly {
		what = "broker"
	}
	process := exec.Command(program)
	process.Env = append(append(os.Environ(), Environment()...), supervise+"="+what)
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests; the supervisor sees their end.
	hold, err := process.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the servers' supervisor: %w", err)
	}
	// Its outputs are never ours: `go test` would wait for every process that still holds them.
	said, err := process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the servers' supervisor: %w", err)
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("starting the servers' supervisor: %w", err)
	}
	p := &Pair{process: process, hold: hold}
	defer context.AfterFunc(ctx, func() { hold.Close() })()
	var got answer
	line, err := bufio.NewReader(said).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &got)
	}
	if err == nil && got.Problem != "" {
		err = errors.New(got.Problem)
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	p.Endpoints, p.superuser = got.Endpoints, got.SuperuserURL
	return p, nil
}

// Environment is what names the pair to tests, and tells them how slow the machine is, for a command's environment.
func (p *Pair) Environment() []string {
	return append(Environment(),
		DatabaseVariable+"="+p.DatabaseURL, AMQPVariable+"="+p.AMQPURL, ManagementVariable+"="+p.ManagementURL,
		superuserVariable+"="+p.superuser,
	)
}

// Stop ends the servers, and returns when no process and no file of theirs is left.
func (p *Pair) Stop() error {
	p.hold.Close()
	if err := p.process.Wait(); err != nil {
		return fmt.Errorf("ending the servers' supervisor: %w", err)
	}
	return nil
}

// supervisor is the whole life of a supervisor; it returns its exit code.
func supervisor(what string, hold io.Reader, say io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // With no reader left there is still a directory to remove.
	// The end of the input is what counts. SIGHUP of a terminal and SIGTERM get the same clean end.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	defer cancel()
	go func() {
		io.Copy(io.Discard, hold)
		cancel()
	}()
	dir, err := os.MkdirTemp("", "composerp-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o711) // The servers' users pass through it.
	}
	var servers *local.Servers
	if err == nil {
		servers, err = local.Start(ctx, local.Config{
			Dir: dir, PostgresOnly: what == "postgres", BrokerOnly: what == "broker", Shared: true,
		})
	}
	if err != nil {
		json.NewEncoder(say).Encode(answer{Problem: strings.TrimSpace(err.Error())})
		return 0
	}
	defer servers.Discard(context.Background())
	if err := json.NewEncoder(say).Encode(answer{Endpoints: servers.Endpoints, SuperuserURL: servers.SuperuserURL()}); err != nil {
		return 1
	}
	<-ctx.Done()
	return 0
}
