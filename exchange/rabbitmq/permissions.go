package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/topology"
)

// The broker caches a channel's permissions. Only a new channel sees the current ones: a revoked permission otherwise
// shows at the next reconnect, perhaps days later.

// CheckConfigurePermission tests on a new channel whether the user may declare and bind: it declares the existing
// exchange composerp.retry and binds composerp.unrouted to its queue again. ErrAccessRefused: it may not. It declares
// no queue: that would recreate a deleted one and hide the loss of its messages.
func (s *Session) CheckConfigurePermission() error {
	return s.onChannel("checking the permission to declare", func(ch *amqp.Channel) error {
		if err := ch.ExchangeDeclare(topology.Retry, "topic", true, false, false, false, nil); err != nil {
			return err
		}
		return ch.QueueBind(topology.Unrouted, "", topology.Unrouted, false, nil)
	})
}

// CheckWritePermission tests on a new channel whether the user may write to composerp.retry: it removes a binding that
// is not there, which publishes nothing. ErrAccessRefused: it may not, or may not read from it.
func (s *Session) CheckWritePermission() error {
	return s.onChannel("checking the permission to publish", func(ch *amqp.Channel) error {
		return ch.ExchangeUnbind(topology.Retry, topology.NoRoute, topology.Retry, false, nil)
	})
}

// TryPublishing publishes a message without a route to composerp.retry, which is returned: during an alarm the broker
// tells Blocked of it, and ctx ends the wait. The broker counts the message as unroutable.
func (s *Session) TryPublishing(ctx context.Context) error {
	publisher, err := s.Publisher(1)
	if err != nil {
		return fmt.Errorf("trying to publish: %w", err)
	}
	sent, err := publisher.Publish(ctx, Message{Exchange: topology.Retry, RoutingKey: topology.NoRoute, ID: uuid.NewString(), Type: "PROBE"})
	if err == nil {
		err = sent.Wait(ctx)
	}
	go func() { _ = publisher.Close() }() // the close waits for the end of an alarm
	if err == nil || errors.Is(err, ErrUnroutable) {
		return nil
	}
	return fmt.Errorf("trying to publish: %w", err)
}
