package rabbitmq

import amqp "github.com/rabbitmq/amqp091-go"

// tapLimit bounds the copies in the tap's queue: beyond it the oldest are dropped.
const tapLimit = 50_000

// Tap consumes copies of what an exchange gets under any of the keys from now on, beside its other queues. The copies
// are in an exclusive queue of the given, unused name, which ends with the session. The caller acknowledges them, and
// closes the consumer before the session: RabbitMQ 4.3 still routes to an exclusive queue for a moment after its
// connection has ended, and refuses (basic.nack) what others publish then.
func (s *Session) Tap(exchange string, keys []string, queue string) (*Consumer, error) {
	return s.openConsumer("tapping "+exchange, func(channel *amqp.Channel) (*Consumer, error) {
		// A quorum queue cannot be exclusive.
		arguments := amqp.Table{"x-queue-type": "classic", "x-max-length": int64(tapLimit)}
		if _, err := channel.QueueDeclare(queue, true, false, true, false, arguments); err != nil {
			return nil, explain(err)
		}
		for _, key := range keys {
			if err := channel.QueueBind(queue, key, exchange, false, nil); err != nil {
				return nil, explain(err)
			}
		}
		c, err := s.consumeOn(channel, watchCancel(channel), queue, queue, firstWindow)
		if err != nil {
			return nil, err
		}
		c.tap = true
		return c, nil
	})
}
