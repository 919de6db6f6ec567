package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// The broker remembers on each channel what its user was allowed to do there. Only a new channel tells what is allowed now,
// and so who has worked for days learns on the next morning's first reconnect that somebody has taken a permission away.

// MayDeclare asks on a new channel whether a queue that is there may be declared: whether its user may configure it, read
// from it, and write to the exchange of its dead letters. ErrAccessRefused says no.
func (s *Session) MayDeclare(q QueueSpec) error {
	channel, err := s.consuming.Channel()
	if err != nil {
		return fmt.Errorf("asking for permission to declare %s: %w", q.Name, explain(err))
	}
	_, err = channel.QueueDeclare(q.Name, true, false, false, false, q.Arguments)
	_ = channel.Close()
	if err = explain(err); err != nil && !errors.Is(err, ErrMismatch) {
		return fmt.Errorf("asking for permission to declare %s: %w", q.Name, err)
	}
	return nil
}

// MayPublish asks on a new channel whether its user may write to composerp.retry, by a message that no queue is bound for
// and that is returned. ErrAccessRefused says no, and costs the session. During an alarm of the broker's, ctx ends it.
func (s *Session) MayPublish(ctx context.Context) error {
	publisher, err := s.Publisher(1)
	if err != nil {
		return fmt.Errorf("asking for permission to publish: %w", err)
	}
	sent, err := publisher.Publish(ctx, Message{Exchange: Retry, RoutingKey: "composerp.nobody", ID: uuid.NewString(), Type: "PROBE"})
	if err == nil {
		err = sent.Wait(ctx)
	}
	go func() { _ = publisher.Close() }() // its goodbye waits for the end of an alarm
	if err == nil || errors.Is(err, ErrUnroutable) {
		return nil
	}
	return fmt.Errorf("asking for permission to publish: %w", err)
}
