package rabbitmq_test

import (
	"errors"
	"net/url"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// What the broker holds, by AMQP alone and by its management API, and what it lacks of a topology.
func TestWhatTheBrokerHolds(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	want := topology.Compute([]topology.Subscription{{Worker: ledger, RoutingKeys: []string{saleKey}}})
	session := open(t, config)
	have, states, err := session.InspectTopology(want)
	must(t, err)
	if missing := want.Missing(have); !missing.Empty() || len(states) != len(want.Queues) || states[0].Consumers != 0 || !states[0].Counted {
		t.Errorf("of what is there %+v is missing, and the states are %+v", missing, states)
	}
	rabbitmqtest.DeleteExchange(t, config, topology.Dead)
	rabbitmqtest.DeleteQueue(t, config, ledgerQueue)
	have, states, err = session.InspectTopology(want)
	must(t, err)
	lacks := func(have topology.Topology, bindings int) {
		t.Helper()
		missing := want.Missing(have)
		if len(missing.Exchanges) != 1 || missing.Exchanges[0].Name != topology.Dead || len(missing.Queues) != 1 || missing.Queues[0].Name != ledgerQueue ||
			len(missing.Bindings) != bindings || missing.Empty() {
			t.Errorf("%+v is missing, want the exchange, the queue and %d bindings", missing, bindings)
		}
	}
	lacks(have, 4) // two of composerp.dead, two of the queue
	if len(states) != len(want.Queues)-1 {
		t.Errorf("%d queues have a state", len(states))
	}
	have, err = rabbitmqtest.Management(t).Topology(t.Context(), rabbitmqtest.VhostOf(t, config))
	must(t, err)
	lacks(have, 4)
	must(t, rabbitmq.Apply(t.Context(), want.Missing(have), config))
	rabbitmqtest.DeleteBinding(t, config, topology.BindingSpec{Exchange: topology.Events, Queue: ledgerQueue, RoutingKey: saleKey})
	have, err = rabbitmqtest.Management(t).Topology(t.Context(), rabbitmqtest.VhostOf(t, config))
	must(t, err)
	if missing := want.Missing(have); len(missing.Bindings) != 1 || len(missing.Exchanges)+len(missing.Queues) != 0 {
		t.Errorf("%+v is missing, want one binding", missing)
	}
}

// From 4.3 on the broker tells only users with some permission on a queue or exchange whether it exists. A fleet with
// fewer permissions than all has one on each of its names.
func TestInspectingTakesOnePermission(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	want := topology.Compute([]topology.Subscription{{Worker: ledger, RoutingKeys: []string{saleKey}}})
	user := rabbitmqtest.User(t, config, "secret")
	its := withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(user, "secret") })
	overview, err := rabbitmqtest.Management(t).Overview(t.Context())
	must(t, err)
	for _, c := range []struct {
		configure, write, read string
		refused                bool
	}{
		{configure: ".*"}, {write: ".*"}, {read: ".*"}, {refused: !overview.Before("4.3")},
	} {
		rabbitmqtest.Restrict(t, config, user, c.configure, c.write, c.read)
		have, _, err := open(t, its).InspectTopology(want)
		if c.refused != errors.Is(err, rabbitmq.ErrAccessRefused) || !c.refused && (err != nil || !want.Missing(have).Empty()) {
			t.Errorf("RabbitMQ %s with %+v: %v", overview.Version, c, err)
		}
	}
}

// A permission that is taken away shows on a new channel, while old ones go on.
func TestWhatIsPermitted(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	user := rabbitmqtest.User(t, config, "secret")
	its := withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(user, "secret") })
	session := open(t, its)
	allowed := func(declare, publish bool) {
		t.Helper()
		session := session
		if session.Err() != nil {
			session = open(t, its)
		}
		err, refused := session.CheckPermissions()
		if (err == nil) != declare || err != nil && !errors.Is(err, rabbitmq.ErrAccessRefused) {
			t.Errorf("declaring: %v, want it allowed: %v", err, declare)
		}
		if err := refused; (err == nil) != publish || err != nil && !errors.Is(err, rabbitmq.ErrAccessRefused) {
			t.Errorf("publishing: %v, want it allowed: %v", err, publish)
		}
		if ended := session.Err(); publish && ended != nil {
			t.Errorf("the session has ended: %v", ended)
		}
	}
	allowed(true, true)
	rabbitmqtest.Restrict(t, config, user, "^$", ".*", ".*")
	allowed(false, true)
	rabbitmqtest.Restrict(t, config, user, ".*", `^composerp\.(events|retry)$`, ".*")
	allowed(false, true)
	rabbitmqtest.Restrict(t, config, user, ".*", "^composerp.unrouted$", ".*")
	allowed(true, false)
	rabbitmqtest.Restrict(t, config, user, ".*", ".*", ".*")
	allowed(true, true)
	rabbitmqtest.DeleteQueue(t, config, ledgerQueue)
	allowed(true, true)
	if _, _, err := open(t, config).Depth(ledgerQueue); !errors.Is(err, rabbitmq.ErrMissing) {
		t.Errorf("asking for permission has made a queue: %v", err)
	}
}
