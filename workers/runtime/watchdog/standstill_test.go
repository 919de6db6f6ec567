package watchdog_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// A consumer that acknowledges nothing, with more in the queue than it has in hand, or with all of it in hand.
func TestAQueueWithoutProgress(t *testing.T) {
	for says, prefetch := range map[string]int{"holds 4 messages, and nothing was acknowledged by its 1 consumer": 1, "5 messages of composerp.ledger in hand": 100} {
		t.Run(says, func(t *testing.T) {
			h := newEnv(t)
			h.figuresAge = time.Hour // figures that a busy broker brings late would have what is in hand published again
			g := h.watch(h.Broker, rabbitmqtest.Management(t))
			c, err := h.Session().Consume("composerp.ledger", "test", prefetch)
			h.Must(err)
			h.sell(5)
			g.shouts(watchdog.Progress, says)
			h.Must(c.Close())
			h.Eventually("all is given back", func() bool { return h.depth("composerp.ledger") == 5 })
			h.take("ledger", 5, true)
			g.over(watchdog.Progress)
		})
	}
}

// Both lead, and get nowhere.
func TestATickerAndARelayThatStandStill(t *testing.T) {
	h := newEnv(t)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	h.sell(1)
	release := storetest.Lock(t, h.URL, `LOCK TABLE tick IN EXCLUSIVE MODE`)
	h.admit(3)
	g.shouts(watchdog.Ticker, "has not ticked for")
	release()
	h.passed()
	release = storetest.Lock(t, h.URL, `SELECT FROM log_cursor FOR UPDATE`)
	h.admit(3)
	g.shouts(watchdog.Relay, "has not moved for")
	release()
	h.passed()
	g.over(watchdog.Ticker)
	g.over(watchdog.Relay)
}

// What has expired and has no place to go shows in no depth.
func TestMessagesDLXThatDoesNotShrink(t *testing.T) {
	const lost = "composerp.ledger.retry.lost"
	plan := watchdog.NewPlan(subscriptions, nil)
	plan.Topology.Queues = append(plan.Topology.Queues, topology.QueueSpec{Name: lost, Arguments: map[string]any{
		"x-queue-type": "quorum", "x-message-ttl": int64(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "nowhere",
		"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
	}})
	h := newEnvOf(t, plan)
	h.publish("", lost, uuid.New())
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	g.shouts(watchdog.Stuck, "1 message of "+lost)
	rabbitmqtest.DeleteQueue(t, h.Broker, lost)
	g.over(watchdog.Stuck)
}

// Events that external publishers sent while the ledger's queue was missing enter the log only once intake has
// drained its own queue.
func TestEventsOfExternalPublishersComeBack(t *testing.T) {
	plan := watchdog.NewPlan(append([]topology.Subscription{{Worker: "intake", RoutingKeys: []string{saleKey}, ExternalOnly: true}}, subscriptions...), nil)
	h := newEnvOf(t, plan)
	g := h.watch(h.Broker, rabbitmqtest.Management(t))
	lost := h.sell(3)
	outside := workertest.Sales(h, 1)
	h.publish(topology.Events, saleKey, outside[0].ID)
	h.Eventually("it is in both queues", func() bool { return h.depth("composerp.ledger") == 4 && h.depth("composerp.intake") == 1 })
	rabbitmqtest.DeleteQueue(t, h.Broker, "composerp.ledger")
	h.Eventually("what the log has comes back", func() bool { return g.count("events republished", "", "events=3") > 0 })
	if gaps, err := eventlog.Gaps(t.Context(), h.DB); err != nil || len(gaps) != 1 {
		t.Fatalf("before intake has logged anything the gap is closed: %v, %v", gaps, err)
	}
	h.AdmitPublished(outside...) // as intake does
	h.Receive("composerp.intake", 1)
	g.closed()
	h.comes("ledger", slices.Sorted(slices.Values(append(lost, outside[0].ID.String()))))
}
