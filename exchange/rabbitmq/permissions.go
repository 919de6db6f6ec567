package rabbitmq

import (
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/topology"
)

// The broker caches a channel's permissions. Only a new channel sees the current ones: a revoked permission otherwise
// shows at the next reconnect, perhaps days later.

// CheckPermissions tests on new channels whether the user may declare and bind, and whether it may publish: it declares
// the existing exchange composerp.retry, binds composerp.unrouted to its queue again, and removes a binding of
// composerp.retry that is not there. ErrAccessRefused: it may not. It declares no queue: that would recreate a deleted
// one and hide the loss of its messages; and it publishes nothing.
func (s *Session) CheckPermissions() (configure, write error) {
	configure = s.onChannel("checking the permission to declare", func(ch *amqp.Channel) error {
		if err := ch.ExchangeDeclare(topology.Retry, "topic", true, false, false, false, nil); err != nil {
			return err
		}
		return ch.QueueBind(topology.Unrouted, "", topology.Unrouted, false, nil)
	})
	write = s.onChannel("checking the permission to publish", func(ch *amqp.Channel) error {
		return ch.ExchangeUnbind(topology.Retry, topology.NoRoute, topology.Retry, false, nil)
	})
	return configure, write
}
