package fleet

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/clock"
)

const (
	flagDetach = "detach"
	logFile    = "up.log"
	// logTail is how many lines of the log are shown of a start that failed.
	logTail = 20
	// pollReady is the pause between two looks at the state file.
	pollReady = 50 * time.Millisecond
)

// detach starts `up` in a session of its own, so that it outlives the terminal, and returns when it is ready. When
// the start fails it prints the end of the log and returns the process's exit code.
func detach(cctx *cli.Context) error {
	dir := cctx.String(settings.FlagDir)
	if state, err := settings.Find(dir); err != nil {
		return err
	} else if state != nil {
		return alreadyUp(dir)
	}
	given, err := settings.Given(cctx)
	if err != nil {
		return err
	}
	log, start, err := openLog(dir)
	if err != nil {
		return err
	}
	defer log.Close()
	up, err := upCommand(os.Args[1:], log)
	if err != nil {
		return err
	}
	if err := up.Start(); err != nil {
		return fmt.Errorf("starting `up` in the background: %w", err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = up.Wait() }() // its exit code stands in up.ProcessState
	state, err := whenReady(cctx.Context, dir, up.Process.Pid, ended)
	switch {
	case err != nil: // interrupted: the fleet must not start behind the user's back
		_ = up.Process.Signal(syscall.SIGTERM)
		<-ended
		return err
	case state == nil:
		return startFailed(cctx.App.ErrWriter, log, start, up.ProcessState.ExitCode())
	}
	announce(cctx.App.Writer, cctx.App.Version, *state, given.Database == "", downCommand(dir)+", process "+fmt.Sprint(state.PID)+", log "+log.Name())
	return nil
}

// openLog opens the log for appending, and returns where this start's part of it begins. It has the passwords that `up`
// prints, so that only its owner may read it.
func openLog(dir string) (log *os.File, start int64, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, 0, exit.Misconfigured("making %s: %v", dir, err)
	}
	log, err = os.OpenFile(filepath.Join(dir, logFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, exit.Misconfigured("opening the log: %v", err)
	}
	if start, err = log.Seek(0, io.SeekEnd); err != nil {
		log.Close()
		return nil, 0, fmt.Errorf("reading the log: %w", err)
	}
	return log, start, nil
}

// upCommand is this command line without --detach.
func upCommand(args []string, log *os.File) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return strings.HasPrefix(arg, "-") && name == flagDetach
	})
	up := exec.CommandContext(context.Background(), program, args...) // the fleet goes on when this command has ended
	up.Stdout, up.Stderr = log, log
	up.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return up, nil
}

// whenReady returns the state of the process once it is ready, and nil when the process has ended before.
func whenReady(ctx context.Context, dir string, pid int, ended <-chan struct{}) (*settings.State, error) {
	for {
		select {
		case <-ended:
			return nil, nil
		default:
		}
		if state, err := settings.Find(dir); err == nil && state != nil && state.Ready && state.PID == pid {
			return state, nil
		}
		if !clock.Sleep(ctx, pollReady) {
			return nil, ctx.Err()
		}
	}
}

// startFailed prints the end of what this start has logged.
func startFailed(console io.Writer, log *os.File, start int64, code int) error {
	text, err := io.ReadAll(io.NewSectionReader(log, start, 1<<20))
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for _, line := range lines[max(0, len(lines)-logTail):] {
		fmt.Fprintf(console, "  %s\n", line)
	}
	if code <= 0 { // killed by a signal, or ended without an error before it was ready
		code = exit.Failure
	}
	return exit.Process(code, "the fleet did not start; its log is "+log.Name())
}
