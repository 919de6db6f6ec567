package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/worker/timing"
)

// # Failure policy: retry
//
// A message that failed goes to a retry queue of its worker, which returns it after
// the retry delay, or it becomes a dead letter: when it has no attempts left, when
// the handler rejected it, or when its class is quarantined.
//
// First the failure is recorded, in a transaction of its own, which also decides
// about the quarantine; then the message's copy is published; then the confirm is
// waited for; then the slot acknowledges the message. So every failed message that
// was acknowledged is recorded, and one that is recorded and was not acknowledged
// comes again.
//
//	a crash before the      nothing; the broker delivers again, and the message
//	record                  is attempted again
//	after the record,       a row with the outcome that was meant. The message
//	before the confirm      comes again at the same attempt: when that fails too,
//	                        the row is overwritten, so that no attempt is two rows
//	                        and no event counts twice for its class; when it
//	                        succeeds, the row tells of an attempt that did fail
//	after the confirm,      the copy, and the message itself again at its old
//	before the ack          attempt: two copies, one effect, since the inbox
//	                        decides, and again one row
//
// While the database is away, or another transaction holds the table locked,
// nothing can be recorded: the message is kept in hand. A record that the database
// refuses for another reason must not stop a queue: it is logged, and the message
// goes on.

// DefaultRetryDelays are how long a worker waits before its second, third and
// fourth attempt. After that a message becomes a dead letter.
var DefaultRetryDelays = []time.Duration{5 * time.Second, time.Minute, 15 * time.Minute}

// RetryDelays sets how long to wait before each further attempt.
func RetryDelays(delays ...time.Duration) Option { return func(w *Worker) { w.retryDelays = delays } }

const (
	logFailed      = "a message failed"
	logCopyRefused = "the broker does not take a failed message; keeping messages in hand"
)

// fail applies the failure policies to a message. nil means that the broker has
// confirmed its copy in a retry queue or among the dead letters, and the message
// itself may be acknowledged.
//
// A worker that consumes a foreign queue has neither. Its message stays where it
// is, and the slot ends with an error, which is logged at each reconnect.
func (s *slot) fail(ctx context.Context, m message, failure error) error {
	if s.Worker.consumesForeignQueue() {
		return fmt.Errorf("handling message %s of %s, which has no retry queues: %w", m.ID, s.Worker.queue, failure)
	}
	if parked, err := s.hold(ctx, m); err != nil || parked {
		return err
	}
	if away, is := asUnavailable(failure); is && len(s.Worker.retryDelays) > 0 {
		return s.postpone(ctx, m, away)
	}
	attempt := max(0, m.Attempt()) // an external publisher's header may be negative, and would be retried for ever
	outcome := failures.OutcomeRetried
	if errors.Is(failure, ErrRejected) || attempt >= len(s.Worker.retryDelays) {
		outcome = failures.OutcomeDead
	}
	class, err := s.record(ctx, m, failure, outcome)
	if err != nil {
		return err
	}
	if class != "" {
		outcome = failures.OutcomeQuarantined
	}
	copied := rabbitmq.DeadMessage(m.Delivery, s.Worker.name, failure)
	times := s.timesOf(m)
	switch outcome {
	case failures.OutcomeRetried:
		wait := s.Worker.retryDelay(attempt, failure)
		times.Wait(delay.Retry, wait)
		copied = rabbitmq.RetryMessage(m.Delivery, s.Worker.name, wait, failure)
	case failures.OutcomeQuarantined:
		copied.Headers[rabbitmq.HeaderQuarantine] = class
	}
	copied.Headers[rabbitmq.HeaderAttempt], copied.Headers[delay.Header] = int64(attempt+1), times.String()
	failpoint.Hit("judge.begun")
	if err := s.publishCopy(ctx, copied); err != nil {
		return err
	}
	failpoint.Hit("judge.confirmed")
	if outcome == failures.OutcomeRetried {
		s.works.retried()
	}
	s.count(string(outcome), 1)
	s.span(m, 1, s.processor.batch.Began, string(outcome), failure)
	s.about(copied, traceOf(m), attempt+1).Warn(logFailed, "outcome", outcome, "class", class, "error", failure)
	return nil
}

// about is the log for lines about a message, without its payload, about its trace and about that attempt, from 1.
func (s *slot) about(m rabbitmq.Message, trace string, attempt int) *slog.Logger {
	return s.Log.With("event", m.ID, "type", m.Type, "queue", s.queue, "attempt", attempt, "trace", trace)
}

// traceOf is the trace id of a message; that of one that was not decoded is looked for in its body.
func traceOf(m message) string {
	if m.event.ID == uuid.Nil {
		return event.TraceOf(m.Body)
	}
	return m.event.Metadata.TraceID()
}

// timesOf are the times of a message that failed, until now.
func (s *slot) timesOf(m message) delay.Times {
	if !m.times.Known() { // it was not decoded
		m.times, _ = timing.Of(m.Delivery, m.OwnUser, s.processor.batch.Began)
	}
	s.processor.batch.End(&m.times, time.Now())
	return m.times
}

// publishCopy publishes until the broker has the message. A retry queue that is
// full or was never declared is no message's fault: the messages are kept in hand
// until the topology is repaired.
func (s *slot) publishCopy(ctx context.Context, m rabbitmq.Message) error {
	for backoff := newBackoff(); ; {
		confirmation, err := s.publisher.Publish(ctx, m)
		if err == nil {
			failpoint.Hit("judge.published")
			err = confirmation.Wait(ctx)
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, rabbitmq.ErrNacked) && !errors.Is(err, rabbitmq.ErrUnroutable) {
			return fmt.Errorf("sending message %s to %s: %w", m.ID, m.Exchange, err)
		}
		s.about(m, event.TraceOf(m.Body), max(1, rabbitmq.Delivery{Message: m}.Attempt())).Error(logCopyRefused, "exchange", m.Exchange, "key", m.RoutingKey, "error", err)
		if !backoff.wait(ctx) {
			return fmt.Errorf("sending message %s to %s: %w", m.ID, m.Exchange, err)
		}
	}
}

// retryDelay is how long a message waits for its next attempt after a failure.
func (w Worker) retryDelay(attempt int, failure error) time.Duration {
	var asked postponement
	if !errors.As(failure, &asked) {
		return w.retryDelays[attempt]
	}
	return w.delayOf(attempt, asked.wait)
}

// delayOf is the first retry delay from an attempt on that is at least wait, or the longest.
func (w Worker) delayOf(attempt int, wait time.Duration) time.Duration {
	for _, delay := range w.retryDelays[attempt:] {
		if delay >= wait {
			return delay
		}
	}
	return w.retryDelays[len(w.retryDelays)-1]
}

// # Failure policy: deferral
//
// A message whose dependency is unavailable goes to a retry queue at once and
// keeps its attempts, so that the messages behind it, for other dependencies, are
// attempted. It is recorded when a call was made; one that found the circuit open
// has attempted nothing.
//
// When a slot has deferred all messages of a batch and no more wait behind them,
// going on would only turn the retry queue round: the slot pauses, longer each time
// until a message was handled, but no longer than until the first of the circuits
// may be probed. While more messages wait it does not pause: they may be for
// another dependency.

// A dependency is probed by the next message that may call it, and a circuit stays
// open for seconds: a message that was deferred seldom comes back by the first
// retry delay, however long the second one is.
const (
	shortWait  = 30 * time.Second
	shortWaits = 12
)

const (
	logDeferred    = "a message waits for a dependency"
	logLone        = "nothing but one message waits for a dependency, and it fails on it: the message may be at fault"
	logAllDeferred = "all messages taken wait for dependencies; pausing"
)

// postpone sends a message to the retry queue whose delay fits its dependency.
func (s *slot) postpone(ctx context.Context, m message, away unavailability) error {
	if !errors.Is(away, ErrCircuitOpen) {
		if _, err := s.record(ctx, m, away, failures.OutcomeDeferred); err != nil {
			return err
		}
	}
	wait, times := s.Worker.deferralDelay(m.Deferred(), away.wait), s.timesOf(m)
	times.Wait(delay.Breaker, wait)
	copied := rabbitmq.DeferMessage(m.Delivery, s.Worker.name, wait, away.dependency)
	copied.Headers[delay.Header] = times.String()
	if err := s.publishCopy(ctx, copied); err != nil {
		return err
	}
	s.works.deferred()
	s.count(string(failures.OutcomeDeferred), 1)
	s.span(m, 1, s.processor.batch.Began, string(failures.OutcomeDeferred), away)
	s.deferred.add(away)
	log := s.about(copied, traceOf(m), max(0, m.Attempt())+1)
	log.Info(logDeferred, "dependency", away.dependency, "wait", away.wait, "error", away)
	if away.lone && s.lone.Due() {
		log.Warn(logLone, "dependency", away.dependency, "error", away)
	}
	return nil
}

// deferralDelay is how long a message waits for a dependency that may be called after wait.
func (w Worker) deferralDelay(deferred int64, wait time.Duration) time.Duration {
	if wait <= shortWait && deferred < shortWaits {
		return w.retryDelays[0]
	}
	return w.delayOf(0, wait)
}

// deferrals are the deferred messages of one batch.
type deferrals struct {
	messages     int
	dependencies []string
	first        time.Duration // until the first circuit may be probed
}

func (d *deferrals) add(away unavailability) {
	if d.messages == 0 || away.wait < d.first {
		d.first = away.wait
	}
	d.messages++
	if !slices.Contains(d.dependencies, away.dependency) {
		d.dependencies = append(d.dependencies, away.dependency)
	}
}

// pauseIfAllDeferred pauses the slot when every message of the batch was deferred.
func (s *slot) pauseIfAllDeferred(ctx context.Context, consumer *rabbitmq.Consumer, taken int) {
	deferred := s.deferred
	s.deferred = deferrals{}
	if deferred.messages < taken {
		s.pauses = newBackoff()
		s.deferral.Reset()
		return
	}
	if consumer.Waiting() > 0 {
		return
	}
	// A circuit whose probe is under way may close at any moment.
	pause := min(s.pauses.pause(), max(firstBackoff, deferred.first))
	if s.deferral.Due() {
		s.Log.Warn(logAllDeferred, "messages", taken, "dependencies", deferred.dependencies, "pause", pause)
	}
	s.pause(ctx, pause)
}
