package rabbitmq

import (
	"errors"
	"fmt"
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
	channel, err := s.consuming.Channel()
	if err != nil {
		return false, fmt.Errorf("deleting %s: %w", queue, explain(err))
	}
	if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
		return false, fmt.Errorf("deleting %s: %w", queue, explain(err))
	}
	_ = channel.Close()
	return true, nil
}
