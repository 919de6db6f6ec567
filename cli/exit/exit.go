// Package exit gives the errors of commands their exit codes and advice.
package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
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
	{FoundProblems, "findings: of audit, chaos, contracts check, dlq redrive, doctor, events verify, projections diff, scale --wait, shadow, topology diff and why stock"},
	{StillInFlight, "in flight: audit or why stock has found nothing wrong, and events are still in flight"},
	{WrongUsage, "usage: wrong command, flag or argument, or a name that is not known"},
	{ServerUnreachable, "a server is unreachable"},
	{WrongConfiguration, "configuration: wrong password, missing migration, old server, missing program, taken port, unknown key"},
}

// Error is an error that ends a command with an exit code of its own.
type Error struct {
	error
	code int
	// printed: what is to be said has been.
	printed bool
}

func (e Error) Unwrap() error { return e.error }

// Usage is a mistake on the command line: exit code 64.
func Usage(format string, args ...any) error {
	return Error{fmt.Errorf(format, args...), WrongUsage, false}
}

// Misconfigured is a setting that cannot work: exit code 78.
func Misconfigured(format string, args ...any) error {
	return Error{fmt.Errorf(format, args...), WrongConfiguration, false}
}

// Findings end a command that worked and found something. They have been printed already.
func Findings(what string) error { return Error{errors.New(what), FoundProblems, true} }

// InFlight ends an audit that has found nothing wrong while events are still in flight.
func InFlight(what string) error { return Error{errors.New(what), StillInFlight, true} }

// Process is the error of a process that ended before its work was done; its exit code becomes that of the command.
func Process(code int, text string) error { return Error{errors.New(text), code, false} }

// ErrUnreachable ends the doctor when no server answers; the findings have been printed.
var ErrUnreachable error = Error{
	errors.New("no server answers; `composerp up` starts private ones, and `composerp doctor --show-config` shows the configured ones"), ServerUnreachable, false,
}

// IsPrinted reports whether all that an error says has been printed.
func IsPrinted(err error) bool {
	e, ok := errors.AsType[Error](err)
	return ok && e.printed
}

// CodeOf is the exit code of an error.
func CodeOf(err error) int {
	if e, ok := errors.AsType[Error](err); ok {
		return e.code
	}
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
	}
	switch {
	case is(store.ErrNotFound): // of what the command line names
		return WrongUsage
	case is(store.ErrConfiguration, store.ErrAccess, store.ErrSchema, eventlog.ErrRestored),
		is(rabbitmq.ErrBadURL, rabbitmq.ErrBadCertificate, rabbitmq.ErrAccessRefused, rabbitmq.ErrVhostMissing, rabbitmq.ErrTooOld, rabbitmq.ErrMismatch),
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
	case errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrConfiguration):
		return "start PostgreSQL there, or correct host and port of the database's URL"
	case errors.Is(err, store.ErrAccess):
		return "correct user, password and database of the database's URL, or give the user what it lacks"
	case errors.Is(err, context.DeadlineExceeded):
		return "a server does not answer in time; `composerp doctor` checks them"
	}
	return ""
}

// maxText is how many characters an error may have: what it quotes may be a whole file.
const maxText = 1000

// OneLine is the text of an error on one line of bounded length.
func OneLine(err error) string {
	if errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), ":") {
		return "interrupted"
	}
	return wording.Shortened(wording.OneLine(err.Error()), maxText)
}

// Reason is the system's error of a file, without the path.
func Reason(err error) error {
	if where, ok := errors.AsType[*fs.PathError](err); ok {
		return where.Err
	}
	return err
}
