package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const defaultWindow = 512

// Publisher publishes on a channel of its own, with up to a window of messages unconfirmed. It is safe for concurrent
// use; messages of one goroutine reach the broker in order.
//
// One goroutine writes: a write into a connection that the broker does not read hangs until the socket is closed,
// while callers wait for a slot in the window, which their context ends. Another goroutine settles the confirmations,
// in the order of publishing.
type Publisher struct {
	session *Session
	channel *amqp.Channel
	closing chan struct{} // its owner closed it
	once    sync.Once

	window   chan struct{}      // one token per unconfirmed message; the channels below have room for each
	queued   chan *Confirmation // to the writer
	inFlight chan *Confirmation // to the goroutine that settles

	returns  <-chan amqp.Return // read by that goroutine, like the next
	returned map[route]int      // returns whose confirmations are not settled yet
}

// route identifies where a message goes, and which message it is.
type route struct{ exchange, key, id string }

// Publisher opens a publisher with a window of that many messages in flight; 512 unless positive. The broker's
// throughput peaks between 256 and 1024.
func (s *Session) Publisher(window int) (*Publisher, error) {
	window = cmp.Or(max(window, 0), defaultWindow)
	channel, err := s.publishing.Channel()
	if err != nil {
		return nil, fmt.Errorf("opening a publisher: %w", explain(err))
	}
	closes := channel.NotifyClose(make(chan *amqp.Error, 1))
	if err := channel.Confirm(false); err != nil {
		return nil, fmt.Errorf("opening a publisher: %w", explain(err))
	}
	p := &Publisher{
		session:  s,
		channel:  channel,
		closing:  make(chan struct{}),
		window:   make(chan struct{}, window),
		queued:   make(chan *Confirmation, window),
		inFlight: make(chan *Confirmation, window),
		// Every message in flight may be returned before one confirmation is settled, and the library's reader must
		// not block.
		returns:  channel.NotifyReturn(make(chan amqp.Return, window)),
		returned: map[route]int{},
	}
	go s.watchChannel(closes)
	go p.write()
	go p.settle()
	return p, nil
}

// watchChannel ends the session when the broker has closed the channel.
func (s *Session) watchChannel(closes <-chan *amqp.Error) {
	for reason := range closes {
		s.lose(reason)
	}
}

// Publish sends one message and returns its confirmation. It waits while the window is full or the broker blocks
// publishers, until ctx ends. A message over a limit is ErrUnpublishable and is not sent; after the end of the session
// every call returns ErrSessionLost at once. Do not change the message's headers and body until it is confirmed.
func (p *Publisher) Publish(ctx context.Context, m Message) (*Confirmation, error) {
	if err := p.session.config.checkLimits(m); err != nil {
		return nil, err
	}
	if p.over() {
		return nil, p.lost()
	}
	if err := p.acquireSlot(ctx); err != nil {
		return nil, err
	}
	c := &Confirmation{publisher: p, message: m, done: make(chan struct{})}
	p.queued <- c // never blocks: the window bounds it
	return c, nil
}

// acquireSlot waits for the end of an alarm and for a slot in the window.
func (p *Publisher) acquireSlot(ctx context.Context) error {
	if alarm := p.session.blocked.Load(); alarm != nil {
		select {
		case <-alarm.lifted:
		case <-p.session.done:
			return p.lost()
		case <-p.closing:
			return p.lost()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case p.window <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.window <- struct{}{}:
		return nil
	case <-p.session.done:
		return p.lost()
	case <-p.closing:
		return p.lost()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write sends queued messages in order, except while the broker blocks publishers.
func (p *Publisher) write() {
	for {
		select {
		case c := <-p.queued:
			if alarm := p.session.blocked.Load(); alarm != nil {
				select {
				case <-alarm.lifted:
				case <-p.session.done:
				case <-p.closing:
				}
			}
			if err := p.writeAll(c); err != nil {
				if !errors.Is(err, amqp.ErrClosed) { // the closing side reports the cause
					p.session.lose(err)
				}
				return
			}
		case <-p.session.done:
			return
		case <-p.closing:
			return
		}
	}
}

// writeAll sends a message, and those that are queued behind it, in as few pieces as they fit in.
func (p *Publisher) writeAll(c *Confirmation) error {
	writes := p.session.publishing.writes
	writes.hold()
	for {
		if err := p.writeOne(c); err != nil {
			return errors.Join(err, writes.release())
		}
		p.inFlight <- c // never blocks: the window bounds it
		if p.session.blocked.Load() != nil || len(p.queued) == 0 {
			return writes.release()
		}
		c = <-p.queued // nothing else takes from it
	}
}

func (p *Publisher) writeOne(c *Confirmation) (err error) {
	m := c.message
	properties := amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent,
		MessageId:    m.ID,
		Type:         m.Type,
		Headers:      amqp.Table(m.Headers),
		Timestamp:    m.Timestamp,
		Body:         m.Body,

		AppId:         m.AppID,
		CorrelationId: m.CorrelationID,
	}
	if m.OwnUser {
		properties.UserId = p.session.publishing.user
	}
	c.written = time.Now()
	c.deferred, err = p.channel.PublishWithDeferredConfirm(m.Exchange, m.RoutingKey, true, false, properties)
	c.message.Body, c.message.Headers = nil, nil // the caller may keep the confirmation for long
	return err
}

// settle settles confirmations in the order of publishing and frees their slots in the window.
func (p *Publisher) settle() {
	step := time.NewTicker(p.session.config.ConfirmTimeout / confirmTimeoutSteps)
	defer step.Stop()
	ended := p.session.config.Publishing.Opened(p.state)
	defer func() { ended(p.unconfirmed()) }()
	for {
		select {
		case c := <-p.inFlight:
			if !p.awaitConfirm(c, step.C) {
				return
			}
			c.settled(p.outcome(c))
			<-p.window
		case <-p.session.done:
			return
		case <-p.closing:
			return
		}
	}
}

// confirmTimeoutSteps are the parts of ConfirmTimeout; one during which publishers were blocked does not count.
const confirmTimeoutSteps = 4

var errUnconfirmed = errors.New("the broker neither confirms nor refuses a message; its queue may have been deleted")

// awaitConfirm waits for the answer to the oldest message in flight. For a message on its way to a quorum queue that
// is being deleted, the broker never answers (seen with 3.10): the relay, and with it the fleet, would wait for ever.
// Younger messages get their own time, so that a slow broker is not given up.
func (p *Publisher) awaitConfirm(c *Confirmation, step <-chan time.Time) bool {
	select {
	case <-c.deferred.Done():
		return true
	default:
	}
	for waited := 0; waited < confirmTimeoutSteps; {
		select {
		case <-c.deferred.Done():
			return true
		case <-p.session.done:
			return false
		case <-p.closing:
			return false
		case <-step:
			if waited++; p.session.blocked.Load() != nil {
				waited = 0
			}
		}
	}
	p.session.lose(errUnconfirmed)
	return false
}

// outcome is the result of a confirmed message. The return of an unroutable message precedes its acknowledgement, on
// the same channel, so it has been received by now.
func (p *Publisher) outcome(c *Confirmation) error {
	p.collectReturns()
	r := route{c.message.Exchange, c.message.RoutingKey, c.message.ID}
	switch {
	case !c.deferred.Acked() && p.channel.IsClosed():
		return p.lost()
	case p.returned[r] > 0:
		p.returned[r]--
		if p.returned[r] == 0 {
			delete(p.returned, r)
		}
		return fmt.Errorf("%w (exchange %s, routing key %q)", ErrUnroutable, r.exchange, r.key)
	case !c.deferred.Acked():
		return ErrNacked
	default:
		return nil
	}
}

// collectReturns takes every return that has arrived.
func (p *Publisher) collectReturns() {
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				p.returns = nil // closed; a nil channel blocks instead
				return
			}
			p.returned[route{r.Exchange, r.RoutingKey, r.MessageId}]++
		default:
			return
		}
	}
}

// over reports whether publishing has ended.
func (p *Publisher) over() bool {
	select {
	case <-p.session.done:
		return true
	case <-p.closing:
		return true
	default:
		return false
	}
}

// lost returns why no answer arrives any more. The library reports a closed channel's reason to the session before it
// gives up the confirmations.
func (p *Publisher) lost() error {
	select {
	case <-p.closing:
		return fmt.Errorf("%w: the publisher was closed", ErrSessionLost)
	case <-p.session.done:
		return p.session.Err()
	}
}

// unconfirmed is how many messages are accepted and not yet confirmed.
func (p *Publisher) unconfirmed() int { return len(p.window) }

func (p *Publisher) state() (inFlight int, blocked bool) {
	return p.unconfirmed(), p.session.blocked.Load() != nil
}

// Close closes the publisher's channel. Messages still in flight are in doubt: wait for their confirmations first.
func (p *Publisher) Close() error {
	p.once.Do(func() { close(p.closing) })
	if err := p.channel.Close(); err != nil {
		return fmt.Errorf("closing a publisher: %w", explain(err))
	}
	return nil
}
