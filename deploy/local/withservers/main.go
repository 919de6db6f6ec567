// Command withservers runs a command with a throw-away PostgreSQL and RabbitMQ beside it:
//
//	go run ./deploy/local/withservers -- go test ./...
//
// The command finds them through COMPOSERP_TEST_DATABASE_URL, COMPOSERP_TEST_AMQP_URL and
// COMPOSERP_TEST_MANAGEMENT_URL, and learns from COMPOSERP_TEST_SLOWNESS how slow the machine was before they started.
// Signals are passed on to it, its exit code becomes ours (128 and the signal's number when a signal ended it), and
// afterwards no server and no file is left, even when we are killed ourselves.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: withservers -- COMMAND [ARGUMENT...]")
		os.Exit(64)
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "withservers:", err)
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if slow := localtest.Slowness(); slow > 1.5 {
		fmt.Fprintf(os.Stderr, "withservers: this machine runs at %.0f %% of its nominal speed: deadlines of tests are %.1f times as long\n", 100/slow, slow)
	}
	type started struct {
		pair *localtest.Pair
		err  error
	}
	up := make(chan started, 1)
	go func() {
		pair, err := localtest.Start(ctx, local.Config{})
		up <- started{pair, err}
	}()
	var s started
	select {
	case s = <-up:
	case sig := <-signals:
		cancel()
		if s = <-up; s.err == nil {
			s.pair.Stop()
		}
		return 128 + int(sig.(syscall.Signal)), nil
	}
	if s.err != nil {
		return 69, s.err
	}
	code, err := command(args, s.pair.Environment(), signals)
	if stopErr := s.pair.Stop(); err == nil {
		err = stopErr
	}
	return code, err
}

// command runs args in a process group of its own and passes signals on to the whole group: so Ctrl-C, which the
// terminal sends to every process of ours, reaches each of the command's processes once.
func command(args, environment []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 127, err
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-signals:
				syscall.Kill(-cmd.Process.Pid, sig.(syscall.Signal))
			case <-ended:
				return
			}
		}
	}()
	cmd.Wait()
	close(ended)
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
