package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failures"
)

// # Failure policy: quarantine
//
// Every failed attempt is recorded. When several distinct events of one type and
// version have failed with one error, their class is quarantined: further events
// that fail like them become dead letters at once, until a person releases the
// class. So a mistake in a handler costs a few retries and not thousands.

// DefaultQuarantine is after how many distinct events of one class, within how
// long, the class is quarantined.
var DefaultQuarantine = failures.QuarantinePolicy{After: 5, Within: time.Hour}

// Quarantine sets after how many distinct events that fail with one error, within
// how long, their class is quarantined; after 0 none ever is.
func Quarantine(after int, within time.Duration) Option {
	return func(w *Worker) { w.quarantine = failures.QuarantinePolicy{After: after, Within: within} }
}

const logNotRecorded = "a failure can not be recorded; its message goes on"

// record records a failed attempt, and gives the class that it is quarantined with.
func (s *slot) record(ctx context.Context, m message, failure error, outcome failures.Outcome) (class string, err error) {
	f := s.Worker.failureOf(m, failure, outcome)
	err = s.whileLocked(ctx, func() error {
		return s.whileUnserved(ctx, func() (err error) {
			class, err = failures.RecordFailure(ctx, s.DB, f, s.Worker.quarantine)
			return err
		})
	})
	if err != nil && !notTheMessages(ctx, err) {
		s.about(m.Message, traceOf(m), f.Attempt).Error(logNotRecorded, "error", err)
		return "", nil
	}
	return class, err
}

// failureOf is a failed attempt as it is recorded.
func (w Worker) failureOf(m message, failure error, outcome failures.Outcome) failures.Failure {
	f := failures.Failure{
		Try: attemptID(w.name, m.Delivery), Consumer: w.name, MessageID: m.ID, Type: m.Type, Version: m.event.Version,
		Attempt: max(0, m.Attempt()) + 1, Error: failure.Error(), Outcome: outcome,
	}
	f.EventID = uuid.NullUUID{UUID: m.event.ID, Valid: m.event.ID != uuid.Nil}
	if !f.EventID.Valid {
		id, err := uuid.Parse(m.ID)
		f.EventID = uuid.NullUUID{UUID: id, Valid: err == nil}
	} else {
		f.Type = string(m.event.Type)
	}
	if away, is := asUnavailable(failure); is {
		f.Dependency = away.dependency
	}
	f.Counts = f.Dependency == "" && !errors.Is(failure, ErrRejected) && !errors.Is(failure, errGivenUp) && !errors.Is(failure, ErrInDoubt)
	return f
}

// attemptSpace is the UUID namespace of attempts (RFC 9562, 5.5).
var attemptSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/try"))

// attemptID names an attempt by the message and the state it came in: delivered
// again it is the same attempt; back from a retry queue, or redriven, another.
func attemptID(consumer string, d rabbitmq.Delivery) uuid.UUID {
	identity := fmt.Sprintf("%s\x00%s\x00%d\x00%d\x00%v\x00%s", consumer, d.ID, d.Attempt(), d.Deferred(), d.Headers[rabbitmq.HeaderLastFailedAt], d.Body)
	return uuid.NewSHA1(attemptSpace, []byte(identity))
}
