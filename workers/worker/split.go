package worker

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/clock"
)

// # Failure policy: split
//
// A batch is attempted in one transaction. When that fails by an error that a
// message may have caused, each message is attempted alone, and each failure is
// that of one message. So a message that fails takes no other with it.

const (
	logBatchFailed       = "a batch failed; processing its messages one by one"
	logPreparationFailed = "preparing a batch failed; processing its messages one by one"
	logDependencyAway    = "a dependency is away; keeping its message in hand"
)

// processOneByOne brings each message to its outcome alone. Calls that follow each other are prepared together.
func (s *slot) processOneByOne(ctx context.Context, messages []message) error {
	for len(messages) > 0 {
		together := max(1, s.preparable(messages))
		left, err := s.prepareTogether(ctx, messages[:together])
		if err != nil {
			return err
		}
		messages = messages[together:]
		for i := range left {
			if err := s.processOne(ctx, left[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// processOne attempts one message, and applies the failure policies when it fails.
// A worker without retry queues keeps a message in hand whose dependency is away.
func (s *slot) processOne(ctx context.Context, one []message) error {
	began, waits := time.Now(), clock.Seldom{}
	for {
		err := s.whileLocked(ctx, func() error { return s.attempt(ctx, one) })
		if err == nil || notTheMessages(ctx, err) {
			return err
		}
		away, is := asUnavailable(err)
		if !is || len(s.Worker.retryDelays) > 0 || time.Since(began) > keepTime {
			return s.fail(ctx, one[0], err)
		}
		if waits.Due() {
			s.about(one[0].Message, traceOf(one[0]), max(0, one[0].Attempt())+1).Warn(logDependencyAway, "dependency", away.dependency, "wait", away.wait, "error", err)
		}
		if !s.pause(ctx, max(firstBackoff, min(away.wait, longestBackoff))) {
			return ctx.Err()
		}
	}
}

// preparable is how many of the messages, from the first on, are calls with a
// preparation. A message of another kind keeps its turn.
func (s *slot) preparable(messages []message) (n int) {
	for n < len(messages) && s.Worker.onCall[messages[n].event.Type].prepare != nil && !messages[n].followsReplay() {
		n++
	}
	return n
}

// prepareTogether prepares the calls of several messages in one transaction, and
// gives those that are left to be processed: all of them when that failed.
func (s *slot) prepareTogether(ctx context.Context, messages []message) ([]message, error) {
	if len(messages) < 2 {
		return messages, nil
	}
	var left []message
	var done outcome
	began := time.Now()
	err := s.whileUnserved(ctx, func() (err error) {
		left, done, err = s.processor.prepareAll(ctx, messages)
		return err
	})
	if err != nil && !notTheMessages(ctx, err) {
		s.Log.Info(logPreparationFailed, "size", len(messages), "error", err)
		return messages, nil
	}
	if err != nil {
		return nil, err
	}
	s.observe(began, done.claimed)
	s.count(outcomeHandled, done.handled)
	s.count(outcomeDuplicate, len(messages)-len(left)-done.handled)
	return left, nil
}
