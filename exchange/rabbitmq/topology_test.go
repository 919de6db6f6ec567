package rabbitmq_test

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

func someFleet() []topology.Subscription {
	return []topology.Subscription{
		{Worker: "ledger", RoutingKeys: []string{"integration.transfer_initiated", "integration.sale_completed", "integration.sale_completed"},
			RetryDelays: []time.Duration{15 * time.Minute, 5 * time.Second, time.Minute}},
		{Worker: "alert", RoutingKeys: []string{"inventory.low_stock"}, RetryDelays: []time.Duration{90 * time.Second, time.Hour}},
		{Worker: "intake", RoutingKeys: []string{saleKey}, RetryDelays: []time.Duration{time.Minute}, ExternalOnly: true},
		{Worker: "deadletterlog", Queue: topology.DeadLetterLog},
	}
}

func TestComputeGivesTheGoldenTopology(t *testing.T) {
	t.Parallel()
	const golden = "testdata/topology.json"
	got, err := json.MarshalIndent(topology.Compute(someFleet()), "", "  ")
	must(t, err)
	got = append(got, '\n')
	if *update {
		must(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if string(got) != string(want) {
		t.Errorf("the topology has changed; if on purpose, go test ./exchange -run Golden -update. Now:\n%s", got)
	}
}

func TestComputeIgnoresTheOrderOfSubscriptions(t *testing.T) {
	t.Parallel()
	turned := someFleet()
	slices.Reverse(turned)
	if got, want := topology.Compute(turned), topology.Compute(someFleet()); !reflect.DeepEqual(got, want) {
		t.Errorf("another order gives another topology:\n%v\n%v", got, want)
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
			t.Errorf("RungName(%v) = %s, want %s", d, got, want)
		}
	}
	if got := topology.DeadQueueName("ledger"); got != "composerp.ledger.dead" {
		t.Errorf("DeadName = %s", got)
	}
}
