package external_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// environment is a virtual host with the queue of a worker that consumes sales, and a publisher that reaches it through
// a proxy.
func environment(t *testing.T) (*external.Publisher, *proxy.Proxy, rabbitmq.Config) {
	t.Helper()
	t.Parallel()
	broker := rabbitmqtest.Vhost(t)
	sales := topology.Subscription{Worker: "ledger", RoutingKeys: []string{event.TypeSaleCompleted.RoutingKey()}}
	if err := rabbitmq.Apply(t.Context(), topology.Compute([]topology.Subscription{sales}), broker); err != nil {
		t.Fatal(err)
	}
	network, through, err := proxy.Before(broker.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	distant := broker
	distant.URLs = []string{through}
	p := &external.Publisher{Broker: distant}
	t.Cleanup(p.Close)
	return p, network, broker
}

func sales(t *testing.T, n int) []event.Any {
	t.Helper()
	at := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	events := make([]event.Any, n)
	for i := range events {
		id := fmt.Sprintf("sale-%d", i)
		e, err := event.Encode(event.Envelope{ID: uuid.New(), AggregateID: id, TenantID: "t", Timestamp: at}, event.SaleCompleted{
			SaleID: id, ItemID: "A", LocationID: "shop", Quantity: event.NewDecimal(1), Amount: event.NewDecimal(1), Timestamp: at,
		})
		if err != nil {
			t.Fatal(err)
		}
		events[i] = e
	}
	return events
}

// waiting reads the messages of the worker's queue.
func waiting(t *testing.T, broker rabbitmq.Config, n int) []rabbitmq.Delivery {
	t.Helper()
	session, err := rabbitmq.Open(t.Context(), broker)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	consumer, err := session.Consume(topology.QueueName("ledger"), "test", n+1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline(30*time.Second))
	defer cancel()
	var all []rabbitmq.Delivery
	for len(all) < n {
		some, err := consumer.Take(ctx, n)
		if err != nil {
			t.Fatalf("%d of %d messages arrived: %v", len(all), n, err)
		}
		all = append(all, some...)
	}
	return all
}

func TestPublish(t *testing.T) {
	p, _, broker := environment(t)
	events := sales(t, 3)
	if err := p.Publish(t.Context(), external.Messages(events)...); err != nil {
		t.Fatal(err)
	}
	for i, d := range waiting(t, broker, len(events)) {
		e, err := event.DecodeOutside(d.Body)
		if err != nil || e.ID != events[i].ID || d.ID != e.ID.String() || d.Type != string(e.Type) || !d.Timestamp.Equal(e.Timestamp) {
			t.Errorf("message %d is %+v (%v), want event %s", i, d.Message, err, events[i].ID)
		}
	}
}

// After an error the publisher opens another session by itself.
func TestPublishAfterALostSession(t *testing.T) {
	p, network, broker := environment(t)
	events := sales(t, 2)
	if err := p.Publish(t.Context(), external.Message(events[0])); err != nil {
		t.Fatal(err)
	}
	network.Shut()
	if err := p.Publish(t.Context(), external.Message(events[1])); !errors.Is(err, rabbitmq.ErrSessionLost) && !errors.Is(err, rabbitmq.ErrUnreachable) {
		t.Fatalf("publishing without a network: %v", err)
	}
	network.Open()
	if err := p.Publish(t.Context(), external.Message(events[1])); err != nil {
		t.Fatalf("publishing once the network is back: %v", err)
	}
	waiting(t, broker, len(events))
}

func TestPublishUntilConfirmed(t *testing.T) {
	p, network, broker := environment(t)
	message := external.Message(sales(t, 1)[0])
	network.Shut()
	short, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if err := rabbitmqtest.PublishUntilConfirmed(short, p, message); err == nil {
		t.Fatal("a message was confirmed without a network")
	}
	done := make(chan error, 1)
	go func() { done <- rabbitmqtest.PublishUntilConfirmed(t.Context(), p, message) }()
	network.Open()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	waiting(t, broker, 1)
}
