package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Program is a program to be run beside the servers, as the user that this process is: a part of a fleet, for instance.
type Program struct {
	Name    string // in errors
	Path    string
	Args    []string
	Env     []string // all of it: nothing is inherited
	Dir     string   // its working directory
	LogFile string   // both outputs are appended here
}

// Process is a running Program. It lives no longer than this process, which it does not share a process group with.
type Process struct{ child *child }

// Run starts a program. It is killed when this process ends, however it ends: a softer signal would not reach one that
// is stopped.
func Run(p Program) (*Process, error) {
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	c, err := run(command{
		name: p.Name, dir: p.Dir, path: p.Path, args: p.Args, env: p.Env, logFile: filepath.Clean(p.LogFile), orderly: syscall.SIGKILL,
	})
	if err != nil {
		return nil, err
	}
	return &Process{c}, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.child.pid() }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.child.done }

// Ended says how it ended, "signal: killed", and gives the most telling line of its log. It is for after Done.
func (p *Process) Ended() string {
	return fmt.Sprintf("%v: %s", p.child.cmd.ProcessState, logReason(p.child.logFile, p.child.logFrom))
}

// Wrote reports whether the text is in its output.
func (p *Process) Wrote(text string) bool {
	return bytes.Contains(readLog(p.child.logFile, p.child.logFrom, 1<<30), []byte(text))
}

// Signal sends it a signal; to one that has ended that does nothing.
func (p *Process) Signal(sig syscall.Signal) { p.child.signal(sig) }

// Kill ends it at once, with what it has started, and returns when it is gone.
func (p *Process) Kill() {
	p.child.killGroup()
	<-p.child.done
}

// Stop asks it to end and reports whether it did in time; if not, it is killed.
func (p *Process) Stop(timeout time.Duration) bool {
	p.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.child.awaitEnd(ctx) == nil
}
