package exchange_test

import (
	"errors"
	"testing"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/exchangetest"
)

// Who hears only what is not in the log yet gets what outsiders publish, what is put back to its queue, and nothing else.
func TestUnloggedHearsOutsidersAlone(t *testing.T) {
	t.Parallel()
	config := exchangetest.Vhost(t)
	topology := exchange.Compute([]exchange.Subscription{
		{Worker: "intake", RoutingKeys: []string{saleKey}, Unlogged: true}, {Worker: ledger, RoutingKeys: []string{saleKey}},
	})
	must(t, topology.Apply(patient(t), config))
	session := open(t, config)
	p := publisher(t, session, 16)
	say := func(n int, change func(m *exchange.Message)) error {
		m := sale(n)
		change(&m)
		return publish(t, p, m).Wait(patient(t))
	}
	relayed := func(m *exchange.Message) { m.Headers[exchange.HeaderRelayed] = true }
	must(t, say(1, relayed))
	must(t, say(2, func(m *exchange.Message) { m.Headers = nil }))
	must(t, say(3, func(m *exchange.Message) { m.Headers[exchange.HeaderRelayed] = "not quite" }))
	must(t, say(4, func(m *exchange.Message) { m.Headers = map[string]any{exchange.HeaderLogSeq: int64(4)} }))
	must(t, say(5, func(m *exchange.Message) { m.Exchange, m.RoutingKey = exchange.Retry, exchange.QueueName("intake") }))
	for i, d := range take(t, consumer(t, session, exchange.QueueName("intake"), 16), 4) {
		if want := sale([]int{2, 3, 4, 5}[i]).ID; d.ID != want {
			t.Errorf("intake hears %s, want %s", d.ID, want)
		}
	}
	if n := depth(t, session, ledgerQueue); n != 4 {
		t.Errorf("the ledger has %d messages, want all 4 that were said to everybody", n)
	}

	// Somebody before a filter is bound for it, so the exchange calls it routed; but no queue takes it, and that is said.
	exchangetest.DeleteQueue(t, config, ledgerQueue)
	if err := say(6, relayed); !errors.Is(err, exchange.ErrUnroutable) {
		t.Errorf("publishing what only a filter is bound for: %v", err)
	}
	if n := depth(t, session, exchange.Unrouted); n != 0 {
		t.Errorf("the exchange has diverted %d messages", n)
	}
}

// While an exchange is bound again, whoever hears a message of an outsider hears it no sooner than the one who logs it.
func TestUnloggedIsBoundFirst(t *testing.T) {
	t.Parallel()
	topology := exchange.Compute([]exchange.Subscription{
		{Worker: ledger, RoutingKeys: []string{saleKey}}, {Worker: "zoo", RoutingKeys: []string{saleKey}, Unlogged: true},
	})
	for _, b := range topology.Bindings {
		if b.Exchange != exchange.Events {
			continue
		}
		if b.Destination() != exchange.FilterName("zoo") {
			t.Errorf("%s is bound first", b.Destination())
		}
		return
	}
	t.Error("nobody is bound")
}
