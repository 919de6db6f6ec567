package rabbitmq_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

const (
	saleKey    = "integration.sale_completed"
	ledger     = "ledger"
	retryDelay = 200 * time.Millisecond
)

var ledgerQueue = topology.QueueName(ledger)

// testContext is a context that ends a test which would otherwise hang.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(30*time.Second))
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until the condition holds, or fails the test.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	localtest.Eventually(t, 20*time.Second, what, holds)
}

// withLedger is a virtual host with the topology of one worker.
func withLedger(t testing.TB) rabbitmq.Config {
	t.Helper()
	config := rabbitmqtest.Vhost(t)
	topology := topology.Compute([]topology.Subscription{{Worker: ledger, RoutingKeys: []string{saleKey}, RetryDelays: []time.Duration{retryDelay}}})
	must(t, rabbitmq.Apply(testContext(t), topology, config))
	return config
}

func open(t testing.TB, config rabbitmq.Config) *rabbitmq.Session {
	t.Helper()
	session, err := rabbitmq.Open(testContext(t), config)
	must(t, err)
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func publisher(t testing.TB, session *rabbitmq.Session, window int) *rabbitmq.Publisher {
	t.Helper()
	p, err := session.Publisher(window)
	must(t, err)
	return p
}

func consumer(t testing.TB, session *rabbitmq.Session, queue string, prefetch int) *rabbitmq.Consumer {
	t.Helper()
	c, err := session.Consume(queue, queue+".slot", prefetch)
	must(t, err)
	return c
}

func sale(n int) rabbitmq.Message {
	return rabbitmq.Message{
		Exchange:   topology.Events,
		RoutingKey: saleKey,
		ID:         fmt.Sprintf("sale-%06d", n),
		Type:       "SALE_COMPLETED",
		Headers:    map[string]any{rabbitmq.HeaderLogSeq: int64(n)},
		Body:       []byte(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

// publishSales publishes n of them and waits until all are confirmed.
func publishSales(t testing.TB, session *rabbitmq.Session, n int) {
	t.Helper()
	p := publisher(t, session, 1024)
	confirmations := make([]*rabbitmq.Confirmation, n)
	for i := range n {
		confirmations[i] = publish(t, p, sale(i))
	}
	for _, c := range confirmations {
		must(t, c.Wait(testContext(t)))
	}
}

func publish(t testing.TB, p *rabbitmq.Publisher, m rabbitmq.Message) *rabbitmq.Confirmation {
	t.Helper()
	c, err := p.Publish(testContext(t), m)
	must(t, err)
	return c
}

// take takes exactly n deliveries.
func take(t testing.TB, c *rabbitmq.Consumer, n int) []rabbitmq.Delivery {
	t.Helper()
	var taken []rabbitmq.Delivery
	for len(taken) < n {
		some, err := c.Take(testContext(t), n-len(taken))
		must(t, err)
		taken = append(taken, some...)
	}
	return taken
}

func depth(t testing.TB, session *rabbitmq.Session, queue string) int {
	t.Helper()
	ready, _, err := session.Depth(queue)
	must(t, err)
	return ready
}

// raw is a channel of the library, for what this package does not do.
func raw(t testing.TB, config rabbitmq.Config) *amqp.Channel {
	t.Helper()
	connection, err := amqp.Dial(config.URLs[0])
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	channel, err := connection.Channel()
	must(t, err)
	return channel
}

// withURL is config with something changed in its URL.
func withURL(t testing.TB, config rabbitmq.Config, change func(u *url.URL)) rabbitmq.Config {
	t.Helper()
	u, err := url.Parse(config.URLs[0])
	must(t, err)
	change(u)
	config.URLs = []string{u.String()}
	return config
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
