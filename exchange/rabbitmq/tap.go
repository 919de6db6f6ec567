package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// tapLimit bounds the copies in the tap's queue: beyond it the oldest are dropped.
const tapLimit = 50_000

// Tap consumes copies of what an exchange gets under any of the keys from now on, beside its other queues. The copies
// are in an exclusive queue of the given, unused name, which ends with the session. The caller acknowledges them.
func (s *Session) Tap(exchange string, keys []string, queue string) (*Consumer, error) {
	channel, err := s.consuming.Channel()
	if err != nil {
		return nil, fmt.Errorf("tapping %s: %w", exchange, explain(err))
	}
	closes := channel.NotifyClose(make(chan *amqp.Error, 1))
	c, err := s.tapOn(channel, exchange, keys, queue)
	if err != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("tapping %s: %w", exchange, err)
	}
	go s.watchChannel(closes)
	return c, nil
}

func (s *Session) tapOn(channel *amqp.Channel, exchange string, keys []string, queue string) (*Consumer, error) {
	// A quorum queue cannot be exclusive.
	arguments := amqp.Table{"x-queue-type": "classic", "x-max-length": int64(tapLimit)}
	_, err := channel.QueueDeclare(queue, true, false, true, false, arguments)
	if err != nil {
		return nil, explain(err)
	}
	for _, key := range keys {
		if err := channel.QueueBind(queue, key, exchange, false, nil); err != nil {
			return nil, explain(err)
		}
	}
	return s.consumeOn(channel, watchCancel(channel), queue, queue, firstWindow)
}
