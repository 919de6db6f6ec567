package rabbitmq

import (
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"
)

// DeleteIdle deletes a queue in which it finds no ready message and no consumer; else it reports false and leaves the
// queue. A queue that is not there is deleted already. RabbitMQ refuses if-empty and if-unused for quorum queues, so
// that the queue is asked first: what is published between question and deletion is lost with it.
func (s *Session) DeleteIdle(queue string) (deleted bool, err error) {
	ready, consumers, err := s.Depth(queue)
	if errors.Is(err, ErrMissing) {
		return true, nil
	}
	if err != nil || ready > 0 || consumers > 0 {
		return false, err
	}
	err = s.onChannel("deleting "+queue, func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(queue, false, false, false)
		return err
	})
	return err == nil, err
}
