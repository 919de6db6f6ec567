package topology_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/topologytest"
)

func TestComputeGivesTheGoldenTopology(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(topology.Compute(topologytest.Fleet()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/topology.json", string(got)+"\n")
}

func TestComputeIgnoresTheOrderOfSubscriptions(t *testing.T) {
	t.Parallel()
	reversed := topologytest.Fleet()
	slices.Reverse(reversed)
	if got, want := topology.Compute(reversed), topology.Compute(topologytest.Fleet()); !reflect.DeepEqual(got, want) {
		t.Errorf("another order gives another topology:\n%v\n%v", got, want)
	}
}

// What an operator may change is left to policies: an argument cannot be changed on a queue that exists.
func TestNoArgumentStandsInTheWayOfAPolicy(t *testing.T) {
	t.Parallel()
	subs := append(topologytest.Fleet(), topology.Subscription{Worker: "stockview", Ordered: true, Lanes: topology.Lanes{Routed: 2, Consumed: 4}})
	decided := []string{"x-queue-type", "x-single-active-consumer", "x-delivery-limit", "x-overflow",
		"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy"}
	for _, q := range topology.Compute(subs).Queues {
		for name := range q.Arguments {
			if delay := name == "x-message-ttl" && topology.IsRetryQueue(q.Name); !delay && !slices.Contains(decided, name) {
				t.Errorf("%s has the argument %s: leave it to a policy, or say in docs/reference/topology.md why it is none", q.Name, name)
			}
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		200 * time.Millisecond: "composerp.ledger.retry.200ms",
		5 * time.Second:        "composerp.ledger.retry.5s",
		time.Minute:            "composerp.ledger.retry.1m",
		90 * time.Second:       "composerp.ledger.retry.1m30s",
		10 * time.Minute:       "composerp.ledger.retry.10m",
		time.Hour:              "composerp.ledger.retry.1h",
		10 * time.Hour:         "composerp.ledger.retry.10h",
		90 * time.Minute:       "composerp.ledger.retry.1h30m",
	} {
		if got := topology.RetryQueueName("ledger", d); got != want {
			t.Errorf("RetryQueueName(%v) = %s, want %s", d, got, want)
		}
	}
	if got := topology.DeadQueueName("ledger"); got != "composerp.ledger.dead" {
		t.Errorf("DeadQueueName = %s", got)
	}
}
