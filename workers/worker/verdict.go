package worker

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/exchange"
)

// judge sends a failed message on: up its ladder, or, when it has none left or
// the failure is final, to the dead letters. nil means that the broker has
// confirmed the copy and the message itself may be acknowledged.
func (s *slot) judge(ctx context.Context, d exchange.Delivery, failure error) error {
	outcome, message := outcomeDead, exchange.DeadMessage(d, s.Worker.name, failure)
	if attempt := d.Attempt(); !isRejected(failure) && attempt < len(s.Worker.ladder) {
		outcome, message = outcomeRetried, exchange.RetryMessage(d, s.Worker.name, s.Worker.ladder[attempt], failure)
	}
	confirmation, err := s.publisher.Publish(ctx, message)
	if err == nil {
		err = confirmation.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("sending message %s to %s: %w", d.ID, message.Exchange, err)
	}
	s.count(outcome, 1)
	s.Log.Warn("a message failed", "outcome", outcome, "event", d.ID, "type", d.Type, "attempt", d.Attempt()+1, "error", failure)
	return nil
}
