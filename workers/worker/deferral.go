package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/failures"
)

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
	copied := rabbitmq.DeferMessage(m.Delivery, s.Worker.name, s.Worker.deferralDelay(m.Deferred(), away.wait), away.dependency)
	if err := s.publishCopy(ctx, copied); err != nil {
		return err
	}
	s.works.deferred()
	s.count(string(failures.OutcomeDeferred), 1)
	s.deferred.add(away)
	s.Log.Info(logDeferred, "event", copied.ID, "type", m.Type, "dependency", away.dependency, "wait", away.wait, "error", away)
	if away.lone && s.lone.Due() {
		s.Log.Warn(logLone, "event", copied.ID, "type", m.Type, "dependency", away.dependency, "error", away)
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
