package roles_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/exchange/topology/topologytest"
)

// fleet has two workers of every kind, so that each has a neighbour to keep out of.
func fleet() []topology.Subscription {
	return append(topologytest.Fleet(),
		topology.Subscription{Worker: "stockview", RoutingKeys: []string{"inventory.updated"}, RetryDelays: []time.Duration{time.Minute},
			Ordered: true, Lanes: topology.Lanes{Routed: 2, Consumed: 2}},
		topology.Subscription{Worker: "ledger2", RoutingKeys: []string{"integration.sale_completed"}, RetryDelays: []time.Duration{time.Minute}})
}

func TestAccessIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(roles.AccessTo("composerp", roles.Of(fleet()), nil), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/access.json", string(got)+"\n")
}

// RabbitMQ 4.3 refuses patterns of more than about a thousand characters.
func TestNoPatternIsLong(t *testing.T) {
	t.Parallel()
	var many []topology.Subscription
	for i := range 100 {
		many = append(many, topology.Subscription{Worker: fmt.Sprintf("worker%d", i), RetryDelays: []time.Duration{time.Second, time.Minute, time.Hour}})
	}
	for _, g := range roles.Of(many) {
		for _, pattern := range []string{g.Configure, g.Write, g.Read} {
			if len(pattern) > 500 {
				t.Errorf("%s has a pattern of %d characters", g.Role, len(pattern))
			}
		}
	}
}

// act is something that a user of a broker may or may not do.
type act func(ctx context.Context, config rabbitmq.Config) error

func publish(exchange, key string) act {
	return inSession(func(ctx context.Context, s *rabbitmq.Session) error {
		p, err := s.Publisher(1)
		if err != nil {
			return err
		}
		sent, err := p.Publish(ctx, rabbitmq.Message{Exchange: exchange, RoutingKey: key, ID: "1", Type: "TEST"})
		if err == nil {
			err = sent.Wait(ctx)
		}
		if errors.Is(err, rabbitmq.ErrUnroutable) {
			return nil
		}
		return err
	})
}

func consume(queue string) act {
	return inSession(func(_ context.Context, s *rabbitmq.Session) error {
		c, err := s.Consume(queue, "test", 1)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func tap(exchange, key string) act {
	return inSession(func(_ context.Context, s *rabbitmq.Session) error {
		c, err := s.Tap(exchange, []string{key}, topology.RedrivePrefix+"ledger.test")
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func remove(queue string) act {
	return inSession(func(_ context.Context, s *rabbitmq.Session) error {
		_, err := s.DeleteIdle(queue)
		return err
	})
}

func declare(t topology.Topology) act {
	return func(ctx context.Context, config rabbitmq.Config) error { return rabbitmq.Apply(ctx, t, config) }
}

func ask(queue string) act {
	return inSession(func(_ context.Context, s *rabbitmq.Session) error {
		_, _, err := s.Depth(queue)
		return err
	})
}

func bind(exchange, queue, key string) act {
	return declare(topology.Topology{Bindings: []topology.BindingSpec{{Exchange: exchange, Queue: queue, RoutingKey: key}}})
}

func inSession(do func(context.Context, *rabbitmq.Session) error) act {
	return func(ctx context.Context, config rabbitmq.Config) error {
		session, err := rabbitmq.Open(ctx, config)
		if err != nil {
			return err
		}
		defer session.Close()
		return do(ctx, session)
	}
}

const (
	sale  = "integration.sale_completed"
	stock = "inventory.updated"
)

// Each role can do what its part of the fleet does, and the broker refuses it the rest.
func TestTheBrokerKeepsEachRoleToItsWork(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	all := topology.Compute(fleet())
	another := topology.Topology{Queues: []topology.QueueSpec{{Name: "composerp.other", Arguments: map[string]any{"x-queue-type": "quorum"}}}}
	users := rabbitmqtest.Roles(t, config, fleet())
	ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline(2*time.Minute))
	defer cancel()
	if err := rabbitmq.Apply(ctx, all, users[roles.Topology]); err != nil {
		t.Fatalf("the role topology cannot declare the fleet's topology: %v", err)
	}
	if err := rabbitmq.Apply(ctx, another, config); err != nil {
		t.Fatal(err)
	}
	ledger, view, letters := roles.Worker("ledger"), roles.Worker("stockview"), roles.Worker("deadletterlog")
	lane := topology.LaneQueueName("stockview", 1, 2)
	for _, c := range []struct {
		role  roles.Role
		what  string
		act   act
		works bool
	}{
		{roles.Publisher, "publishes a sale", publish(topology.Events, sale), true},
		{roles.Publisher, "publishes an event of the fleet's", publish(topology.Events, stock), false},
		{roles.Publisher, "publishes to a worker", publish(topology.Retry, "composerp.ledger"), false},
		{roles.Publisher, "publishes a dead letter", publish(topology.Dead, "composerp.ledger"), false},
		{roles.Publisher, "publishes to a queue by its name", publish("", "composerp.ledger"), false},
		{roles.Publisher, "publishes around the routing", publish(topology.ExternalName("intake"), ""), false},
		{roles.Publisher, "consumes", consume("composerp.ledger"), false},
		{roles.Publisher, "declares a queue", declare(all), false},
		{roles.Publisher, "binds", bind(topology.Events, "composerp.ledger", "#"), false},

		{roles.Relay, "publishes a sale", publish(topology.Events, sale), true},
		{roles.Relay, "publishes an event of the fleet's", publish(topology.Events, stock), true},
		{roles.Relay, "diverts", publish(topology.Unrouted, ""), true},
		{roles.Relay, "republishes to a worker", publish(topology.Retry, "composerp.stockview"), true},
		{roles.Relay, "takes unrouted events", consume(topology.Unrouted), true},
		{roles.Relay, "publishes a dead letter", publish(topology.Dead, "composerp.ledger"), false},
		{roles.Relay, "publishes to a queue by its name", publish("", "composerp.ledger"), false},
		{roles.Relay, "consumes", consume("composerp.ledger"), false},
		{roles.Relay, "declares a queue", declare(all), false},
		{roles.Relay, "binds", bind(topology.Events, "composerp.ledger", "#"), false},

		{ledger, "consumes from its queue", consume("composerp.ledger"), true},
		{ledger, "retries", publish(topology.Retry, "composerp.ledger.retry.5s"), true},
		{ledger, "puts a message back", publish(topology.Retry, "composerp.ledger"), true},
		{ledger, "gives up", publish(topology.Dead, "composerp.ledger"), true},
		{ledger, "asks for its queue", ask("composerp.ledger"), true},
		{ledger, "asks for its dead letters", ask("composerp.ledger.dead"), true},
		{ledger, "asks for a retry queue", ask("composerp.ledger.retry.5s"), true},
		{ledger, "asks for the dead-letter log's", ask(topology.DeadLetterLog), true},
		{ledger, "consumes from another's queue", consume("composerp.alert"), false},
		{ledger, "consumes from a queue whose name begins like its own", consume("composerp.ledger2"), false},
		{ledger, "takes its dead letters", consume("composerp.ledger.dead"), false},
		{ledger, "takes from its retry queue", consume("composerp.ledger.retry.5s"), false},
		{ledger, "takes the dead-letter log's", consume(topology.DeadLetterLog), false},
		{ledger, "retries in another's name", publish(topology.Retry, "composerp.alert.retry.1h"), false},
		{ledger, "gives a message to another", publish(topology.Retry, "composerp.ledger2"), false},
		{ledger, "gives up in another's name", publish(topology.Dead, "composerp.alert"), false},
		{ledger, "publishes an event", publish(topology.Events, stock), false},
		{ledger, "puts a message into another's lane", publish(topology.LanesName("stockview"), stock), false},
		{ledger, "publishes to a queue by its name", publish("", "composerp.ledger"), false},
		{ledger, "declares its queues", declare(all), false},
		{ledger, "binds its queue", bind(topology.Events, "composerp.ledger", "#"), false},
		{ledger, "binds its retry queue", bind(topology.Retry, "composerp.ledger.retry.5s", "#"), false},
		{ledger, "binds a queue of its own", tap(topology.Events, "#"), false},
		{ledger, "deletes its retry queue", remove("composerp.ledger.retry.15m"), false},

		{view, "consumes from its queue", consume("composerp.stockview"), true},
		{view, "consumes from its lane", consume(lane), true},
		{view, "puts a message into its lane", publish(topology.LanesName("stockview"), stock), true},
		{view, "deletes its lane", remove(lane), false},
		{letters, "consumes from the dead-letter log's queue", consume(topology.DeadLetterLog), true},
		{letters, "retries", publish(topology.Retry, topology.DeadLetterLog), true},
		{letters, "takes dead letters of a worker", consume("composerp.ledger.dead"), false},

		{roles.Operator, "takes dead letters", consume("composerp.ledger.dead"), true},
		{roles.Operator, "takes unrouted events", consume(topology.Unrouted), true},
		{roles.Operator, "redrives", publish(topology.Retry, "composerp.ledger"), true},
		{roles.Operator, "reroutes", publish(topology.Events, sale), true},
		{roles.Operator, "follows retries", tap(topology.Retry, "composerp.ledger.retry.*"), true},
		{roles.Operator, "follows dead letters", tap(topology.Dead, "composerp.ledger"), true},
		{roles.Operator, "asks for a worker's queue", ask("composerp.ledger"), true},
		{roles.Operator, "asks for a lane", ask(lane), true},
		{roles.Operator, "asks for a retry queue", ask("composerp.ledger.retry.5s"), true},
		{roles.Operator, "asks for the dead-letter log's", ask(topology.DeadLetterLog), true},
		{roles.Operator, "asks for unrouted events", ask(topology.Unrouted), true},
		{roles.Operator, "binds a queue to all events", bind(topology.Events, "composerp.ledger", "#"), false},
		{roles.Operator, "publishes to a queue by its name", publish("", "composerp.ledger"), false},
		{roles.Operator, "takes a worker's events", consume("composerp.ledger"), false},
		{roles.Operator, "follows all events", tap(topology.Events, "#"), false},
		{roles.Operator, "publishes a dead letter", publish(topology.Dead, "composerp.ledger"), false},
		{roles.Operator, "declares a queue", declare(all), false},
		{roles.Operator, "deletes a queue", remove("composerp.alert.dead"), false},

		{roles.Topology, "tests its permission", inSession(func(_ context.Context, s *rabbitmq.Session) error { return errors.Join(s.CheckPermissions()) }), true},
		{roles.Topology, "tries to publish", publish(topology.Retry, topology.NoRoute), true},
		{roles.Topology, "binds", bind(topology.Events, "composerp.ledger", "inventory.#"), true},
		{roles.Topology, "asks a lane for an answer", consume(lane), true},
		{roles.Topology, "deletes", remove("composerp.other"), true},
		{roles.Topology, "publishes an event", publish(topology.Events, stock), false},
		{roles.Topology, "gives a message to a worker", publish(topology.Retry, "composerp.ledger"), false},
		{roles.Topology, "publishes a dead letter", publish(topology.Dead, "composerp.ledger"), false},
		{roles.Topology, "declares what is not the fleet's", declare(topology.Topology{Queues: []topology.QueueSpec{{Name: "other"}}}), false},

		{roles.Monitoring, "publishes", publish(topology.Events, sale), false},
		{roles.Monitoring, "consumes", consume("composerp.ledger"), false},
		{roles.Monitoring, "takes dead letters", consume("composerp.ledger.dead"), false},
		{roles.Monitoring, "binds", bind(topology.Events, "composerp.ledger", "#"), false},
	} {
		err := c.act(ctx, users[c.role])
		switch {
		case c.works && err != nil:
			t.Errorf("%s %s: %v", c.role, c.what, err)
		case !c.works && !errors.Is(err, rabbitmq.ErrAccessRefused):
			t.Errorf("%s %s: %v, want a refusal", c.role, c.what, err)
		}
	}
}
