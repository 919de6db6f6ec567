package watchdog_test

import (
	"context"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// While the database, the broker or both are away the gauge says so, and says nothing of what is not known.
func TestServersThatAreAway(t *testing.T) {
	h := newEnv(t)
	database, broker := workertest.NewLink(t, h.URL), workertest.NewLink(t, h.Broker.URLs[0])
	through := h.Broker
	through.URLs = []string{broker.URL}
	g := h.watchOn(storetest.Open(t, database.URL, 4), through, nil)
	// sees waits until each kind has its value; -1 means that it has no series.
	sees := func(what string, want map[watchdog.Kind]float64) {
		t.Helper()
		h.Eventually(what, func() bool {
			for kind, value := range want {
				if g.metric("composerp_watchdog_problem", string(kind)) != value {
					return false
				}
			}
			return true
		})
	}
	sees("all is well", map[watchdog.Kind]float64{watchdog.Database: 0, watchdog.Broker: 0, watchdog.Relay: 0, watchdog.Node: -1})
	database.Break()
	sees("the database is away", map[watchdog.Kind]float64{watchdog.Database: 1, watchdog.Broker: 0, watchdog.Relay: -1, watchdog.Pending: -1})
	h.Eventually("it does not lead any more", func() bool { return g.metric("composerp_watchdog_leading", "") == 0 })
	sees("the database is still away", map[watchdog.Kind]float64{watchdog.Database: 1, watchdog.Broker: 0, watchdog.Relay: -1, watchdog.Topology: 0})
	broker.Break()
	sees("both are away", map[watchdog.Kind]float64{watchdog.Database: 1, watchdog.Broker: 1, watchdog.Topology: -1, watchdog.Relay: -1})
	database.Restore()
	sees("the broker is away", map[watchdog.Kind]float64{watchdog.Database: 0, watchdog.Broker: 1, watchdog.Relay: 0, watchdog.Consumers: -1})
	broker.Restore()
	sees("all is well again", map[watchdog.Kind]float64{watchdog.Database: 0, watchdog.Broker: 0, watchdog.Relay: 0})
	if n := g.count("watchdog does not lead for now", "", ""); n < 1 || n > 4 {
		t.Errorf("that it does not lead was logged %d times", n)
	}
}

// With an exchange go the bindings of other programs, which only the watchdog has seen.
func TestBindingsOfOthersAreNamed(t *testing.T) {
	h := newEnv(t)
	rabbitmqtest.Bind(t, h.Broker, topology.BindingSpec{Exchange: topology.Events, Queue: "partner.orders", RoutingKey: "partner.#"})
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	h.Eventually("it has seen the binding", func() bool { return g.metric("composerp_watchdog_snapshots_total", "") >= 3 })
	rabbitmqtest.DeleteExchange(t, h.Broker, topology.Events)
	h.Eventually("what others had bound is named", func() bool {
		return g.count("bindings of other programs are lost", "", "composerp.events -partner.#-> partner.orders") == 1
	})
}

// A watchdog beside one that leads judges nothing.
func TestAWatchdogThatDoesNotLead(t *testing.T) {
	h := newEnv(t)
	g := h.watch(h.Broker, nil)
	second := h.Start("second", func(ctx context.Context, p *workertest.Part) error {
		w := &watchdog.Watchdog{DB: h.DB, Broker: h.Broker, Plan: h.plan, Holder: "second", Metrics: watchdog.NewMetrics(p.Metrics), Interval: 50 * time.Millisecond}
		return w.Run(ctx)
	})
	began := g.metric("composerp_watchdog_snapshots_total", "")
	h.Eventually("the first goes on", func() bool { return g.metric("composerp_watchdog_snapshots_total", "") > began+5 })
	if n := (&guard{h, second}).metric("composerp_watchdog_problem", string(watchdog.Database)); n != -1 {
		t.Errorf("the second has a series, %v", n)
	}
}
