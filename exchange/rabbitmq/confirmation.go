package rabbitmq

import (
	"context"
	"errors"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Confirmation is the broker's answer to one message, now or later.
type Confirmation struct {
	publisher *Publisher
	message   Message // without headers and body once written
	written   time.Time
	deferred  *amqp.DeferredConfirmation

	done chan struct{} // closed when err is the outcome
	err  error
}

// settled sets the outcome, which Wait returns.
func (c *Confirmation) settled(outcome error) {
	c.err = outcome
	switch counts := c.publisher.session.config.Publishing; {
	case outcome == nil:
		counts.Confirmed(c.written)
	case errors.Is(outcome, ErrUnroutable):
		counts.Returned()
	case errors.Is(outcome, ErrNacked):
		counts.Nacked()
	default:
		counts.Lost()
	}
	close(c.done)
}

// Wait returns nil when the message is confirmed and routed: every queue it belongs to has it. ErrUnroutable means
// that no queue took it, ErrNacked that a queue refused it, ErrSessionLost that the outcome is unknown. When ctx ends
// first, its error is returned and Wait may be called again. Any number of goroutines may wait.
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
	case <-c.done: // it had arrived before ctx ended
		return c.err
	default:
		return c.publisher.lost()
	}
}
