// Package external is an external publisher: it publishes events straight over AMQP, past the event log, as a till or a
// warehouse system outside Composerp does. The demo, the chaos runs and the tests use it.
//
// A confirm says that the broker has the message. Whether the fleet accepts the event is decided later, by intake.
package external

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// Message is the message of an event, addressed to the exchange of all events.
func Message(e event.Any) rabbitmq.Message {
	return rabbitmq.Message{
		Exchange: topology.Events, RoutingKey: e.Type.RoutingKey(), ID: e.ID.String(), Type: string(e.Type), Body: e.Body, Timestamp: e.Timestamp,
	}
}

// Messages are the messages of events, in their order.
func Messages(events []event.Any) []rabbitmq.Message {
	messages := make([]rabbitmq.Message, len(events))
	for i := range events {
		messages[i] = Message(events[i])
	}
	return messages
}

// Publisher publishes over a session that it opens when it first needs one and replaces after an error. Broker is
// needed. It is for one goroutine.
type Publisher struct {
	Broker rabbitmq.Config

	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
}

// Publish publishes messages and waits until the broker has confirmed all of them. After an error any of them may have
// been published: publishing all of them again is safe, because every worker handles an event once.
func (p *Publisher) Publish(ctx context.Context, messages ...rabbitmq.Message) (err error) {
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if err := p.open(ctx); err != nil {
		return err
	}
	confirmations := make([]*rabbitmq.Confirmation, len(messages))
	for i, m := range messages {
		if confirmations[i], err = p.publisher.Publish(ctx, m); err != nil {
			return fmt.Errorf("publishing %s: %w", m.ID, err)
		}
	}
	for i, c := range confirmations {
		if err := c.Wait(ctx); err != nil {
			return fmt.Errorf("publishing %s: %w", messages[i].ID, err)
		}
	}
	return nil
}

// Close closes the session, if one is open. The next Publish opens another.
func (p *Publisher) Close() {
	if p.session != nil {
		_ = p.session.Close()
	}
	p.session, p.publisher = nil, nil
}

func (p *Publisher) open(ctx context.Context) (err error) {
	if p.session != nil {
		return nil
	}
	if p.session, err = rabbitmq.Open(ctx, p.Broker); err != nil {
		return err
	}
	p.publisher, err = p.session.Publisher(0)
	return err
}
