package exchange

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Confirmation is the broker's answer about one message, now or later.
type Confirmation struct {
	publisher *Publisher
	deferred  *amqp.DeferredConfirmation
	route     route

	settled bool // guarded by the publisher's settling, as is err
	err     error
}

// Wait gives nil when the message is confirmed and routed: it is safe in every queue it belongs to. ErrUnroutable means
// that no queue took it, ErrNacked that a queue refused it, ErrSessionLost that nobody knows. When ctx ends first, its
// error is returned and one may wait again. Any number of goroutines may wait.
func (c *Confirmation) Wait(ctx context.Context) error {
	select {
	case <-c.deferred.Done():
		return c.settle()
	default:
	}
	select {
	case <-c.deferred.Done():
		return c.settle()
	case <-ctx.Done():
		return ctx.Err()
	case <-c.publisher.session.done:
	}
	select {
	case <-c.deferred.Done(): // it had come before the end
		return c.settle()
	default:
		return c.publisher.session.Err()
	}
}

// settle decides the outcome, once. The return of an unroutable message comes before its acknowledgement on the same
// channel, so that it is among the returns by now.
func (c *Confirmation) settle() error {
	p := c.publisher
	p.settling.Lock()
	defer p.settling.Unlock()
	if c.settled {
		return c.err
	}
	c.settled = true
	p.collectReturns()
	switch {
	case !c.deferred.Acked() && p.channel.IsClosed():
		c.err = p.lost()
	case p.returned[c.route] > 0:
		p.returned[c.route]--
		if p.returned[c.route] == 0 {
			delete(p.returned, c.route)
		}
		c.err = fmt.Errorf("%w (exchange %s, routing key %q)", ErrUnroutable, c.route.exchange, c.route.key)
	case !c.deferred.Acked():
		c.err = ErrNacked
	}
	return c.err
}

// lost is why the publisher's channel is closed. The library has told the session, or is about to: it does so before it
// gives up the confirmations.
func (p *Publisher) lost() error {
	select {
	case <-p.closing:
		return fmt.Errorf("%w: the publisher was closed", ErrSessionLost)
	case <-p.session.done:
		return p.session.Err()
	}
}

// collectReturns takes every return that has arrived. The caller holds settling.
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
