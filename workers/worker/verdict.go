package worker

import (
	"errors"
	"time"
)

// ErrRejected is what every error of Reject is, for errors.Is.
var ErrRejected = errors.New("rejected")

// Reject marks an error as final: the message goes to the dead letters at once.
func Reject(err error) error { return rejection{err} }

// rejection is an error that no retry can help. Its text is its cause's alone.
type rejection struct{ cause error }

func (r rejection) Error() string        { return r.cause.Error() }
func (r rejection) Unwrap() error        { return r.cause }
func (r rejection) Is(target error) bool { return target == ErrRejected }

// RetryAfter marks an error with how long to wait before the next try, as the
// other side asked for (Retry-After). The message takes its next rung, or a
// later one that is long enough, or the longest.
func RetryAfter(err error, wait time.Duration) error { return postponement{err, wait} }

type postponement struct {
	cause error
	wait  time.Duration
}

func (p postponement) Error() string { return p.cause.Error() }
func (p postponement) Unwrap() error { return p.cause }

// ErrInDoubt is what every error of InDoubt is, for errors.Is.
var ErrInDoubt = errors.New("in doubt")

// InDoubt marks an error of which nobody can say whose fault it is, such as a
// call that the other side hung up on: it may have died of it, or of something
// else. The message climbs its ladder and is dead at its end, as with any error,
// but no class of events is quarantined because of it.
func InDoubt(err error) error { return doubt{err} }

type doubt struct{ cause error }

func (d doubt) Error() string        { return d.cause.Error() }
func (d doubt) Unwrap() error        { return d.cause }
func (d doubt) Is(target error) bool { return target == ErrInDoubt }

// ErrUnavailable is what every error of Unavailable is, for errors.Is.
var ErrUnavailable = errors.New("a dependency is away")

// ErrNotCalled is what an ErrUnavailable is besides when no call was made,
// because the dependency's gate is closed.
var ErrCircuitOpen = errors.New("not called")

// Unavailable marks an error as the fault of a dependency, somebody outside whom
// no message of this worker can do anything about: it is away, or busy. The
// message waits on its ladder and keeps its attempts, however often; it takes the
// first rung that is as long as after, or the longest. Gates close by it.
func Unavailable(dependency string, err error, after time.Duration) error {
	return unavailability{dependency, err, after}
}

// unavailability is somebody's being away, for so long at least.
type unavailability struct {
	dependency string
	cause      error
	wait       time.Duration
}

func (u unavailability) Error() string        { return u.cause.Error() }
func (u unavailability) Unwrap() error        { return u.cause }
func (u unavailability) Is(target error) bool { return target == ErrUnavailable }

// asUnavailable finds a dependency's fault in an error. Where others are joined
// to it they will show again when it is mended.
func asUnavailable(err error) (unavailability, bool) {
	var u unavailability
	return u, errors.As(err, &u)
}

// rung is how long a message waits for its next try after a failure.
func (w Worker) rung(attempt int, failure error) time.Duration {
	var asked postponement
	if !errors.As(failure, &asked) {
		return w.retryDelays[attempt]
	}
	return w.longEnough(attempt, asked.wait)
}

// A dependency is probed by the next message that is let go, and a gate that waits by its own pace waits seconds: a
// message that has waited seldom comes back by the first rung, however long the next one is.
const (
	shortWait  = 30 * time.Second
	shortWaits = 12
)

// waits is how long a message waits for its dependency, when that shall be left alone for so long.
func (w Worker) waits(deferred int64, wait time.Duration) time.Duration {
	if wait <= shortWait && deferred < shortWaits {
		return w.retryDelays[0]
	}
	return w.longEnough(0, wait)
}

// longEnough is the first rung from an attempt on that is as long as wait, or the longest.
func (w Worker) longEnough(attempt int, wait time.Duration) time.Duration {
	for _, rung := range w.retryDelays[attempt:] {
		if rung >= wait {
			return rung
		}
	}
	return w.retryDelays[len(w.retryDelays)-1]
}
