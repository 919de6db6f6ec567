package rabbitmq

import (
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/topology"
)

// Delete deletes the queues of a topology, with what they hold, and its exchanges. A missing one is deleted already.
func (s *Session) Delete(t topology.Topology) error {
	return s.onChannel("deleting", func(ch *amqp.Channel) error {
		for _, q := range t.Queues {
			if _, err := ch.QueueDelete(q.Name, false, false, false); err != nil {
				return fmt.Errorf("queue %s: %w", q.Name, err)
			}
		}
		for _, e := range t.Exchanges {
			if err := ch.ExchangeDelete(e.Name, false, false); err != nil {
				return fmt.Errorf("exchange %s: %w", e.Name, err)
			}
		}
		return nil
	})
}

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
