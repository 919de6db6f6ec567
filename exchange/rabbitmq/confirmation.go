package rabbitmq

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Confirmation is the broker's answer about one message, now or later.
type Confirmation struct {
	publisher *Publisher
	message   Message // without headers and body once written
	deferred  *amqp.DeferredConfirmation

	done chan struct{} // closed when err is the outcome
	err  error
}

// Wait gives nil when the message is confirmed and routed: it is safe in every queue it belongs to. ErrUnroutable means
// that no queue took it, ErrNacked that a queue refused it, ErrSessionLost that nobody knows. When ctx ends first, its
// error is returned and one may wait again. Any number of goroutines may wait.
func (c *Confirmation) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	default:
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.publisher.session.done:
	case <-c.publisher.closing:
	}
	select {
	case <-c.done: // it had come before the end
		return c.err
	default:
		return c.publisher.lost()
	}
}
