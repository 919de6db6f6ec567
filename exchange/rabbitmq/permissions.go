package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/topology"
)

// The broker remembers on each channel what its user was allowed to do there. Only a new channel tells what is allowed now,
// and so who has worked for days learns on the next morning's first reconnect that somebody has taken a permission away.

// MayDeclare asks on a new channel whether its user may declare and bind: configure the exchange composerp.retry, which must
// be there, and lead composerp.unrouted to its queue once more. ErrAccessRefused says no. It declares no queue: one that
// was deleted a moment ago would be there again, and nobody would notice that what was in it is lost.
func (s *Session) CheckConfigurePermission() error {
	channel, err := s.consuming.Channel()
	if err != nil {
		return fmt.Errorf("asking for permission to declare: %w", explain(err))
	}
	defer func() { _ = channel.Close() }()
	if err = channel.ExchangeDeclare(topology.Retry, "topic", true, false, false, false, nil); err == nil {
		err = channel.QueueBind(topology.Unrouted, "", topology.Unrouted, false, nil)
	}
	if err != nil {
		return fmt.Errorf("asking for permission to declare: %w", explain(err))
	}
	return nil
}

// MayPublish asks on a new channel whether its user may write to composerp.retry, by a message that no queue is bound for
// and that is returned. ErrAccessRefused says no, and costs the session. During an alarm of the broker's, ctx ends it.
func (s *Session) CheckWritePermission(ctx context.Context) error {
	publisher, err := s.Publisher(1)
	if err != nil {
		return fmt.Errorf("asking for permission to publish: %w", err)
	}
	sent, err := publisher.Publish(ctx, Message{Exchange: topology.Retry, RoutingKey: "composerp.nobody", ID: uuid.NewString(), Type: "PROBE"})
	if err == nil {
		err = sent.Wait(ctx)
	}
	go func() { _ = publisher.Close() }() // its goodbye waits for the end of an alarm
	if err == nil || errors.Is(err, ErrUnroutable) {
		return nil
	}
	return fmt.Errorf("asking for permission to publish: %w", err)
}
