package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/topologytest"
)

func TestApplyDeclaresEverythingAndAgain(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	topology := topology.Compute(topologytest.Fleet())
	must(t, rabbitmq.Apply(testContext(t), topology, config))
	must(t, rabbitmq.Apply(testContext(t), topology, config))
	session := open(t, config)
	for _, q := range topology.Queues {
		depth(t, session, q.Name)
	}
}

func TestApplyNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	want := topology.Compute(topologytest.Fleet())
	channel := raw(t, config)
	must(t, channel.ExchangeDeclare(topology.Dead, "fanout", true, false, false, false, nil))
	old := amqp.Table{}
	for _, q := range want.Queues {
		if q.Name == ledgerQueue {
			for name, value := range q.Arguments {
				old[name] = value
			}
		}
	}
	old["x-delivery-limit"] = int64(20)
	_, err := channel.QueueDeclare(ledgerQueue, true, false, false, false, old)
	must(t, err)

	err = rabbitmq.Apply(testContext(t), want, config)
	checkLine(t, err, rabbitmq.ErrMismatch, "declaring queue composerp.ledger: its x-delivery-limit is '20' on the broker")
	for _, part := range []string{"want", "1000", "empty and delete queue composerp.ledger", "declaring exchange composerp.dead: its type is"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("it does not say %q", part)
		}
	}
	// The rest is declared nevertheless.
	depth(t, open(t, config), topology.RetryQueueName("ledger", topologytest.Fleet()[0].RetryDelays[0]))
}

// A loaded broker ends the connection instead of making a queue, and makes it when it is asked again.
func TestApplyAsksALoadedBrokerAgain(t *testing.T) {
	t.Parallel()
	direct := rabbitmqtest.Vhost(t)
	broker, config := throughProxy(t, direct)
	broker.failing.Store(2)
	want := topology.Compute(topologytest.Fleet())
	must(t, rabbitmq.Apply(testContext(t), want, config))
	if left := broker.failing.Load(); left >= 0 {
		t.Errorf("the broker was to fail %d times more", left)
	}
	session := open(t, direct)
	for _, q := range want.Queues {
		depth(t, session, q.Name)
	}
}

func TestApplyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, rabbitmqtest.Vhost(t))
	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() { ended <- rabbitmq.Apply(ctx, topology.Compute(topologytest.Fleet()), config) }()
	broker.toClient.hold()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Apply gives %v", err)
	}
}
