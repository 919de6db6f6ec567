package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// Exit codes, after sysexits.h where it has one.
const (
	exitOK            = 0
	exitFailure       = 1
	exitFindings      = 2
	exitInFlight      = 3
	exitUsage         = 64
	exitUnreachable   = 69
	exitConfiguration = 78
)

// exitCodes are told in the manual page.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "ok"},
	{exitFailure, "failure"},
	{exitFindings, "findings: of audit, chaos, dlq redrive, doctor and topology diff"},
	{exitInFlight, "in flight: audit has found nothing wrong, and something is still on its way"},
	{exitUsage, "usage: what was typed"},
	{exitUnreachable, "a server is unreachable"},
	{exitConfiguration, "configuration: wrong password, missing migration, old server, missing program, taken port, unknown key"},
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// configError is a setting that can not work.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

func misconfigured(format string, args ...any) error {
	return configError{fmt.Errorf(format, args...)}
}

// findings end a command that worked and found something. They have been printed already.
type findings struct{ what string }

func (f findings) Error() string { return f.what }

// inFlight ends an audit that has found nothing wrong of a fleet that did not come to rest.
type inFlight struct{ what string }

func (f inFlight) Error() string { return f.what }

func exitCode(err error) int {
	var bad usageError
	var wrong configError
	var found findings
	var flying inFlight
	var nobody unreachable
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &bad):
		return exitUsage
	case errors.As(err, &found):
		return exitFindings
	case errors.As(err, &flying):
		return exitInFlight
	case errors.As(err, &nobody):
		return exitUnreachable
	case errors.As(err, &wrong),
		is(store.ErrConfiguration, store.ErrAccess, store.ErrSchema, eventlog.ErrRestored),
		is(rabbitmq.ErrBadURL, rabbitmq.ErrAccessRefused, rabbitmq.ErrVhostMissing, rabbitmq.ErrTooOld, rabbitmq.ErrMismatch),
		is(local.ErrNotInstalled):
		return exitConfiguration
	case is(store.ErrUnavailable, rabbitmq.ErrUnreachable, rabbitmq.ErrSessionLost, local.ErrNotRunning):
		return exitUnreachable
	}
	return exitFailure
}

// advice is what to do about an error that does not say it itself; empty when it does.
func advice(err error) string {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return "start PostgreSQL there, or correct host and port of the database's URL"
	case errors.Is(err, store.ErrAccess):
		return "correct user, password and database of the database's URL, or give the user what it lacks"
	case errors.Is(err, context.DeadlineExceeded):
		return "something does not answer in time; `composerp doctor` looks for it"
	}
	return ""
}

// oneLine is an error as it is shown: on one line.
func oneLine(err error) string {
	if errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), ":") {
		return "interrupted"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
