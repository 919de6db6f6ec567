package local

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	pollEvery = 10 * time.Millisecond
	// leftoverTimeout is how long a server of an owner that died may take for an orderly stop. RabbitMQ takes six seconds
	// when idle.
	leftoverTimeout = 25 * time.Second
)

// stopLeftover ends the process named in a pid file, when it still is the one meant by ours, and waits until it is
// gone. The caller holds the directory's lock, so the process's owner is dead and the kernel has most likely asked it
// to stop already; asking again is harmless.
func stopLeftover(ctx context.Context, cfg Config, name, pidFile string, orderly syscall.Signal, ours func(args []string) bool) error {
	pid := pidIn(pidFile)
	if pid == 0 || !isOurs(pid, ours) {
		return nil
	}
	cfg.Log.Info("waiting for a server left by a process that died", "server", name, "pid", pid)
	if err := syscall.Kill(pid, orderly); err == syscall.EPERM {
		return fmt.Errorf("%s is still running as pid %d under another user: stop it first", name, pid)
	}
	syscall.Kill(pid, syscall.SIGCONT) // It may have been made to stand still.
	deadline := time.Now().Add(leftoverTimeout)
	for isOurs(pid, ours) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for pid %d, %s left by a process that died: %w", pid, name, err)
		}
		if time.Now().After(deadline) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(pollEvery)
	}
	return nil
}

func isOurs(pid int, ours func(args []string) bool) bool {
	args := commandLine(pid)
	return len(args) > 0 && ours(args)
}

// pidIn reads the first line of a pid file; 0 when there is none.
func pidIn(path string) int {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}

// follows reports whether args has value right after flag.
func follows(args []string, flag, value string) bool {
	for i := 1; i < len(args); i++ {
		if args[i-1] == flag && args[i] == value {
			return true
		}
	}
	return false
}
