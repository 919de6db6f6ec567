package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/failures"
)

// # What becomes of a message that failed
//
// First the failed try is written down, in a transaction of its own, which also
// decides whether the message's class of failures is quarantined; then the
// message's copy is published, to the ladder or to the dead letters; then the
// confirm is waited for; then the slot acknowledges the message. So whatever has
// been acknowledged stands in the journal, and what stands in the journal and was
// not acknowledged comes again.
//
//	a crash before it is    nothing; the broker delivers again, and it is tried
//	written down            again
//	after that, before      a row that says what was to become of the message. It
//	the confirm             comes again at the same attempt: when that try fails
//	                        too, the row is written over with what becomes of it
//	                        then, so that no try is two rows and no event counts
//	                        twice for its class; when it goes well, the row tells
//	                        of a try that did fail
//	after the confirm,      the copy, and the message itself again at its old
//	before the ack          attempt: two copies, one effect, since the inbox
//	                        decides, and again one row
//
// While the database is away, or somebody holds the journal locked, nothing can be
// written down: the message is kept in hand. What the database would not take for another reason is no ground to hold
// up a queue: that is said loudly, and the message goes its way.
//
// A message that a dependency has failed goes the same way, to the rung that is
// long enough, with its attempts as they were. It is written down when a call was
// made; one that found its gate closed has tried nothing.

// judge sends a failed message on: up its ladder, or, when it has none left, the
// failure is final or its class is quarantined, to the dead letters. nil means
// that the broker has confirmed the copy and the message itself may be
// acknowledged.
//
// A worker that drains another's queue has neither. Its message stays where it
// is, and the slot ends with an error: that is noise enough for somebody to come.
func (s *slot) judge(ctx context.Context, m message, failure error) error {
	if s.Worker.drainsAnothers() {
		return fmt.Errorf("handling message %s of %s, which has no ladder: %w", m.ID, s.Worker.queue, failure)
	}
	if away, is := asUnavailable(failure); is && len(s.Worker.retryDelays) > 0 {
		return s.postpone(ctx, m, away)
	}
	attempt := max(0, m.Attempt())
	outcome := failures.OutcomeRetried
	if errors.Is(failure, ErrRejected) || attempt >= len(s.Worker.retryDelays) {
		outcome = failures.OutcomeDead
	}
	class, err := s.writeDown(ctx, m, failure, outcome)
	if err != nil {
		return err
	}
	if class != "" {
		outcome = failures.OutcomeQuarantined
	}
	copied := rabbitmq.DeadMessage(m.Delivery, s.Worker.name, failure)
	switch outcome {
	case failures.OutcomeRetried:
		copied = rabbitmq.RetryMessage(m.Delivery, s.Worker.name, s.Worker.rung(attempt, failure), failure)
	case failures.OutcomeQuarantined:
		copied.Headers[rabbitmq.HeaderQuarantine] = class
	}
	copied.Headers[rabbitmq.HeaderAttempt] = int64(attempt + 1) // what came may be a stranger's: below zero it would climb for ever
	failpoint.Hit("judge.begun")
	if err := s.send(ctx, copied); err != nil {
		return fmt.Errorf("sending message %s to %s: %w", copied.ID, copied.Exchange, err)
	}
	failpoint.Hit("judge.confirmed")
	s.count(string(outcome), 1)
	s.Log.Warn("a message failed", "outcome", outcome, "event", copied.ID, "type", m.Type, "attempt", attempt+1, "class", class, "error", failure)
	return nil
}

// postpone lets a message wait on its ladder until its dependency may be called.
func (s *slot) postpone(ctx context.Context, m message, away unavailability) error {
	if !errors.Is(away, ErrCircuitOpen) {
		if _, err := s.writeDown(ctx, m, away, failures.OutcomeDeferred); err != nil {
			return err
		}
	}
	copied := rabbitmq.DeferMessage(m.Delivery, s.Worker.name, s.Worker.waits(m.Deferred(), away.wait), away.dependency)
	if err := s.send(ctx, copied); err != nil {
		return fmt.Errorf("sending message %s to %s: %w", copied.ID, copied.Exchange, err)
	}
	s.count(string(failures.OutcomeDeferred), 1)
	s.deferred.add(away)
	s.Log.Info("a message waits for a dependency", "event", copied.ID, "type", m.Type, "dependency", away.dependency, "wait", away.wait, "error", away)
	return nil
}

// writeDown enters a failed try in the journal, and gives the class that it is quarantined with.
func (s *slot) writeDown(ctx context.Context, m message, failure error, outcome failures.Outcome) (class string, err error) {
	f := failures.Failure{
		Try: tryOf(s.Worker.name, m.Delivery), Consumer: s.Worker.name, MessageID: m.ID, Type: m.Type, Version: m.event.Version,
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
	err = s.outwait(ctx, func() error {
		return s.keep(ctx, func() (err error) {
			class, err = failures.RecordFailure(ctx, s.DB, f, s.Worker.quarantine)
			return err
		})
	})
	if err != nil && !isOurs(ctx, err) {
		s.Log.Error("a failure can not be written down; its message goes on without that", "event", m.ID, "error", err)
		return "", nil
	}
	return class, err
}

// trySpace is the UUID namespace of tries (RFC 9562, 5.5).
var trySpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/try"))

// tryOf names a try by the message and the state it came in: delivered again it
// is the same try, and back from a rung, or put back by somebody, another.
func tryOf(consumer string, d rabbitmq.Delivery) uuid.UUID {
	identity := fmt.Sprintf("%s\x00%s\x00%d\x00%d\x00%v\x00%s", consumer, d.ID, d.Attempt(), d.Deferred(), d.Headers[rabbitmq.HeaderLastFailedAt], d.Body)
	return uuid.NewSHA1(trySpace, []byte(identity))
}

// send publishes until the broker has the message. A ladder that is full or was
// never declared is no fault of the message's, nor of those taken with it: they
// are kept in hand, with noise, until somebody has mended it.
func (s *slot) send(ctx context.Context, m rabbitmq.Message) error {
	for backoff := newBackoff(); ; {
		confirmation, err := s.publisher.Publish(ctx, m)
		if err == nil {
			failpoint.Hit("judge.published")
			err = confirmation.Wait(ctx)
		}
		if !errors.Is(err, rabbitmq.ErrNacked) && !errors.Is(err, rabbitmq.ErrUnroutable) {
			return err
		}
		s.Log.Error("a failed message has no place to go; keeping what is in hand", "exchange", m.Exchange, "key", m.RoutingKey, "error", err)
		if !backoff.wait(ctx) {
			return err
		}
	}
}
