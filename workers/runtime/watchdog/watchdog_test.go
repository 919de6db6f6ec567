package watchdog_test

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

func (h *env) whole() bool {
	have, err := rabbitmqtest.Management(h).Topology(h.Context(), rabbitmqtest.VhostOf(h, h.Broker))
	h.Must(err)
	return h.plan.Topology.Missing(have).Empty()
}

// closed waits until no delivery is pending.
func (g *guard) closed() {
	g.Helper()
	g.Eventually("every gap is closed", func() bool { gaps, err := eventlog.Gaps(g.Context(), g.DB); return err == nil && len(gaps) == 0 })
	g.over(watchdog.Pending)
}

// comes takes what has come to a consumer's queue, and wants these events and no others. A watchdog that has lost its
// lease meanwhile has published them twice.
func (h *env) comes(consumer string, want []string) {
	h.Helper()
	h.Eventually("they come", func() bool { return h.depth(topology.QueueName(consumer)) >= len(want) })
	got := h.take(consumer, h.depth(topology.QueueName(consumer)), true)
	if !slices.Equal(slices.Compact(got), want) {
		h.Errorf("%d other events have come to %s than the %d that were lost", len(got), consumer, len(want))
	}
}

// Everything that can be missing is declared again within seconds, and said once.
func TestWhatIsMissingIsDeclaredAgain(t *testing.T) {
	h := newEnv(t)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	repaired := func(what string) bool { return g.metric("composerp_watchdog_repairs_total", what) >= 1 }
	rabbitmqtest.DeleteExchange(t, h.Broker, topology.Dead)
	h.Eventually("the exchange is counted as repaired", func() bool { return repaired("exchange") })
	rabbitmqtest.DeleteQueue(t, h.Broker, topology.DeadQueueName("view"))
	h.Eventually("the queue is counted as repaired", func() bool { return repaired("queue") && repaired("binding") })
	h.Eventually("the topology is whole", h.whole)
	g.over(watchdog.Topology)
	if n := g.count("problem found", string(watchdog.Topology), ""); n > 2 {
		t.Errorf("it is said %d times:\n%s", n, g.part.Logs)
	}
	if g.count("missing topology cannot be declared", "", "") > 0 || g.count("problem found", string(watchdog.Pending), "") > 0 {
		t.Errorf("no queue could have lost what it was to be told:\n%s", g.part.Logs)
	}
	if g.count("dead letters may be lost", "", topology.DeadQueueName("view")) == 0 {
		t.Errorf("of dead letters that went with their queue nothing is said:\n%s", g.part.Logs)
	}
}

// A queue takes with it what was in it. The log has it, and no other consumer gets it again.
func TestWhatWasInADeletedQueueComesBack(t *testing.T) {
	h := newEnv(t)
	h.sell(20)
	h.take("ledger", 20, true)
	h.take("view", 20, false)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	sold := h.sell(30)
	h.Eventually("all have come", func() bool { return h.depth("composerp.ledger") == 30 && h.depth("composerp.view") == 30 })
	rabbitmqtest.DeleteQueue(t, h.Broker, "composerp.ledger")
	g.shouts(watchdog.Topology, "composerp.ledger")
	g.shouts(watchdog.Pending, "events for ledger may be undelivered")
	g.closed()
	h.comes("ledger", sold)
	if v := h.depth("composerp.view"); v != 30 {
		t.Errorf("view has %d messages, want 30", v)
	}
	if n := g.metric("composerp_watchdog_republished_total", ""); n < 30 {
		t.Errorf("%v messages are counted as published again", n)
	}
}

// Without the permission to declare it can only report. Events that reach no queue meanwhile are published again
// once it has the permission, and no others: what waited in the queue before that is not lost.
func TestAMissingBindingWhileAPermissionIsMissing(t *testing.T) {
	h := newEnv(t)
	user := rabbitmqtest.User(t, h.Broker, "secret")
	its := h.Broker
	u, err := url.Parse(h.Broker.URLs[0])
	h.Must(err)
	u.User = url.UserPassword(user, "secret")
	its.URLs = []string{u.String()}
	waited := h.sell(20)
	h.Eventually("all have come", func() bool { return h.depth("composerp.ledger") == 20 })
	g := h.watch(its, rabbitmqtest.Management(t))
	h.Eventually("it has seen the bindings", func() bool { return g.metric("composerp_watchdog_problem", string(watchdog.Mismatch)) == 0 })

	// To bind, one must be allowed to write to the queue; to publish, to the exchange.
	rabbitmqtest.Restrict(t, h.Broker, user, "^$", `^composerp\.(events|retry|dead)$`, ".*")
	g.shouts(watchdog.Access, "refuses access")
	rabbitmqtest.DeleteBinding(t, h.Broker, topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.ledger", RoutingKey: saleKey})
	rabbitmqtest.DeleteQueue(t, h.Broker, topology.DeadQueueName("ledger"))
	g.shouts(watchdog.Topology, "missing")
	h.Eventually("it says that it can not", func() bool { return g.count("missing topology cannot be declared", "", "topology apply") > 0 })
	lost := h.sell(30)
	rabbitmqtest.Restrict(t, h.Broker, user, ".*", ".*", ".*")
	g.over(watchdog.Access)
	g.over(watchdog.Topology)
	h.Eventually("what was lost comes", func() bool { return h.depth("composerp.ledger") >= 50 })
	g.closed()
	if got := h.take("ledger", 20, true); !slices.Equal(got, waited) {
		t.Error("other events waited than were said before the binding was missing")
	}
	h.comes("ledger", lost)
	if v := h.depth("composerp.view"); v != 50 {
		t.Errorf("view has %d messages, want 50", v)
	}
	rabbitmqtest.Forbid(t, h.Broker, user)
	g.shouts(watchdog.Access, "")
	rabbitmqtest.Restrict(t, h.Broker, user, ".*", "^$", ".*")
	h.Eventually("it is said that it may not publish", func() bool { return g.metric("composerp_watchdog_problem", string(watchdog.Access)) > 0 })
	rabbitmqtest.Restrict(t, h.Broker, user, ".*", ".*", ".*")
	g.over(watchdog.Access)
}

// With the exchange all bindings go; unrouted events wait in composerp.unrouted, and are then published to
// their queues.
func TestTheExchangeIsDeleted(t *testing.T) {
	h := newEnv(t)
	before := h.sell(5)
	rabbitmqtest.DeleteExchange(t, h.Broker, topology.Events)
	// Without bindings.
	h.ApplyTopology(topology.Topology{Exchanges: plan.Topology.Exchanges})
	lost := h.sell(5)
	h.publish(topology.Events, "no.queue", uuid.New())
	h.Eventually("it is in composerp.unrouted", func() bool { return h.depth(topology.Unrouted) >= 6 })
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	g.closed()
	all := slices.Sorted(slices.Values(append(before, lost...)))
	for _, consumer := range []string{"ledger", "view"} {
		got := h.take(consumer, h.depth(topology.QueueName(consumer)), true)
		if !slices.Equal(slices.Compact(got), all) {
			t.Errorf("%s has %d different events, want %d", consumer, len(slices.Compact(got)), len(all))
		}
	}
	h.Eventually("the event without a binding stays there alone", func() bool { return h.depth(topology.Unrouted) == 1 })
	g.shouts(watchdog.Unrouted, "no queue was bound")
	h.Eventually("it is still a problem", func() bool { return g.metric("composerp_watchdog_problem", string(watchdog.Unrouted)) == 1 })
}

// The exchange is deleted while its queues are being bound. RabbitMQ 4 then keeps bindings that come back with the
// exchange and do not route, until they are declared anew.
func TestBindingsMadeWhileTheirExchangeIsDeletedRoute(t *testing.T) {
	h := newEnv(t)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	one := topology.Topology{}
	for _, b := range plan.Topology.Bindings {
		if b.Exchange == topology.Events {
			one.Bindings = append(one.Bindings, b)
		}
	}
	many := topology.Topology{Bindings: slices.Repeat(one.Bindings, 200)}
	for round := range 2 {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var begun, binding sync.WaitGroup
		for range 8 {
			begun.Add(1)
			binding.Go(func() {
				err := rabbitmq.Apply(ctx, one, h.Broker)
				begun.Done()
				for ctx.Err() == nil && err == nil {
					err = rabbitmq.Apply(ctx, many, h.Broker)
				}
			})
		}
		begun.Wait()
		rabbitmqtest.DeleteExchange(t, h.Broker, topology.Events)
		h.Eventually("the exchange is declared again", func() bool { return g.metric("composerp_watchdog_repairs_total", "exchange") > float64(round) })
		stop()
		binding.Wait()
		g.closed()
		sold := h.sell(1)
		h.comes("ledger", sold)
		h.comes("view", sold)
	}
}

// Events that are pending and in no queue come again, once, and the bindings of their consumer are declared anew: the
// topology is whole, and yet the broker may not have routed them.
func TestEventsThatNoQueueHoldsComeAgain(t *testing.T) {
	h := newEnv(t)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	sold := h.sell(3)
	h.take("ledger", 3, true)
	h.take("view", 3, false)
	h.comes("view", sold)
	if g.count("events are pending and in no queue", "", "consumer=view") != 1 || g.count("events are pending and in no queue", "", "consumer=ledger") != 0 ||
		g.count("missing topology declared", "", topology.QueueName("view")) != 1 {
		t.Errorf("the watchdog has not said what it did:\n%s", g.part.Logs)
	}
	g.closed()
	if n := h.depth(topology.QueueName("ledger")); n != 0 {
		t.Errorf("ledger gets %d events again", n)
	}
}

// Without the management API it sees less, reports that, and repairs what it sees.
func TestAWatchdogWithoutTheManagementAPI(t *testing.T) {
	h := newEnv(t)
	g := h.watch(h.Broker, nil)
	g.shouts(watchdog.Unseen, "not known")
	h.sell(3)
	rabbitmqtest.DeleteQueue(t, h.Broker, "composerp.view")
	g.shouts(watchdog.Topology, "composerp.view")
	h.Eventually("the topology is whole", h.whole)
	h.take("view", 3, true)
	g.shouts(watchdog.Consumers, "composerp.ledger")
	h.take("ledger", 3, true)
	rabbitmqtest.DeleteQueue(t, h.Broker, topology.DeadQueueName("ledger"))
	h.Eventually("it is declared again", h.whole)
	consumer, err := h.Session().Consume("composerp.ledger", "test", 1)
	h.Must(err)
	g.over(watchdog.Consumers)
	h.Must(consumer.Close())
	h.Eventually("it is said again", func() bool {
		return g.count("problem found", string(watchdog.Consumers), "composerp.ledger") == 2
	})
	if n := g.count("problem found", string(watchdog.Unseen), ""); n != 1 {
		t.Errorf("that it sees less is said %d times", n)
	}
}

// One watches at a time, and another goes on where it stopped: it finds what was noted.
func TestAnotherWatchdogClosesTheGap(t *testing.T) {
	h := newEnv(t)
	first := h.watch(h.Broker, rabbitmqtest.Management(t))
	h.sell(3)
	first.part.End()
	rabbitmqtest.DeleteQueue(t, h.Broker, "composerp.ledger")
	// As one does that dies right after.
	h.Must(eventlog.RecordGaps(t.Context(), h.DB, []string{"ledger"}, eventlog.Position{}))
	h.ApplyTopology(plan.Topology)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	h.take("ledger", 3, true)
	g.closed()
	if n := first.metric("composerp_watchdog_leading", ""); n != 0 {
		t.Errorf("the first one still leads: %v", n)
	}
}

// A worker that is to run no slots has no consumer, and that is as it should be, until it is to run some again.
func TestAWorkerThatRests(t *testing.T) {
	h := newEnv(t)
	storetest.Exec(t, h.URL, `INSERT INTO worker_pool (queue, paused) VALUES ('ledger', true)`)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	h.sell(3)
	g.shouts(watchdog.Consumers, "composerp.view")
	if n := g.count("problem found", string(watchdog.Consumers), "composerp.ledger"); n != 0 {
		t.Errorf("it is paused, and reported %d times", n)
	}
	storetest.Exec(t, h.URL, `UPDATE worker_pool SET paused = false, mode = 'auto', max = 4, desired = 0`)
	h.sell(1)
	looks := g.metric("composerp_watchdog_snapshots_total", "")
	h.Eventually("it has looked some more times", func() bool { return g.metric("composerp_watchdog_snapshots_total", "") >= looks+15 })
	if n := g.count("problem found", string(watchdog.Consumers), "composerp.ledger"); n != 0 {
		t.Errorf("it sleeps, and is reported %d times", n)
	}
	storetest.Exec(t, h.URL, `UPDATE worker_pool SET desired = 1`)
	g.shouts(watchdog.Consumers, "composerp.ledger holds 4 messages and has no consumer")
}
