package exchange_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/exchangetest"
)

const (
	saleKey = "integration.sale_completed"
	ledger  = "ledger"
	rung    = 200 * time.Millisecond
)

var ledgerQueue = exchange.QueueName(ledger)

// patient is a context that ends a test which would otherwise hang.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(30*time.Second))
	t.Cleanup(cancel)
	return ctx
}

// soon polls until what holds, or fails the test.
func soon(t testing.TB, what string, holds func() bool) {
	t.Helper()
	localtest.Eventually(t, 20*time.Second, what, holds)
}

// withLedger is a virtual host with the topology of one worker.
func withLedger(t testing.TB) exchange.Config {
	t.Helper()
	config := exchangetest.Vhost(t)
	topology := exchange.Compute([]exchange.Subscription{{Worker: ledger, RoutingKeys: []string{saleKey}, Ladder: []time.Duration{rung}}})
	must(t, topology.Apply(patient(t), config))
	return config
}

func open(t testing.TB, config exchange.Config) *exchange.Session {
	t.Helper()
	session, err := exchange.Open(patient(t), config)
	must(t, err)
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func publisher(t testing.TB, session *exchange.Session, window int) *exchange.Publisher {
	t.Helper()
	p, err := session.Publisher(window)
	must(t, err)
	return p
}

func consumer(t testing.TB, session *exchange.Session, queue string, prefetch int) *exchange.Consumer {
	t.Helper()
	c, err := session.Consume(queue, queue+".slot", prefetch)
	must(t, err)
	return c
}

func sale(n int) exchange.Message {
	return exchange.Message{
		Exchange:   exchange.Events,
		RoutingKey: saleKey,
		ID:         fmt.Sprintf("sale-%06d", n),
		Type:       "SALE_COMPLETED",
		Headers:    map[string]any{exchange.HeaderLogSeq: int64(n)},
		Body:       []byte(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

// publishSales publishes n of them and waits until all are confirmed.
func publishSales(t testing.TB, session *exchange.Session, n int) {
	t.Helper()
	p := publisher(t, session, 1024)
	confirmations := make([]*exchange.Confirmation, n)
	for i := range n {
		confirmations[i] = publish(t, p, sale(i))
	}
	for _, c := range confirmations {
		must(t, c.Wait(patient(t)))
	}
}

func publish(t testing.TB, p *exchange.Publisher, m exchange.Message) *exchange.Confirmation {
	t.Helper()
	c, err := p.Publish(patient(t), m)
	must(t, err)
	return c
}

// take takes exactly n deliveries.
func take(t testing.TB, c *exchange.Consumer, n int) []exchange.Delivery {
	t.Helper()
	var taken []exchange.Delivery
	for len(taken) < n {
		some, err := c.Take(patient(t), n-len(taken))
		must(t, err)
		taken = append(taken, some...)
	}
	return taken
}

func depth(t testing.TB, session *exchange.Session, queue string) int {
	t.Helper()
	ready, _, err := session.Depth(queue)
	must(t, err)
	return ready
}

// raw is a channel of the library, for what this package does not do.
func raw(t testing.TB, config exchange.Config) *amqp.Channel {
	t.Helper()
	connection, err := amqp.Dial(config.URLs[0])
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	channel, err := connection.Channel()
	must(t, err)
	return channel
}

// withURL is config with something changed in its URL.
func withURL(t testing.TB, config exchange.Config, change func(u *url.URL)) exchange.Config {
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
