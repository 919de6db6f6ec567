package worker

import (
	"context"
	"errors"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/store"
)

// handle carries deliveries to their fate: handled and committed, on the ladder,
// or among the dead letters. nil means that all of them may be acknowledged.
//
// All are tried together first. When that fails, for whatever reason a message
// could have given, each is tried alone, and each failure judged alone.
func (s *slot) handle(ctx context.Context, deliveries []exchange.Delivery) error {
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
	}
	for i := range messages {
		err := s.try(ctx, messages[i:i+1])
		if err != nil && !isOurs(ctx, err) {
			err = s.judge(ctx, messages[i].Delivery, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read opens the messages. What cannot be read never will be: it is judged at once.
func (s *slot) read(ctx context.Context, deliveries []exchange.Delivery) ([]message, error) {
	messages := make([]message, 0, len(deliveries))
	for _, d := range deliveries {
		m, err := s.Worker.read(d)
		if err == nil {
			messages = append(messages, m)
			continue
		}
		if err := s.judge(ctx, d, err); err != nil {
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
