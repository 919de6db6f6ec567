package rabbitmq_test

import (
	"errors"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// An external-only worker gets external publishers' events, what is put back into its queue, and nothing else.
func TestExternalOnlyGetsNoRelayedEvents(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	want := topology.Compute([]topology.Subscription{
		{Worker: "intake", RoutingKeys: []string{saleKey}, ExternalOnly: true}, {Worker: ledger, RoutingKeys: []string{saleKey}},
	})
	must(t, rabbitmq.Apply(testContext(t), want, config))
	session := open(t, config)
	p := publisher(t, session, 16)
	inject := func(n int, change func(m *rabbitmq.Message)) error {
		m := sale(n)
		change(&m)
		return publish(t, p, m).Wait(testContext(t))
	}
	relayed := func(m *rabbitmq.Message) { m.Headers[topology.HeaderRelayed] = true }
	must(t, inject(1, relayed))
	must(t, inject(2, func(m *rabbitmq.Message) { m.Headers = nil }))
	must(t, inject(3, func(m *rabbitmq.Message) { m.Headers[topology.HeaderRelayed] = "not quite" }))
	must(t, inject(4, func(m *rabbitmq.Message) { m.Headers = map[string]any{rabbitmq.HeaderLogSeq: int64(4)} }))
	must(t, inject(5, func(m *rabbitmq.Message) { m.Exchange, m.RoutingKey = topology.Retry, topology.QueueName("intake") }))
	for i, d := range take(t, consumer(t, session, topology.QueueName("intake"), 16), 4) {
		if want := sale([]int{2, 3, 4, 5}[i]).ID; d.ID != want {
			t.Errorf("intake consumes %s, want %s", d.ID, want)
		}
	}
	if n := depth(t, session, ledgerQueue); n != 4 {
		t.Errorf("the ledger has %d messages, want all 4 events", n)
	}

	// The filter is bound, so the exchange calls it routed; but no queue takes it, and that is reported.
	rabbitmqtest.DeleteQueue(t, config, ledgerQueue)
	if err := inject(6, relayed); !errors.Is(err, rabbitmq.ErrUnroutable) {
		t.Errorf("publishing what only a filter is bound for: %v", err)
	}
	if n := depth(t, session, topology.Unrouted); n != 0 {
		t.Errorf("the exchange has diverted %d messages", n)
	}
}

// While an exchange is bound again, no worker gets an external publisher's event before the worker that logs it.
func TestExternalOnlyIsBoundFirst(t *testing.T) {
	t.Parallel()
	want := topology.Compute([]topology.Subscription{
		{Worker: ledger, RoutingKeys: []string{saleKey}}, {Worker: "zoo", RoutingKeys: []string{saleKey}, ExternalOnly: true},
	})
	for _, b := range want.Bindings {
		if b.Exchange != topology.Events {
			continue
		}
		if b.Destination() != topology.FilterName("zoo") {
			t.Errorf("%s is bound first", b.Destination())
		}
		return
	}
	t.Error("no queue is bound")
}
