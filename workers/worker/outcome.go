package worker

import (
	"errors"
	"time"
)

// ErrRejected matches every error of Reject.
var ErrRejected = errors.New("rejected")

// Reject marks an error as final: the message becomes a dead letter at once.
func Reject(err error) error { return mark{err, ErrRejected} }

// mark is an error that is of a kind, too. Its text is its cause's alone.
type mark struct {
	error
	kind error
}

func (m mark) Unwrap() error        { return m.error }
func (m mark) Is(target error) bool { return target == m.kind }

// RetryAfter marks an error with how long to wait before the next attempt, as the
// other side asked for (Retry-After). The message takes its next retry queue, or a
// later one whose delay is long enough, or the longest.
func RetryAfter(err error, wait time.Duration) error { return postponement{err, wait} }

type postponement struct {
	error
	wait time.Duration
}

func (p postponement) Unwrap() error { return p.error }

// ErrInDoubt matches every error of InDoubt.
var ErrInDoubt = errors.New("in doubt")

// InDoubt marks an error whose cause is unknown, such as a call that the other side
// hung up on: the message may have caused it, or not. The message is retried like
// after any error, but no class of events is quarantined because of it.
func InDoubt(err error) error { return mark{err, ErrInDoubt} }

// ErrUnavailable matches every error of Unavailable.
var ErrUnavailable = errors.New("a dependency is away")

// ErrCircuitOpen matches an ErrUnavailable when no call was made, because the
// dependency's circuit is open.
var ErrCircuitOpen = errors.New("circuit open")

// Unavailable marks an error as the fault of a dependency that is away or busy,
// and of no message. The message waits in a retry queue and keeps its attempts; it
// takes the first retry delay that is at least after, or the longest. The error
// opens the dependency's circuit.
func Unavailable(dependency string, err error, after time.Duration) error {
	return unavailability{mark: mark{err, ErrUnavailable}, dependency: dependency, wait: after}
}

// unavailability is a dependency that is away, for at least wait.
type unavailability struct {
	mark
	dependency string
	wait       time.Duration
	lone       bool // the call that failed has probed the circuit alone for long: it may be at fault
}

// asUnavailable finds a dependency's fault in an error. Other errors that are
// joined to it will show again when the dependency is back.
func asUnavailable(err error) (unavailability, bool) {
	var u unavailability
	return u, errors.As(err, &u)
}
