package rabbitmq

import (
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
// One goroutine writes, because a write into a connection that the broker does not read from hangs, and nothing but
// closing the socket ends it: those who publish wait for a place in the window instead, which their context ends.
// Another settles the confirmations, in the order of publishing.
type Publisher struct {
	session *Session
	channel *amqp.Channel
	closing chan struct{} // its owner closed it
	once    sync.Once

	window   chan struct{}      // one token per unconfirmed message; what follows has a place for each
	queued   chan *Confirmation // to the writer
	inFlight chan *Confirmation // to the reaper

	returns  <-chan amqp.Return // the reaper's, like the next
	returned map[route]int      // returns whose confirmations have not been settled yet
}

// route is what decides where a message goes, and which message it is.
type route struct{ exchange, key, id string }

// Publisher opens a publisher with a window of that many messages in flight; 512 where it is not positive. The broker
// reaches its limit between 256 and 1024.
func (s *Session) Publisher(window int) (*Publisher, error) {
	if window <= 0 {
		window = defaultWindow
	}
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
		// Every message in flight may be returned before one confirmation is settled, and the library's reader must not wait.
		returns:  channel.NotifyReturn(make(chan amqp.Return, window)),
		returned: map[route]int{},
	}
	go s.watchChannel(closes)
	go p.write()
	go p.reap()
	return p, nil
}

// watchChannel ends the session with a channel that the broker has closed.
func (s *Session) watchChannel(closes <-chan *amqp.Error) {
	for reason := range closes {
		s.lose(reason)
	}
}

// Publish sends one message and gives its confirmation to wait for. It waits while the window is full or the broker
// blocks publishers, until ctx ends. A message over a limit gives ErrUnpublishable and nothing is sent; after the end
// of the session every call gives ErrSessionLost at once. The message's headers and body may not be changed until it is
// confirmed.
func (p *Publisher) Publish(ctx context.Context, m Message) (*Confirmation, error) {
	if err := p.session.config.checkLimits(m); err != nil {
		return nil, err
	}
	if p.over() {
		return nil, p.lost()
	}
	if err := p.takePlace(ctx); err != nil {
		return nil, err
	}
	c := &Confirmation{publisher: p, message: m, done: make(chan struct{})}
	p.queued <- c // there is a place for it
	return c, nil
}

// takePlace waits for the end of an alarm and for a place in the window.
func (p *Publisher) takePlace(ctx context.Context) error {
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

// write writes what is queued, in order, except while the broker blocks publishers.
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
			if err := p.writeOne(c); err != nil {
				if !errors.Is(err, amqp.ErrClosed) { // whoever closed it says more
					p.session.lose(err)
				}
				return
			}
			p.inFlight <- c // there is a place for it
		case <-p.session.done:
			return
		case <-p.closing:
			return
		}
	}
}

func (p *Publisher) writeOne(c *Confirmation) (err error) {
	m := c.message
	c.deferred, err = p.channel.PublishWithDeferredConfirm(m.Exchange, m.RoutingKey, true, false, amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent,
		MessageId:    m.ID,
		Type:         m.Type,
		Headers:      amqp.Table(m.Headers),
		Timestamp:    m.Timestamp,
		Body:         m.Body,
	})
	c.message.Body, c.message.Headers = nil, nil // the confirmation may be kept for long
	return err
}

// reap settles confirmations in the order of publishing and frees their places in the window.
func (p *Publisher) reap() {
	step := time.NewTicker(p.session.config.ConfirmTimeout / confirmTimeoutSteps)
	defer step.Stop()
	for {
		select {
		case c := <-p.inFlight:
			if !p.answered(c, step.C) {
				return
			}
			c.err = p.outcome(c)
			close(c.done)
			<-p.window
		case <-p.session.done:
			return
		case <-p.closing:
			return
		}
	}
}

// patienceSteps are the parts in which the patience for a confirm runs out; one in which publishers were blocked does not count.
const confirmTimeoutSteps = 4

var errUnconfirmed = errors.New("the broker neither confirms a message nor refuses it; its queue may have been deleted meanwhile")

// answered waits for the broker's word about the oldest message in flight. Of a message that is on its way to a quorum
// queue while that is deleted, the broker never says a word (seen with 3.10): whoever waited for it would wait for ever, and
// with the relay the whole fleet. What is younger gets its own time, so that a broker which is only slow is not given up.
func (p *Publisher) answered(c *Confirmation, step <-chan time.Time) bool {
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

// outcome is what became of a message whose confirmation is here. The return of an unroutable message comes before its
// acknowledgement, on the same channel, so that it is among the returns by now.
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
				p.returns = nil // the channel is closed; a nil channel gives nothing
				return
			}
			p.returned[route{r.Exchange, r.RoutingKey, r.MessageId}]++
		default:
			return
		}
	}
}

// over says whether nothing can be published any more.
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

// lost is why nothing more comes back. When the channel is closed, the library has told the session why, or is about
// to: it does so before it gives up the confirmations.
func (p *Publisher) lost() error {
	select {
	case <-p.closing:
		return fmt.Errorf("%w: the publisher was closed", ErrSessionLost)
	case <-p.session.done:
		return p.session.Err()
	}
}

// InFlight is how many messages have been taken and not yet been confirmed.
func (p *Publisher) InFlight() int { return len(p.window) }

// Close closes the publisher's channel. Messages still in flight are in doubt: wait for their confirmations before.
func (p *Publisher) Close() error {
	p.once.Do(func() { close(p.closing) })
	if err := p.channel.Close(); err != nil {
		return fmt.Errorf("closing a publisher: %w", explain(err))
	}
	return nil
}
