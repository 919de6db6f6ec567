package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// # Going through a queue
//
// A Sieve goes through a queue once, from its front to where its end was, and leaves in it what its owner does not take
// out. AMQP has no way to look at a message without receiving it, and one that is given back before the end comes again
// at once: so all that stays is held, unacknowledged, until the sieve is closed. Then the queue has it again, in front
// of whatever has arrived meanwhile, in its old order.
//
// Invariants:
//
//   - Only Ack takes a message out. Close, a lost session and a process that dies all give back the rest.
//   - What is held costs no memory here: a delivery that is kept is forgotten, its body with it. What the broker may
//     send ahead is bounded by a window; once all of a window is kept, the next one is opened beside it. Windows are as
//     long as messages are small, and longer only where there would be too many of them: for 500 MB of bodies and more.
//   - The order. All windows are consumers of one channel, and each holds a stretch of the queue. When the channel ends,
//     by Close or because the process dies, the broker gives the stretches back one after the other, each sorted. It does
//     so in turn as long as they are no more than 32, and in no other way (seen on 3.10.8: it keeps consumers in a map,
//     and a larger map has the order of a hash; so have many messages that are given back by nack).
//   - What was acknowledged is gone, or it is said. There is no confirmation of an acknowledgement: the broker passes it
//     on to the queue in its own time, and forgets those it has not passed on when the channel ends (seen: of 300 at once,
//     some). So Close gives it a moment, and counts what the queue has in the end.
//   - It ends. It looks at as many messages as were there when it began, so that what is put back and comes again is not
//     looked at twice; and when fewer are left, because somebody else takes them, it says so instead of waiting.

const (
	// windowBytes is how much memory the bodies of a window shall take, by the mean of what was seen before.
	windowBytes = 16 << 20
	firstWindow = 64
	mostWindows = 32
	maxPrefetch = 65535
	// lull is how long nothing arrives before the sieve asks whether there is anything left.
	lull = time.Second
	// passTime is what acknowledgements get to reach the queue, backTime is how long that may take until it has everything again.
	passTime = 100 * time.Millisecond
	backTime = 5 * time.Second
)

// Sieve is a walk through one queue, for one goroutine.
type QueueBrowser struct {
	session *Session
	channel *amqp.Channel
	queue   string
	tag     string
	ended   <-chan struct{} // the broker cancelled what consumes

	left    int // messages still to be looked at
	absent  int // of those, in another's hand
	seen    int
	bytes   int // of the bodies of those
	acked   int
	ackedAt time.Time
	windows int
	window  *Consumer // the one that receives
	size    int       // how many it may hold
	kept    int       // and how many it holds that stay
}

// Sieve begins to go through a queue. The tag is what the management UI calls its consumers. While it is open nobody
// else should take from the queue: the order would suffer.
func (s *Session) Browse(queue, tag string) (*QueueBrowser, error) {
	ready, _, err := s.Depth(queue)
	if err != nil {
		return nil, fmt.Errorf("going through %s: %w", queue, err)
	}
	channel, err := s.consuming.Channel()
	if err != nil {
		return nil, fmt.Errorf("going through %s: %w", queue, explain(err))
	}
	go s.watchChannel(channel.NotifyClose(make(chan *amqp.Error, 1)))
	return &QueueBrowser{session: s, channel: channel, queue: queue, tag: tag, ended: watchCancel(channel), left: ready}, nil
}

// Left is how many messages are still to be looked at.
func (v *QueueBrowser) Left() int { return v.left }

// Take waits for a message and gives it with whatever else has arrived, at most limit, in the queue's order. Of each the
// caller says Keep, or Ack in the end. After the last it gives ErrDrained; Left then tells how many did not come,
// because somebody else has them.
func (v *QueueBrowser) Take(ctx context.Context, limit int) ([]Delivery, error) {
	for quiet := 0; v.left > 0 && quiet < 2; {
		if v.kept == v.size {
			if err := v.openWindow(); err != nil {
				return nil, err
			}
		}
		waiting, stop := context.WithTimeout(ctx, lull)
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
			quiet = 0 // they come once something in hand is acknowledged
		}
	}
	v.absent = v.left
	return nil, fmt.Errorf("going through %s: %w", v.queue, ErrDrained)
}

func (v *QueueBrowser) note(taken []Delivery) {
	v.left -= len(taken)
	v.seen += len(taken)
	for _, d := range taken {
		v.bytes += len(d.Body)
	}
}

// Keep says of so many deliveries that they stay. They may not be acknowledged any more.
func (v *QueueBrowser) Keep(n int) { v.kept += n }

// Ack takes a delivery out of the queue.
func (v *QueueBrowser) Ack(d Delivery) error {
	if d.consumer == nil || d.consumer.channel != v.channel {
		return fmt.Errorf("acknowledging %s: %w", d.ID, ErrForeignDelivery)
	}
	if err := d.consumer.AckOne(d); err != nil {
		return err
	}
	v.acked++
	v.ackedAt = time.Now()
	return nil
}

// openWindow opens the next consumer. The one before holds its fill and receives nothing more.
func (v *QueueBrowser) openWindow() error {
	size := firstWindow
	if v.seen > 0 {
		size = windowBytes / max(1, v.bytes/v.seen)
	}
	windows := max(1, mostWindows-v.windows)
	v.size = min(max(size, (v.left+windows-1)/windows), maxPrefetch)
	v.windows++
	// The broker sorts consumers by their tags.
	window, err := v.session.consumeOn(v.channel, v.ended, v.queue, fmt.Sprintf("%s.%06d", v.tag, v.windows), v.size)
	if err != nil {
		return fmt.Errorf("going through %s: %w", v.queue, err)
	}
	v.window, v.kept = window, 0
	return nil
}

// Close ends the walk. What was not acknowledged goes back to its place; when Close returns the queue has it again, or
// somebody else has taken it since. returned is how many messages more are there than should be: that have arrived
// meanwhile, or whose acknowledgement did not reach the queue.
func (v *QueueBrowser) Close() (returned int, err error) {
	time.Sleep(time.Until(v.ackedAt.Add(passTime)))
	if err := v.channel.Close(); err != nil {
		return 0, fmt.Errorf("giving back what is left of %s: %w", v.queue, explain(err))
	}
	whole := v.seen - v.acked + v.left - v.absent
	for until := time.Now().Add(backTime); ; time.Sleep(10 * time.Millisecond) {
		ready, consumers, err := v.session.Depth(v.queue)
		if err != nil || consumers == 0 && ready >= whole || time.Now().After(until) {
			return max(0, ready-whole), err
		}
	}
}
