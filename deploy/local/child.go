package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// command says how one server is started.
type command struct {
	name    string
	account account
	dir     string // working directory
	path    string
	args    []string
	env     []string
	logFile string         // both outputs are appended here
	pidFile string         // written by us; empty when the server writes its own
	orderly syscall.Signal // asks for an orderly stop; also sent by the kernel when we die
}

// workingDir is that of both servers, which get all their paths whole: Erlang asks for its name, and hangs when that is
// not UTF-8.
const workingDir = "/"

// child is a server process of ours.
type child struct {
	name    string
	cmd     *exec.Cmd
	orderly syscall.Signal
	logFile string
	logFrom int64 // where this run's output begins in the log
	pidFile string
	done    chan struct{} // closed when the process has ended and was waited for
	halted  atomic.Bool   // it was asked to end
}

// maxLog is the size at which a log is put aside before a start. Only the one before is kept.
const maxLog = 16 << 20

// run starts a server.
//
// A parent-death signal is tied to the thread that forked, not to the process. So the goroutine that starts the child
// stays locked to its thread until the child has ended: Go never ends a thread under a goroutine locked to it.
func run(c command) (*child, error) {
	if info, err := os.Stat(c.logFile); err == nil && info.Size() > maxLog {
		os.Rename(c.logFile, c.logFile+".1") // Keeping a long log is no reason not to start.
	}
	log, err := os.OpenFile(c.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", c.name, err)
	}
	defer log.Close()
	from, err := log.Seek(0, 2)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", c.name, err)
	}
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.account.credential()}
	dieWithParent(cmd.SysProcAttr, c.orderly)
	ch := &child{name: c.name, cmd: cmd, orderly: c.orderly, logFile: c.logFile, logFrom: from, pidFile: c.pidFile, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // How it ended is kept in ProcessState.
			close(ch.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	if c.pidFile != "" {
		if err := os.WriteFile(c.pidFile, []byte(strconv.Itoa(ch.pid())+"\n"), 0o600); err != nil {
			ch.killGroup()
			return nil, fmt.Errorf("starting %s: %w", c.name, err)
		}
	}
	return ch, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// signal reaches the process alone: PostgreSQL and Erlang see to their own children.
func (c *child) signal(sig syscall.Signal) { c.cmd.Process.Signal(sig) }

// ask sends a signal that asks the process to end, and wakes it up in case it was stopped (SIGSTOP).
func (c *child) ask(sig syscall.Signal) {
	c.signal(sig)
	c.signal(syscall.SIGCONT)
}

// awaitEnd waits for a process that was asked to end. One that is still there when ctx ends is killed, which is an
// error.
func (c *child) awaitEnd(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		c.killGroup()
		<-c.done
		return fmt.Errorf("stopping %s: killed, for it had not ended in time", c.name)
	}
}

// killGroup ends the process and all it has started that stayed in its group.
func (c *child) killGroup() {
	c.signal(syscall.SIGKILL)
	syscall.Kill(-c.pid(), syscall.SIGKILL)
}

// awaitGroup waits until the process's group is empty: after a kill, PostgreSQL's children need a moment.
func (c *child) awaitGroup(limit time.Duration) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(pollEvery) {
		if errors.Is(syscall.Kill(-c.pid(), 0), syscall.ESRCH) {
			return
		}
	}
}

// forget removes the pid file of a process that has ended.
func (c *child) forget() {
	if c.pidFile != "" {
		os.Remove(c.pidFile)
	}
}

// reason is why the server ended or does not come up, from what this run wrote to its log.
func (c *child) reason() string {
	return fmt.Sprintf("%s (%s)", logReason(c.logFile, c.logFrom), filepath.Clean(c.logFile))
}
