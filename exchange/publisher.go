package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

const defaultWindow = 512

// Publisher publishes on a channel of its own, with up to a window of messages unconfirmed. It is safe for concurrent
// use; messages of one goroutine reach the broker in order.
type Publisher struct {
	session *Session
	channel *amqp.Channel
	closing chan struct{} // its owner closed it
	once    sync.Once

	turn     chan struct{}      // held while writing, so that inFlight has the order of the confirms' tags
	window   chan struct{}      // one token per unconfirmed message
	inFlight chan *Confirmation // for the reaper, as long as the window

	settling sync.Mutex // guards what follows, and the confirmations' outcomes
	returns  <-chan amqp.Return
	returned map[route]int // returns whose confirmations have not been settled yet
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
		turn:     make(chan struct{}, 1),
		window:   make(chan struct{}, window),
		inFlight: make(chan *Confirmation, window),
		// Every message in flight may be returned before one confirmation is settled, and the library's reader must not wait.
		returns:  channel.NotifyReturn(make(chan amqp.Return, window)),
		returned: map[route]int{},
	}
	go s.watchChannel(closes)
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
// of the session every call gives ErrSessionLost at once.
//
// A write into a peer that has silently gone may hold a call beyond its ctx, until the heartbeat notices.
func (p *Publisher) Publish(ctx context.Context, m Message) (*Confirmation, error) {
	if err := p.session.config.checkLimits(m); err != nil {
		return nil, err
	}
	if err := p.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.turn }()
	deferred, err := p.channel.PublishWithDeferredConfirm(m.Exchange, m.RoutingKey, true, false, amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent,
		MessageId:    m.ID,
		Type:         m.Type,
		Headers:      amqp.Table(m.Headers),
		Timestamp:    m.Timestamp,
		Body:         m.Body,
	})
	if err != nil {
		<-p.window
		return nil, p.writeFailed(m, err)
	}
	c := &Confirmation{publisher: p, deferred: deferred, route: route{m.Exchange, m.RoutingKey, m.ID}}
	p.inFlight <- c // never waits: it has a place for each token of the window
	return c, nil
}

// takeTurn waits for a place in the window, for the end of an alarm, and for the writers before.
func (p *Publisher) takeTurn(ctx context.Context) error {
	if err := p.session.Err(); err != nil {
		return err
	}
	select {
	case <-p.closing:
		return p.lost()
	default:
	}
	if err := p.await(ctx, p.window); err != nil {
		return err
	}
	for {
		if alarm := p.session.blocked.Load(); alarm != nil {
			select {
			case <-alarm.lifted:
			case <-p.session.done:
			case <-ctx.Done():
				<-p.window
				return ctx.Err()
			}
		}
		if err := p.await(ctx, p.turn); err != nil {
			<-p.window
			return err
		}
		if p.session.blocked.Load() == nil {
			return nil
		}
		<-p.turn
	}
}

// await puts a token into tokens, unless ctx or the session ends before there is room.
func (p *Publisher) await(ctx context.Context, tokens chan<- struct{}) error {
	select {
	case tokens <- struct{}{}:
		return nil
	default:
	}
	select {
	case tokens <- struct{}{}:
		return nil
	case <-p.session.done:
		return p.session.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeFailed tells a message that cannot be encoded, which nobody has seen, from a connection that is gone.
func (p *Publisher) writeFailed(m Message, err error) error {
	if headers := amqp.Table(m.Headers); headers.Validate() != nil {
		return fmt.Errorf("%w: header: %s", ErrUnpublishable, oneLine(err.Error()))
	}
	if errors.Is(err, amqp.ErrClosed) {
		return p.lost()
	}
	p.session.lose(err)
	return p.session.Err()
}

// reap settles confirmations in the order of publishing and frees their places in the window.
func (p *Publisher) reap() {
	for {
		select {
		case c := <-p.inFlight:
			_ = c.Wait(context.Background())
			<-p.window
		case <-p.session.done: // what is still in flight is settled by who waits for it
			return
		case <-p.closing:
			return
		}
	}
}

// InFlight is how many messages have been published and not yet been confirmed.
func (p *Publisher) InFlight() int { return len(p.window) }

// Close closes the publisher's channel. Messages still in flight are in doubt: wait for their confirmations before.
func (p *Publisher) Close() error {
	p.once.Do(func() { close(p.closing) })
	if err := p.channel.Close(); err != nil {
		return fmt.Errorf("closing a publisher: %w", explain(err))
	}
	return nil
}
