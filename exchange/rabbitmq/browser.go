package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// # Browsing a queue
//
// A QueueBrowser goes through a queue once, from its front to where its end was, and leaves in it everything its
// caller does not acknowledge. AMQP cannot read a message without receiving it, and a requeued message is delivered
// again at once: so all that stays is held, unacknowledged, until the browser is closed. Then it returns to the queue,
// in its old order, ahead of what arrived meanwhile.
//
// Invariants:
//
//   - Only Ack removes a message. Close, a lost session and the death of the process return the rest.
//   - Held messages cost no memory here: Keep forgets the delivery and its body. A window bounds what the broker sends
//     ahead; once all of a window is kept, the next window opens beside it. Windows grow with smaller messages, and
//     beyond that only when there would be too many: from 500 MB of bodies on.
//   - Order. All windows are consumers of one channel, and each holds a stretch of the queue. When the channel ends,
//     the broker returns the stretches one after the other, each sorted. It does so in turn only up to 32 consumers
//     (seen on 3.10.8: it keeps consumers in a map, and a larger map has hash order; the same holds for many nacks).
//   - What was acknowledged is gone, or is reported. AMQP does not confirm acknowledgements: the broker passes them to
//     the queue later, and loses pending ones when the channel ends (seen: of 300 at once, some). So Close waits a
//     moment, and counts the queue's messages at the end.
//   - It ends. It reads as many messages as there were at the beginning, so that returned ones are not read twice;
//     when fewer are left, because another consumer takes them, it says so instead of waiting.

const (
	// windowBytes is the memory for the bodies of a window, by the mean size seen before.
	windowBytes = 16 << 20
	firstWindow = 64
	maxWindows  = 32
	maxPrefetch = 65535
	// quietTime is how long nothing arrives before the browser asks whether anything is left.
	quietTime = time.Second
	// ackTime is how long acknowledgements may take to reach the queue, returnTime how long until all messages are
	// back.
	ackTime    = 100 * time.Millisecond
	returnTime = 5 * time.Second
)

// QueueBrowser goes through one queue, for one goroutine.
type QueueBrowser struct {
	session *Session
	channel *amqp.Channel
	queue   string
	tag     string
	ended   <-chan struct{} // the broker cancelled the consumers

	left    int // messages still to be read
	absent  int // of those, held by another consumer
	seen    int
	bytes   int // of the bodies read
	acked   int
	ackedAt time.Time
	windows int
	window  *Consumer // the one that receives
	size    int       // how many it may hold
	kept    int       // how many of them are kept
}

// Browse begins to go through a queue. The management UI shows the tag as its consumers'. Meanwhile no other consumer
// should take from the queue: the order would suffer.
func (s *Session) Browse(queue, tag string) (*QueueBrowser, error) {
	ready, _, err := s.Depth(queue)
	if err != nil {
		return nil, fmt.Errorf("browsing %s: %w", queue, err)
	}
	channel, err := s.consuming.Channel()
	if err != nil {
		return nil, fmt.Errorf("browsing %s: %w", queue, explain(err))
	}
	go s.watchChannel(channel.NotifyClose(make(chan *amqp.Error, 1)))
	return &QueueBrowser{session: s, channel: channel, queue: queue, tag: tag, ended: watchCancel(channel), left: ready}, nil
}

// Left is how many messages are still to be read.
func (v *QueueBrowser) Left() int { return v.left }

// Take waits for a message and returns it with those that have arrived, at most limit, in the queue's order. For each
// the caller calls Keep or Ack. After the last it returns ErrDrained; Left is then how many another consumer holds.
func (v *QueueBrowser) Take(ctx context.Context, limit int) ([]Delivery, error) {
	for quiet := 0; v.left > 0 && quiet < 2; {
		if v.kept == v.size {
			if err := v.openWindow(); err != nil {
				return nil, err
			}
		}
		waiting, stop := context.WithTimeout(ctx, quietTime)
		taken, err := v.window.Take(waiting, min(limit, v.left))
		stop()
		if err == nil {
			v.note(taken)
			return taken, nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		ready, _, err := v.session.Depth(v.queue)
		if err != nil {
			return nil, err
		}
		if quiet++; ready > 0 {
			quiet = 0 // they arrive once a held message is acknowledged
		}
	}
	v.absent = v.left
	return nil, fmt.Errorf("browsing %s: %w", v.queue, ErrDrained)
}

func (v *QueueBrowser) note(taken []Delivery) {
	v.left -= len(taken)
	v.seen += len(taken)
	for _, d := range taken {
		v.bytes += len(d.Body)
	}
}

// Keep keeps n deliveries in the queue. They cannot be acknowledged any more.
func (v *QueueBrowser) Keep(n int) { v.kept += n }

// Ack removes a delivery from the queue.
func (v *QueueBrowser) Ack(d Delivery) error {
	if d.consumer == nil || d.consumer.channel != v.channel {
		return fmt.Errorf("acknowledging %s: %w", d.ID, ErrForeignDelivery)
	}
	if err := d.consumer.ackOne(d); err != nil {
		return err
	}
	v.acked++
	v.ackedAt = time.Now()
	return nil
}

// openWindow opens the next consumer. The previous one is full and receives nothing more.
func (v *QueueBrowser) openWindow() error {
	size := firstWindow
	if v.seen > 0 {
		size = windowBytes / max(1, v.bytes/v.seen)
	}
	windows := max(1, maxWindows-v.windows)
	v.size = min(max(size, (v.left+windows-1)/windows), maxPrefetch)
	v.windows++
	// The broker sorts consumers by their tags.
	window, err := v.session.consumeOn(v.channel, v.ended, v.queue, fmt.Sprintf("%s.%06d", v.tag, v.windows), v.size)
	if err != nil {
		return fmt.Errorf("browsing %s: %w", v.queue, err)
	}
	v.window, v.kept = window, 0
	return nil
}

// Close ends browsing. When it returns, unacknowledged messages are back in their places, unless another consumer took
// them since. returned is how many more messages there are than expected: new ones, or ones whose acknowledgement did
// not reach the queue.
func (v *QueueBrowser) Close() (returned int, err error) {
	time.Sleep(time.Until(v.ackedAt.Add(ackTime)))
	if err := v.channel.Close(); err != nil {
		return 0, fmt.Errorf("returning the rest of %s: %w", v.queue, explain(err))
	}
	whole := v.seen - v.acked + v.left - v.absent
	for until := time.Now().Add(returnTime); ; time.Sleep(10 * time.Millisecond) {
		ready, consumers, err := v.session.Depth(v.queue)
		if err != nil || consumers == 0 && ready >= whole || time.Now().After(until) {
			return max(0, ready-whole), err
		}
	}
}
