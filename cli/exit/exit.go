// Package exit gives the errors of commands their exit codes and advice.
package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// Exit codes, after sysexits.h where it has one.
const (
	OK                 = 0
	Failure            = 1
	FoundProblems      = 2
	StillInFlight      = 3
	WrongUsage         = 64
	ServerUnreachable  = 69
	WrongConfiguration = 78
)

// Codes are the exit codes, for the manual page.
var Codes = []struct {
	Code    int
	Meaning string
}{
	{OK, "ok"},
	{Failure, "failure"},
	{FoundProblems, "findings: of audit, chaos, dlq redrive, doctor and topology diff"},
	{StillInFlight, "in flight: audit has found nothing wrong, and events are still in flight"},
	{WrongUsage, "usage: wrong command, flag or argument"},
	{ServerUnreachable, "a server is unreachable"},
	{WrongConfiguration, "configuration: wrong password, missing migration, old server, missing program, taken port, unknown key"},
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// Usage is a mistake on the command line: exit code 64.
func Usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// ConfigError is a setting that can not work.
type ConfigError struct{ error }

func (e ConfigError) Unwrap() error { return e.error }

// Misconfigured is a setting that cannot work: exit code 78.
func Misconfigured(format string, args ...any) error {
	return ConfigError{fmt.Errorf(format, args...)}
}

// Findings end a command that worked and found something. They have been printed already.
type Findings struct{ What string }

func (f Findings) Error() string { return f.What }

// InFlight ends an audit that has found nothing wrong while events are still in flight.
type InFlight struct{ What string }

func (f InFlight) Error() string { return f.What }

// Process is the error of a process that ended before its work was done; its exit code becomes that of the command.
type Process struct {
	Code int
	Text string
}

func (p Process) Error() string { return p.Text }

// CodeOf is the exit code of an error.
func CodeOf(err error) int {
	var process Process
	var bad usageError
	var wrong ConfigError
	var found Findings
	var flying InFlight
	var away Unreachable
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &process):
		return process.Code
	case errors.As(err, &bad):
		return WrongUsage
	case errors.As(err, &found):
		return FoundProblems
	case errors.As(err, &flying):
		return StillInFlight
	case errors.As(err, &away):
		return ServerUnreachable
	case errors.As(err, &wrong),
		is(store.ErrConfiguration, store.ErrAccess, store.ErrSchema, eventlog.ErrRestored),
		is(rabbitmq.ErrBadURL, rabbitmq.ErrAccessRefused, rabbitmq.ErrVhostMissing, rabbitmq.ErrTooOld, rabbitmq.ErrMismatch),
		is(local.ErrNotInstalled):
		return WrongConfiguration
	case is(store.ErrUnavailable, rabbitmq.ErrUnreachable, rabbitmq.ErrInternal, rabbitmq.ErrSessionLost, local.ErrNotRunning):
		return ServerUnreachable
	}
	return Failure
}

// Advice is what to do about an error whose text does not say it; else empty.
func Advice(err error) string {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return "start PostgreSQL there, or correct host and port of the database's URL"
	case errors.Is(err, store.ErrAccess):
		return "correct user, password and database of the database's URL, or give the user what it lacks"
	case errors.Is(err, context.DeadlineExceeded):
		return "a server does not answer in time; `composerp doctor` checks them"
	}
	return ""
}

// OneLine is the text of an error on one line.
func OneLine(err error) string {
	if errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), ":") {
		return "interrupted"
	}
	return wording.OneLine(err.Error())
}

// Unreachable ends the doctor when no server answers; the findings have been printed.
type Unreachable struct{}

func (Unreachable) Error() string {
	return "no server answers; `composerp up` starts private ones, and `composerp doctor --show-config` shows the configured ones"
}

// Reason is the system's error of a file, without the path.
func Reason(err error) error {
	var where *fs.PathError
	if errors.As(err, &where) {
		return where.Err
	}
	return err
}
