package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Consumer takes deliveries from one queue on a channel of its own. Take is for one goroutine; the other methods are
// safe for concurrent use.
type Consumer struct {
	session *Session
	channel *amqp.Channel
	queue   string
	tag     string

	arrived  chan Delivery   // capacity: the prefetch; closed when nothing more arrives
	newest   atomic.Uint64   // delivery tag of the last that arrived
	acking   sync.Mutex      // held while Cancel waits until nothing is on its way
	acked    uint64          // highest delivery tag acknowledged
	ended    <-chan struct{} // the broker cancelled the consumer
	draining atomic.Bool     // its owner cancelled or closed it
	tap      bool            // the queue ends with the consumer
	closed   atomic.Bool
}

// Consume starts a consumer of queue with up to prefetch deliveries unacknowledged. The management UI shows the tag;
// it must be unique. ErrMissing: there is no such queue.
func (s *Session) Consume(queue, tag string, prefetch int) (*Consumer, error) {
	if prefetch < 1 || prefetch > 65535 {
		return nil, fmt.Errorf("consuming from %s: prefetch %d is not between 1 and 65535", queue, prefetch)
	}
	return s.openConsumer("consuming from "+queue, func(channel *amqp.Channel) (*Consumer, error) {
		return s.consumeOn(channel, watchCancel(channel), queue, tag, prefetch)
	})
}

// openConsumer starts a consumer on a channel of its own. The channel is watched only once it consumes: a missing queue
// does not end the session.
func (s *Session) openConsumer(doing string, consume func(*amqp.Channel) (*Consumer, error)) (*Consumer, error) {
	channel, err := s.consuming.Channel()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, explain(err))
	}
	closes := channel.NotifyClose(make(chan *amqp.Error, 1))
	c, err := consume(channel)
	if err != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	go s.watchChannel(closes)
	return c, nil
}

// consumeOn is Consume on an existing channel; its owner watches and closes it.
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

// watchCancel returns a channel that is closed when the broker cancels a consumer. It keeps receiving, because the
// library's reader blocks on undelivered notifications.
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

// pump moves deliveries into a channel with room for the prefetch; the package documentation says why.
func (c *Consumer) pump(deliveries <-chan amqp.Delivery) {
	defer close(c.arrived)
	for d := range deliveries {
		select {
		case c.arrived <- c.delivery(d):
			c.newest.Store(d.DeliveryTag)
		case <-c.session.done:
			return
		}
	}
}

func (c *Consumer) delivery(d amqp.Delivery) Delivery {
	body, wrong := plainBody(d, max(plainLimit, len(d.Body)))
	if wrong != "" {
		d.Headers = maps.Clone(d.Headers)
		if d.Headers == nil {
			d.Headers = amqp.Table{}
		}
		d.Headers[HeaderUnreadable] = wrong
	}
	own, user := c.session.consuming.publisherOf(d)
	return Delivery{
		Message: Message{
			Exchange:   d.Exchange,
			RoutingKey: d.RoutingKey,
			ID:         d.MessageId,
			Type:       d.Type,
			Headers:    d.Headers,
			Body:       body,
			Timestamp:  d.Timestamp,

			OwnUser:       own,
			UserID:        user,
			AppID:         d.AppId,
			CorrelationID: d.CorrelationId,
		},
		Queue:         c.queue,
		Redelivered:   d.Redelivered,
		DeliveryCount: deliveryCount(d),
		Arrived:       time.Now(),
		tag:           d.DeliveryTag,
		consumer:      c,
	}
}

// Take waits for one delivery and returns it with those that have arrived, at most limit, in order, without waiting
// for more. It returns ctx's error, ErrSessionLost, ErrConsumerCancelled when the broker cancelled the consumer, and
// after Cancel ErrDrained once all arrived deliveries are taken.
func (c *Consumer) Take(ctx context.Context, limit int) ([]Delivery, error) {
	select {
	case <-c.session.done: // deliveries still here will be redelivered
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

// Waiting is how many deliveries have arrived and are not taken.
func (c *Consumer) Waiting() int { return len(c.arrived) }

// over returns why nothing more arrives. The library ends the deliveries before it reports the end of the session, so
// that report may come a moment later; no other reason is left by then.
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

// Ack acknowledges every delivery this consumer took, up to and including upTo, which must be unacknowledged itself.
// nil means sent, not received: after a lost session a message may be redelivered.
func (c *Consumer) Ack(upTo Delivery) error {
	c.acking.Lock()
	defer c.acking.Unlock()
	err := c.answer("acknowledging", upTo, func() error { return c.channel.Ack(upTo.tag, true) })
	if err == nil {
		c.acked = upTo.tag
	}
	return err
}

// ackOne acknowledges d alone.
func (c *Consumer) ackOne(d Delivery) error {
	return c.answer("acknowledging", d, func() error { return c.channel.Ack(d.tag, false) })
}

func (c *Consumer) answer(doing string, d Delivery, send func() error) error {
	if d.consumer != c || d.tag == 0 { // tag 0 would mean all
		return fmt.Errorf("%s %s: %w", doing, d.ID, ErrForeignDelivery)
	}
	if err := c.session.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", doing, d.ID, err)
	}
	if err := send(); err != nil {
		return fmt.Errorf("%s %s: %w", doing, d.ID, sessionLost(err))
	}
	return nil
}

const (
	settleTime = 2 * time.Second      // after which Cancel waits no longer for the broker to have sent what it will
	settlePoll = 2 * time.Millisecond // between two looks
)

// Cancel stops deliveries. Those that have arrived can still be taken, until Take returns ErrDrained, and
// acknowledged.
//
// A delivery that the broker sends while it cancels would be dropped by the library, and come again with a higher
// count. So Cancel first lets the broker send all that the prefetch allows, or all that the queue has; Ack waits
// meanwhile, for an acknowledgement has the broker send more. What is published to an empty queue at that very moment
// can still be on its way.
func (c *Consumer) Cancel() error {
	if c.draining.Swap(true) {
		return nil
	}
	c.acking.Lock()
	defer c.acking.Unlock()
	for end := time.Now().Add(settleTime); time.Now().Before(end) && !c.settled(); {
		time.Sleep(settlePoll)
	}
	if err := c.channel.Cancel(c.tag, false); err != nil {
		return fmt.Errorf("cancelling the consumer of %s: %w", c.queue, explain(err))
	}
	return nil
}

// settled reports whether the broker has nothing more to send to this consumer.
func (c *Consumer) settled() bool {
	if c.newest.Load()-c.acked >= uint64(cap(c.arrived)) {
		return true
	}
	ready, _, err := c.session.Depth(c.queue)
	return err != nil || ready == 0
}

// Close closes the consumer's channel. Unacknowledged messages return to the queue, and count as delivered.
func (c *Consumer) Close() error {
	c.draining.Store(true)
	if c.closed.Swap(true) {
		return nil
	}
	var err error
	if c.tap {
		_, err = c.channel.QueueDelete(c.queue, false, false, false)
	}
	if err := errors.Join(err, c.channel.Close()); err != nil {
		return fmt.Errorf("closing the consumer of %s: %w", c.queue, explain(err))
	}
	return nil
}
