package exchange_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/exchangetest"
)

// What the broker holds, by AMQP alone and by its management API, and what it lacks of a topology.
func TestWhatTheBrokerHolds(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	topology := exchange.Compute([]exchange.Subscription{{Worker: ledger, RoutingKeys: []string{saleKey}}})
	session := open(t, config)
	have, states, err := session.Holds(topology)
	must(t, err)
	if missing := topology.Missing(have); !missing.Empty() || len(states) != len(topology.Queues) || states[0].Consumers != 0 || !states[0].Counted {
		t.Errorf("of what is there %+v is missing, and the states are %+v", missing, states)
	}
	exchangetest.DeleteExchange(t, config, exchange.Dead)
	exchangetest.DeleteQueue(t, config, ledgerQueue)
	have, states, err = session.Holds(topology)
	must(t, err)
	lacks := func(have exchange.Topology, bindings int) {
		t.Helper()
		missing := topology.Missing(have)
		if len(missing.Exchanges) != 1 || missing.Exchanges[0].Name != exchange.Dead || len(missing.Queues) != 1 || missing.Queues[0].Name != ledgerQueue ||
			len(missing.Bindings) != bindings || missing.Empty() {
			t.Errorf("%+v is missing, want the exchange, the queue and %d bindings", missing, bindings)
		}
	}
	lacks(have, 4) // two of composerp.dead, two of the queue
	if len(states) != len(topology.Queues)-1 {
		t.Errorf("%d queues have a state", len(states))
	}
	have, err = exchangetest.Management(t).Topology(t.Context(), exchangetest.VhostOf(t, config))
	must(t, err)
	lacks(have, 4)
	must(t, topology.Missing(have).Apply(t.Context(), config))
	exchangetest.DeleteBinding(t, config, exchange.BindingSpec{Exchange: exchange.Events, Queue: ledgerQueue, RoutingKey: saleKey})
	have, err = exchangetest.Management(t).Topology(t.Context(), exchangetest.VhostOf(t, config))
	must(t, err)
	if missing := topology.Missing(have); len(missing.Bindings) != 1 || len(missing.Exchanges)+len(missing.Queues) != 0 {
		t.Errorf("%+v is missing, want one binding", missing)
	}
}

// A permission that is taken away shows on a new channel, while old ones go on.
func TestWhatIsPermitted(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	user := exchangetest.User(t, config, "secret")
	its := withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(user, "secret") })
	session := open(t, its)
	allowed := func(declare, publish bool) {
		t.Helper()
		session := session
		if session.Err() != nil {
			session = open(t, its)
		}
		if err := session.MayDeclare(); (err == nil) != declare || err != nil && !errors.Is(err, exchange.ErrAccessRefused) {
			t.Errorf("declaring: %v, want it allowed: %v", err, declare)
		}
		err := session.MayPublish(patient(t))
		if (err == nil) != publish || err != nil && !errors.Is(err, exchange.ErrAccessRefused) {
			t.Errorf("publishing: %v, want it allowed: %v", err, publish)
		}
		if ended := session.Err(); publish && ended != nil {
			t.Errorf("the session has ended: %v", ended)
		}
	}
	allowed(true, true)
	exchangetest.Restrict(t, config, user, "^$", ".*", ".*")
	allowed(false, true)
	exchangetest.Restrict(t, config, user, ".*", `^composerp\.(events|retry)$`, ".*")
	allowed(false, true)
	exchangetest.Restrict(t, config, user, ".*", "^composerp.unrouted$", ".*")
	allowed(true, false)
	exchangetest.Restrict(t, config, user, ".*", ".*", ".*")
	allowed(true, true)
	exchangetest.DeleteQueue(t, config, ledgerQueue)
	allowed(true, true)
	if _, _, err := open(t, config).Depth(ledgerQueue); !errors.Is(err, exchange.ErrMissing) {
		t.Errorf("asking for permission has made a queue: %v", err)
	}
}
