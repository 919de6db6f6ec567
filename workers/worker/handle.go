package worker

import (
	"context"
	"errors"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
)

// handle carries deliveries to their fate: handled and committed, on the ladder,
// or among the dead letters. nil means that all of them may be acknowledged.
//
// All are tried together first. When that fails, for whatever reason a message
// could have given, each is tried alone, and each failure judged alone.
func (s *slot) handle(ctx context.Context, deliveries []rabbitmq.Delivery) error {
	messages, err := s.read(ctx, deliveries)
	if err != nil || len(messages) == 0 {
		return err
	}
	if len(messages) > 1 && !s.Worker.makesCalls() {
		err := s.try(ctx, messages)
		if err == nil || isOurs(ctx, err) {
			return err
		}
		s.Log.Info("a batch failed; doing it again one by one", "size", len(messages), "error", err)
		failpoint.Hit("worker.alone")
	}
	for len(messages) > 0 {
		together := s.preparable(messages)
		left, err := s.prepare(ctx, messages[:max(1, together)])
		if err != nil {
			return err
		}
		messages = messages[max(1, together):]
		for i := range left {
			if err := s.alone(ctx, left[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// alone tries one message, and judges it when it fails. One that must wait for a
// dependency and has no rung to wait on waits here.
func (s *slot) alone(ctx context.Context, m []message) error {
	for began := time.Now(); ; {
		err := s.outwait(ctx, func() error { return s.try(ctx, m) })
		if err == nil || isOurs(ctx, err) {
			return err
		}
		away, is := asUnavailable(err)
		if !is || len(s.Worker.retryDelays) > 0 || time.Since(began) > keepTime {
			return s.judge(ctx, m[0], err)
		}
		s.Log.Warn("a dependency is away; keeping what is in hand", "dependency", away.dependency, "wait", away.wait, "error", err)
		if !s.pause(ctx, max(firstWait, min(away.wait, longestWait))) {
			return ctx.Err()
		}
	}
}

// preparable is how many of the messages, from the first on, may be prepared
// together: calls with a preparation. What is no such call keeps its turn.
func (s *slot) preparable(messages []message) (n int) {
	for n < len(messages) && s.Worker.calls[messages[n].event.Type].prepare != nil {
		n++
	}
	return n
}

// prepare prepares the calls of several messages at once, and gives those that
// are left to be handled alone; all of them, when together it could not be done.
func (s *slot) prepare(ctx context.Context, messages []message) ([]message, error) {
	if len(messages) < 2 {
		return messages, nil
	}
	var left []message
	var done outcome
	err := s.keep(ctx, func() (err error) {
		left, done, err = s.desk.prepareAll(ctx, messages)
		return err
	})
	if err != nil && !isOurs(ctx, err) {
		s.Log.Info("preparing a batch failed; doing it again one by one", "size", len(messages), "error", err)
		return messages, nil
	}
	if err != nil {
		return nil, err
	}
	s.count(outcomeHandled, done.handled)
	s.count(outcomeDuplicate, len(messages)-len(left)-done.handled)
	return left, nil
}

// read opens the messages. What cannot be read never will be: it is judged at once.
func (s *slot) read(ctx context.Context, deliveries []rabbitmq.Delivery) ([]message, error) {
	messages := make([]message, 0, len(deliveries))
	for _, d := range deliveries {
		m, err := s.Worker.read(d)
		if err == nil {
			messages = append(messages, m)
			continue
		}
		if err := s.judge(ctx, message{Delivery: d}, err); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// try handles messages in one transaction, for as long as only the database stands in the way.
func (s *slot) try(ctx context.Context, messages []message) error {
	var done outcome
	err := s.keep(ctx, func() (err error) {
		done, err = s.desk.handle(ctx, messages)
		return err
	})
	if err != nil {
		return err
	}
	s.count(outcomeHandled, done.handled)
	s.count(outcomeDuplicate, len(messages)-done.handled)
	return nil
}

// isOurs tells errors that are no message's fault: they end the slot, and the
// broker delivers again.
func isOurs(ctx context.Context, err error) bool {
	return ctx.Err() != nil || isDatabases(err)
}

// isDatabases tells what only a change of the database can mend: it is away, or
// it does not know this program's tables or user yet.
func isDatabases(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrSchema) || errors.Is(err, store.ErrAccess)
}

func (s *slot) count(outcome string, n int) {
	s.Metrics.messages.WithLabelValues(s.Worker.name, outcome).Add(float64(n))
}
