package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/failpoint"
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

// rung is how long a message waits for its next try after a failure.
func (w Worker) rung(attempt int, failure error) time.Duration {
	var asked postponement
	if !errors.As(failure, &asked) {
		return w.ladder[attempt]
	}
	for _, rung := range w.ladder[attempt:] {
		if rung >= asked.wait {
			return rung
		}
	}
	return w.ladder[len(w.ladder)-1]
}

// judge sends a failed message on: up its ladder, or, when it has none left or
// the failure is final, to the dead letters. nil means that the broker has
// confirmed the copy and the message itself may be acknowledged.
//
// A worker that drains another's queue has neither. Its message stays where it
// is, and the slot ends with an error: that is noise enough for somebody to come.
func (s *slot) judge(ctx context.Context, d exchange.Delivery, failure error) error {
	if s.Worker.drainsAnothers() {
		return fmt.Errorf("handling message %s of %s, which has no ladder: %w", d.ID, s.Worker.queue, failure)
	}
	attempt := max(0, d.Attempt())
	outcome, message := outcomeDead, exchange.DeadMessage(d, s.Worker.name, failure)
	if !errors.Is(failure, ErrRejected) && attempt < len(s.Worker.ladder) {
		outcome, message = outcomeRetried, exchange.RetryMessage(d, s.Worker.name, s.Worker.rung(attempt, failure), failure)
	}
	message.Headers[exchange.HeaderAttempt] = int64(attempt + 1) // what came may be a stranger's: below zero it would climb for ever
	failpoint.Hit("judge.begun")
	if err := s.send(ctx, message); err != nil {
		return fmt.Errorf("sending message %s to %s: %w", message.ID, message.Exchange, err)
	}
	failpoint.Hit("judge.confirmed")
	s.count(outcome, 1)
	s.Log.Warn("a message failed", "outcome", outcome, "event", message.ID, "type", d.Type, "attempt", attempt+1, "error", failure)
	return nil
}

// send publishes until the broker has the message. A ladder that is full or was
// never declared is no fault of the message's, nor of those taken with it: they
// are kept in hand, with noise, until somebody has mended it.
func (s *slot) send(ctx context.Context, m exchange.Message) error {
	for backoff := newBackoff(); ; {
		confirmation, err := s.publisher.Publish(ctx, m)
		if err == nil {
			failpoint.Hit("judge.published")
			err = confirmation.Wait(ctx)
		}
		if !errors.Is(err, exchange.ErrNacked) && !errors.Is(err, exchange.ErrUnroutable) {
			return err
		}
		s.Log.Error("a failed message has no place to go; keeping what is in hand", "exchange", m.Exchange, "key", m.RoutingKey, "error", err)
		if !backoff.wait(ctx) {
			return err
		}
	}
}
