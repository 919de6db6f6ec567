package rabbitmq

import (
	"context"
	"fmt"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Consumer takes deliveries from one queue on a channel of its own. Take is for one goroutine; the other methods are
// safe for concurrent use.
type Consumer struct {
	session *Session
	channel *amqp.Channel
	queue   string
	tag     string

	arrived  chan Delivery   // as long as the prefetch; closed when nothing more comes
	ended    <-chan struct{} // the broker cancelled the consumer
	draining atomic.Bool     // its owner cancelled or closed it
	closed   atomic.Bool
}

// Consume begins to take from queue with up to prefetch deliveries unacknowledged. The tag is what the management UI
// calls the consumer; it must be unique. ErrMissing: there is no such queue.
func (s *Session) Consume(queue, tag string, prefetch int) (*Consumer, error) {
	if prefetch < 1 || prefetch > 65535 {
		return nil, fmt.Errorf("consuming from %s: prefetch %d is not between 1 and 65535", queue, prefetch)
	}
	channel, err := s.consuming.Channel()
	if err != nil {
		return nil, fmt.Errorf("consuming from %s: %w", queue, explain(err))
	}
	closes := channel.NotifyClose(make(chan *amqp.Error, 1)) // heeded once it consumes: a missing queue ends no session
	c, err := s.consumeOn(channel, watchCancel(channel), queue, tag, prefetch)
	if err != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("consuming from %s: %w", queue, err)
	}
	go s.watchChannel(closes)
	return c, nil
}

// consumeOn is Consume on a channel that is there; its owner watches and closes it.
func (s *Session) consumeOn(channel *amqp.Channel, ended <-chan struct{}, queue, tag string, prefetch int) (*Consumer, error) {
	c := &Consumer{session: s, channel: channel, queue: queue, tag: tag, arrived: make(chan Delivery, prefetch), ended: ended}
	if err := channel.Qos(prefetch, 0, false); err != nil {
		return nil, explain(err)
	}
	deliveries, err := channel.Consume(queue, tag, false, false, false, false, nil)
	if err != nil {
		return nil, explain(err)
	}
	go c.pump(deliveries)
	return c, nil
}

// watchCancel gives what is closed when the broker cancels a consumer of the channel. It goes on listening: the library's
// reader waits for whoever has asked to be told.
func watchCancel(channel *amqp.Channel) <-chan struct{} {
	cancels, ended := channel.NotifyCancel(make(chan string, 1)), make(chan struct{})
	go func() {
		for first := true; ; first = false {
			if _, cancelled := <-cancels; !cancelled {
				return
			}
			if first {
				close(ended)
			}
		}
	}()
	return ended
}

// pump moves what the broker sends into a channel with room for the prefetch. See the package documentation for what
// happens without it.
func (c *Consumer) pump(deliveries <-chan amqp.Delivery) {
	defer close(c.arrived)
	for d := range deliveries {
		select {
		case c.arrived <- c.delivery(d):
		case <-c.session.done:
			return
		}
	}
}

func (c *Consumer) delivery(d amqp.Delivery) Delivery {
	var count int64
	if d.Redelivered { // otherwise the header is of another queue, from where somebody has moved the message
		count = integer(d.Headers[headerDeliveryCount])
	}
	return Delivery{
		Message: Message{
			Exchange:   d.Exchange,
			RoutingKey: d.RoutingKey,
			ID:         d.MessageId,
			Type:       d.Type,
			Headers:    d.Headers,
			Body:       d.Body,
			Timestamp:  d.Timestamp,
		},
		Queue:         c.queue,
		Redelivered:   d.Redelivered,
		DeliveryCount: count,
		tag:           d.DeliveryTag,
		consumer:      c,
	}
}

// Take waits for one delivery and gives it with whatever else has arrived, at most limit, in order, without waiting for
// more. It ends with ctx's error, with ErrSessionLost, with ErrConsumerCancelled when the broker cancelled the consumer,
// and, after Cancel, with ErrDrained when all that had arrived has been taken.
func (c *Consumer) Take(ctx context.Context, limit int) ([]Delivery, error) {
	select {
	case <-c.session.done: // what is still here will be delivered again, to another
		return nil, c.session.Err()
	case <-c.ended:
		return nil, fmt.Errorf("taking from %s: %w", c.queue, ErrConsumerCancelled)
	default:
	}
	select {
	case first, ok := <-c.arrived:
		if !ok {
			return nil, c.over(ctx)
		}
		return c.takeMore(first, limit), nil
	case <-c.ended:
		return nil, fmt.Errorf("taking from %s: %w", c.queue, ErrConsumerCancelled)
	case <-c.session.done:
		return nil, c.session.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Consumer) takeMore(first Delivery, limit int) []Delivery {
	taken := make([]Delivery, 1, max(1, min(limit, 1+len(c.arrived))))
	taken[0] = first
	for len(taken) < limit {
		select {
		case d, ok := <-c.arrived:
			if !ok {
				return taken
			}
			taken = append(taken, d)
		default:
			return taken
		}
	}
	return taken
}

// Waiting is how many deliveries have arrived and wait to be taken.
func (c *Consumer) Waiting() int { return len(c.arrived) }

// over is why nothing more arrives. The library ends the deliveries before it tells the session, so that the end of the
// session may be a moment away; nothing else is left by then.
func (c *Consumer) over(ctx context.Context) error {
	if c.draining.Load() {
		return fmt.Errorf("taking from %s: %w", c.queue, ErrDrained)
	}
	select {
	case <-c.ended:
		return fmt.Errorf("taking from %s: %w", c.queue, ErrConsumerCancelled)
	case <-c.session.done:
		return c.session.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ack acknowledges everything this consumer has taken up to and including upTo, which itself must still be
// unacknowledged. That it returns nil means that it was sent, not that it arrived: after a lost session a message may
// come again.
func (c *Consumer) Ack(upTo Delivery) error {
	return c.answer("acknowledging", upTo, func() error { return c.channel.Ack(upTo.tag, true) })
}

// AckOne acknowledges d alone.
func (c *Consumer) AckOne(d Delivery) error {
	return c.answer("acknowledging", d, func() error { return c.channel.Ack(d.tag, false) })
}

// Requeue gives d back to the broker, to be delivered again, to this consumer or another. It uses nack: from 4.3 on,
// reject counts against the delivery limit and nack does not.
func (c *Consumer) Requeue(d Delivery) error {
	return c.answer("requeueing", d, func() error { return c.channel.Nack(d.tag, false, true) })
}

func (c *Consumer) answer(doing string, d Delivery, send func() error) error {
	if d.consumer != c || d.tag == 0 { // tag 0 would mean all
		return fmt.Errorf("%s %s: %w", doing, d.ID, ErrForeignDelivery)
	}
	if err := c.session.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", doing, d.ID, err)
	}
	if err := send(); err != nil {
		return fmt.Errorf("%s %s: %w", doing, d.ID, lostBecause(err))
	}
	return nil
}

// Cancel stops deliveries. What has arrived can still be taken, until Take says ErrDrained, and acknowledged.
func (c *Consumer) Cancel() error {
	if c.draining.Swap(true) {
		return nil
	}
	if err := c.channel.Cancel(c.tag, false); err != nil {
		return fmt.Errorf("cancelling the consumer of %s: %w", c.queue, explain(err))
	}
	return nil
}

// Close closes the consumer's channel. What is not acknowledged goes back to the queue, and counts as delivered.
func (c *Consumer) Close() error {
	c.draining.Store(true)
	if c.closed.Swap(true) {
		return nil
	}
	if err := c.channel.Close(); err != nil {
		return fmt.Errorf("closing the consumer of %s: %w", c.queue, explain(err))
	}
	return nil
}
